//! IP packets as they are read and written: IPv4 (RFC 791), IPv6 with its extension headers (RFC 8200 §4).

use crate::checksum;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Ethernet header bytes (IEEE 802.3 §3.1.1).
pub(crate) const ETHERNET: usize = 14;
pub(crate) const ICMP: u8 = 1;
pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;
pub(crate) const ICMP6: u8 = 58;
const FRAGMENT: u8 = 44;
/// Extension headers that are stepped over before a packet is thought to be an attack.
const EXTENSIONS: usize = 6;
/// RFC 791 §3.1: do not fragment; more fragments.
pub(crate) const DF: u16 = 0x4000;
const MF: u16 = 0x2000;

/// What is in a frame.
#[derive(Debug)]
pub(crate) enum Content<'a> {
    /// An ARP packet (RFC 826).
    Arp(&'a [u8]),
    /// An IP packet.
    Ip(Packet<'a>),
}

/// A received packet, or a fragment of one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packet<'a> {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    pub(crate) protocol: u8,
    pub(crate) hop_limit: u8,
    /// Type of service or traffic class, ECN bits included (RFC 2474, RFC 3168).
    pub(crate) class: u8,
    pub(crate) fragment: Option<Fragment>,
    pub(crate) payload: &'a [u8],
    /// From its first header byte on, as far as it goes.
    pub(crate) whole: &'a [u8],
}

/// Where a fragment belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fragment {
    pub(crate) id: u32,
    /// Bytes before it.
    pub(crate) offset: usize,
    pub(crate) more: bool,
}

/// The stations of a frame: to, from.
pub(crate) fn stations(frame: &[u8]) -> Option<([u8; 6], [u8; 6])> {
    let header = frame.first_chunk::<ETHERNET>()?;
    Some((*header.first_chunk::<6>()?, *header[6..].first_chunk::<6>()?))
}

/// Reads a frame; `None` if it is malformed or carries something else.
pub(crate) fn read(frame: &[u8]) -> Option<Content<'_>> {
    let content = frame.get(ETHERNET..)?;
    match frame[12..14] {
        [0x08, 0x00] => read_v4(content).map(Content::Ip),
        [0x86, 0xdd] => read_v6(content).map(Content::Ip),
        [0x08, 0x06] => Some(Content::Arp(content)),
        _ => None,
    }
}

fn read_v4(bytes: &[u8]) -> Option<Packet<'_>> {
    let fixed = bytes.first_chunk::<20>()?;
    let header = usize::from(fixed[0] & 15) * 4;
    let total = usize::from(word(fixed, 2));
    if fixed[0] >> 4 != 4 || header < 20 || checksum::header(bytes.get(..header)?) != 0 {
        return None;
    }
    let flags = word(fixed, 6);
    let fragment = (flags & !DF != 0).then(|| Fragment {
        id: word(fixed, 4).into(),
        offset: usize::from(flags & 0x1fff) * 8,
        more: flags & MF != 0,
    });
    Some(Packet {
        source: v4_at(fixed, 12).into(),
        destination: v4_at(fixed, 16).into(),
        protocol: fixed[9],
        hop_limit: fixed[8],
        class: fixed[1],
        fragment,
        payload: bytes.get(header..total)?,
        whole: bytes.get(..total)?,
    })
}

fn read_v6(bytes: &[u8]) -> Option<Packet<'_>> {
    let fixed = bytes.first_chunk::<40>()?;
    let total = 40 + usize::from(word(fixed, 4));
    if fixed[0] >> 4 != 6 {
        return None;
    }
    let whole = bytes.get(..total)?;
    let mut packet = Packet {
        source: v6_at(fixed, 8).into(),
        destination: v6_at(fixed, 24).into(),
        protocol: fixed[6],
        hop_limit: fixed[7],
        class: fixed[0] << 4 | fixed[1] >> 4,
        fragment: None,
        payload: &whole[40..],
        whole,
    };
    for _ in 0..EXTENSIONS {
        let rest = packet.payload;
        let length = match packet.protocol {
            // Hop-by-hop and destination options; a routing header that is at its end.
            0 | 60 => (usize::from(*rest.get(1)?) + 1) * 8,
            43 if *rest.get(3)? == 0 => (usize::from(*rest.get(1)?) + 1) * 8,
            FRAGMENT => {
                let header = rest.first_chunk::<8>()?;
                let place = word(header, 2);
                let (offset, more) = (usize::from(place & !7), place & 1 != 0);
                // One that is all there is, is none (RFC 6946).
                if offset != 0 || more {
                    packet.fragment = Some(Fragment {
                        id: u32::from(word(header, 4)) << 16 | u32::from(word(header, 6)),
                        offset,
                        more,
                    });
                }
                8
            }
            _ => return Some(packet),
        };
        packet.protocol = *rest.first()?;
        packet.payload = rest.get(length..)?;
        if packet.fragment.is_some() {
            return Some(packet);
        }
    }
    None
}

/// A packet to send.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outgoing {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    pub(crate) protocol: u8,
    pub(crate) hop_limit: u8,
    /// Type of service or traffic class.
    pub(crate) class: u8,
    /// It is to find out what the path takes: nothing that is known of that counts (RFC 8899 §4.1).
    pub(crate) is_probe: bool,
}

impl Outgoing {
    /// A packet without a class.
    pub(crate) fn new(source: IpAddr, destination: IpAddr, protocol: u8, hop_limit: u8) -> Self {
        Self { source, destination, protocol, hop_limit, class: 0, is_probe: false }
    }

