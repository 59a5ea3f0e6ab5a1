//! Control messages of internet datagrams (`cmsg(3)`, `ip(7)`, `ipv6(7)`, `udp(7)`): between C's bytes and
//! [`Ancillary`].
//!
//! Each is a header (length with the header, level, type) and data, padded to eight bytes.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use device::Ancillary;

use crate::errno::{Errno, Result};
use crate::options::{IPPROTO_IP, IPPROTO_IPV6, IPPROTO_UDP, SOL_SOCKET};

const IP_TOS: u32 = 1;
const IP_TTL: u32 = 2;
const IP_PKTINFO: u32 = 8;
const IPV6_PKTINFO: u32 = 50;
const IPV6_HOPLIMIT: u32 = 52;
const IPV6_TCLASS: u32 = 67;
const UDP_SEGMENT: u32 = 103;
const UDP_GRO: u32 = 104;

/// Bytes of a message's header.
const HEADER: usize = 16;

/// What the receiver of a datagram has asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wants {
    /// `IP_PKTINFO`: where it was sent to.
    pub destination_v4: bool,
    /// `IPV6_RECVPKTINFO`
    pub destination_v6: bool,
    /// `IP_RECVTOS`
    pub class_v4: bool,
    /// `IPV6_RECVTCLASS`
    pub class_v6: bool,
    /// `UDP_GRO`: how long each of several joined datagrams is.
    pub segment: bool,
    /// The socket is one of IPv6.
    pub v6: bool,
}

/// Reads what a sender gives along.
///
/// # Errors
/// `EINVAL` for what makes no sense, as Linux says: a length beyond the bytes, a type that its level does not have, data
/// of another length than the type's.
pub fn read(mut control: &[u8]) -> Result<Ancillary> {
    let mut ancillary = Ancillary::default();
    while let Some(header) = control.first_chunk::<HEADER>() {
        let length = usize::from_ne_bytes(*header.first_chunk().ok_or(Errno::INVAL)?);
        let data = control.get(HEADER..length).ok_or(Errno::INVAL)?;
        let number = |at: usize| header[at..].first_chunk().map_or(0, |bytes| u32::from_ne_bytes(*bytes));
        take(&mut ancillary, number(8), number(12), data)?;
        control = length.checked_next_multiple_of(8).and_then(|next| control.get(next..)).unwrap_or_default();
    }
    Ok(ancillary)
}

fn take(ancillary: &mut Ancillary, level: u32, kind: u32, data: &[u8]) -> Result<()> {
    let word = || data.first_chunk().filter(|_| data.len() == 4).map(|bytes| i32::from_ne_bytes(*bytes));
    match (level, kind) {
        (IPPROTO_IP, IP_TOS) if data.len() == 1 => ancillary.class = Some(data[0]),
        (IPPROTO_IP, IP_TOS) => {
            ancillary.class = Some(word().and_then(|class| u8::try_from(class).ok()).ok_or(Errno::INVAL)?);
        }
        // −1: as if nobody had said anything.
        (IPPROTO_IPV6, IPV6_TCLASS) => match word().ok_or(Errno::INVAL)? {
            -1 => {}
            class => ancillary.class = Some(u8::try_from(class).map_err(|_| Errno::INVAL)?),
        },
        (IPPROTO_IP, IP_PKTINFO) => {
            let [_, _, _, _, a, b, c, d, ..] = *data.first_chunk::<12>().ok_or(Errno::INVAL)?;
            let source = Ipv4Addr::new(a, b, c, d);
            ancillary.local = (!source.is_unspecified()).then_some(source.into());
        }
        (IPPROTO_IPV6, IPV6_PKTINFO) => {
            let info = data.first_chunk::<20>().ok_or(Errno::INVAL)?;
            let source = Ipv6Addr::from(*info.first_chunk::<16>().ok_or(Errno::INVAL)?);
            ancillary.local = (!source.is_unspecified()).then_some(source.into());
        }
        (IPPROTO_UDP, UDP_SEGMENT) => {
            let size = data.first_chunk().filter(|_| data.len() == 2).ok_or(Errno::INVAL)?;
            ancillary.segment = u16::from_ne_bytes(*size);
        }
        // Hop limits are the socket's own here. The rest of these levels Linux refuses, and what is of no concern to it
        // it passes over.
        (IPPROTO_IP, IP_TTL) | (IPPROTO_IPV6, IPV6_HOPLIMIT) => drop(word().ok_or(Errno::INVAL)?),
        (IPPROTO_IP | IPPROTO_IPV6 | IPPROTO_UDP | SOL_SOCKET, _) => return Err(Errno::INVAL),
        _ => {}
    }
    Ok(())
}

