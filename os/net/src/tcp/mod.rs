//! TCP (RFC 9293): one connection's state, fed with segments and with the time, that says what to send.
//!
//! A [`Tcb`] knows no sockets, addresses or devices. Whoever owns it gives it segments ([`Tcb::input`]), tells it the time
//! when [`Tcb::deadline`] has come ([`Tcb::on_time`]), and lets it transmit ([`Tcb::output`]) into a [`Sink`]. It takes
//! memory by need: a connection with nothing under way holds none beyond itself.
//!
//! | file | what | by |
//! |---|---|---|
//! | `mod` | the block, what a program asks of it | RFC 9293 §3.9 |
//! | `input` | arriving segments | RFC 9293 §3.10.7, RFC 5961, RFC 7323 |
//! | `acknowledge` | what an acknowledgement says | RFC 5681, RFC 6675 |
//! | `output` | what is sent, and when | RFC 9293 §3.8 |
//! | `rack` | losses by order and time | RFC 8985 §6 |
//! | `tail` | probes for the end of a flight | RFC 8985 §7 |
//! | `timers` | what time brings | RFC 6298, RFC 1122 §4.2.3.6, RFC 5482 |
//! | `rtt`, `congestion`, `scoreboard` | timeouts; how much may be under way; losses | RFC 6298; RFC 9438; RFC 2018 |
//! | `receive`, `segment`, `seq` | bytes in order; the wire's form; arithmetic | |
//!
//! # What differs from the letter
//! - No urgent data: the pointer is ignored, its byte stays in the stream (RFC 6093 §6 advises against its use).
//! - No Nagle algorithm: the owner knows when nothing more is coming, and gathers by that.
//! - The retransmission timer's least value is Linux's 200 ms.

mod acknowledge;
mod congestion;
mod input;
mod output;
mod rack;
mod receive;
mod rtt;
mod scoreboard;
pub(crate) mod segment;
pub(crate) mod seq;
mod tail;
#[cfg(test)]
mod tests;
mod timers;

pub(crate) use input::Verdict;
pub(crate) use timers::KeepAlive;

use crate::time::{Duration, Instant};
use alloc::collections::VecDeque;
use congestion::Congestion;
use rtt::Rtt;
use scoreboard::Scoreboard;
use segment::{Header, SYN, Segment};
use seq::Seq;

/// The scale of our windows: 32 bytes, up to 2 MiB (RFC 7323 §2).
const SCALE: u8 = 5;
/// A peer that names no segment size (RFC 9293 §3.7.1: 536 over IPv4; the difference to IPv6's 1220 is not worth a case).
const MSS_DEFAULT: usize = 536;
/// No path is so narrow (RFC 791: 68 bytes); smaller sizes are a peer's attempt to make us work.
const MSS_MIN: usize = 48;

/// RFC 9293 §3.3.2. LISTEN is the owner's; a block is made when a request has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    SynSent,
    SynReceived,
    Established,
    FinWait1,
    FinWait2,
    CloseWait,
    Closing,
    LastAck,
    TimeWait,
    Closed,
}

/// Why a connection ended before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    Refused,
    Reset,
    TimedOut,
}

/// Where segments go.
pub(crate) trait Sink {
    /// The largest payload of one [`Sink::send`]; more than a segment's only if the link cuts it.
    fn most(&self) -> usize;

    /// Sends a segment whose payload lies in two pieces, cut into parts of `cut` bytes if it is longer than that. False: there
    /// is no room now.
    fn send(&mut self, header: &Header, payload: [&[u8]; 2], cut: usize) -> bool;
}

/// What ends of a connection agreed on, as far as we could know it before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// The segment size that our side of the path takes: frame, less IP and TCP headers without options.
    pub(crate) mss: usize,
    /// Bytes that may wait to be read.
    pub(crate) receive_room: usize,
    /// Bytes that may wait to be sent or acknowledged.
    pub(crate) send_room: usize,
}

/// The transmission control block.
#[derive(Debug)]
pub(crate) struct Tcb {
    state: State,
    failure: Option<Failure>,
    terms: Terms,
    scarce: bool,
    /// The segment size towards the peer, options included.
    mss: usize,

    // Sending. `una` ≤ `next` ≤ `max`; `next` goes back when a timeout makes everything be sent again.
    iss: Seq,
    una: Seq,
    next: Seq,
    max: Seq,
    /// The peer's window, and the largest it ever was.
    window: usize,
    window_max: usize,
    /// Sequence and acknowledgement number of the segment that told it.
    window_from: (Seq, Seq),
    send_scale: u8,
    unsent: VecDeque<u8>,
    /// A FIN follows the last byte.
    finishing: bool,

    // Receiving.
    expected: Seq,
    /// The end of the window that the peer was told.
    edge: Seq,
    receive_scale: u8,
    queue: receive::Queue,
    /// A FIN came early: where it stands.
    fin: Option<Seq>,