    /// Bytes of Ethernet and IP header.
    pub(crate) fn header(&self) -> usize {
        ETHERNET + if self.destination.is_ipv4() { 20 } else { 40 }
    }

    /// Writes both headers over the start of `frame`, which is as long as the frame is to be; returns the rest.
    pub(crate) fn write<'a>(&self, frame: &'a mut [u8], to: [u8; 6], from: [u8; 6]) -> &'a mut [u8] {
        let length = frame.len();
        frame[..6].copy_from_slice(&to);
        frame[6..12].copy_from_slice(&from);
        match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let total = ((length - ETHERNET) as u16).to_be_bytes();
                let df = DF.to_be_bytes();
                frame[12..26].copy_from_slice(&[
                    8,
                    0,
                    0x45,
                    self.class,
                    total[0],
                    total[1],
                    0,
                    0,
                    df[0],
                    df[1],
                    self.hop_limit,
                    self.protocol,
                    0,
                    0,
                ]);
                frame[26..30].copy_from_slice(&source.octets());
                frame[30..34].copy_from_slice(&destination.octets());
                set_header_checksum(&mut frame[ETHERNET..34]);
            }
            (source, destination) => {
                let payload = ((length - ETHERNET - 40) as u16).to_be_bytes();
                frame[12..22].copy_from_slice(&[
                    0x86,
                    0xdd,
                    0x60 | self.class >> 4,
                    self.class << 4,
                    0,
                    0,
                    payload[0],
                    payload[1],
                    self.protocol,
                    self.hop_limit,
                ]);
                for (at, address) in [(22, source), (38, destination)] {
                    let octets = match address {
                        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
                        IpAddr::V6(v6) => v6.octets(),
                    };
                    frame[at..at + 16].copy_from_slice(&octets);
                }
            }
        }
        &mut frame[self.header()..]
    }

    /// The pseudo-header's sum (RFC 9293 §3.1, RFC 8200 §8.1), for a payload of `length` bytes.
    pub(crate) fn pseudo(&self, length: usize) -> u64 {
        checksum::pseudo(self.source, self.destination, self.protocol, length)
    }
}

/// Writes an IPv4 header's checksum.
pub(crate) fn set_header_checksum(header: &mut [u8]) {
    header[10..12].fill(0);
    let sum = checksum::header(header);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
}

pub(crate) fn word(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn v4_at(bytes: &[u8], at: usize) -> Ipv4Addr {
    Ipv4Addr::new(bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3])
}

pub(crate) fn v6_at(bytes: &[u8], at: usize) -> Ipv6Addr {
    let mut octets = [0; 16];
    octets.copy_from_slice(&bytes[at..at + 16]);
    octets.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outgoing(v6: bool) -> Outgoing {
        let address = |last: u8| match v6 {
            false => IpAddr::from([10, 0, 0, last]),
            true => IpAddr::from([0xfe80, 0, 0, 0, 0, 0, 0, u16::from(last)]),
        };
        Outgoing { class: 0xb9, ..Outgoing::new(address(1), address(2), UDP, 9) }
    }

    #[test]
    fn what_is_written_is_read_back() {
        for v6 in [false, true] {
            let sent = outgoing(v6);
            let mut frame = vec![0xa5; sent.header() + 5];
            sent.write(&mut frame, [1; 6], [2; 6]).copy_from_slice(b"hello");
            frame.extend([0; 7]);
            let Some(Content::Ip(packet)) = read(&frame) else { panic!("no packet") };
            assert_eq!((packet.source, packet.destination), (sent.source, sent.destination));
            assert_eq!((packet.protocol, packet.hop_limit, packet.fragment, packet.class), (UDP, 9, None, 0xb9));
            assert_eq!(packet.payload, b"hello");
            assert_eq!(stations(&frame), Some(([1; 6], [2; 6])));
        }
    }

    #[test]
    fn extension_headers_are_stepped_over() {
        let sent = Outgoing { protocol: 0, ..outgoing(true) };
        let mut frame = vec![0; sent.header() + 16 + 3];
        let rest = sent.write(&mut frame, [1; 6], [2; 6]);
        rest[..16].copy_from_slice(&[FRAGMENT, 0, 1, 4, 0, 0, 0, 0, UDP, 0, 0, 9, 0, 0, 0, 7]);
        let Some(Content::Ip(packet)) = read(&frame) else { panic!("no packet") };
        assert_eq!(packet.fragment, Some(Fragment { id: 7, offset: 8, more: true }));
        assert_eq!((packet.protocol, packet.payload.len()), (UDP, 3));
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let mut random = crate::random::Random::new([3; 32]);
        for round in 0..50_000u32 {
            let v6 = round % 2 == 1;
            let sent = Outgoing { protocol: [0, 43, 44, 60, 17][random.below(5) as usize], ..outgoing(v6) };
            let mut frame = vec![0; sent.header() + random.below(60) as usize];
            let rest = sent.write(&mut frame, [1; 6], [2; 6]);
            rest.iter_mut().for_each(|byte| *byte = if random.below(3) == 0 { 44 } else { random.word() as u8 & 3 });
            let at = random.below(frame.len() as u32) as usize;
            frame[at] = random.word() as u8;
            frame.truncate(frame.len() - random.below(3) as usize);
            read(&frame);
        }
    }
}
