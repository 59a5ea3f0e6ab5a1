//! What an acknowledgement says: what has arrived, how much more may come, what is lost (RFC 5681 §3, RFC 6675 §5,
//! RFC 8985 §6.2).

use super::scoreboard::News;
use super::segment::{FIN, Segment};
use super::tail::Tail;
use super::{State, Tcb, receive};
use crate::time::Instant;

impl Tcb {
    /// Takes the acknowledgement of a segment that has a valid one.
    pub(super) fn acknowledged(&mut self, now: Instant, segment: &Segment<'_>) {
        let ack = segment.ack;
        let mut news = News::default();
        if self.sack {
            news = self.board.take(&segment.options.sack, ack.max(self.una), self.max);
        }
        let repeats = ack == self.una && segment.payload.is_empty() && !segment.has(FIN) && self.max != self.una;
        let opened = self.take_window(segment);
        let tail_lost = self.hears_of_probe(segment);
        // After a timeout everything is sent again, and acknowledgements of then and of now cannot be told apart.
        let is_plain = |tcb: &Self| tcb.congestion.recovering().is_some() || tcb.una - tcb.recover >= 0;
        news.overtaken &= is_plain(self);
        if ack - self.una > 0 {
            news.overtaken |= is_plain(self) && self.board.waits_for_first(self.una);
            self.advance(now, segment);
        } else if news.any || repeats && !self.sack && !opened {
            self.board.repeated += 1;
        }
        if is_plain(self) {
            if tail_lost {
                self.board.lose(self.max);
            }
            if !self.sack && (self.congestion.recovering().is_some() || self.board.is_past_threshold(self.mss)) {
                self.board.lose((self.una + self.mss).min(self.max));
            }
            self.hears_of_order(now, segment, news.overtaken);
        }
        self.retime(now);
    }

    /// Something is lost for the first time since the last recovery: another begins (RFC 6675 §5).
    pub(super) fn recovers(&mut self, now: Instant) {
        if self.congestion.recovering().is_none()
            && self.una - self.recover >= 0
            && self.board.lost_end() - self.una > 0
            && self.max != self.una
        {
            self.congestion.lost(self.max.past(self.una), self.mss, self.max);
            self.recover = self.max;
            self.tail = Tail::None;
            self.rack.recovery(now);
        }
    }

    /// More has arrived than was known.
    fn advance(&mut self, now: Instant, segment: &Segment<'_>) {
        let (first, end) = self.data();
        let under_way = self.board.flight(self.una, self.next.max(self.una));
        let bytes = segment.ack.min(end).past(first);
        let limited = 2 * under_way >= self.congestion.window();
        let whole = segment.ack.past(self.una);
        self.una = segment.ack;
        // It follows, or after 2 GiB without a loss it would seem to lie ahead.
        if self.una - self.recover > 0 {
            self.recover = self.una;
        }
        self.next = self.next.max(self.una);
        receive::skip(&mut self.unsent, bytes);
        self.rtt.acknowledged(now, self.una);
        self.board.acknowledged(self.una, whole.div_ceil(self.mss));
        self.congestion.acknowledged(self.una, bytes, self.mss, limited);
        if self.congestion.recovering().is_none() && self.una - self.recover >= 0 {
            self.board.repeated = 0;
        }
        self.timers.progressed(now, self.una != self.max);
        if self.finishing && segment.ack - end > 0 {
            self.finished(now);
        }
    }

    /// Our FIN has arrived (RFC 9293 §3.10.7.4, fifth).
    fn finished(&mut self, now: Instant) {
        self.state = match self.state {
            State::FinWait1 => State::FinWait2,
            State::Closing => State::TimeWait,
            State::LastAck => return self.end(),
            other => other,
        };
        if self.state == State::FinWait2 {
            self.timers.linger(now);
        }
    }

    /// RFC 9293 §3.10.7.4: only a segment that is not older than the one before tells the window. True if it grew.
    fn take_window(&mut self, segment: &Segment<'_>) -> bool {
        let (seq, ack) = self.window_from;
        let newer = segment.seq - seq > 0 || segment.seq == seq && segment.ack - ack >= 0;
        if !newer || segment.ack - self.una < 0 {
            return false;
        }
        let window = usize::from(segment.window) << self.send_scale;
        let changed = window != self.window;
        self.window = window;
        self.window_max = self.window_max.max(window);
        self.window_from = (segment.seq, segment.ack);
        changed
    }
}
