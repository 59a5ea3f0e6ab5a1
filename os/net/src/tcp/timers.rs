//! What time brings: retransmission (RFC 6298 §5), probes of a closed window (RFC 9293 §3.8.6.1) and of a silent peer
//! (RFC 9293 §3.8.4), delayed acknowledgements (RFC 9293 §3.8.6.3), and giving up (RFC 5482, RFC 9293 §3.8.3).

use super::scoreboard::Scoreboard;
use super::tail::Tail;
use super::{Failure, State, Tcb};
use crate::time::{Duration, Instant};

/// How long a connection request is repeated (Linux's six retries).
const OPENING: Duration = Duration::from_secs(127);
/// How long a peer may leave what was sent to it unanswered (Linux's tcp_retries2 of 15).
const UNANSWERED: Duration = Duration::from_secs(924);
/// How long a connection that nobody has any more waits for its peer's end (Linux's tcp_fin_timeout).
const LINGERING: Duration = Duration::from_secs(60);
/// Linux's shortest (TCP_DELACK_MIN): time for an answer that the acknowledgement can travel with.
const ACK_DELAY: Duration = Duration::from_millis(40);

/// `SO_KEEPALIVE` and what belongs to it (tcp(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeepAlive {
    /// Silence before the first probe.
    pub(crate) idle: Duration,
    /// From one to the next.
    pub(crate) interval: Duration,
    /// Unanswered probes that end the connection.
    pub(crate) count: u32,
}

#[derive(Debug)]
pub(super) struct Timers {
    /// Retransmission, or the next probe of a closed window.
    resend: Option<(Instant, Resend)>,
    /// The delayed acknowledgement.
    acknowledge: Option<Instant>,
    /// Bytes that were not acknowledged yet.
    unacknowledged: usize,
    /// Since when the peer has not acknowledged what it was sent.
    unanswered: Option<Instant>,
    /// The peer's last segment.
    heard: Instant,
    /// Our last data.
    pub(super) sent: Instant,
    keep_alive: Option<KeepAlive>,
    /// Unanswered probes.
    probes: u32,
    /// `TCP_USER_TIMEOUT`.
    patience: Option<Duration>,
    /// The program is gone, and so is the connection at this time.
    lingers: Option<Instant>,
    orphan: bool,
    pub(super) next_challenge: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resend {
    Data,
    /// A probe for a tail that is lost, before the timer of `Data` would run out.
    Tail,
    /// Of a closed window.
    Probe,
}

impl Timers {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            resend: None,
            acknowledge: None,
            unacknowledged: 0,
            unanswered: None,
            heard: now,
            sent: now,
            keep_alive: None,
            probes: 0,
            patience: None,
            lingers: None,
            orphan: false,
            next_challenge: Instant::ZERO,
        }
    }

    pub(super) fn established(&mut self, now: Instant) {
        self.heard = now;
        self.unanswered = None;
    }

    /// When the first of them runs out, and these two.
    pub(super) fn deadline(&self, keep_alive: Option<Instant>, doubt: Option<Instant>) -> Option<Instant> {
        let resend = self.resend.map(|(at, _)| at);
        [resend, self.acknowledge, self.lingers, keep_alive, doubt].into_iter().flatten().min()
    }

    /// How long the peer may be silent.
    pub(super) fn limit(&self, opening: bool) -> Duration {
        match self.patience {
            Some(patience) => patience,
            None if opening => OPENING,
            None if self.orphan => LINGERING,
            None => UNANSWERED,
        }
    }

    /// Bytes arrived in order; true if they are to be acknowledged at once (RFC 9293 §3.8.6.3: every second segment).
    pub(super) fn arrived(&mut self, now: Instant, bytes: usize, mss: usize) -> bool {
        self.unacknowledged += bytes;
        if self.acknowledge.is_none() {
            self.acknowledge = Some(now + ACK_DELAY);
        }
        self.orphan || self.unacknowledged >= 2 * mss
    }

    /// An acknowledgement was sent.
    pub(super) fn acknowledged(&mut self) {
        (self.acknowledge, self.unacknowledged) = (None, 0);
    }

    /// The peer acknowledged something; `more` says that something is still under way.
    pub(super) fn progressed(&mut self, now: Instant, more: bool) {
        self.resend = None;
        self.unanswered = more.then_some(now);
    }

    /// Nobody has the connection any more, and the peer has our end: its own is waited for, but not for ever.
    pub(super) fn linger(&mut self, now: Instant) {
        if self.orphan && self.lingers.is_none() {
            self.lingers = Some(now + LINGERING);
        }
    }
}

impl Tcb {
    /// `SO_KEEPALIVE`; `None` for off.
    pub(crate) fn set_keep_alive(&mut self, keep_alive: Option<KeepAlive>) {
        self.timers.keep_alive = keep_alive;
        self.timers.probes = 0;
    }