/// Writes what the receiver wants into its room: how many bytes, and whether the room was too short for all of it
/// (`MSG_CTRUNC`). The order is Linux's.
pub fn write(ancillary: &Ancillary, wants: &Wants, room: &mut [u8]) -> (usize, bool) {
    let mut writer = Writer { room, length: 0, cut: false };
    if wants.segment && ancillary.segment != 0 {
        writer.put(IPPROTO_UDP, UDP_GRO, &i32::from(ancillary.segment).to_ne_bytes());
    }
    match ancillary.local {
        Some(IpAddr::V4(ip)) if wants.destination_v4 => {
            let mut info = [0; 12];
            info[..4].copy_from_slice(&interface(ip.is_loopback()));
            info[4..8].copy_from_slice(&ip.octets());
            info[8..].copy_from_slice(&ip.octets());
            writer.put(IPPROTO_IP, IP_PKTINFO, &info);
        }
        Some(IpAddr::V6(ip)) if wants.destination_v6 => {
            let mut info = [0; 20];
            info[..16].copy_from_slice(&ip.octets());
            info[16..].copy_from_slice(&interface(ip.to_canonical().is_loopback()));
            writer.put(IPPROTO_IPV6, IPV6_PKTINFO, &info);
        }
        _ => {}
    }
    let class = ancillary.class.unwrap_or(0);
    let is_v4 = !wants.v6 || matches!(ancillary.local, Some(IpAddr::V6(ip)) if ip.to_ipv4_mapped().is_some());
    if wants.class_v4 && is_v4 {
        writer.put(IPPROTO_IP, IP_TOS, &[class]);
    }
    if wants.class_v6 && !is_v4 {
        writer.put(IPPROTO_IPV6, IPV6_TCLASS, &i32::from(class).to_ne_bytes());
    }
    (writer.length, writer.cut)
}

/// The number of the interface that a datagram came by, as `if_nametoindex` counts.
fn interface(is_loopback: bool) -> [u8; 4] {
    let number: u32 = if is_loopback { 1 } else { 2 };
    number.to_ne_bytes()
}

struct Writer<'a> {
    room: &'a mut [u8],
    length: usize,
    cut: bool,
}

impl Writer<'_> {
    fn put(&mut self, level: u32, kind: u32, data: &[u8]) {
        // Where there is room for the header, the data is cut (Linux's `put_cmsg`).
        let room = self.room.get_mut(self.length..).unwrap_or_default();
        let length = room.len().min(HEADER + data.len());
        self.cut |= length < HEADER + data.len();
        if length < HEADER {
            return;
        }
        let (room, data) = (&mut room[..length], &data[..length - HEADER]);
        room[..8].copy_from_slice(&length.to_ne_bytes());
        room[8..12].copy_from_slice(&level.to_ne_bytes());
        room[12..16].copy_from_slice(&kind.to_ne_bytes());
        room[HEADER..].copy_from_slice(data);
        self.length = (self.length + length.next_multiple_of(8)).min(self.room.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Wants =
        Wants { destination_v4: true, destination_v6: true, class_v4: true, class_v6: true, segment: true, v6: false };

    #[test]
    fn what_is_written_is_read_again() {
        let ancillary = Ancillary { class: Some(2), local: Some(Ipv4Addr::new(192, 0, 2, 1).into()), segment: 0 };
        let mut room = [0; 88];
        let (length, cut) = write(&ancillary, &ALL, &mut room);
        assert_eq!((length, cut), (32 + 24, false));
        assert_eq!(read(&room[..length]), Ok(ancillary));
        let ip = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
        let ancillary = Ancillary { class: Some(255), local: Some(ip.into()), segment: 0 };
        let (length, cut) = write(&ancillary, &Wants { v6: true, ..ALL }, &mut room);
        assert_eq!((length, cut), (40 + 24, false));
        assert_eq!(read(&room[..length]), Ok(ancillary));
    }

    #[test]
    fn too_little_room_is_told() {
        let ancillary = Ancillary { class: Some(2), local: Some(Ipv4Addr::LOCALHOST.into()), segment: 1200 };
        for room in 0..24 + 32 + 17 {
            assert!(write(&ancillary, &ALL, &mut [0; 128][..room]).1, "{room}");
        }
        assert!(!write(&ancillary, &ALL, &mut [0; 24 + 32 + 17]).1);
    }

    #[test]
    fn nonsense_is_refused() {
        let message = |length: usize, level: u32, kind: u32, data: &[u8]| {
            let head = [&length.to_ne_bytes()[..], &level.to_ne_bytes(), &kind.to_ne_bytes(), data].concat();
            read(&head)
        };
        assert_eq!(message(15, 0, 1, &[]), Err(Errno::INVAL));
        assert_eq!(message(18, 0, 1, &[1]), Err(Errno::INVAL));
        assert_eq!(message(usize::MAX, 0, 1, &[1]), Err(Errno::INVAL));
        assert_eq!(message(20, 0, 1, &256i32.to_ne_bytes()), Err(Errno::INVAL));
        assert_eq!(message(20, 0, 99, &[0; 4]), Err(Errno::INVAL));
        assert_eq!(message(20, 17, 103, &[0; 4]), Err(Errno::INVAL));
        assert_eq!(message(20, 41, 67, &(-1i32).to_ne_bytes()), Ok(Ancillary::default()));
        assert_eq!(message(17, 0, 1, &[7]).map(|a| a.class), Ok(Some(7)));
        assert_eq!(read(&[1, 2, 3]), Ok(Ancillary::default()));
    }
}
