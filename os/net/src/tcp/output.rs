//! What is sent, and when (RFC 9293 §3.8): lost data first, then new data as far as both windows allow, then, if
//! nothing carried it, an acknowledgement.

use super::segment::{ACK, FIN, HEADER, Header, Options, PSH, RST, SYN};
use super::seq::Seq;
use super::tail::Tail;
use super::{SCALE, Sink, State, Tcb};
use crate::time::Instant;

/// Selective acknowledgements beside timestamps: what a header has room for.
const BLOCKS: usize = 3;

impl Tcb {
    /// Sends what there is to send; false if the link had no room for all of it.
    pub(crate) fn output(&mut self, now: Instant, sink: &mut dyn Sink) -> bool {
        if self.reset {
            self.reset = false;
            let header = Header { seq: self.max, ack: self.expected, flags: RST | ACK, ..Header::default() };
            if !sink.send(&header, [&[]; 2], 0) {
                self.reset = true;
                return false;
            }
        }
        if self.state == State::Closed {
            return true;
        }
        if self.una == self.iss {
            // Data and our end wait for the peer's acknowledgement.
            return self.next != self.iss || self.send_request(now, sink);
        }
        // Data carries the acknowledgement, but not what came early.
        if self.acknowledge && self.queue.has_early() && !self.send_acknowledgement(now, sink, self.max) {
            return false;
        }
        loop {
            match self.send_data(now, sink) {
                Some(true) => {}
                Some(false) => return false,
                None => break,
            }
        }
        self.retime(now);
        if core::mem::take(&mut self.probe) {
            // An old number makes the peer tell where it stands: one that it has acknowledged. Of what was sent since it may
            // have nothing, if a timeout took that back.
            return self.send_acknowledgement(now, sink, self.una - 1);
        }
        !self.acknowledge || self.send_acknowledgement(now, sink, self.max)
    }

    /// SYN, alone or with the acknowledgement of the peer's.
    fn send_request(&mut self, now: Instant, sink: &mut dyn Sink) -> bool {
        let answers = self.state != State::SynSent;
        let options = Options {
            mss: Some(self.terms.mss.min(usize::from(u16::MAX)) as u16),
            scale: (!answers || self.receive_scale > 0).then_some(SCALE),
            sack_permitted: !answers || self.sack,
            timestamps: match (answers, self.stamp) {
                (false, _) => Some((self.clock(now), 0)),
                (true, stamp) => stamp.map(|(value, _)| (self.clock(now), value)),
            },
            ..Options::default()
        };
        let header = Header {
            seq: self.iss,
            ack: self.expected,
            flags: if answers { SYN | ACK } else { SYN },
            window: self.terms.receive_room.min(usize::from(u16::MAX)) as u16,
            options,
        };
        if !sink.send(&header, [&[]; 2], 0) {
            return false;
        }
        self.next = self.iss + 1;
        match self.max == self.iss {
            true => self.rtt.sent(now, self.next),
            false => self.rtt.sent_again(),
        }
        self.max = self.max.max(self.next);
        self.acknowledge = false;
        self.retime(now);
        true
    }

    /// Sends a piece of data, or the end; `None` if there is none that may be sent now.
    fn send_data(&mut self, now: Instant, sink: &mut dyn Sink) -> Option<bool> {
        let mut header = self.header(now, ACK);
        let cut = self.mss.saturating_sub(header.length() - HEADER).max(1);
        let (seq, count) = self.choose(now, cut, sink.most())?;
        let (first, end) = self.data();
        let ends = self.finishing && seq + count == end;
        header.seq = seq;
        if ends {
            header.flags |= FIN;
        }
        if count > 0 && seq + count == end {
            header.flags |= PSH;
        }
        let payload = slices(&self.unsent, seq.past(first), count);
        if !sink.send(&header, payload, cut) {
            return Some(false);
        }
        self.sent(now, seq, seq + count + usize::from(ends));
        Some(true)
    }

    /// What to send next: where it begins, and how many bytes (none for a FIN alone).
    fn choose(&mut self, now: Instant, cut: usize, most: usize) -> Option<(Seq, usize)> {
        let (_, end) = self.data();
        if self.tail == Tail::Due {
            if self.max != self.una {
                return self.choose_new(cut, cut, cut).or_else(|| Some(self.last_segment(cut)));
            }
            self.tail = Tail::None;
        }
        if self.congestion.recovering().is_some() {
            let room = self.congestion.window().saturating_sub(self.board.pipe(self.next, self.mss));
            if let Some((seq, hole)) = self.board.lost()
                // The first is what recovery begins with; it asks nobody.
                && (seq == self.una || room >= cut)
            {
                let count = hole.min(end.past(seq)).min(room.max(cut)).min(whole(most, cut));
                return Some((seq, count));
            }
            return self.choose_new(room, cut, most);
        }
        if self.una == self.max && now.since(self.timers.sent) > self.rtt.timeout() {
            self.congestion.idled(self.mss);
        }
        let limited = match self.sack {
            true => 0,
            // RFC 3042: a segment of new data for each of the first repeated acknowledgements.
            false => self.board.repeated.min(2) * self.mss,
        };
        let under_way = self.board.flight(self.una, self.next);
        self.choose_new((self.congestion.window() + limited).saturating_sub(under_way), cut, most)
    }

