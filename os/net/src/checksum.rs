//! The Internet checksum (RFC 1071) of TCP and UDP, verified on the way in and completed on the way out.
//!
//! The TCP/IP code below never looks at these two checksums: whether a device or we take care of one differs from frame to
//! frame (VIRTIO 1.2 §5.1.6), and summing eight bytes at a time is faster than what it would do.

use device::Checksum;

/// Ethernet header bytes (IEEE 802.3 §3.1.1).
pub(crate) const ETHERNET: usize = 14;
const PROTOCOL_TCP: u8 = 6;
const PROTOCOL_UDP: u8 = 17;

/// Where a frame's transport segment is.
struct Segment {
    start: usize,
    end: usize,
    protocol: u8,
    /// The pseudo-header's sum, not folded.
    pseudo: u64,
}

impl Segment {
    /// Offset of the checksum field from the segment's start (RFC 9293 §3.1, RFC 768).
    fn field(&self) -> usize {
        if self.protocol == PROTOCOL_TCP { 16 } else { 6 }
    }
}

/// Is the frame's TCP or UDP checksum right? Frames without one are, and so are those too broken to have one: whoever
/// parses them finds out.
pub(crate) fn verify(frame: &[u8]) -> bool {
    let Some(segment) = find(frame) else { return true };
    let bytes = &frame[segment.start..segment.end];
    let field = segment.field();
    if segment.protocol == PROTOCOL_UDP && bytes[field] == 0 && bytes[field + 1] == 0 {
        // RFC 768: the sender made none. RFC 8200 §8.1 forbids that over IPv6.
        return frame[12..14] == [0x08, 0x00];
    }
    fold(segment.pseudo + sum(bytes)) == 0xffff
}

/// Completes a frame's TCP or UDP checksum; if the device does it, says where.
pub(crate) fn complete(frame: &mut [u8], device_completes: bool) -> Option<Checksum> {
    let segment = find(frame)?;
    let field = segment.start + segment.field();
    frame[field..field + 2].fill(0);
    if device_completes {
        frame[field..field + 2].copy_from_slice(&fold(segment.pseudo).to_be_bytes());
        return Some(Checksum { start: segment.start as u16, offset: segment.field() as u16 });
    }
    let value = !fold(segment.pseudo + sum(&frame[segment.start..segment.end]));
    // RFC 768: a computed 0 is sent as all ones.
    let value = if value == 0 && segment.protocol == PROTOCOL_UDP { 0xffff } else { value };
    frame[field..field + 2].copy_from_slice(&value.to_be_bytes());
    None
}

/// The checksum of an IPv4 header whose own field is zero (RFC 791 §3.1).
pub(crate) fn header(bytes: &[u8]) -> u16 {
    !fold(sum(bytes))
}

/// The TCP or UDP segment of a whole IPv4 packet (RFC 791 §3.1) or an IPv6 packet without extension headers (RFC 8200 §3).
fn find(frame: &[u8]) -> Option<Segment> {
    let packet = frame.get(ETHERNET..)?;
    let (header, length, protocol, addresses) = match frame.get(12..14)? {
        [0x08, 0x00] if packet.len() >= 20 => {
            let total = usize::from(u16::from_be_bytes([packet[2], packet[3]]));
            let header = usize::from(packet[0] & 15) * 4;
            let fragment = u16::from_be_bytes([packet[6], packet[7]]) & 0x3fff;
            if header < 20 || fragment != 0 {
                return None;
            }
            (header, total.checked_sub(header)?, packet[9], 12..20)
        }
        [0x86, 0xdd] if packet.len() >= 40 => {
            (40, usize::from(u16::from_be_bytes([packet[4], packet[5]])), packet[6], 8..40)
        }
        _ => return None,
    };
    let least = match protocol {
        PROTOCOL_TCP => 20,
        PROTOCOL_UDP => 8,
        _ => return None,
    };
    let start = ETHERNET + header;
    let end = start.checked_add(length)?;
    if length < least || end > frame.len() {
        return None;
    }
    // RFC 9293 §3.1, RFC 8200 §8.1: addresses, protocol, length.
    let pseudo = sum(&packet[addresses]) + u64::from(protocol) + length as u64;
    Some(Segment { start, end, protocol, pseudo })
}

/// The sum of big-endian 16-bit words, an odd byte padded with zero; far from overflow for any frame.
fn sum(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<4>();
    // 32-bit words sum to the same as 16-bit ones once folded, for 2^16 ≡ 1 (mod 2^16 - 1).
    let mut total: u64 = words.iter().map(|w| u64::from(u32::from_be_bytes(*w))).sum();
    let (pairs, odd) = rest.as_chunks::<2>();
    total += pairs.iter().map(|p| u64::from(u16::from_be_bytes(*p))).sum::<u64>();
    total + odd.first().map_or(0, |b| u64::from(*b) << 8)
}

fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A UDP datagram over IPv4 with an odd payload.
    fn frame() -> Vec<u8> {
        let mut frame = vec![0; ETHERNET + 20 + 8 + 3];
        frame[12] = 8;
        frame[14] = 0x45;
        frame[17] = 31;
        frame[23] = PROTOCOL_UDP;
        frame[26..34].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
        frame[34..].copy_from_slice(&[0, 53, 1, 2, 0, 11, 9, 9, 1, 2, 3]);
        frame
    }

    #[test]
    fn a_completed_checksum_verifies_and_a_flipped_bit_does_not() {
        let mut frame = frame();
        assert!(!verify(&frame));
        assert_eq!(complete(&mut frame, false), None);
        assert!(verify(&frame));
        for bit in 0..8 * 3 {
            frame[42 + bit / 8] ^= 1 << (bit % 8);
            assert!(!verify(&frame));
            frame[42 + bit / 8] ^= 1 << (bit % 8);
        }
    }

    #[test]
    fn what_is_left_to_the_device_is_the_pseudo_header() {
        let mut frame = frame();
        assert_eq!(complete(&mut frame, true), Some(Checksum { start: 34, offset: 6 }));
        // The device sums everything from `start`, the field included, and stores the complement.
        let value = !fold(sum(&frame[34..]));
        frame[40..42].copy_from_slice(&value.to_be_bytes());
        assert!(verify(&frame));
    }

    #[test]
    fn broken_frames_are_nobodys_segment() {
        let good = frame();
        for length in 0..good.len() {
            let mut short = good[..length].to_vec();
            assert!(verify(&short));
            assert_eq!(complete(&mut short, true), None);
        }
    }
}
