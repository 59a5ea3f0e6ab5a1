//! What the peer has beyond its acknowledgement (RFC 2018), and what that says about losses (RFC 6675).
//!
//! A peer that sends no selective acknowledgements is treated as if each of its repeated ones told of one more
//! segment, as good as anything that can be known (RFC 6582).

use super::segment::Blocks;
use super::seq::Seq;
use alloc::vec::Vec;

/// Ranges kept; what a peer tells beyond them is forgotten, and sent again.
const RANGES: usize = 64;
/// A hole is lost once so many segments beyond it have arrived (RFC 5681 §3.2).
const THRESHOLD: usize = 3;

#[derive(Debug, Default)]
pub(super) struct Scoreboard {
    /// Apart and in order, all beyond what is acknowledged.
    ranges: Vec<(Seq, Seq)>,
    /// Repeated acknowledgements since the last progress.
    pub(super) repeated: usize,
    /// Up to where lost data was sent again.
    again: Option<Seq>,
    /// Every hole up to here is lost, however little has arrived beyond it.
    certain: Option<Seq>,
}

impl Scoreboard {
    /// Forgets everything: the timer ran out, and a peer may have dropped what it had (RFC 2018 §8).
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Takes a segment's blocks; true if they tell anything new. `una` and `max` bound what was sent.
    pub(super) fn take(&mut self, blocks: &Blocks, una: Seq, max: Seq) -> bool {
        let mut news = false;
        for &(from, to) in blocks.as_slice() {
            // Blocks below the acknowledgement tell of duplicates (RFC 2883), others are nonsense.
            if from - una >= 0 && to - from > 0 && max - to >= 0 {
                news |= self.add(from, to);
            }
        }
        news
    }

    fn add(&mut self, mut from: Seq, mut to: Seq) -> bool {
        let first = self.ranges.iter().position(|range| range.1 - from >= 0).unwrap_or(self.ranges.len());
        let mut last = first;
        while let Some(&(start, end)) = self.ranges.get(last).filter(|range| to - range.0 >= 0) {
            if from - start >= 0 && end - to >= 0 {
                return false;
            }
            (from, to) = (from.min(start), to.max(end));
            last += 1;
        }
        if first == last && self.ranges.len() == RANGES {
            return false;
        }
        self.ranges.splice(first..last, [(from, to)]);
        true
    }

    /// Everything up to `una` has arrived; `segments` of it were not known to have. Memory goes when nothing is left.
    pub(super) fn acknowledged(&mut self, una: Seq, segments: usize) {
        self.ranges.retain_mut(|range| {
            range.0 = range.0.max(una);
            range.1 - range.0 > 0
        });
        if self.ranges.is_empty() {
            self.ranges = Vec::new();
        }
        // A peer without selective acknowledgements had what stood behind the hole, except the segment that filled it.
        self.repeated = self.repeated.saturating_sub(segments.saturating_sub(1).max(1));
        if self.again.is_some_and(|again| una - again >= 0) {
            self.again = None;
        }
    }

    /// No losses are known any more.
    pub(super) fn recovered(&mut self) {
        (self.repeated, self.again, self.certain) = (0, None, None);
    }

    /// Does the peer miss nothing that it has told of?
    pub(super) fn is_clear(&self) -> bool {
        self.ranges.is_empty() && self.repeated == 0
    }

    /// Has it what ends at `end`, beyond its acknowledgement?
    pub(super) fn has(&self, end: Seq) -> bool {
        self.ranges.iter().any(|(from, to)| end - *from > 0 && *to - end >= 0)
    }

    /// All before `end` that it has not is lost.
    pub(super) fn lost_before(&mut self, end: Seq) {
        self.certain = Some(end);
    }

    /// Is the hole before the range of this number, which starts at `from`, lost?
    fn is_lost(&self, number: usize, from: Seq, mss: usize) -> bool {
        // The first is what recovery began for; the rest must be as surely lost.
        number == 0
            || self.certain.is_some_and(|certain| certain - from >= 0)
            || self.held(number) > (THRESHOLD - 1) * mss
    }

    /// Is the first segment that is not acknowledged lost?
    pub(super) fn shows_loss(&self, mss: usize) -> bool {
        self.repeated >= THRESHOLD || self.held(0) > (THRESHOLD - 1) * mss
    }

    /// Bytes of the ranges from number `first` on.
    fn held(&self, first: usize) -> usize {
        self.ranges[first..].iter().map(|(from, to)| to.past(*from)).sum()
    }

    /// Bytes under way of those from `una` to `next`, where no losses are known.
    pub(super) fn flight(&self, una: Seq, next: Seq) -> usize {
        let held: usize = self.ranges.iter().map(|(from, to)| to.min(next).past(*from)).sum();
        next.past(una).saturating_sub(held)
    }

