//! Losses that the order of sending shows, and time (RFC 8985): what was sent before something that has arrived, and has
//! not arrived itself within the reordering window, is lost. This finds what was sent again and is lost again, which repeated
//! acknowledgements cannot tell, and the retransmission timer only after 200 ms and with the window gone.
//!
//! # What differs from the letter
//! The RFC keeps a time for each segment. The order says the same without a list that is as long as the window: what was
//! sent once was sent in the order of its numbers, and what is sent again keeps the number that sending had come to
//! ([`Run::mark`]), and its time. So a connection that loses nothing pays nothing. Of a segment that was sent once the
//! reordering window is counted from when a later one was heard of, which is no earlier than the RFC's.

use super::Tcb;
use super::segment::Segment;
use super::seq::Seq;
use crate::time::{Duration, Instant};
use alloc::vec::Vec;

/// Runs that are kept apart; with more of them the last one spans what is between.
const RUNS: usize = 64;
/// The timer of the reordering window is no shorter: what two frames of one burst differ by is no loss.
const LEAST: Duration = Duration::from_millis(1);
/// The reordering window is made wide for so many recoveries (§6.2 step 4: reo_wnd_persist).
const PERSIST: u8 = 16;

/// Bytes that were sent again at one time.
#[derive(Clone, Copy, Debug)]
struct Run {
    from: Seq,
    to: Seq,
    at: Instant,
    /// The end of what had been sent by then.
    mark: Seq,
}

/// What was sent again and has not arrived, in the order of sending.
#[derive(Debug, Default)]
pub(super) struct Resent {
    runs: Vec<Run>,
    /// So many of the first are lost.
    lost: usize,
}

/// What an acknowledgement said of what was sent again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Heard {
    /// Some of it has arrived: all that had been sent before it ends here.
    pub(super) mark: Option<Seq>,
    /// Some had arrived before it was sent again.
    pub(super) needless: bool,
}

impl Resent {
    /// Bytes under way.
    pub(super) fn under_way(&self) -> usize {
        self.runs[self.lost..].iter().map(|run| run.to.past(run.from)).sum()
    }

    /// What is lost again.
    pub(super) fn lost(&self) -> Option<(Seq, Seq)> {
        self.runs.first().filter(|_| self.lost > 0).map(|run| (run.from, run.to))
    }

    /// What is lost again, and begins at `from`, is being sent up to `rest`; false if nothing is.
    pub(super) fn took_lost(&mut self, from: Seq, rest: Seq) -> bool {
        let Some(first) = self.runs.first_mut().filter(|run| self.lost > 0 && run.from == from) else { return false };
        first.from = rest;
        if rest - first.to >= 0 {
            self.runs.remove(0);
            self.lost -= 1;
        }
        true
    }

    /// Bytes were sent again, when `mark` was the end of all that had been sent.
    pub(super) fn sent(&mut self, at: Instant, from: Seq, to: Seq, mark: Seq) {
        let count = self.runs.len();
        match self.runs.last_mut() {
            Some(run) if count > self.lost && (count >= RUNS || run.to == from && run.at == at) => {
                *run = Run { from: run.from.min(from), to: run.to.max(to), at, mark };
            }
            _ => self.runs.push(Run { from, to, at, mark }),
        }
    }

    /// Takes out what has arrived: `missing` gives the first byte from one on that has not. What was sent before a run that
    /// has arrived is lost. One that came within `least` of being sent again came from before (§6.2 step 2).
    pub(super) fn heard(&mut self, now: Instant, least: Duration, missing: impl Fn(Seq) -> Seq) -> Heard {
        let mut heard = Heard::default();
        let mut at = 0;
        while let Some(run) = self.runs.get_mut(at) {
            let from = missing(run.from);
            if from - run.from > 0 {
                if now.since(run.at) < least {
                    heard.needless = true;
                } else {
                    heard.mark = Some(run.mark);
                    self.lost = self.lost.max(at);
                }
            }
            run.from = from;
            if from - run.to >= 0 {
                self.runs.remove(at);
                self.lost -= usize::from(at < self.lost);
            } else {
                at += 1;
            }
        }
        if self.runs.is_empty() {
            self.runs = Vec::new();
        }
        heard
    }