    // What the two agreed on.
    sack: bool,
    /// Timestamps: the peer's latest, and when it came.
    stamp: Option<(u32, Instant)>,

    rtt: Rtt,
    congestion: Congestion,
    board: Scoreboard,
    /// Repeated acknowledgements below this tell of what was sent before the last loss (RFC 6582 §3.2).
    recover: Seq,
    rack: rack::Rack,
    tail: tail::Tail,

    // What is to be sent besides data.
    acknowledge: bool,
    reset: bool,
    probe: bool,

    timers: timers::Timers,
    /// How often the retransmission timer ran out.
    #[cfg(test)]
    pub(crate) timeouts: u32,
}

impl Tcb {
    /// Asks for a connection.
    pub(crate) fn connect(now: Instant, iss: Seq, terms: Terms) -> Self {
        Self::new(now, State::SynSent, iss, terms)
    }

    /// Answers a request for one.
    pub(crate) fn answer(now: Instant, iss: Seq, terms: Terms, request: &Segment<'_>) -> Self {
        let mut tcb = Self::new(now, State::SynReceived, iss, terms);
        tcb.take_request(now, request);
        tcb
    }

    /// As [`Tcb::answer`], when the answer was sent before: `iss` is its number.
    pub(crate) fn answered(now: Instant, iss: Seq, terms: Terms, request: &Segment<'_>) -> Self {
        let mut tcb = Self::answer(now, iss, terms, request);
        (tcb.next, tcb.max) = (iss + 1, iss + 1);
        tcb
    }

    #[inline(never)]
    fn new(now: Instant, state: State, iss: Seq, terms: Terms) -> Self {
        Self {
            state,
            failure: None,
            terms,
            scarce: false,
            mss: terms.mss.min(MSS_DEFAULT),
            iss,
            una: iss,
            next: iss,
            max: iss,
            window: 0,
            window_max: 0,
            window_from: (iss, iss),
            send_scale: 0,
            unsent: VecDeque::new(),
            finishing: false,
            expected: Seq(0),
            edge: Seq(0),
            receive_scale: SCALE,
            queue: receive::Queue::default(),
            fin: None,
            sack: false,
            stamp: None,
            rtt: Rtt::new(),
            congestion: Congestion::new(terms.mss.min(MSS_DEFAULT)),
            board: Scoreboard::new(iss),
            recover: iss,
            rack: rack::Rack::new(iss),
            tail: tail::Tail::None,
            acknowledge: false,
            reset: false,
            probe: false,
            timers: timers::Timers::new(now),
            #[cfg(test)]
            timeouts: 0,
        }
    }

    /// What the peer's SYN says (RFC 9293 §3.10.7.2, RFC 7323 §2.2).
    fn take_request(&mut self, now: Instant, segment: &Segment<'_>) {
        debug_assert!(segment.has(SYN), "only a SYN has these options");
        let options = &segment.options;
        self.expected = segment.seq + 1;
        self.edge = self.expected + self.terms.receive_room.min(usize::from(u16::MAX));
        let theirs = options.mss.map_or(MSS_DEFAULT, usize::from).max(MSS_MIN);
        self.mss = self.terms.mss.min(theirs);
        (self.send_scale, self.receive_scale) = match options.scale {
            Some(scale) => (scale, SCALE),
            None => (0, 0),
        };
        self.sack = options.sack_permitted;
        self.stamp = options.timestamps.map(|(value, _)| (value, now));
        self.window = usize::from(segment.window);
        self.window_max = self.window;
        self.window_from = (segment.seq, self.iss);
        self.congestion = Congestion::new(self.mss);
    }

    pub(crate) fn state(&self) -> State {
        self.state
    }

    /// Why it ended; told once.
    pub(crate) fn take_failure(&mut self) -> Option<Failure> {
        self.failure.take()
    }

    /// Is it being made?
    pub(crate) fn is_opening(&self) -> bool {
        matches!(self.state, State::SynSent | State::SynReceived)
    }

    /// Will the peer send no more?
    pub(crate) fn peer_is_done(&self) -> bool {
        use State::*;
        matches!(self.state, CloseWait | LastAck | Closing | TimeWait | Closed)
    }

    /// Can bytes still be given to it?
    pub(crate) fn may_send(&self) -> bool {
        matches!(self.state, State::Established | State::CloseWait)
    }

    /// The largest segment towards the peer, options included (`TCP_MAXSEG`).
    pub(crate) fn segment_size(&self) -> usize {
        self.mss
    }

    /// Bytes that wait to be sent or acknowledged.
    pub(crate) fn pending(&self) -> usize {
        self.unsent.len()
    }

    /// Bytes that it would take now.
    pub(crate) fn send_room(&self) -> usize {
        self.terms.send_room.saturating_sub(self.unsent.len())
    }