    /// `TCP_USER_TIMEOUT`; `None` for the default.
    pub(crate) fn set_patience(&mut self, patience: Option<Duration>) {
        self.timers.patience = patience;
    }

    /// The program has let go of it.
    pub(crate) fn orphaned(&mut self, now: Instant) {
        self.timers.orphan = true;
        if self.state == State::FinWait2 {
            self.timers.linger(now);
        }
    }

    /// The peer is there.
    pub(super) fn heard(&mut self, now: Instant) {
        self.timers.heard = now;
        self.timers.probes = 0;
    }

    /// Something is under way: the timer runs. Nothing is, and the window is closed: it is probed.
    pub(super) fn retime(&mut self, now: Instant) {
        let kind = if self.next != self.una {
            Resend::Data
        } else if self.wants_probe() {
            Resend::Probe
        } else {
            self.timers.resend = None;
            return;
        };
        let timed = self.timers.resend.map(|(_, kind)| if kind == Resend::Tail { Resend::Data } else { kind });
        if timed != Some(kind) {
            let tail = if kind == Resend::Data { self.tail_timeout() } else { None };
            self.timers.resend = Some(match tail {
                Some(timeout) => (now + timeout, Resend::Tail),
                None => (now + self.rtt.timeout(), kind),
            });
        }
        if self.timers.unanswered.is_none() || timed == Some(Resend::Probe) && kind == Resend::Data {
            self.timers.unanswered = Some(now);
        }
    }

    /// Does what is due.
    pub(crate) fn on_time(&mut self, now: Instant) {
        if self.state == State::Closed {
            return;
        }
        if self.timers.lingers.is_some_and(|at| at <= now) {
            return self.end();
        }
        if self.timers.acknowledge.is_some_and(|at| at <= now) {
            self.acknowledge = true;
        }
        if self.keep_alive_due().is_some_and(|at| at <= now) {
            self.probe_silence(now);
        }
        if self.rack.doubt.is_some_and(|(_, due)| due <= now) {
            self.detect(now, None);
        }
        if let Some((_, kind)) = self.timers.resend.filter(|(at, _)| *at <= now) {
            self.resend(now, kind);
        }
    }

    fn resend(&mut self, now: Instant, kind: Resend) {
        self.timers.resend = None;
        // A peer that answers probes of its closed window may keep it closed (RFC 9293 §3.8.6.1), unless nobody waits for it.
        let since = match kind {
            Resend::Probe if self.timers.patience.is_none() && !self.timers.orphan => Some(self.timers.heard),
            _ => self.timers.unanswered,
        };
        if since.is_some_and(|since| now.since(since) >= self.give_up_after()) {
            return self.give_up();
        }
        match kind {
            Resend::Probe => {
                self.probe = true;
                self.rtt.back_off();
                self.timers.resend = Some((now + self.rtt.timeout(), kind));
            }
            Resend::Tail => {
                // Not if the peer has told of a loss meanwhile, which is dealt with.
                if self.congestion.recovering().is_none() && self.next == self.max {
                    self.tail = Tail::Due;
                }
                self.timers.resend = Some((now + self.rtt.timeout(), Resend::Data));
            }
            Resend::Data => {
                self.tail = Tail::None;
                let under_way = self.board.flight(self.una, self.next);
                let again = self.recover == self.max && self.congestion.recovering().is_none();
                self.congestion.timed_out(under_way, self.mss, again);
                self.board = Scoreboard::new(self.una);
                self.rack.doubt = None;
                #[cfg(test)]
                {
                    self.timeouts += 1;
                }
                self.rtt.back_off();
                self.recover = self.max;
                self.next = self.una;
                self.timers.resend = Some((now + self.rtt.timeout(), kind));
            }
        }
    }

    /// The peer is taken to be gone.
    fn give_up(&mut self) {
        self.reset = !self.is_opening();
        self.fail(Failure::TimedOut);
    }

    /// When the peer's silence is long enough for a probe.
    pub(super) fn keep_alive_due(&self) -> Option<Instant> {
        use State::*;
        let keep = self.timers.keep_alive?;
        let idles = matches!(self.state, Established | CloseWait | FinWait1 | FinWait2);
        let quiet = self.max == self.una && self.timers.resend.is_none();
        let probes = u64::from(self.timers.probes);
        (idles && quiet).then(|| self.timers.heard + keep.idle + keep.interval.times(probes))
    }

    fn probe_silence(&mut self, now: Instant) {
        let Some(keep) = self.timers.keep_alive else { return };
        let over = match self.timers.patience {
            // tcp(7): TCP_USER_TIMEOUT overrides the count.
            Some(patience) => self.timers.probes > 0 && now.since(self.timers.heard) >= patience,
            None => self.timers.probes >= keep.count,
        };
        if over {
            return self.give_up();
        }
        self.timers.probes += 1;
        self.probe = true;
    }
}
