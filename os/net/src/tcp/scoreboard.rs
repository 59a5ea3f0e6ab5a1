//! What the peer has beyond its acknowledgement (RFC 2018), what of the rest is lost, and what of that was sent again
//! (RFC 6675). Who says what is lost is `rack`, for a peer that sends selective acknowledgements.
//!
//! A peer that sends none is treated as if each of its repeated acknowledgements told of one more segment, as good as
//! anything that can be known (RFC 6582).

use super::rack::Resent;
use super::segment::Blocks;
use super::seq::Seq;
use crate::time::Instant;
use alloc::vec::Vec;

/// Ranges kept; what a peer tells beyond them is forgotten, and sent again.
const RANGES: usize = 64;
/// A hole is lost once so many segments beyond it have arrived (RFC 5681 §3.2).
const THRESHOLD: usize = 3;

#[derive(Debug)]
pub(super) struct Scoreboard {
    /// Apart and in order, all beyond what is acknowledged.
    ranges: Vec<(Seq, Seq)>,
    /// Repeated acknowledgements since the last progress.
    pub(super) repeated: usize,
    /// What the peer has not of all before here is lost. Never behind what is acknowledged, and neither is the next.
    lost: Seq,
    /// Up to where of that was sent again.
    again: Seq,
    /// The same, by when.
    pub(super) resent: Resent,
}

/// What selective acknowledgements said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct News {
    /// Something.
    pub(super) any: bool,
    /// Of a segment that came after later ones, and was not sent twice.
    pub(super) overtaken: bool,
}

impl Scoreboard {
    /// Nothing is known beyond `una`.
    pub(super) fn new(una: Seq) -> Self {
        Self { ranges: Vec::new(), repeated: 0, lost: una, again: una, resent: Resent::default() }
    }

    /// Takes a segment's blocks. `una` and `max` bound what was sent.
    pub(super) fn take(&mut self, blocks: &Blocks, una: Seq, max: Seq) -> News {
        let mut news = News::default();
        let top = self.top(una);
        for &(from, to) in blocks.as_slice() {
            // Blocks below the acknowledgement tell of duplicates (RFC 2883), others are nonsense.
            if from - una >= 0
                && to - from > 0
                && max - to >= 0
                && let Some(first) = self.add(from, to)
            {
                news.any = true;
                news.overtaken |= top - first > 0 && first - self.again >= 0;
            }
        }
        news
    }

    /// The first byte that was not known of.
    fn add(&mut self, mut from: Seq, mut to: Seq) -> Option<Seq> {
        let first = self.ranges.iter().position(|range| range.1 - from >= 0).unwrap_or(self.ranges.len());
        let count = self.ranges.len();
        let mut fresh = from;
        while let Some(&(start, end)) = self.ranges.get(first).filter(|range| to - range.0 >= 0) {
            if from - start >= 0 {
                if end - to >= 0 {
                    return None;
                }
                fresh = end;
            }
            (from, to) = (from.min(start), to.max(end));
            self.ranges.remove(first);
        }
        if count == RANGES && self.ranges.len() == count {
            return None;
        }
        self.ranges.insert(first, (from, to));
        Some(fresh)
    }

    /// Everything up to `una` has arrived; `segments` of it were not known to have. Memory goes when nothing is left.
    pub(super) fn acknowledged(&mut self, una: Seq, segments: usize) {
        while let Some(range) = self.ranges.first_mut() {
            range.0 = range.0.max(una);
            if range.1 - range.0 > 0 {
                break;
            }
            self.ranges.remove(0);
        }
        if self.ranges.is_empty() {
            self.ranges = Vec::new();
        }
        // A peer without selective acknowledgements had what stood behind the hole, except the segment that filled it.
        self.repeated = self.repeated.saturating_sub(segments.saturating_sub(1).max(1));
        (self.lost, self.again) = (self.lost.max(una), self.again.max(una));
    }

    /// Does the peer miss nothing that it has told of?
    pub(super) fn is_clear(&self) -> bool {
        self.ranges.is_empty() && self.repeated == 0
    }

