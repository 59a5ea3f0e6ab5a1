//! How much may be under way: CUBIC where it is as gentle as Reno (RFC 9438 §4.3), which is wherever round trips are short
//! or losses frequent, with the larger first window of RFC 6928. Of its window's growth over time (§4.2, §4.4, §4.5), for
//! long paths that seldom lose, there is nothing: there it grows as Reno does (RFC 5681).
//!
//! Counted in bytes that were acknowledged, not in acknowledgements (RFC 3465): peers that receive in bursts
//! acknowledge seldom.

use super::seq::Seq;

/// No window grows beyond this, in bytes.
const MOST: usize = 4 << 20;

#[derive(Clone, Copy, Debug)]
pub(super) struct Congestion {
    window: usize,
    threshold: usize,
    /// Acknowledged since the window grew last, in congestion avoidance.
    counted: usize,
    /// Lost data is being sent again; over when everything up to here has arrived.
    recovering: Option<Seq>,
    /// What it was before the last loss.
    prior: usize,
}

impl Congestion {
    /// For segments of `mss` bytes.
    pub(super) fn new(mss: usize) -> Self {
        Self { window: initial(mss), threshold: usize::MAX, counted: 0, recovering: None, prior: 0 }
    }

    /// Bytes that may be under way.
    pub(super) fn window(&self) -> usize {
        self.window
    }

    pub(super) fn recovering(&self) -> Option<Seq> {
        self.recovering
    }

    /// New data was acknowledged; `limited` says that the window was what held the sender back.
    pub(super) fn acknowledged(&mut self, ack: Seq, bytes: usize, mss: usize, limited: bool) {
        if let Some(end) = self.recovering {
            if ack - end >= 0 {
                self.recovering = None;
                self.window = self.threshold.max(2 * mss);
            }
            return;
        }
        if !limited {
            return;
        }
        if self.window < self.threshold {
            self.window = (self.window + bytes).min(MOST);
        } else {
            // §4.3: alpha is 0.53 until the window is what it was.
            self.counted += if self.window < self.prior { bytes / 2 } else { bytes };
            if self.counted >= self.window {
                self.counted -= self.window;
                self.window = (self.window + mss).min(MOST);
            }
        }
    }

    /// Something is lost (RFC 6675 §5): `under_way` bytes were, and `sent` is the end of what was sent.
    pub(super) fn lost(&mut self, under_way: usize, mss: usize, sent: Seq) {
        self.reduce(under_way, mss);
        self.window = self.threshold;
        self.recovering = Some(sent);
    }

    /// A loss that was made good as soon as it was known, or the loss of what was sent again.
    pub(super) fn lost_once(&mut self, mss: usize) {
        self.reduce(self.window, mss);
        self.window = self.threshold;
    }

    /// RFC 9438 §4.6: seven tenths of what was under way, which counts what the peer has told of beyond a hole, so it can be
    /// more than the window. The window never grows by a loss.
    #[inline(never)]
    fn reduce(&mut self, under_way: usize, mss: usize) {
        self.prior = self.window;
        self.threshold = (under_way / 10 * 7).min(self.window).max(2 * mss);
        self.counted = 0;
    }

    /// The retransmission timer ran out (RFC 5681 §3.1); `again`: not for the first time for this data.
    pub(super) fn timed_out(&mut self, under_way: usize, mss: usize, again: bool) {
        if !again {
            self.reduce(under_way, mss);
        }
        self.window = mss;
        self.counted = 0;
        self.recovering = None;
    }

    /// Nothing was sent for longer than a timeout (RFC 5681 §4.1).
    pub(super) fn idled(&mut self, mss: usize) {
        self.window = self.window.min(initial(mss));
    }
}

/// RFC 6928 §2.
fn initial(mss: usize) -> usize {
    (10 * mss).min((2 * mss).max(14_600))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MSS: usize = 1460;

    #[test]
    fn grows_fast_then_slowly_and_gives_up_three_tenths_on_loss() {
        let mut congestion = Congestion::new(MSS);
        assert_eq!(congestion.window(), 14_600);
        congestion.acknowledged(Seq(1), 14_600, MSS, true);
        assert_eq!(congestion.window(), 29_200);
        congestion.lost(29_200, MSS, Seq(100));
        assert_eq!(congestion.window(), 20_440);
        congestion.acknowledged(Seq(99), 14_600, MSS, true);
        assert!(congestion.recovering().is_some());
        congestion.acknowledged(Seq(100), 14_600, MSS, true);
        assert!(congestion.recovering().is_none());
        // Half a segment a window, until it is what it was.
        congestion.acknowledged(Seq(200), 40_878, MSS, true);
        assert_eq!(congestion.window(), 20_440);
        congestion.acknowledged(Seq(300), 2, MSS, true);
        assert_eq!(congestion.window(), 20_440 + MSS);
        congestion.acknowledged(Seq(400), 1 << 20, MSS, false);
        assert_eq!(congestion.window(), 20_440 + MSS);
    }

    #[test]
    fn no_loss_makes_the_window_larger() {
        let mut congestion = Congestion::new(MSS);
        congestion.lost(1 << 20, MSS, Seq(100));
        assert_eq!(congestion.window(), 14_600);
        congestion.lost_once(MSS);
        assert_eq!(congestion.window(), 10_220);
    }

    #[test]
    fn a_timeout_starts_anew_and_remembers_a_part() {
        let mut congestion = Congestion::new(MSS);
        congestion.timed_out(14_600, MSS, false);
        congestion.timed_out(MSS, MSS, true);
        assert_eq!(congestion.window(), MSS);
        for _ in 0..6 {
            congestion.acknowledged(Seq(0), MSS, MSS, true);
        }
        assert_eq!(congestion.window(), 7 * MSS);
        congestion.acknowledged(Seq(0), MSS, MSS, true);
        assert_eq!(congestion.window(), 7 * MSS);
    }
}
