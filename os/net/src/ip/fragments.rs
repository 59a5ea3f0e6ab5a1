//! Fragments put together (RFC 791 §3.2, RFC 8200 §4.5). Pieces that overlap end their packet (RFC 5722): nobody honest
//! sends them.

use super::packet::{Fragment, Packet};
use crate::time::{Duration, Instant};
use alloc::vec::Vec;
use core::net::IpAddr;

/// Packets under way at once; the oldest makes room.
const PACKETS: usize = 16;
/// Bytes of one, and of all.
const PACKET_MAX: usize = 65_535;
const BYTES_MAX: usize = 512 << 10;
/// Pieces of one: an Ethernet's 65,535 bytes are 45.
const PIECES: usize = 128;
/// How long the rest is waited for (RFC 8200 §4.5; RFC 791 leaves a choice).
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Default)]
pub(crate) struct Fragments {
    packets: Vec<Partial>,
}

struct Partial {
    ends: (IpAddr, IpAddr),
    protocol: u8,
    id: u32,
    until: Instant,
    /// By offset: apart and in order.
    pieces: Vec<(usize, Vec<u8>)>,
    total: Option<usize>,
    bytes: usize,
}

impl Fragments {
    /// Takes a piece; the whole payload once nothing is missing.
    pub(crate) fn take(&mut self, now: Instant, packet: &Packet<'_>, fragment: Fragment) -> Option<Vec<u8>> {
        self.packets.retain(|partial| partial.until > now);
        let length = packet.payload.len();
        let malformed =
            fragment.more && (length == 0 || !length.is_multiple_of(8)) || fragment.offset + length > PACKET_MAX;
        if malformed {
            return None;
        }
        let at = self.find(now, packet, fragment.id);
        let partial = &mut self.packets[at];
        if !partial.add(fragment, packet.payload) {
            self.packets.remove(at);
            return None;
        }
        if partial.total == Some(partial.bytes) {
            let partial = self.packets.remove(at);
            return Some(partial.pieces.into_iter().flat_map(|(_, bytes)| bytes).collect());
        }
        while self.packets.iter().map(|partial| partial.bytes).sum::<usize>() > BYTES_MAX {
            self.packets.remove(0);
        }
        None
    }

    fn find(&mut self, now: Instant, packet: &Packet<'_>, id: u32) -> usize {
        let ends = (packet.source, packet.destination);
        let same = |partial: &Partial| partial.ends == ends && partial.protocol == packet.protocol && partial.id == id;
        if let Some(at) = self.packets.iter().position(same) {
            return at;
        }
        if self.packets.len() == PACKETS {
            self.packets.remove(0);
        }
        self.packets.push(Partial {
            ends,
            protocol: packet.protocol,
            id,
            until: now + PATIENCE,
            pieces: Vec::new(),
            total: None,
            bytes: 0,
        });
        self.packets.len() - 1
    }
}

impl Partial {
    /// False if the piece contradicts the others.
    fn add(&mut self, fragment: Fragment, bytes: &[u8]) -> bool {
        let (start, end) = (fragment.offset, fragment.offset + bytes.len());
        let at = self.pieces.iter().position(|piece| piece.0 >= start).unwrap_or(self.pieces.len());
        let meets_next = self.pieces.get(at).is_some_and(|piece| piece.0 < end || piece.0 == start);
        let meets_previous = at > 0 && self.pieces[at - 1].0 + self.pieces[at - 1].1.len() > start;
        if meets_next || meets_previous {
            // The same again does no harm.
            return self.pieces.get(at).is_some_and(|piece| piece.0 == start && piece.1 == bytes);
        }
        let last_end = self.pieces.last().map_or(0, |piece| piece.0 + piece.1.len());
        let total = if fragment.more { self.total } else { Some(end) };
        if self.pieces.len() == PIECES || total.is_some_and(|total| total < end.max(last_end)) {
            return false;
        }
        self.total = total;
        self.bytes += bytes.len();
        self.pieces.insert(at, (start, bytes.to_vec()));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(payload: &[u8]) -> Packet<'_> {
        let address = IpAddr::from([10, 0, 0, 1]);
        Packet {
            source: address,
            destination: address,
            protocol: 17,
            hop_limit: 1,
            class: 0,
            fragment: None,
            payload,
            whole: payload,
        }
    }

    fn place(id: u32, offset: usize, more: bool) -> Fragment {
        Fragment { id, offset, more }
    }

    #[test]
    fn pieces_in_any_order_make_the_whole() {
        let whole: Vec<u8> = (0..2000u32).map(|n| n as u8).collect();
        let mut fragments = Fragments::default();
        for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
            let mut got = None;
            for number in order {
                let (from, to) = (number * 800, (number * 800 + 800).min(2000));
                let fragment = place(7, from, number < 2);
                assert!(got.is_none());
                got = fragments.take(Instant::ZERO, &piece(&whole[from..to]), fragment);
            }
            assert_eq!(got.as_deref(), Some(&whole[..]));
        }
        assert!(fragments.packets.is_empty());
    }

    #[test]
    fn overlaps_and_lies_end_a_packet_and_time_does() {
        let mut fragments = Fragments::default();
        let now = Instant::ZERO;
        assert_eq!(fragments.take(now, &piece(&[1; 16]), place(1, 0, true)), None);
        assert_eq!(fragments.take(now, &piece(&[1; 16]), place(1, 0, true)), None);
        assert_eq!(fragments.packets.len(), 1, "the same again does no harm");
        assert_eq!(fragments.take(now, &piece(&[2; 16]), place(1, 8, true)), None);
        assert!(fragments.packets.is_empty());
        assert_eq!(fragments.take(now, &piece(&[2; 16]), place(2, 65_528, false)), None);
        assert_eq!(fragments.take(now, &piece(&[2; 15]), place(2, 0, true)), None);
        assert!(fragments.packets.is_empty());
        fragments.take(now, &piece(&[2; 16]), place(3, 0, true));
        assert_eq!(fragments.take(now + PATIENCE, &piece(&[2; 16]), place(3, 16, false)), None);
    }

    #[test]
    fn a_flood_of_pieces_is_bounded() {
        let mut fragments = Fragments::default();
        for id in 0..1000 {
            for offset in (0..65_000).step_by(1000) {
                fragments.take(Instant::ZERO, &piece(&[1; 1000]), place(id, offset + 8, true));
            }
        }
        let bytes: usize = fragments.packets.iter().map(|partial| partial.bytes).sum();
        assert!(bytes <= BYTES_MAX && fragments.packets.len() <= PACKETS);
    }
}
