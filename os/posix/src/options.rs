//! Socket options by Linux's numbers (`socket(7)`, `ip(7)`, `ipv6(7)`, `tcp(7)`, `udp(7)`).
//!
//! [`TABLE`] has every option that is a number: who has it, what it may be, what it is where nobody set it, and the stack's
//! own option behind it, if the stack can do something about it. The others are wishes that change nothing a program
//! could observe, and are remembered. What is not in the table is `ENOPROTOOPT`, so that a program learns that its wish
//! is not fulfilled.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use device::SocketOption;

use crate::errno::{Errno, Result};

/// `SOL_SOCKET`
pub const SOL_SOCKET: u32 = 1;
/// `IPPROTO_IP`
pub const IPPROTO_IP: u32 = 0;
/// `IPPROTO_TCP`
pub const IPPROTO_TCP: u32 = 6;
/// `IPPROTO_UDP`
pub const IPPROTO_UDP: u32 = 17;
/// `IPPROTO_IPV6`
pub const IPPROTO_IPV6: u32 = 41;

/// `SO_ERROR`
pub const SO_ERROR: u32 = 4;
/// `SO_SNDBUF`
pub const SO_SNDBUF: u32 = 7;
/// `SO_RCVBUF`
pub const SO_RCVBUF: u32 = 8;
/// `SO_LINGER`
pub const SO_LINGER: u32 = 13;
const SO_TYPE: u32 = 3;
const SO_RCVTIMEO: u32 = 20;
const SO_SNDTIMEO: u32 = 21;
/// `SO_ACCEPTCONN`
pub const SO_ACCEPTCONN: u32 = 30;
const SO_PROTOCOL: u32 = 38;
const SO_DOMAIN: u32 = 39;
const SO_RCVTIMEO_NEW: u32 = 66;
const SO_SNDTIMEO_NEW: u32 = 67;
/// `UDP_SEGMENT`
pub const UDP_SEGMENT: u32 = 103;

/// Linux's buffers, in bytes: what a program is told that never set one, and the limits of what it may ask for
/// (`net.core.wmem_max`, doubled; `SOCK_MIN_SNDBUF`, `SOCK_MIN_RCVBUF`).
const DEFAULT_BUFFER: u32 = 212_992;
const STREAM_SEND_BUFFER: u32 = 16_384;
const STREAM_RECEIVE_BUFFER: u32 = 131_072;
const LEAST_SEND_BUFFER: u32 = 4608;
const LEAST_RECEIVE_BUFFER: u32 = 2304;

/// `SO_RCVTIMEO` and `SO_SNDTIMEO`, in ns; 0 for none.
#[derive(Debug, Default)]
pub(crate) struct Timeouts {
    receive_ns: AtomicU64,
    send_ns: AtomicU64,
}

impl Timeouts {
    pub(crate) fn get(&self, writing: bool) -> u64 {
        if writing { self.send_ns.load(Relaxed) } else { self.receive_ns.load(Relaxed) }
    }
}

/// Which sockets have an option.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Who {
    All,
    Stream,
    Datagram,
}

/// What an option may be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Values {
    /// Anything; every number but 0 is 1.
    Flag,
    Any,
    /// From and to.
    Within(u16, u16),
    /// The same, and −1 sets the default again.
    Resets(u16, u16),
    /// An `int` that is not negative.
    Natural,
}

/// An option that is a number.
pub(crate) struct Entry {
    level: u8,
    name: u8,
    who: Who,
    values: Values,
    /// What it is where nobody has set it.
    default: i16,
    /// The stack's.
    pub(crate) stack: Option<SocketOption>,
}

const fn entry(level: u32, name: u8, who: Who, values: Values, default: i16, stack: Option<SocketOption>) -> Entry {
    Entry { level: level as u8, name, who, values, default, stack }
}

const fn flag(level: u32, name: u8, who: Who, default: i16, stack: Option<SocketOption>) -> Entry {
    entry(level, name, who, Flag, default, stack)
}

use SocketOption as S;
use Who::{All, Datagram, Stream};

use Values::{Any, Flag, Natural, Resets, Within};

