//! When to send again (RFC 6298): round-trip times of segments that were sent once (Karn's rule), smoothed.

use super::seq::Seq;
use crate::time::{Duration, Instant};

/// Before anything was measured (§2.1).
const INITIAL: Duration = Duration::from_secs(1);
/// The bounds. The lower is Linux's (TCP_RTO_MIN); the RFC's whole second would be for clocks that tick twice in it.
const MIN: Duration = Duration::from_millis(200);
const MAX: Duration = Duration::from_secs(120);

#[derive(Clone, Copy, Debug)]
pub(super) struct Rtt {
    /// Smoothed, and its mean deviation; `None` before the first sample.
    smoothed: Option<(Duration, Duration)>,
    /// The least of all samples.
    least: Duration,
    /// Doublings since the last progress (§5.5).
    backoff: u32,
    /// The segment that is timed: what acknowledges it, and when it was sent.
    timed: Option<(Seq, Instant)>,
}

impl Rtt {
    pub(super) const fn new() -> Self {
        Self { smoothed: None, least: INITIAL, backoff: 0, timed: None }
    }

    /// The smoothed round-trip time, once there is one, and as long as nothing runs late.
    pub(super) fn mean(&self) -> Option<Duration> {
        self.smoothed.filter(|_| self.backoff == 0).map(|(mean, _)| mean)
    }

    /// The least round-trip time.
    pub(super) fn least(&self) -> Duration {
        self.least
    }

    /// The smoothed one, whatever runs late.
    pub(super) fn usual(&self) -> Duration {
        self.smoothed.map_or(INITIAL, |(mean, _)| mean)
    }

    /// So many quarters of the least one, but no more than the smoothed one (RFC 8985 §6.2 step 4); never nothing.
    pub(super) fn quarters(&self, count: u8) -> Duration {
        Duration::from_micros(self.least.micros() / 4 * u64::from(count))
            .min(self.usual())
            .max(Duration::from_micros(1))
    }

    /// The timeout for what is sent now.
    pub(super) fn timeout(&self) -> Duration {
        let once = match self.smoothed {
            None => INITIAL,
            Some((mean, deviation)) => mean + deviation.times(4).max(MIN),
        };
        once.times(1 << self.backoff.min(16)).max(MIN).min(MAX)
    }

    /// A segment that ends at `end` was sent for the first time.
    pub(super) fn sent(&mut self, now: Instant, end: Seq) {
        if self.timed.is_none() {
            self.timed = Some((end, now));
        }
    }

    /// Something was sent again: what is timed cannot be told apart from it.
    pub(super) fn sent_again(&mut self) {
        self.timed = None;
    }

    /// The timer ran out.
    pub(super) fn back_off(&mut self) {
        self.backoff += 1;
        self.timed = None;
    }

    /// Everything up to `ack` has arrived.
    pub(super) fn acknowledged(&mut self, now: Instant, ack: Seq) {
        self.backoff = 0;
        if let Some((_, at)) = self.timed.take_if(|(end, _)| ack - *end >= 0) {
            self.sample(now.since(at));
        }
    }

    /// §2.2, §2.3.
    fn sample(&mut self, rtt: Duration) {
        self.least = self.least.min(rtt);
        let (mean, deviation) = match self.smoothed {
            None => (rtt.micros(), rtt.micros() / 2),
            Some((mean, deviation)) => {
                let (mean, rtt) = (mean.micros(), rtt.micros());
                ((7 * mean + rtt) / 8, (3 * deviation.micros() + mean.abs_diff(rtt)) / 4)
            }
        };
        self.smoothed = Some((Duration::from_micros(mean), Duration::from_micros(deviation)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_timeout_follows_the_samples_and_doubles() {
        let mut rtt = Rtt::new();
        assert_eq!(rtt.timeout(), INITIAL);
        for round in 0..50 {
            let sent = Instant::from_micros(round * 1_000_000);
            rtt.sent(sent, Seq(round as u32));
            rtt.acknowledged(sent + Duration::from_millis(300), Seq(round as u32));
        }
        let timeout = rtt.timeout();
        assert!(timeout >= Duration::from_millis(450) && timeout <= Duration::from_millis(550), "{timeout:?}");
        rtt.back_off();
        assert_eq!(rtt.timeout(), timeout.times(2));
        for _ in 0..40 {
            rtt.back_off();
        }
        assert_eq!(rtt.timeout(), MAX);
        rtt.acknowledged(Instant::ZERO, Seq(99));
        assert_eq!(rtt.timeout(), timeout);
    }

    #[test]
    fn what_was_sent_again_is_not_timed() {
        let mut rtt = Rtt::new();
        rtt.sent(Instant::ZERO, Seq(1));
        rtt.sent_again();
        rtt.acknowledged(Instant::from_micros(5_000_000), Seq(1));
        assert_eq!(rtt.timeout(), INITIAL);
    }
}
