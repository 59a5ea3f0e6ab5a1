//! The Internet checksum (RFC 1071): of IPv4 headers, and of TCP, UDP and ICMPv6 with their pseudo-header.
//!
//! Whether a device or we take care of a transport checksum differs from frame to frame (VIRTIO 1.2 §5.1.6).

use core::net::IpAddr;
use device::Offload;

/// The checksum of an IPv4 header or an ICMP message whose own field is zero (RFC 791 §3.1); 0 if the field is right.
pub(crate) fn header(bytes: &[u8]) -> u16 {
    !fold(sum(bytes))
}

/// The pseudo-header's sum, not folded (RFC 9293 §3.1, RFC 8200 §8.1).
pub(crate) fn pseudo(source: IpAddr, destination: IpAddr, protocol: u8, length: usize) -> u64 {
    let address = |address: IpAddr| match address {
        IpAddr::V4(v4) => sum(&v4.octets()),
        IpAddr::V6(v6) => sum(&v6.octets()),
    };
    address(source) + address(destination) + u64::from(protocol) + length as u64
}

/// Is the checksum of this segment right?
pub(crate) fn is_right(pseudo: u64, segment: &[u8]) -> bool {
    fold(pseudo + sum(segment)) == 0xffff
}

/// Writes a segment's checksum at `field`. If the device completes it, the pseudo-header's sum, and what the device is to do:
/// `start` is where in the frame the segment begins.
pub(crate) fn complete(pseudo: u64, segment: &mut [u8], field: usize, start: Option<usize>) -> Option<Offload> {
    segment[field..field + 2].fill(0);
    if let Some(start) = start {
        segment[field..field + 2].copy_from_slice(&fold(pseudo).to_be_bytes());
        return Some(Offload { start: start as u16, offset: field as u16, cut: 0 });
    }
    // RFC 768: a computed 0 is sent as all ones; the two are the same number to every other protocol's receiver.
    let value = match !fold(pseudo + sum(segment)) {
        0 => 0xffff,
        value => value,
    };
    segment[field..field + 2].copy_from_slice(&value.to_be_bytes());
    None
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

    #[test]
    fn a_completed_checksum_is_right_and_a_flipped_bit_is_not() {
        for address in [IpAddr::from([10, 0, 0, 1]), IpAddr::from([1, 2, 3, 4, 5, 6, 7, 8u16])] {
            let mut segment: Vec<u8> = (1..32).collect();
            let pseudo = pseudo(address, address, 17, segment.len());
            assert!(!is_right(pseudo, &segment));
            assert_eq!(complete(pseudo, &mut segment, 6, None), None);
            assert!(is_right(pseudo, &segment));
            for bit in 0..8 * segment.len() {
                segment[bit / 8] ^= 1 << (bit % 8);
                assert!(!is_right(pseudo, &segment));
                segment[bit / 8] ^= 1 << (bit % 8);
            }
        }
    }

    #[test]
    fn what_is_left_to_the_device_is_the_pseudo_header() {
        let address = IpAddr::from([10, 0, 0, 1]);
        let mut segment: Vec<u8> = (1..32).collect();
        let pseudo = pseudo(address, address, 17, segment.len());
        assert_eq!(complete(pseudo, &mut segment, 6, Some(34)), Some(Offload { start: 34, offset: 6, cut: 0 }));
        // The device sums everything from `start`, the field included, and stores the complement.
        let value = header(&segment);
        segment[6..8].copy_from_slice(&value.to_be_bytes());
        assert!(is_right(pseudo, &segment));
    }
}
