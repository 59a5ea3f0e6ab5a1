//! What a received frame is about, before TCP/IP looks at it: whose it is, so that only that socket is asked.

use crate::checksum::ETHERNET;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// TCP flag bits (RFC 9293 §3.1).
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// A TCP segment.
    Tcp {
        /// Where it goes.
        local: SocketAddr,
        /// Where it comes from.
        remote: SocketAddr,
        /// It asks for a connection: SYN without ACK or RST.
        opens: bool,
        /// RST.
        resets: bool,
    },
    /// A UDP datagram; its payload is `frame[start..end]`.
    Udp { local: SocketAddr, remote: SocketAddr, start: usize, end: usize },
    /// A DHCP server's answer (RFC 2131 §4.1: to port 68).
    Dhcp,
    /// It may tell a neighbour's address: an ARP reply or request, or ICMPv6.
    Neighbour,
    /// ICMP told that nobody listens there: the datagram that we sent from `local` to `remote`.
    Refused { local: SocketAddr, remote: SocketAddr },
    /// Anything else.
    Other,
}

/// Looks at a frame.
pub(super) fn classify(frame: &[u8]) -> Class {
    let Some(packet) = frame.get(ETHERNET..) else { return Class::Other };
    match [frame[12], frame[13]] {
        [0x08, 0x00] => v4(packet).unwrap_or(Class::Other),
        [0x86, 0xdd] => v6(packet).unwrap_or(Class::Other),
        [0x08, 0x06] => Class::Neighbour,
        _ => Class::Other,
    }
}

fn v4(packet: &[u8]) -> Option<Class> {
    let header = usize::from(packet.first()? & 15) * 4;
    let total = usize::from(word(packet, 2)?);
    // A fragment is nobody's: this stack does not put them together.
    if word(packet, 6)? & 0x3fff != 0 || header < 20 {
        return None;
    }
    let segment = packet.get(header..total)?;
    let addresses = (IpAddr::V4(v4_at(packet, 12)?), IpAddr::V4(v4_at(packet, 16)?));
    match packet[9] {
        1 => refused(segment),
        protocol => transport(protocol, addresses, segment, ETHERNET + header),
    }
}

fn v6(packet: &[u8]) -> Option<Class> {
    let length = usize::from(word(packet, 4)?);
    let segment = packet.get(40..40 + length)?;
    let address = |at: usize| Some(IpAddr::V6(Ipv6Addr::from(*packet.get(at..at + 16)?.first_chunk::<16>()?)));
    match packet[6] {
        58 => Some(Class::Neighbour),
        protocol => transport(protocol, (address(8)?, address(24)?), segment, ETHERNET + 40),
    }
}

fn transport(protocol: u8, (from, to): (IpAddr, IpAddr), segment: &[u8], start: usize) -> Option<Class> {
    let remote = SocketAddr::new(from, word(segment, 0)?);
    let local = SocketAddr::new(to, word(segment, 2)?);
    match protocol {
        6 => {
            let flags = *segment.get(13)?;
            let opens = flags & (SYN | ACK | RST) == SYN;
            Some(Class::Tcp { local, remote, opens, resets: flags & RST != 0 })
        }
        17 if local.port() == 68 && from.is_ipv4() => Some(Class::Dhcp),
        17 => {
            let length = usize::from(word(segment, 4)?);
            (8..=segment.len()).contains(&length).then_some(Class::Udp {
                local,
                remote,
                start: start + 8,
                end: start + length,
            })
        }
        _ => None,
    }
}

/// ICMP destination unreachable, port unreachable (RFC 792): it quotes the IP header and eight bytes of what we sent.
fn refused(message: &[u8]) -> Option<Class> {
    if message.get(..2)? != [3, 3] {
        return None;
    }
    let quoted = message.get(8..)?;
    let header = usize::from(quoted.first()? & 15) * 4;
    if *quoted.get(9)? != 17 {
        return None;
    }
    let local = SocketAddr::new(IpAddr::V4(v4_at(quoted, 12)?), word(quoted, header)?);
    let remote = SocketAddr::new(IpAddr::V4(v4_at(quoted, 16)?), word(quoted, header + 2)?);
    Some(Class::Refused { local, remote })
}

fn word(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]))
}

fn v4_at(bytes: &[u8], at: usize) -> Option<Ipv4Addr> {
    Some(Ipv4Addr::from(*bytes.get(at..at + 4)?.first_chunk::<4>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_bytes_make_it_panic() {
        let mut random = crate::random::Random::new([3; 32]);
        for round in 0..20_000u32 {
            let length = random.below(90) as usize;
            let mut frame: Vec<u8> = (0..length).map(|_| random.word() as u8).collect();
            if length > 40 {
                let ethertype = [[8, 0], [8, 6], [0x86, 0xdd]][round as usize % 3];
                frame[12..14].copy_from_slice(&ethertype);
                frame[14] = 0x45;
                frame[20..22].fill(0);
                frame[23] = [1, 6, 17][random.below(3) as usize];
            }
            classify(&frame);
        }
    }
}
