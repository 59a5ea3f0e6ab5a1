//! What has arrived: bytes in order, and those that wait for others before them. Memory is taken by need, and all of it
//! is given back when nothing is held.

use super::segment::Blocks;
use super::seq::Seq;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// Pieces out of order, at most; more are dropped, and the peer sends them again.
const PIECES: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Queue {
    bytes: VecDeque<u8>,
    /// Apart and in order, all beyond the next byte that is expected.
    early: Vec<(Seq, Vec<u8>)>,
    early_bytes: usize,
    /// The piece that came last: its block is told first (RFC 2018 §4).
    latest: Seq,
}

impl Queue {
    /// Bytes that can be read.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn has_early(&self) -> bool {
        !self.early.is_empty()
    }

    /// Takes bytes that start at `seq`, not before `next`; those in order move `next`, which is returned. `room` is how much
    /// may be held in all.
    pub(super) fn put(&mut self, seq: Seq, next: Seq, bytes: &[u8], room: usize) -> Seq {
        let held = self.bytes.len() + self.early_bytes;
        if seq == next {
            let count = bytes.len().min(room.saturating_sub(self.bytes.len()));
            if !extend(&mut self.bytes, &bytes[..count]) {
                return next;
            }
            return self.join(next + count);
        }
        if !bytes.is_empty() && held.saturating_add(bytes.len()) <= room {
            self.put_early(seq, bytes);
        }
        next
    }

    fn put_early(&mut self, seq: Seq, bytes: &[u8]) {
        self.latest = seq;
        let at = self.early.iter().position(|piece| piece.0 - seq > 0).unwrap_or(self.early.len());
        if let Some((from, piece)) = at.checked_sub(1).and_then(|before| self.early.get_mut(before)) {
            let end = *from + piece.len();
            if end - seq >= 0 {
                // It goes on where the piece before it ends, or begins within.
                let rest = bytes.get(end.past(seq)..).unwrap_or(&[]);
                if piece.try_reserve(rest.len()).is_ok() {
                    piece.extend_from_slice(rest);
                    self.early_bytes += rest.len();
                    self.swallow(at - 1);
                }
                return;
            }
        }
        let mut piece = Vec::new();
        if self.early.len() == PIECES || piece.try_reserve(bytes.len()).is_err() {
            return;
        }
        piece.extend_from_slice(bytes);
        self.early_bytes += piece.len();
        self.early.insert(at, (seq, piece));
        self.swallow(at);
    }

    /// Piece number `at` has grown: what it meets or covers becomes part of it.
    #[inline(never)]
    fn swallow(&mut self, at: usize) {
        while let Some((from, _)) = self.early.get(at + 1) {
            let end = self.early[at].0 + self.early[at].1.len();
            if end - *from < 0 {
                return;
            }
            let (from, next) = self.early.remove(at + 1);
            let known = end.past(from).min(next.len());
            self.early_bytes -= known;
            self.early[at].1.extend_from_slice(&next[known..]);
        }
    }

    /// Bytes up to `next` are in order: so may be some that came early.
    fn join(&mut self, mut next: Seq) -> Seq {
        while let Some((from, _)) = self.early.first().filter(|piece| next - piece.0 >= 0) {
            let known = next.past(*from);
            let (_, piece) = self.early.remove(0);
            self.early_bytes -= piece.len();
            let rest = piece.get(known..).unwrap_or(&[]);
            if !extend(&mut self.bytes, rest) {
                break;
            }
            next += rest.len();
        }
        if self.early.is_empty() {
            self.early = Vec::new();
        }
        next
    }

    /// Reads from the front; with `peek` the bytes stay.
    pub(super) fn read(&mut self, buffer: &mut [u8], peek: bool) -> usize {
        let count = buffer.len().min(self.bytes.len());
        let (front, back) = self.bytes.as_slices();
        let split = count.min(front.len());
        buffer[..split].copy_from_slice(&front[..split]);
        buffer[split..count].copy_from_slice(&back[..count - split]);
        if !peek {
            skip(&mut self.bytes, count);
        }
        count
    }

    /// Drops everything.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// What came early, as selective acknowledgements: the newest first, then from the last on.
    pub(super) fn blocks(&self, most: usize) -> Blocks {
        let mut blocks = Blocks::default();
        let block = |piece: &(Seq, Vec<u8>)| (piece.0, piece.0 + piece.1.len());
        let newest = self.early.iter().rposition(|piece| self.latest - piece.0 >= 0).unwrap_or(0);
        let order = [newest].into_iter().chain((0..self.early.len()).rev().filter(|number| *number != newest));
        for piece in order.take(most).filter_map(|number| self.early.get(number)) {
            blocks.push(block(piece));
        }
        blocks
    }

    /// Bytes of memory behind it.
    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        self.bytes.capacity() + self.early.iter().map(|piece| piece.1.capacity()).sum::<usize>()
    }
}

/// Drops so many from the front; memory goes with the last.
#[inline(never)]
pub(super) fn skip(bytes: &mut VecDeque<u8>, count: usize) {
    if count == bytes.len() {
        *bytes = VecDeque::new();
    } else {
        bytes.drain(..count);
    }
}

/// Appends, unless memory has run out.
#[inline(never)]
pub(super) fn extend(bytes: &mut VecDeque<u8>, more: &[u8]) -> bool {
    if bytes.try_reserve(more.len()).is_err() {
        return false;
    }
    bytes.extend(more);
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(queue: &mut Queue) -> Vec<u8> {
        let mut bytes = vec![0; queue.len()];
        queue.read(&mut bytes, false);
        bytes
    }

    #[test]
    fn pieces_in_any_order_make_the_whole() {
        let mut random = crate::random::Random::new([5; 32]);
        for _ in 0..300 {
            let whole: Vec<u8> = (0..500).map(|_| random.word() as u8).collect();
            let first = Seq(random.word() as u32);
            let (mut queue, mut next, mut got) = (Queue::default(), first, Vec::new());
            while got.len() < whole.len() {
                let at = random.below(500) as usize;
                let length = 1 + random.below(80) as usize;
                let piece = &whole[at..(at + length).min(500)];
                let seq = (first + at).max(next);
                let piece = piece.get(seq.past(first + at)..).unwrap_or(&[]);
                next = queue.put(seq, next, piece, 1000);
                if random.below(3) == 0 {
                    got.extend(read(&mut queue));
                }
                let early: usize = queue.early.iter().map(|piece| piece.1.len()).sum();
                assert_eq!(early, queue.early_bytes);
                assert!(queue.early.windows(2).all(|two| two[1].0 - (two[0].0 + two[0].1.len()) > 0));
            }
            assert_eq!(got, whole);
            assert_eq!((next.past(first), queue.memory()), (500, 0));
        }
    }

    #[test]
    fn what_is_held_has_a_bound() {
        let mut queue = Queue::default();
        for number in 0..1000usize {
            queue.put(Seq(10) + 2 * number, Seq(0), b"x", 100_000);
        }
        assert_eq!(queue.early.len(), PIECES);
        assert_eq!(queue.put(Seq(0), Seq(0), &[7; 50], 20), Seq(21));
    }

    #[test]
    fn the_newest_block_is_told_first() {
        let mut queue = Queue::default();
        for seq in [10, 50, 30] {
            queue.put(Seq(seq), Seq(0), &[1; 5], 1000);
        }
        let expected = [(Seq(30), Seq(35)), (Seq(50), Seq(55)), (Seq(10), Seq(15))];
        assert_eq!(queue.blocks(3).as_slice(), expected);
    }
}
