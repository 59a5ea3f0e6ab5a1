//! Arriving segments (RFC 9293 §3.10.7), with the checks of RFC 5961 against blind attacks and of RFC 7323 §5 against old
//! duplicates.

use super::segment::{ACK, FIN, RST, SYN, Segment};
use super::seq::Seq;
use super::{Failure, State, Tcb};
use crate::time::{Duration, Instant};

/// At most one answer to segments that do not fit, in this time (RFC 5961 §7).
const CHALLENGE_PAUSE: Duration = Duration::from_millis(100);
/// A timestamp that old says nothing (RFC 7323 §5.5).
const STAMP_LIFE: Duration = Duration::from_secs(24 * 24 * 3600);
/// Segments from so far back still tell what they acknowledge.
const PAST: i32 = 1 << 20;

/// What became of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It was this connection's.
    Taken,
    /// It belongs to no connection: whoever sent it is to be reset (RFC 9293 §3.5.2).
    Refuse,
}

impl Tcb {
    /// Takes a segment.
    pub(crate) fn input(&mut self, now: Instant, segment: &Segment<'_>) -> Verdict {
        match self.state {
            State::Closed => Verdict::Refuse,
            State::SynSent => self.input_requesting(now, segment),
            _ => self.input_synchronized(now, segment),
        }
    }

    /// §3.10.7.3.
    fn input_requesting(&mut self, now: Instant, segment: &Segment<'_>) -> Verdict {
        let acknowledged = segment.has(ACK);
        if acknowledged && (segment.ack - self.iss <= 0 || segment.ack - self.max > 0) {
            return if segment.has(RST) { Verdict::Taken } else { Verdict::Refuse };
        }
        if segment.has(RST) {
            if acknowledged {
                self.fail(Failure::Refused);
            }
            return Verdict::Taken;
        }
        if !segment.has(SYN) {
            return Verdict::Taken;
        }
        self.take_request(now, segment);
        self.heard(now);
        if acknowledged {
            self.establish(now);
            self.acknowledged(now, segment);
            // A window in a segment with SYN is never scaled (RFC 7323 §2.2).
            self.window = usize::from(segment.window);
            self.acknowledge = true;
            self.take_payload(now, segment.seq + 1, segment.payload, segment.has(FIN));
        } else {
            // Both ask at once: our request is repeated as an answer (§3.5, figure 8).
            self.state = State::SynReceived;
            self.next = self.iss;
        }
        Verdict::Taken
    }

    fn establish(&mut self, now: Instant) {
        if self.state != State::FinWait1 {
            self.state = State::Established;
        }
        self.timers.established(now);
    }

    /// §3.10.7.4.
    fn input_synchronized(&mut self, now: Instant, segment: &Segment<'_>) -> Verdict {
        if self.is_old_duplicate(now, segment) {
            if !segment.has(RST) {
                self.acknowledge = true;
            }
            return Verdict::Taken;
        }
        let (start, end) = (segment.seq, segment.seq + segment.length());
        // Wholly from before: a duplicate, a probe, or overtaken by others.
        let old = end - self.expected < 0 || (segment.length() > 0 && end == self.expected);
        if start - self.edge > 0 || end - self.expected < -PAST {
            if !segment.has(RST) {
                self.challenge(now);
            }
            return Verdict::Taken;
        }
        if segment.has(RST) {
            // RFC 5961 §3.2: only the exact number ends a connection.
            if start == self.expected {
                self.was_reset();
            } else if !old {
                self.challenge(now);
            }
            return Verdict::Taken;
        }
        if segment.has(SYN) {
            // A request again: so is the answer. Any other is RFC 5961 §4.2's.
            if self.state != State::SynReceived || start + 1 != self.expected {
                self.challenge(now);
            } else if segment.has(ACK) && segment.ack == self.max {
                // Both asked at once, and this answers ours.
                self.establish(now);
                self.acknowledged(now, segment);
                self.acknowledge = true;
            } else {
                self.next = self.iss;
            }
            return Verdict::Taken;
        }
        if !segment.has(ACK) {
            return Verdict::Taken;
        }
        if self.una == self.iss {
            if segment.ack - self.una <= 0 || segment.ack - self.max > 0 {
                return Verdict::Refuse;
            }
            self.establish(now);
            self.window_from = (segment.seq, segment.ack - 1);
        }
        // RFC 5961 §5.2.
        if segment.ack - self.max > 0 || self.una.past(segment.ack) > self.window_max.max(1 << 16) {
            self.challenge(now);
            return Verdict::Taken;
        }
        self.heard(now);
        self.take_stamp(now, segment);
        self.acknowledged(now, segment);
        if self.state == State::Closed {
            return Verdict::Taken;
        }
        if old {
            match segment.length() {
                0 => self.challenge(now),
                _ => self.acknowledge = true,
            }
        } else if !self.peer_is_done() {
            self.take_payload(now, start, segment.payload, segment.has(FIN));
        }
        Verdict::Taken
    }