static TABLE: [Entry; 56] = [
    // SO_REUSEADDR: our stacks never hold an address after its socket.
    flag(SOL_SOCKET, 2, All, 0, None),
    // SO_DONTROUTE, SO_BROADCAST
    flag(SOL_SOCKET, 5, All, 0, None),
    flag(SOL_SOCKET, 6, All, 0, Some(S::Broadcast)),
    // SO_SNDBUF, SO_RCVBUF
    entry(SOL_SOCKET, 7, All, Any, 0, Some(S::SendBuffer)),
    entry(SOL_SOCKET, 8, All, Any, 0, Some(S::ReceiveBuffer)),
    // SO_KEEPALIVE, SO_OOBINLINE, SO_PRIORITY, SO_REUSEPORT
    flag(SOL_SOCKET, 9, All, 0, Some(S::KeepAlive)),
    flag(SOL_SOCKET, 10, All, 0, None),
    entry(SOL_SOCKET, 12, All, Within(0, 6), 0, None),
    flag(SOL_SOCKET, 15, All, 0, Some(S::ReusePort)),
    // SO_RCVLOWAT, SO_INCOMING_CPU, SO_BUSY_POLL
    entry(SOL_SOCKET, 18, All, Any, 1, None),
    entry(SOL_SOCKET, 49, All, Any, -1, None),
    entry(SOL_SOCKET, 46, All, Natural, 0, None),
    // IP_TOS, IP_TTL, IP_PKTINFO, IP_MTU_DISCOVER, IP_RECVERR, IP_RECVTTL, IP_RECVTOS, IP_FREEBIND
    entry(IPPROTO_IP, 1, All, Any, 0, Some(S::Class)),
    entry(IPPROTO_IP, 2, All, Resets(1, 255), 64, Some(S::HopLimit)),
    flag(IPPROTO_IP, 8, All, 0, Some(S::ReceiveDestination)),
    entry(IPPROTO_IP, 10, All, Within(0, 5), 1, Some(S::MtuDiscover)),
    flag(IPPROTO_IP, 11, All, 0, None),
    flag(IPPROTO_IP, 12, All, 0, None),
    flag(IPPROTO_IP, 13, All, 0, Some(S::ReceiveClass)),
    flag(IPPROTO_IP, 15, All, 0, None),
    // IP_BIND_ADDRESS_NO_PORT, IP_MULTICAST_TTL, IP_MULTICAST_LOOP, IP_MULTICAST_ALL
    flag(IPPROTO_IP, 24, All, 0, None),
    entry(IPPROTO_IP, 33, Datagram, Resets(0, 255), 1, None),
    flag(IPPROTO_IP, 34, All, 1, None),
    flag(IPPROTO_IP, 49, All, 1, None),
    // IPV6_UNICAST_HOPS, IPV6_MULTICAST_IF, IPV6_MULTICAST_HOPS, IPV6_MULTICAST_LOOP
    entry(IPPROTO_IPV6, 16, All, Resets(0, 255), 64, Some(S::HopLimit)),
    entry(IPPROTO_IPV6, 17, All, Within(0, 2), 0, None),
    entry(IPPROTO_IPV6, 18, Datagram, Resets(0, 255), 1, None),
    entry(IPPROTO_IPV6, 19, All, Within(0, 1), 1, None),
    // IPV6_MTU_DISCOVER, IPV6_RECVERR, IPV6_V6ONLY
    entry(IPPROTO_IPV6, 23, All, Within(0, 5), 1, Some(S::MtuDiscover)),
    flag(IPPROTO_IPV6, 25, All, 0, None),
    flag(IPPROTO_IPV6, 26, All, 0, Some(S::OnlyV6)),
    // IPV6_RECVPKTINFO, IPV6_RECVHOPLIMIT, IPV6_DONTFRAG, IPV6_RECVTCLASS, IPV6_TCLASS, IPV6_FREEBIND
    flag(IPPROTO_IPV6, 49, All, 0, Some(S::ReceiveDestination)),
    flag(IPPROTO_IPV6, 51, All, 0, None),
    flag(IPPROTO_IPV6, 62, All, 0, None),
    flag(IPPROTO_IPV6, 66, All, 0, Some(S::ReceiveClass)),
    entry(IPPROTO_IPV6, 67, All, Resets(0, 255), 0, Some(S::Class)),
    flag(IPPROTO_IPV6, 78, All, 0, None),
    // TCP_NODELAY, TCP_MAXSEG, TCP_CORK
    flag(IPPROTO_TCP, 1, Stream, 0, None),
    entry(IPPROTO_TCP, 2, Stream, Within(88, 32767), 536, Some(S::MaxSegment)),
    flag(IPPROTO_TCP, 3, Stream, 0, None),
    // TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT (Linux's limits: net/tcp.h), TCP_SYNCNT, TCP_LINGER2, TCP_DEFER_ACCEPT
    entry(IPPROTO_TCP, 4, Stream, Within(1, 32767), 7200, Some(S::KeepIdle)),
    entry(IPPROTO_TCP, 5, Stream, Within(1, 32767), 75, Some(S::KeepInterval)),
    entry(IPPROTO_TCP, 6, Stream, Within(1, 127), 9, Some(S::KeepCount)),
    entry(IPPROTO_TCP, 7, Stream, Within(1, 127), 6, None),
    entry(IPPROTO_TCP, 8, Stream, Any, 60, None),
    entry(IPPROTO_TCP, 9, Stream, Any, 0, None),
    // TCP_QUICKACK, TCP_THIN_LINEAR_TIMEOUTS, TCP_THIN_DUPACK, TCP_USER_TIMEOUT, TCP_FASTOPEN, TCP_NOTSENT_LOWAT
    flag(IPPROTO_TCP, 12, Stream, 1, None),
    entry(IPPROTO_TCP, 16, Stream, Within(0, 1), 0, None),
    entry(IPPROTO_TCP, 17, Stream, Within(0, 1), 0, None),
    entry(IPPROTO_TCP, 18, Stream, Natural, 0, Some(S::UserTimeout)),
    entry(IPPROTO_TCP, 23, Stream, Natural, 0, None),
    entry(IPPROTO_TCP, 25, Stream, Any, 0, None),
    // UDP_CORK, UDP_NO_CHECK6_TX, UDP_SEGMENT, UDP_GRO
    flag(IPPROTO_UDP, 1, Datagram, 0, None),
    flag(IPPROTO_UDP, 101, Datagram, 0, None),
    entry(IPPROTO_UDP, 103, Datagram, Within(0, 65535), 0, None),
    flag(IPPROTO_UDP, 104, Datagram, 0, Some(S::ReceiveJoined)),
];

