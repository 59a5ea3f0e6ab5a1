//! Socket options by Linux's numbers (`socket(7)`, `ip(7)`, `ipv6(7)`, `tcp(7)`).
//!
//! Three sorts: those a stack knows ([`of_stack`]), those this crate keeps itself (timeouts, type, error), and hints that
//! change nothing that a program could observe ([`is_hint`]): those are remembered and given back. All others are
//! `ENOPROTOOPT`, so that a program learns that its wish is not fulfilled.

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

/// Linux's default buffer size, in bytes: what a program is told that never set one.
pub const DEFAULT_BUFFER: u32 = 212_992;

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

/// The option of a stack behind a level and a name.
pub(crate) fn of_stack(level: u32, name: u32) -> Option<SocketOption> {
    Some(match (level, name) {
        (SOL_SOCKET, SO_ERROR) => SocketOption::Error,
        (SOL_SOCKET, 6) => SocketOption::Broadcast,
        (SOL_SOCKET, 9) => SocketOption::KeepAlive,
        (SOL_SOCKET, SO_LINGER) => SocketOption::Linger,
        (SOL_SOCKET, 15) => SocketOption::ReusePort,
        (IPPROTO_IP, 2) | (IPPROTO_IPV6, 16) => SocketOption::HopLimit,
        (IPPROTO_IPV6, 26) => SocketOption::OnlyV6,
        (IPPROTO_TCP, 4) => SocketOption::KeepIdle,
        (IPPROTO_TCP, 5) => SocketOption::KeepInterval,
        (IPPROTO_TCP, 6) => SocketOption::KeepCount,
        (IPPROTO_TCP, 18) => SocketOption::UserTimeout,
        (SOL_SOCKET, SO_RCVBUF) => SocketOption::ReceiveBuffer,
        (SOL_SOCKET, SO_SNDBUF) => SocketOption::SendBuffer,
        (IPPROTO_IP, 14) | (IPPROTO_IPV6, 24) => SocketOption::PathMtu,
        _ => return None,
    })
}

/// May the option be taken and forgotten? `SO_REUSEADDR` is one: our stacks never hold an address after its socket.
pub(crate) fn is_hint(level: u32, name: u32) -> bool {
    match level {
        // REUSEADDR, DONTROUTE, OOBINLINE, PRIORITY, RCVLOWAT, SNDLOWAT, INCOMING_CPU, BUSY_POLL
        SOL_SOCKET => matches!(name, 2 | 5 | 10 | 12 | 18 | 19 | 46 | 49),
        // TOS, MTU_DISCOVER, RECVERR, MULTICAST_TTL, MULTICAST_LOOP, BIND_ADDRESS_NO_PORT
        IPPROTO_IP => matches!(name, 1 | 10 | 11 | 24 | 33 | 34),
        // MULTICAST_HOPS, MULTICAST_LOOP, MTU_DISCOVER, RECVERR, TCLASS
        IPPROTO_IPV6 => matches!(name, 18 | 19 | 23 | 25 | 67),
        // NODELAY, CORK, SYNCNT, LINGER2, DEFER_ACCEPT, QUICKACK, NOTSENT_LOWAT
        IPPROTO_TCP => matches!(name, 1 | 3 | 7 | 8 | 9 | 12 | 25),
        _ => false,
    }
}

/// The value of an integer option; the kernel also takes a single byte for the IP level.
pub(crate) fn number(level: u32, value: &[u8]) -> Result<u32> {
    match (value.first_chunk::<4>(), value) {
        (Some(bytes), _) => Ok(u32::from_ne_bytes(*bytes)),
        (None, [byte, ..]) if level != SOL_SOCKET && level != IPPROTO_TCP => Ok((*byte).into()),
        _ => Err(Errno::INVAL),
    }
}

/// Writes an integer option, cut to the caller's room.
pub(crate) fn give(value: &mut [u8], number: u32) -> Result<usize> {
    Ok(copy(value, &number.to_ne_bytes()))
}

pub(crate) fn copy(value: &mut [u8], bytes: &[u8]) -> usize {
    let count = value.len().min(bytes.len());
    value[..count].copy_from_slice(&bytes[..count]);
    count
}

/// Options that every socket has; the rest is `ENOPROTOOPT`.
pub(crate) fn set_common(level: u32, name: u32, value: &[u8], timeouts: &Timeouts) -> Result<()> {
    if level != SOL_SOCKET {
        return Err(if is_hint(level, name) { Errno::OPNOTSUPP } else { Errno::NOPROTOOPT });
    }
    match name {
        SO_RCVTIMEO | SO_RCVTIMEO_NEW => timeouts.receive_ns.store(interval_ns(value)?, Relaxed),
        SO_SNDTIMEO | SO_SNDTIMEO_NEW => timeouts.send_ns.store(interval_ns(value)?, Relaxed),
        _ if is_hint(level, name) || of_stack(level, name).is_some() => drop(number(level, value)?),
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
        return Err(Errno::NOPROTOOPT);
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
        SO_SNDBUF | SO_RCVBUF => give(value, DEFAULT_BUFFER),
        SO_LINGER => Ok(copy(value, &[0; 8])),
        SO_RCVTIMEO | SO_RCVTIMEO_NEW => Ok(copy(value, &interval(timeouts.get(false)))),
        SO_SNDTIMEO | SO_SNDTIMEO_NEW => Ok(copy(value, &interval(timeouts.get(true)))),
        _ if is_hint(level, name) || of_stack(level, name).is_some() => give(value, 0),
        _ => Err(Errno::NOPROTOOPT),
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

    #[test]
    fn timeouts_survive_the_round_trip() {
        let timeouts = Timeouts::default();
        set_common(SOL_SOCKET, SO_RCVTIMEO, &interval(1_500_000_000), &timeouts).expect("valid");
        let mut value = [0; 16];
        assert_eq!(get_common(SOL_SOCKET, SO_RCVTIMEO, &mut value, &timeouts, (2, 1)), Ok(16));
        assert_eq!(interval_ns(&value), Ok(1_500_000_000));
        assert_eq!(timeouts.get(true), 0);
    }

    #[test]
    fn unknown_options_are_refused() {
        let timeouts = Timeouts::default();
        assert_eq!(set_common(SOL_SOCKET, 999, &[0; 4], &timeouts), Err(Errno::NOPROTOOPT));
        assert_eq!(set_common(SOL_SOCKET, SO_RCVTIMEO, &[0; 4], &timeouts), Err(Errno::INVAL));
    }
}