    /// From `next` on, as far as `room` and the peer's window go.
    fn choose_new(&mut self, room: usize, cut: usize, most: usize) -> Option<(Seq, usize)> {
        let (_, end) = self.data();
        let (seq, gap) = self.board.gap(self.next);
        let open = (self.una + self.window).past(seq);
        let rest = end.past(seq).min(gap);
        if rest == 0 {
            let due = self.finishing && seq == end;
            if due {
                self.next = seq;
            }
            return due.then_some((seq, 0));
        }
        let mut count = rest.min(open).min(room);
        if count > cut {
            // Whole segments, unless it is the end.
            count = count.min(whole(most, cut));
            if count < rest {
                count -= count % cut;
            }
        }
        // RFC 9293 §3.8.6.2.1: no silly windows, but once in a while what fits.
        let worth = count == rest || count >= cut || count > 0 && (count >= self.window_max / 2 || self.probe);
        if worth {
            self.next = seq;
        }
        worth.then_some((seq, count))
    }

    /// Sequence numbers from `from` to `to` are under way.
    fn sent(&mut self, now: Instant, from: Seq, to: Seq) {
        self.carried();
        if self.tail == Tail::Due {
            self.probed(self.max.max(to), self.max - from > 0);
        }
        if to - self.max > 0 && from == self.max {
            self.rtt.sent(now, to);
        } else {
            self.rtt.sent_again();
        }
        if self.congestion.recovering().is_some() && self.next - from > 0 {
            self.board.sent_again(now, from, to, self.max);
        }
        if from == self.next {
            self.next = to;
        }
        self.max = self.max.max(to);
        self.probe = false;
        self.timers.sent = now;
    }

    /// An acknowledgement, with this sequence number.
    fn send_acknowledgement(&mut self, now: Instant, sink: &mut dyn Sink, seq: Seq) -> bool {
        let mut header = self.header(now, ACK);
        header.seq = seq;
        if self.sack && self.queue.has_early() {
            header.options.sack = self.queue.blocks(BLOCKS);
        }
        if !sink.send(&header, [&[]; 2], 0) {
            self.acknowledge = true;
            return false;
        }
        self.carried();
        true
    }

    /// What was sent told the peer where we stand.
    fn carried(&mut self) {
        self.acknowledge = false;
        self.timers.acknowledged();
    }

    /// A header with what every segment tells. The window's end moves on by it.
    fn header(&mut self, now: Instant, flags: u8) -> Header {
        if self.owes_window() {
            self.edge = self.window_end();
        }
        let window = self.edge.past(self.expected) >> self.receive_scale;
        let timestamps = self.stamp.map(|(value, _)| (self.clock(now), value));
        Header {
            seq: self.next,
            ack: self.expected,
            flags,
            window: window.min(usize::from(u16::MAX)) as u16,
            options: Options { timestamps, ..Options::default() },
        }
    }

    /// Where the window would end if it were told now; it never goes back (RFC 9293 §3.8.6).
    fn window_end(&self) -> Seq {
        let room = self.terms.receive_room.saturating_sub(self.queue.len());
        self.edge.max(self.expected + room.min(usize::from(u16::MAX) << self.receive_scale))
    }

    /// Has the window grown by so much that the peer should know (RFC 9293 §3.8.6.2.2)?
    pub(super) fn owes_window(&self) -> bool {
        let grown = self.window_end().past(self.edge);
        grown > 0 && grown >= (self.terms.receive_room / 4).min(8 * self.mss)
    }

    /// Nothing is under way, and what waits does not fit the peer's window.
    pub(super) fn wants_probe(&self) -> bool {
        let (_, end) = self.data();
        self.next == self.una && self.una != self.iss && end != self.una
    }
}

/// The largest number of bytes that is `most` at most and whole segments, at least one.
fn whole(most: usize, cut: usize) -> usize {
    (most - most % cut).max(cut)
}

/// `count` bytes from `at` on.
fn slices(bytes: &alloc::collections::VecDeque<u8>, at: usize, count: usize) -> [&[u8]; 2] {
    let (front, back) = bytes.as_slices();
    match front.get(at..) {
        Some(rest) if !rest.is_empty() => {
            let split = count.min(rest.len());
            [&rest[..split], &back[..count - split]]
        }
        _ => {
            let at = at - front.len();
            [&back[at..at + count], &[]]
        }
    }
}