/// The entry of an option that a socket has, and its place in the table.
pub(crate) fn find(level: u32, name: u32, v6: bool, is_stream: bool) -> Option<(u8, &'static Entry)> {
    let kind = if is_stream { Stream } else { Datagram };
    let is_it = |e: &Entry| (u32::from(e.level), u32::from(e.name)) == (level, name);
    let index = TABLE.iter().position(is_it)?;
    let entry = &TABLE[index];
    let has = (v6 || level != IPPROTO_IPV6) && (entry.who == All || entry.who == kind);
    has.then_some((index as u8, entry))
}

/// Does a socket of IPv4 have options of this level at all?
pub(crate) fn has_level(level: u32, is_stream: bool) -> bool {
    match level {
        SOL_SOCKET | IPPROTO_IP => true,
        IPPROTO_TCP => is_stream,
        IPPROTO_UDP => !is_stream,
        _ => false,
    }
}

/// The entry at a place of the table.
pub(crate) fn at(index: u8) -> Option<&'static Entry> {
    TABLE.get(usize::from(index))
}

impl Entry {
    /// What a program that sets `value` gets.
    pub(crate) fn check(&self, value: &[u8], is_stream: bool) -> Result<u32> {
        let number = number(self.level.into(), value)?;
        let within = |from: u16, to: u16| match (u32::from(from)..=u32::from(to)).contains(&number) {
            true => Ok(number),
            false => Err(Errno::INVAL),
        };
        let number = match self.values {
            Flag => (number != 0).into(),
            Any => number,
            Natural if (number as i32) < 0 => return Err(Errno::INVAL),
            Natural => number,
            Resets(..) if number == u32::MAX => self.default as u32,
            Resets(from, to) | Within(from, to) => within(from, to)?,
        };
        // Linux doubles what is asked for, within its limits.
        let buffer = |least: u32| number.min(DEFAULT_BUFFER).saturating_mul(2).max(least);
        Ok(match (u32::from(self.level), u32::from(self.name)) {
            (SOL_SOCKET, SO_SNDBUF) => buffer(LEAST_SEND_BUFFER),
            (SOL_SOCKET, SO_RCVBUF) => buffer(LEAST_RECEIVE_BUFFER),
            // SO_RCVLOWAT
            (SOL_SOCKET, 18) => number.clamp(1, i32::MAX as u32),
            // TCP sets the ECN bits itself.
            (IPPROTO_IP, 1) | (IPPROTO_IPV6, 67) => number & if is_stream { 0xfc } else { 0xff },
            (IPPROTO_TCP, 9) => deferral(number),
            _ => number,
        })
    }

