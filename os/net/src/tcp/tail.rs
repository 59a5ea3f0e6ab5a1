//! Tail-loss probes (RFC 8985 §7): where the end of a flight is lost nothing tells of it, and the retransmission timer, which
//! then runs out, costs 200 ms at least and the window. So two round trips after the last progress the last segment is sent
//! again, or one more: what the peer says to that shows what it has not.
//!
//! Only with selective acknowledgements. Whatever was sent before the probe, and the peer has not when it tells that it has
//! the probe, is lost. The rest of the RFC is `rack`.

use super::Tcb;
use super::segment::Segment;
use super::seq::Seq;
use crate::time::Duration;

/// How long a peer may keep the acknowledgement of a lonely segment to itself (§7.2: TLP.max_ack_delay).
const ACK_DELAY: Duration = Duration::from_millis(200);
/// No probe comes earlier (Linux's two ticks of 4 ms): where a round trip is short, a peer is late for other reasons.
const LEAST: Duration = Duration::from_millis(8);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Tail {
    /// None is under way.
    #[default]
    None,
    /// One is to be sent.
    Due,
    /// One was sent, up to here; `again`: it was sent before.
    Sent { end: Seq, again: bool },
}

impl Tcb {
    /// How long to wait for progress before a probe, if there may be one (§7.2).
    pub(super) fn tail_timeout(&self) -> Option<Duration> {
        let open = self.sack
            && self.tail == Tail::None
            && self.next == self.max
            && self.una - self.recover >= 0
            && self.board.is_clear()
            && self.congestion.recovering().is_none();
        let twice = self.rtt.mean().filter(|_| open)?.times(2).max(LEAST);
        let lonely = self.max.past(self.una) <= self.mss;
        let timeout = if lonely { twice + ACK_DELAY } else { twice };
        // The retransmission timer would run out before it.
        (timeout < self.rtt.timeout()).then_some(timeout)
    }

    /// What a probe consists of, if no new data may be sent: the last segment (§7.3).
    pub(super) fn last_segment(&self, cut: usize) -> (Seq, usize) {
        let (first, end) = self.data();
        let top = self.max.min(end);
        let count = top.past(first).min(cut);
        (top - count, count)
    }

    /// A probe was sent, up to `end`.
    pub(super) fn probed(&mut self, end: Seq, again: bool) {
        self.tail = Tail::Sent { end, again };
    }

    /// What an acknowledgement says of the probe (§7.4). True: it has the probe, and not all before it.
    pub(super) fn hears_of_probe(&mut self, segment: &Segment<'_>) -> bool {
        let Tail::Sent { end, again } = self.tail else { return false };
        let ack = segment.ack;
        if ack - end < 0 {
            return self.board.has(end);
        }
        let blocks = segment.options.sack.as_slice();
        let is_double = blocks.iter().any(|(_, to)| ack - *to >= 0);
        let repeats = ack == self.una && segment.payload.is_empty() && blocks.is_empty();
        if !again || is_double || repeats {
            self.tail = Tail::None;
        } else if ack - end > 0 {
            // The probe made good what was lost, and nothing else told of it.
            self.tail = Tail::None;
            self.congestion.lost_once(self.mss);
        }
        false
    }
}