    fn was_reset(&mut self) {
        match self.state {
            // Nobody knows of it yet.
            State::SynReceived => self.fail(Failure::Refused),
            State::Closing | State::LastAck | State::TimeWait => self.end(),
            _ => self.fail(Failure::Reset),
        }
    }

    /// RFC 7323 §5.3, R1.
    fn is_old_duplicate(&self, now: Instant, segment: &Segment<'_>) -> bool {
        match (self.stamp, segment.options.timestamps) {
            (Some((latest, at)), Some((value, _))) if !segment.has(RST) => {
                (value.wrapping_sub(latest) as i32) < 0 && now.since(at) < STAMP_LIFE
            }
            _ => false,
        }
    }

    /// RFC 7323 §4.3: of the segments that reach the edge of what was acknowledged, the latest.
    fn take_stamp(&mut self, now: Instant, segment: &Segment<'_>) {
        if let (Some(stamp), Some((value, _))) = (&mut self.stamp, segment.options.timestamps)
            && segment.seq - self.expected <= 0
            && value.wrapping_sub(stamp.0) as i32 >= 0
        {
            *stamp = (value, now);
        }
    }

    /// Tells the peer where we stand, but not at any rate.
    fn challenge(&mut self, now: Instant) {
        if now >= self.timers.next_challenge {
            self.timers.next_challenge = now + CHALLENGE_PAUSE;
            self.acknowledge = true;
        }
    }

    /// The bytes and the end of a segment that begins at `start`.
    fn take_payload(&mut self, now: Instant, start: Seq, payload: &[u8], ends: bool) {
        let before = self.expected;
        let old = before.past(start);
        let (start, mut payload) = (start + old.min(payload.len()), payload.get(old..).unwrap_or(&[]));
        if ends {
            self.fin = Some(start + payload.len());
        }
        // Nothing beyond the window.
        let cut = payload.len().saturating_sub(self.edge.past(start));
        payload = &payload[..payload.len() - cut];
        if !payload.is_empty() {
            let gaps = self.queue.has_early();
            let room = if self.scarce { self.terms.receive_room } else { usize::MAX };
            self.expected = self.queue.put(start, before, payload, room);
            let arrived = self.expected.past(before);
            // RFC 5681 §4.2: at once when there is a gap, or when one was filled, or when nothing was taken.
            if gaps || arrived != payload.len() || self.timers.arrived(now, arrived, self.mss) {
                self.acknowledge = true;
            }
        } else if cut > 0 {
            // A probe of a closed window (§3.8.6.1).
            self.acknowledge = true;
        }
        if self.fin == Some(self.expected) {
            self.peer_ended();
        }
    }

    /// The peer's FIN is next (§3.10.7.4, eighth).
    fn peer_ended(&mut self) {
        self.fin = None;
        self.expected += 1;
        self.edge = self.edge.max(self.expected);
        self.acknowledge = true;
        self.state = match self.state {
            State::Established => State::CloseWait,
            // Our own FIN was not acknowledged, or this segment would have moved us on.
            State::FinWait1 => State::Closing,
            State::FinWait2 => State::TimeWait,
            other => other,
        };
    }
}