    /// Bytes under way while lost ones are being sent again (RFC 6675 §4: Pipe).
    pub(super) fn pipe(&self, una: Seq, max: Seq, mss: usize) -> usize {
        if self.ranges.is_empty() {
            let lost = if self.again.is_some() { 0 } else { mss };
            return max.past(una).saturating_sub(self.repeated * mss + lost);
        }
        let mut bytes = 0;
        let mut at = una;
        for (number, &(from, to)) in self.ranges.iter().enumerate() {
            bytes += match self.is_lost(number, from, mss) {
                true => self.again.map_or(0, |again| again.min(from).past(at)),
                false => from.past(at),
            };
            at = to;
        }
        bytes + max.past(at)
    }

    /// What is lost and was not sent again yet: where, and how many bytes. In order.
    pub(super) fn lost(&self, una: Seq, mss: usize) -> Option<(Seq, usize)> {
        let again = self.again.map_or(una, |again| again.max(una));
        if self.ranges.is_empty() {
            return self.again.is_none().then_some((una, mss));
        }
        let mut at = una;
        for (number, &(from, to)) in self.ranges.iter().enumerate() {
            let start = at.max(again);
            if from - start > 0 {
                return self.is_lost(number, from, mss).then_some((start, from.past(start)));
            }
            at = to;
        }
        None
    }

    /// Lost data up to `end` was sent again.
    pub(super) fn sent_again(&mut self, end: Seq) {
        self.again = Some(self.again.map_or(end, |again| again.max(end)));
    }

    /// The next byte from `at` on that the peer has not, and how many follow before one that it has.
    pub(super) fn gap(&self, mut at: Seq) -> (Seq, usize) {
        for &(from, to) in &self.ranges {
            if from - at > 0 {
                return (at, from.past(at));
            }
            at = at.max(to);
        }
        (at, usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MSS: usize = 1000;

    fn blocks(ranges: &[(u32, u32)]) -> Blocks {
        let mut blocks = Blocks::default();
        for (from, to) in ranges {
            blocks.push((Seq(*from), Seq(*to)));
        }
        blocks
    }

    #[test]
    fn ranges_meet_and_stay_in_order() {
        let mut board = Scoreboard::default();
        let (una, max) = (Seq(1000), Seq(20_000));
        assert!(board.take(&blocks(&[(5000, 6000), (3000, 4000)]), una, max));
        assert!(!board.take(&blocks(&[(5000, 6000), (500, 900), (30_000, 31_000), (7000, 6000)]), una, max));
        assert_eq!(board.ranges, [(Seq(3000), Seq(4000)), (Seq(5000), Seq(6000))]);
        assert!(board.take(&blocks(&[(4000, 5000)]), una, max));
        assert_eq!(board.ranges, [(Seq(3000), Seq(6000))]);
        board.acknowledged(Seq(5500), 1);
        assert_eq!(board.ranges, [(Seq(5500), Seq(6000))]);
        board.acknowledged(Seq(6000), 1);
        assert!(board.ranges.is_empty());
    }

    #[test]
    fn holes_are_lost_in_order_and_sent_again_once() {
        let mut board = Scoreboard::default();
        let (una, max) = (Seq(0), Seq(12_000));
        board.take(&blocks(&[(1000, 2000)]), una, max);
        assert!(!board.shows_loss(MSS));
        board.take(&blocks(&[(3000, 6000), (11_000, 12_000)]), una, max);
        assert!(board.shows_loss(MSS));
        // 0-1000 and 2000-3000 are lost; 6000-11000 may still be under way.
        assert_eq!(board.pipe(una, max, MSS), 5000);
        assert_eq!(board.lost(una, MSS), Some((Seq(0), 1000)));
        board.sent_again(Seq(1000));
        assert_eq!(board.pipe(una, max, MSS), 6000);
        assert_eq!(board.lost(una, MSS), Some((Seq(2000), 1000)));
        board.sent_again(Seq(3000));
        assert_eq!(board.lost(una, MSS), None);
        assert_eq!(board.gap(Seq(1500)), (Seq(2000), 1000));
        assert_eq!(board.gap(Seq(12_000)), (Seq(12_000), usize::MAX));
    }

    #[test]
    fn without_blocks_repeated_acknowledgements_count() {
        let mut board = Scoreboard { repeated: 3, ..Scoreboard::default() };
        assert!(board.shows_loss(MSS));
        assert_eq!(board.pipe(Seq(0), Seq(6000), MSS), 2000);
        assert_eq!(board.lost(Seq(0), MSS), Some((Seq(0), MSS)));
        board.sent_again(Seq(1000));
        assert_eq!(board.lost(Seq(0), MSS), None);
        assert_eq!(board.pipe(Seq(0), Seq(6000), MSS), 3000);
        // A part: the next one is lost as well.
        board.acknowledged(Seq(1000), 1);
        assert_eq!(board.lost(Seq(1000), MSS), Some((Seq(1000), MSS)));
    }

    #[test]
    fn what_a_liar_tells_is_bounded() {
        let mut board = Scoreboard::default();
        for number in 0..1000 {
            board.take(&blocks(&[(10 * number, 10 * number + 5)]), Seq(0), Seq(1 << 20));
        }
        assert_eq!(board.ranges.len(), RANGES);
    }
}
