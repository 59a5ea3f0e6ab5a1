//! Control messages of datagram sockets (`cmsg(3)`, `ip(7)`, `ipv6(7)`, `udp(7)`), as the kernel writes and reads them.
//!
//! Each is a header (length with the header, level, type) and data, padded to eight bytes.

use abi::hostnet::{Address, CLASS_GIVEN};

const IPPROTO_IP: i32 = 0;
const IPPROTO_UDP: i32 = 17;
const IPPROTO_IPV6: i32 = 41;
const IP_TOS: i32 = 1;
const IP_PKTINFO: i32 = 8;
const IPV6_PKTINFO: i32 = 50;
const IPV6_TCLASS: i32 = 67;
const UDP_SEGMENT: i32 = 103;
const UDP_GRO: i32 = 104;

/// Bytes of a message's header.
const HEADER: usize = 16;
/// Room for all that we ever ask for: an IPv6 destination, both classes, a segment's size.
const ROOM: usize = 128;

/// Control messages.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug)]
pub struct Control {
    bytes: [u8; ROOM],
    length: usize,
}

impl Control {
    /// None.
    pub fn empty() -> Self {
        Self { bytes: [0; ROOM], length: 0 }
    }

    /// Where the kernel puts them.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// The kernel has put so many bytes there.
    pub(crate) fn cut(&mut self, length: usize) {
        self.length = length.min(ROOM);
    }

    /// As the kernel takes them.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// The traffic class of a datagram to send, of an IPv6 peer or an IPv4 one.
    pub fn push_class(&mut self, v6: bool, class: u8) {
        let (level, kind) = if v6 { (IPPROTO_IPV6, IPV6_TCLASS) } else { (IPPROTO_IP, IP_TOS) };
        self.push(level, kind, &i32::from(class).to_ne_bytes());
    }

    /// How long each of several datagrams is.
    pub fn push_segment(&mut self, segment: u16) {
        self.push(IPPROTO_UDP, UDP_SEGMENT, &segment.to_ne_bytes());
    }

    /// The address that a datagram leaves from.
    pub fn push_source(&mut self, source: &Address) {
        if source.family == 6 {
            // in6_pktinfo: the address, then the interface's number.
            let mut info = [0; 20];
            info[..16].copy_from_slice(&source.bytes);
            self.push(IPPROTO_IPV6, IPV6_PKTINFO, &info);
        } else {
            // in_pktinfo: the interface's number, the source, the destination as the header had it.
            let mut info = [0; 12];
            info[4..8].copy_from_slice(&source.bytes[..4]);
            self.push(IPPROTO_IP, IP_PKTINFO, &info);
        }
    }

    fn push(&mut self, level: i32, kind: i32, data: &[u8]) {
        let length = HEADER + data.len();
        let Some(room) = self.bytes.get_mut(self.length..self.length + length.next_multiple_of(8)) else { return };
        room[..8].copy_from_slice(&length.to_ne_bytes());
        room[8..12].copy_from_slice(&level.to_ne_bytes());
        room[12..16].copy_from_slice(&kind.to_ne_bytes());
        room[HEADER..length].copy_from_slice(data);
        self.length += room.len();
    }

    /// Where a datagram was sent to; family 0 if that is not told. `mapped` as for
    /// [`SocketAddress::address`](crate::system::SocketAddress::address).
    pub fn destination(&self, mapped: bool) -> Address {
        let mut address = Address::default();
        if let Some(&[.., a, b, c, d]) = self.find(IPPROTO_IP, IP_PKTINFO) {
            let v4 = [a, b, c, d];
            if mapped {
                address.family = 6;
                address.bytes[10..12].copy_from_slice(&[0xff, 0xff]);
                address.bytes[12..].copy_from_slice(&v4);
            } else {
                address.family = 4;
                address.bytes[..4].copy_from_slice(&v4);
            }
        } else if let Some(info) = self.find(IPPROTO_IPV6, IPV6_PKTINFO).and_then(|info| info.first_chunk()) {
            address.family = 6;
            address.bytes = *info;
        }
        address
    }

    /// A datagram's traffic class with [`CLASS_GIVEN`], or 0.
    pub fn class(&self) -> u16 {
        let v4 = self.find(IPPROTO_IP, IP_TOS).and_then(|data| data.first());
        let class = v4.or_else(|| self.find(IPPROTO_IPV6, IPV6_TCLASS)?.first());
        class.map_or(0, |class| CLASS_GIVEN | u16::from(*class))
    }

    /// How long each of several joined datagrams is, or 0.
    pub fn segment(&self) -> u16 {
        self.find(IPPROTO_UDP, UDP_GRO).and_then(|data| data.first_chunk()).map_or(0, |size| u16::from_ne_bytes(*size))
    }

    fn find(&self, level: i32, kind: i32) -> Option<&[u8]> {
        let mut rest = self.bytes();
        loop {
            let length = usize::from_ne_bytes(*rest.first_chunk()?);
            let message = rest.get(..length)?;
            let number = |at: usize| message.get(at..)?.first_chunk().map(|bytes| i32::from_ne_bytes(*bytes));
            if (number(8)?, number(12)?) == (level, kind) {
                return message.get(HEADER..);
            }
            rest = rest.get(length.checked_next_multiple_of(8)?..)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pushed_is_found() {
        let mut control = Control::empty();
        let source =
            Address { family: 4, bytes: [192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], ..Address::default() };
        control.push_class(false, 2);
        control.push_segment(1200);
        control.push_source(&source);
        assert_eq!(control.bytes().len(), 24 + 24 + 32);
        assert_eq!(control.class(), CLASS_GIVEN | 2);
        assert_eq!(control.find(IPPROTO_UDP, UDP_SEGMENT), Some(&1200u16.to_ne_bytes()[..]));
        assert_eq!(control.find(IPPROTO_IP, IP_PKTINFO).map(|info| &info[4..8]), Some(&[192, 0, 2, 1][..]));
        assert_eq!(control.segment(), 0);
    }

    #[test]
    fn nonsense_is_not_found() {
        let mut control = Control::empty();
        for length in [0usize, 1, 15, 17, usize::MAX] {
            control.room()[..8].copy_from_slice(&length.to_ne_bytes());
            control.cut(ROOM);
            assert_eq!((control.class(), control.segment()), (0, 0), "{length}");
            assert_eq!(control.destination(false), Address::default());
        }
    }
}