    /// What it is where nobody has set it.
    pub(crate) fn initial(&self, is_stream: bool) -> u32 {
        match (u32::from(self.level), u32::from(self.name)) {
            (SOL_SOCKET, SO_SNDBUF) if is_stream => STREAM_SEND_BUFFER,
            (SOL_SOCKET, SO_RCVBUF) if is_stream => STREAM_RECEIVE_BUFFER,
            (SOL_SOCKET, SO_SNDBUF | SO_RCVBUF) => DEFAULT_BUFFER,
            _ => i32::from(self.default) as u32,
        }
    }
}

/// `TCP_DEFER_ACCEPT` in seconds, as Linux rounds it up to whole retransmissions, of which there are 255 at most: after 1 s,
/// 2 s, 4 s more, and so on, and in the end every 120 s.
fn deferral(seconds: u32) -> u32 {
    let (mut sum, mut pause) = (0, 1);
    for _ in 0..255 {
        if sum as i32 >= seconds as i32 {
            break;
        }
        sum += pause;
        pause = (pause * 2).min(120);
    }
    sum
}

/// The value of an integer option; the kernel also takes a single byte for the IP level.
pub(crate) fn number(level: u32, value: &[u8]) -> Result<u32> {
    match (value.first_chunk::<4>(), value) {
        (Some(bytes), _) => Ok(u32::from_ne_bytes(*bytes)),
        (None, [byte, ..]) if level == IPPROTO_IP => Ok((*byte).into()),
        _ => Err(Errno::INVAL),
    }
}

/// Writes an integer option, cut to the caller's room. An IP-level option that fits a byte fits a shorter room, too.
pub(crate) fn give(value: &mut [u8], number: u32) -> Result<usize> {
    Ok(copy(value, &number.to_ne_bytes()))
}

pub(crate) fn copy(value: &mut [u8], bytes: &[u8]) -> usize {
    let count = value.len().min(bytes.len());
    value[..count].copy_from_slice(&bytes[..count]);
    count
}

/// Options that every socket has; the rest is `ENOPROTOOPT`, and `EOPNOTSUPP` for a UNIX socket's other levels.
pub(crate) fn set_common(level: u32, name: u32, value: &[u8], timeouts: &Timeouts, family: u32) -> Result<()> {
    match (level, name) {
        (SOL_SOCKET, SO_RCVTIMEO | SO_RCVTIMEO_NEW) => timeouts.receive_ns.store(interval_ns(value)?, Relaxed),
        (SOL_SOCKET, SO_SNDTIMEO | SO_SNDTIMEO_NEW) => timeouts.send_ns.store(interval_ns(value)?, Relaxed),
        (SOL_SOCKET, _) if family == crate::socket::AF_UNIX => {
            find(level, name, false, false)
                .map_or(Err(Errno::NOPROTOOPT), |(_, entry)| entry.check(value, false).map(drop))?;
        }
        _ if level != SOL_SOCKET && family == crate::socket::AF_UNIX => return Err(Errno::OPNOTSUPP),
        (SOL_SOCKET, _) if value.len() < 4 => return Err(Errno::INVAL),
        _ => return Err(Errno::NOPROTOOPT),
    }
    Ok(())
}