    /// Bytes that can be read.
    pub(crate) fn readable(&self) -> usize {
        self.queue.len()
    }

    /// How much may wait in each direction; what waits already stays. What the peer was promised is taken all the same,
    /// unless memory is so `scarce` that the promise cannot be kept: it will send that again.
    pub(crate) fn set_rooms(&mut self, receive: usize, send: usize, scarce: bool) {
        (self.terms.receive_room, self.terms.send_room) = (receive, send);
        self.scarce = scarce;
    }

    /// Takes bytes to send; how many.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> usize {
        let count = bytes.len().min(self.send_room());
        if self.unsent.capacity() == 0 && self.unsent.try_reserve_exact(count).is_err() {
            return 0;
        }
        if receive::extend(&mut self.unsent, &bytes[..count]) { count } else { 0 }
    }

    /// Reads; with `peek` the bytes stay.
    pub(crate) fn receive(&mut self, buffer: &mut [u8], peek: bool) -> usize {
        let count = self.queue.read(buffer, peek);
        if !peek && self.owes_window() {
            self.acknowledge = true;
        }
        count
    }

    /// Has output anything to do at once, besides data?
    pub(crate) fn owes(&self) -> bool {
        self.acknowledge || self.reset
    }

    /// No more to send: a FIN follows what was given (RFC 9293 §3.10.4).
    pub(crate) fn close(&mut self) {
        self.state = match self.state {
            State::SynSent => return self.end(),
            State::SynReceived | State::Established => State::FinWait1,
            State::CloseWait => State::LastAck,
            _ => return,
        };
        self.finishing = true;
    }

    /// Ends it at once; the peer is told (RFC 9293 §3.10.5).
    pub(crate) fn abort(&mut self) {
        use State::*;
        self.reset = matches!(self.state, SynReceived | Established | FinWait1 | FinWait2 | CloseWait);
        self.queue.clear();
        self.end();
    }

    /// Nothing is sent any more. What was received can still be read.
    fn end(&mut self) {
        self.state = State::Closed;
        self.unsent = VecDeque::new();
        self.board = Scoreboard::new(self.una);
        self.acknowledge = false;
    }

    /// Ends it for this reason.
    pub(crate) fn fail(&mut self, failure: Failure) {
        self.end();
        self.failure = Some(failure);
    }

    /// The path takes only so much (RFC 1191 §6.5): what is under way beyond it is sent again, smaller.
    pub(crate) fn narrow(&mut self, mss: usize) {
        let mss = mss.max(MSS_MIN);
        if mss < self.mss {
            self.mss = mss;
            if !self.is_opening() {
                self.next = self.una;
                self.rtt.sent_again();
            }
        }
    }

    /// Was this sequence number sent, and not acknowledged yet?
    pub(crate) fn is_under_way(&self, sequence: u32) -> bool {
        Seq(sequence) - self.una >= 0 && self.max - Seq(sequence) > 0
    }

    /// Where the bytes of `unsent` begin, and where they end: the SYN stands before them.
    fn data(&self) -> (Seq, Seq) {
        let first = if self.una == self.iss { self.una + 1 } else { self.una };
        (first, first + self.unsent.len())
    }

    /// The next byte that is expected; for TIME-WAIT's record.
    pub(crate) fn expected(&self) -> Seq {
        self.expected
    }

    /// The end of what was sent; likewise.
    pub(crate) fn sent_end(&self) -> Seq {
        self.max
    }

    /// Our timestamp of now: milliseconds from a start of its own (RFC 7323 §5.4).
    fn clock(&self, now: Instant) -> u32 {
        ((now.micros() / 1000) as u32).wrapping_add(self.iss.0)
    }

    /// Bytes of memory behind it, itself not counted.
    #[cfg(test)]
    pub(crate) fn memory(&self) -> usize {
        self.unsent.capacity() + self.queue.memory()
    }

    /// Where it stands, without its bytes.
    #[cfg(test)]
    pub(crate) fn summary(&self) -> alloc::string::String {
        let [next, max, recover] = [self.next, self.max, self.recover].map(|at| at - self.una);
        alloc::format!(
            "{:?}: from una {} next {next} max {max} recover {recover}, window {}, unsent {}, readable {}, edge {}, {:?}, \
             {:?}, {:?}, {:?}",
            self.state,
            self.una.0,
            self.window,
            self.unsent.len(),
            self.queue.len(),
            self.edge - self.expected,
            self.rtt,
            self.congestion,
            self.board,
            self.timers,
        )
    }

    /// Until when nothing happens by itself.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        if self.state == State::Closed {
            return None;
        }
        let doubt = self.rack.doubt.map(|(_, due)| due);
        self.timers.deadline(self.keep_alive_due(), doubt)
    }

    fn give_up_after(&self) -> Duration {
        self.timers.limit(self.is_opening())
    }
}
