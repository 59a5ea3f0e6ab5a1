//! Headers of packets that nobody sent: IPv4 (RFC 791), IPv6 (RFC 8200), TCP (RFC 9293) and UDP (RFC 768), right in every
//! field, checksums included.

use abi::hostnet::Address;

/// TCP's flags (RFC 9293 §3.1).
pub(super) const FIN: u8 = 1;
pub(super) const SYN: u8 = 2;
pub(super) const RST: u8 = 4;
pub(super) const PSH: u8 = 8;
pub(super) const ACK: u8 = 16;

const TCP: u8 = 6;
const UDP: u8 = 17;
const TTL: u8 = 64;
const WINDOW: u16 = u16::MAX;

/// Who sends to whom.
#[derive(Clone, Copy, Debug)]
pub(super) struct Way {
    from: Address,
    to: Address,
    is_v4: bool,
}

/// What follows the IP header.
#[derive(Clone, Copy, Debug)]
pub(super) enum Header {
    /// A TCP segment.
    Tcp {
        /// Its sequence number.
        sequence: u32,
        /// What it acknowledges, if it has [`ACK`].
        acknowledged: u32,
        /// Its flags.
        flags: u8,
    },
    /// A UDP datagram.
    Udp,
}

impl Way {
    /// IPv4 where both ends are, written as IPv6 or not (RFC 4291 §2.5.5.2); an end that is not known fits either.
    pub(super) fn new(from: &Address, to: &Address) -> Self {
        let is_v4 = |a: &Address| as_v4(a).is_some() || a.bytes == [0; 16];
        if is_v4(from) && is_v4(to) {
            let v4 = |a: &Address| {
                let mut bytes = [0; 16];
                bytes[..4].copy_from_slice(&as_v4(a).unwrap_or_default());
                Address { family: 4, bytes, ..*a }
            };
            return Self { from: v4(from), to: v4(to), is_v4: true };
        }
        Self { from: as_v6(from), to: as_v6(to), is_v4: false }
    }

    /// Bytes of the headers before the payload.
    pub(super) fn length(&self, header: &Header) -> usize {
        self.ip_length() + transport_length(header)
    }

    fn ip_length(&self) -> usize {
        if self.is_v4 { 20 } else { 40 }
    }

    /// Writes the headers of a packet whose `payload` bytes stand behind them; gives the packet's length.
    pub(super) fn write(&self, packet: &mut [u8], header: &Header, payload: usize) -> usize {
        let (ip, transport) = (self.ip_length(), transport_length(header));
        let protocol = if matches!(header, Header::Udp) { UDP } else { TCP };
        let (head, body) = packet.split_at_mut(ip);
        let body = &mut body[..transport + payload];
        body[..2].copy_from_slice(&self.from.port.to_be_bytes());
        body[2..4].copy_from_slice(&self.to.port.to_be_bytes());
        let sum_at = match *header {
            Header::Udp => {
                body[4..6].copy_from_slice(&((transport + payload) as u16).to_be_bytes());
                6
            }
            Header::Tcp { sequence, acknowledged, flags } => {
                body[4..8].copy_from_slice(&sequence.to_be_bytes());
                body[8..12].copy_from_slice(&acknowledged.to_be_bytes());
                body[12..14].copy_from_slice(&[5 << 4, flags]);
                body[14..16].copy_from_slice(&WINDOW.to_be_bytes());
                body[18..20].fill(0);
                16
            }
        };
        body[sum_at..sum_at + 2].fill(0);
        // The pseudo-header: the addresses, the protocol and the length (RFC 9293 §3.1, RFC 8200 §8.1).
        let pseudo = self.sum_of_addresses() + u32::from(protocol) + body.len() as u32;
        let sum = match checksum(pseudo, body) {
            0 if protocol == UDP => 0xffff, // 0 would be none
            sum => sum,
        };
        body[sum_at..sum_at + 2].copy_from_slice(&sum.to_be_bytes());
        self.write_ip(head, protocol, transport + payload);
        ip + transport + payload
    }

    fn write_ip(&self, head: &mut [u8], protocol: u8, length: usize) {
        head.fill(0);
        if self.is_v4 {
            const DO_NOT_FRAGMENT: u8 = 0x40;
            head[0] = 4 << 4 | 5;
            head[2..4].copy_from_slice(&((20 + length) as u16).to_be_bytes());
            head[6] = DO_NOT_FRAGMENT;
            (head[8], head[9]) = (TTL, protocol);
            head[12..16].copy_from_slice(&self.from.bytes[..4]);
            head[16..20].copy_from_slice(&self.to.bytes[..4]);
            let sum = checksum(0, head);
            head[10..12].copy_from_slice(&sum.to_be_bytes());
        } else {
            head[0] = 6 << 4;
            head[4..6].copy_from_slice(&(length as u16).to_be_bytes());
            (head[6], head[7]) = (protocol, TTL);
            head[8..24].copy_from_slice(&self.from.bytes);
            head[24..40].copy_from_slice(&self.to.bytes);
        }
    }

    fn sum_of_addresses(&self) -> u32 {
        let length = if self.is_v4 { 4 } else { 16 };
        sum(&self.from.bytes[..length]) + sum(&self.to.bytes[..length])
    }
}

fn transport_length(header: &Header) -> usize {
    if matches!(header, Header::Udp) { 8 } else { 20 }
}

/// The four bytes of an IPv4 address, however it is written.
fn as_v4(address: &Address) -> Option<[u8; 4]> {
    let b = &address.bytes;
    match address.family {
        4 => Some([b[0], b[1], b[2], b[3]]),
        6 if b[..12] == [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff] => Some([b[12], b[13], b[14], b[15]]),
        _ => None,
    }
}

fn as_v6(address: &Address) -> Address {
    let Some(v4) = as_v4(address).filter(|_| address.family == 4) else { return *address };
    let mut bytes = [0; 16];
    bytes[10..12].fill(0xff);
    bytes[12..].copy_from_slice(&v4);
    Address { family: 6, bytes, ..*address }
}

/// The sum of 16-bit words, big endian; of no more than 128 KiB it fits.
fn sum(bytes: &[u8]) -> u32 {
    let (words, rest) = bytes.as_chunks::<2>();
    let whole: u32 = words.iter().map(|word| u32::from(u16::from_be_bytes(*word))).sum();
    whole + rest.first().map_or(0, |byte| u32::from(*byte) << 8)
}

/// The Internet checksum (RFC 1071).
fn checksum(start: u32, bytes: &[u8]) -> u16 {
    let total = u64::from(start) + u64::from(sum(bytes));
    let mut folded = total;
    while folded > 0xffff {
        folded = (folded & 0xffff) + (folded >> 16);
    }
    !(folded as u16)
}