    /// What was sent again by `before`, and then something that ends at `top` and has arrived, is lost. When the last that is
    /// found so was sent; and whether some is in doubt for no reason but the time.
    fn judge(&mut self, top: Seq, before: Instant) -> (Option<Instant>, bool) {
        let mut last = None;
        while let Some(run) = self.runs.get(self.lost).filter(|run| top - run.mark > 0) {
            if run.at > before {
                return (last, true);
            }
            last = Some(run.at);
            self.lost += 1;
        }
        (last, false)
    }
}

/// What is known of the path, and what is in doubt.
#[derive(Debug)]
pub(super) struct Rack {
    /// Segments have overtaken others.
    overtakes: bool,
    /// The reordering window in quarters of the least round trip, and the recoveries that it stays so for.
    quarters: u8,
    persist: u8,
    /// It grows once in a round trip: not before this has arrived.
    round: Seq,
    /// What was sent before this is lost, unless it arrives by then.
    pub(super) doubt: Option<(Seq, Instant)>,
    /// When the window was last made smaller for a loss.
    reduced: Instant,
}

impl Rack {
    pub(super) fn new(iss: Seq) -> Self {
        Self { overtakes: false, quarters: 1, persist: 0, round: iss, doubt: None, reduced: Instant::ZERO }
    }

    /// A recovery begins.
    pub(super) fn recovery(&mut self, now: Instant) {
        self.reduced = now;
        self.persist = self.persist.saturating_sub(1);
        if self.persist == 0 {
            self.quarters = 1;
        }
    }
}

impl Tcb {
    /// What an acknowledgement says of the order in which segments arrive, and of losses. `overtaken`: something arrived
    /// after what was sent later.
    pub(super) fn hears_of_order(&mut self, now: Instant, segment: &Segment<'_>, overtaken: bool) {
        self.rack.overtakes |= overtaken;
        let heard = self.board.heard(now, self.una, self.rtt.least());
        // RFC 2883: a block below the acknowledgement is what came twice.
        let is_double = segment.options.sack.as_slice().iter().any(|(_, to)| segment.ack - *to >= 0);
        // It never falls behind, or after 2 GiB it would lie ahead.
        self.rack.round = self.rack.round.max(self.una);
        if is_double || heard.needless {
            self.rack.overtakes = true;
            if self.una == self.rack.round {
                self.rack.round = self.max;
                self.rack.quarters = self.rack.quarters.saturating_add(1);
                self.rack.persist = PERSIST;
            }
        }
        self.detect(now, heard.mark);
    }

    /// How long a segment may be behind one that was sent later (§6.2 step 4).
    fn reordering_window(&self) -> Duration {
        let is_sure = self.congestion.recovering().is_some() || self.board.is_past_threshold(self.mss);
        if is_sure && !self.rack.overtakes {
            return Duration::default();
        }
        self.rtt.quarters(self.rack.quarters)
    }

    /// Says what is lost (§6.2 step 5), begins to make it good, and says when to look again. Of what was sent before `mark`
    /// something that was sent later has arrived.
    #[inline(never)]
    pub(super) fn detect(&mut self, now: Instant, mark: Option<Seq>) {
        let top = mark.unwrap_or(self.una).max(self.board.top(self.una));
        let window = self.reordering_window();
        let is_sure = window == Duration::default();
        match self.rack.doubt {
            _ if is_sure => self.board.lose(top),
            Some((end, due)) if due <= now => self.board.lose(end),
            _ => {}
        }
        let before = if is_sure { now } else { now.before(self.rtt.usual() + window) };
        let (lost, waits) = self.board.resent.judge(top, before);
        // RFC 5681 §4.3: the loss of what was sent again tells of congestion once more; of each round trip's once.
        if lost.is_some_and(|at| at >= self.rack.reduced) {
            self.rack.reduced = now;
            self.congestion.lost_once(self.mss);
        }
        self.rack.doubt = match self.rack.doubt.filter(|(_, due)| *due > now) {
            _ if !waits && !self.board.has_doubt(top) => None,
            None => Some((top, now + window.max(LEAST))),
            doubt => doubt,
        };
        self.recovers(now);
    }
}