    /// Has it what ends at `end`, beyond its acknowledgement?
    pub(super) fn has(&self, end: Seq) -> bool {
        self.ranges.iter().any(|(from, to)| end - *from > 0 && *to - end >= 0)
    }

    /// The end of all that the peer has, which has `una` for certain.
    pub(super) fn top(&self, una: Seq) -> Seq {
        self.ranges.last().map_or(una, |range| range.1)
    }

    /// All before `end` that the peer has not is lost.
    pub(super) fn lose(&mut self, end: Seq) {
        self.lost = self.lost.max(end);
    }

    /// Up to where all that the peer has not is lost; what is acknowledged, if nothing is.
    pub(super) fn lost_end(&self) -> Seq {
        self.lost
    }

    /// Does the first byte that is not lost so far wait although something beyond it has arrived?
    pub(super) fn has_doubt(&self, top: Seq) -> bool {
        top - self.gap(self.lost).0 > 0
    }

    /// Was nothing of what follows `una` sent again, though the peer has later bytes?
    pub(super) fn waits_for_first(&self, una: Seq) -> bool {
        !self.ranges.is_empty() && self.again == una
    }

    /// Have so many segments arrived beyond the first hole that it is lost?
    pub(super) fn is_past_threshold(&self, mss: usize) -> bool {
        let held: usize = self.ranges.iter().map(|(from, to)| to.past(*from)).sum();
        self.repeated >= THRESHOLD || held > (THRESHOLD - 1) * mss
    }

    /// Bytes under way of those from `una` to `next`, where no losses are known.
    pub(super) fn flight(&self, una: Seq, next: Seq) -> usize {
        let held: usize = self.ranges.iter().map(|(from, to)| to.min(next).past(from.max(una))).sum();
        next.past(una).saturating_sub(held)
    }

    /// Bytes under way while lost ones are being sent again (RFC 6675 §4: Pipe).
    pub(super) fn pipe(&self, next: Seq, mss: usize) -> usize {
        let told = if self.ranges.is_empty() { self.repeated * mss } else { 0 };
        self.flight(self.lost, next).saturating_sub(told) + self.resent.under_way()
    }

    /// What is lost and was not sent again: where, and how many bytes. First what was lost again.
    pub(super) fn lost(&self) -> Option<(Seq, usize)> {
        let (from, to) = self.resent.lost().unwrap_or((self.gap(self.again).0, self.lost));
        let hole = self.gap(from).1.min(to.past(from));
        (hole > 0).then_some((from, hole))
    }

    /// Lost data from `from` to `to` was sent again, when everything before `max` had been sent once.
    pub(super) fn sent_again(&mut self, now: Instant, from: Seq, to: Seq, max: Seq) {
        let (rest, _) = self.gap(to);
        if !self.resent.took_lost(from, rest) {
            self.again = self.again.max(to);
        }
        self.resent.sent(now, from, to, max);
    }

    /// The next byte from `at` on that the peer has not, and how many follow before one that it has.
    pub(super) fn gap(&self, at: Seq) -> (Seq, usize) {
        gap(&self.ranges, at)
    }

    /// What has arrived of what was sent again; see [`Resent::heard`].
    pub(super) fn heard(&mut self, now: Instant, una: Seq, least: crate::time::Duration) -> super::rack::Heard {
        let ranges = &self.ranges;
        self.resent.heard(now, least, |at| gap(ranges, at.max(una)).0)
    }
}