/// Options that every socket has; the rest is `ENOPROTOOPT`.
pub(crate) fn get_common(
    level: u32,
    name: u32,
    value: &mut [u8],
    timeouts: &Timeouts,
    (family, kind): (u32, u32),
) -> Result<usize> {
    use crate::socket::{AF_UNIX, STREAM};
    if level != SOL_SOCKET {
        return Err(if family == AF_UNIX { Errno::OPNOTSUPP } else { Errno::NOPROTOOPT });
    }
    let protocol = match (family, kind) {
        (AF_UNIX, _) => 0,
        (_, STREAM) => IPPROTO_TCP,
        _ => IPPROTO_UDP,
    };
    match name {
        SO_TYPE => give(value, kind),
        SO_DOMAIN => give(value, family),
        SO_PROTOCOL => give(value, protocol),
        SO_ERROR | SO_ACCEPTCONN => give(value, 0),
        SO_LINGER => Ok(copy(value, &[0; 8])),
        SO_RCVTIMEO | SO_RCVTIMEO_NEW => Ok(copy(value, &interval(timeouts.get(false)))),
        SO_SNDTIMEO | SO_SNDTIMEO_NEW => Ok(copy(value, &interval(timeouts.get(true)))),
        // SO_SNDLOWAT
        19 => give(value, 1),
        _ => find(level, name, false, false)
            .map_or(Err(Errno::NOPROTOOPT), |(_, entry)| give(value, entry.initial(false))),
    }
}

/// A `struct timeval` in ns.
fn interval_ns(value: &[u8]) -> Result<u64> {
    let (Some(seconds), Some(micros)) = (value.first_chunk::<8>(), value.get(8..).and_then(|v| v.first_chunk::<8>()))
    else {
        return Err(Errno::INVAL);
    };
    let micros = i64::from_ne_bytes(*micros);
    if !(0..1_000_000).contains(&micros) {
        return Err(Errno(33)); // EDOM, as Linux says here alone
    }
    let seconds = u64::try_from(i64::from_ne_bytes(*seconds)).unwrap_or(0);
    Ok(seconds.saturating_mul(1_000_000_000).saturating_add(micros as u64 * 1000))
}

fn interval(ns: u64) -> [u8; 16] {
    let mut value = [0; 16];
    value[..8].copy_from_slice(&(ns / 1_000_000_000).to_ne_bytes());
    value[8..].copy_from_slice(&(ns % 1_000_000_000 / 1000).to_ne_bytes());
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::socket::{AF_INET, AF_UNIX};

    #[test]
    fn timeouts_survive_the_round_trip() {
        let timeouts = Timeouts::default();
        set_common(SOL_SOCKET, SO_RCVTIMEO, &interval(1_500_000_000), &timeouts, AF_INET).expect("valid");
        let mut value = [0; 16];
        assert_eq!(get_common(SOL_SOCKET, SO_RCVTIMEO, &mut value, &timeouts, (2, 1)), Ok(16));
        assert_eq!(interval_ns(&value), Ok(1_500_000_000));
        assert_eq!(timeouts.get(true), 0);
    }

    #[test]
    fn unknown_options_are_refused() {
        let timeouts = Timeouts::default();
        assert_eq!(set_common(SOL_SOCKET, 999, &[0; 4], &timeouts, AF_UNIX), Err(Errno::NOPROTOOPT));
        assert_eq!(set_common(IPPROTO_TCP, 1, &[0; 4], &timeouts, AF_UNIX), Err(Errno::OPNOTSUPP));
        assert_eq!(set_common(SOL_SOCKET, SO_RCVTIMEO, &[0; 4], &timeouts, AF_INET), Err(Errno::INVAL));
        assert!(find(IPPROTO_TCP, 1, true, false).is_none() && find(IPPROTO_IPV6, 16, false, true).is_none());
    }

    #[test]
    fn values_are_linux_s() {
        let set = |level, name, value: i32| {
            let (_, entry) = find(level, name, true, level != IPPROTO_UDP).expect("known");
            entry.check(&value.to_ne_bytes(), false)
        };
        assert_eq!(set(SOL_SOCKET, SO_RCVBUF, 10_000), Ok(20_000));
        assert_eq!(set(SOL_SOCKET, SO_RCVBUF, 1), Ok(2304));
        assert_eq!(set(SOL_SOCKET, SO_SNDBUF, -1), Ok(425_984));
        assert_eq!(set(IPPROTO_IP, 2, -1), Ok(64));
        assert_eq!(set(IPPROTO_IP, 2, 0), Err(Errno::INVAL));
        assert_eq!(set(IPPROTO_TCP, 9, 5), Ok(7));
        assert_eq!(set(IPPROTO_TCP, 1, 7), Ok(1));
        assert_eq!(set(IPPROTO_UDP, 103, 65536), Err(Errno::INVAL));
    }
}