fn gap(ranges: &[(Seq, Seq)], mut at: Seq) -> (Seq, usize) {
    for &(from, to) in ranges {
        if from - at > 0 {
            return (at, from.past(at));
        }
        at = at.max(to);
    }
    (at, usize::MAX)
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
        let mut board = Scoreboard::new(Seq(0));
        let (una, max) = (Seq(1000), Seq(20_000));
        assert!(board.take(&blocks(&[(5000, 6000), (3000, 4000)]), una, max).any);
        assert!(!board.take(&blocks(&[(5000, 6000), (500, 900), (30_000, 31_000), (7000, 6000)]), una, max).any);
        assert_eq!(board.ranges, [(Seq(3000), Seq(4000)), (Seq(5000), Seq(6000))]);
        assert!(board.take(&blocks(&[(4000, 5000)]), una, max).any);
        assert_eq!(board.ranges, [(Seq(3000), Seq(6000))]);
        board.acknowledged(Seq(5500), 1);
        assert_eq!(board.ranges, [(Seq(5500), Seq(6000))]);
        board.acknowledged(Seq(6000), 1);
        assert!(board.ranges.is_empty());
    }

    #[test]
    fn holes_are_sent_again_in_order_and_once() {
        let mut board = Scoreboard::new(Seq(0));
        let (una, max, now) = (Seq(0), Seq(12_000), Instant::ZERO);
        assert!(board.take(&blocks(&[(1000, 2000)]), una, max).any);
        assert!(!board.is_past_threshold(MSS));
        board.take(&blocks(&[(3000, 6000), (11_000, 12_000)]), una, max);
        assert!(board.is_past_threshold(MSS));
        // 0-1000 and 2000-3000 are lost; 6000-11000 may still be under way.
        board.lose(Seq(6000));
        assert_eq!((board.pipe(max, MSS), board.has_doubt(max)), (5000, true));
        assert_eq!(board.lost(), Some((Seq(0), 1000)));
        board.sent_again(now, Seq(0), Seq(1000), max);
        assert_eq!(board.pipe(max, MSS), 6000);
        assert_eq!(board.lost(), Some((Seq(2000), 1000)));
        board.sent_again(now, Seq(2000), Seq(3000), max);
        assert_eq!(board.lost(), None);
        assert_eq!(board.gap(Seq(1500)), (Seq(2000), 1000));
        assert_eq!(board.gap(Seq(12_000)), (Seq(12_000), usize::MAX));
        board.lose(max);
        assert_eq!(board.lost(), Some((Seq(6000), 5000)));
    }

    #[test]
    fn without_blocks_repeated_acknowledgements_count() {
        let (next, now) = (Seq(6000), Instant::ZERO);
        let mut board = Scoreboard { repeated: 3, ..Scoreboard::new(Seq(0)) };
        assert!(board.is_past_threshold(MSS));
        board.lose(Seq(1000));
        assert_eq!((board.pipe(next, MSS), board.lost()), (2000, Some((Seq(0), MSS))));
        board.sent_again(now, Seq(0), Seq(1000), next);
        assert_eq!((board.pipe(next, MSS), board.lost()), (3000, None));
        // A part: the next one is lost as well.
        board.acknowledged(Seq(1000), 1);
        board.heard(now, Seq(1000), Default::default());
        board.lose(Seq(2000));
        assert_eq!(board.lost(), Some((Seq(1000), MSS)));
    }

    #[test]
    fn what_fills_a_hole_unasked_was_overtaken() {
        let (una, max) = (Seq(0), Seq(12_000));
        let news = |any, overtaken| News { any, overtaken };
        let mut board = Scoreboard::new(una);
        assert_eq!(board.take(&blocks(&[(3000, 4000)]), una, max), news(true, false));
        assert_eq!(board.take(&blocks(&[(3000, 5000)]), una, max), news(true, false));
        assert_eq!(board.take(&blocks(&[(2000, 5000)]), una, max), news(true, true));
        assert_eq!(board.take(&blocks(&[(2000, 5000)]), una, max), news(false, false));
        // Sent again, it is not.
        board.lose(Seq(5000));
        board.sent_again(Instant::ZERO, Seq(0), Seq(2000), max);
        assert_eq!(board.take(&blocks(&[(1000, 5000)]), una, max), news(true, false));
    }

    #[test]
    fn what_a_liar_tells_is_bounded() {
        let mut board = Scoreboard::new(Seq(0));
        for number in 0..1000 {
            board.take(&blocks(&[(10 * number, 10 * number + 5)]), Seq(0), Seq(1 << 20));
        }
        assert_eq!(board.ranges.len(), RANGES);
    }
}
