//! One socket: its queues, its state, and what each event does to it. No device, no locks: [`crate::host`] has those.
//!
//! # Sending
//! Where the far side deals with a send at once ([`device::Sent::Done`]), nothing is kept. Where it only queues, the bytes stay
//! in `unsent` until their status has come, with one send of a stream under way at a time: the far side may take a part,
//! and a second send behind it would then overtake the rest.

use abi::hostnet::{DATAGRAM_OVERHEAD, EventHeader, RECEIVE_WINDOW, SendStatus};
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::SocketAddr;
use device::{Ancillary, Error, Kind, Ready, Received, Watch};
use memory::Promise;

use crate::bytes::ByteQueue;
use crate::convert;

/// Bytes of a stream that wait here for the far side, at most.
pub(crate) const UNSENT_MAX: usize = 256 << 10;
/// Credit is sent when this much is owed: often enough that the far side never runs into the window's end.
const CREDIT_STEP: u32 = RECEIVE_WINDOW / 4;

/// `EAGAIN`
pub(crate) const AGAIN: i32 = 11;
const NO_MEMORY: i32 = 12;
const INVALID: i32 = 22;
const BROKEN_PIPE: i32 = 32;
const NOT_CONNECTED: i32 = 107;

/// Where a socket stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Neither connected nor listening.
    Fresh,
    Listening,
    Connecting,
    Connected,
    /// A connect failed, or the connection broke.
    Failed,
}

/// A connection that nobody has accepted yet.
#[derive(Clone, Copy)]
pub(crate) struct Arrival {
    pub(crate) number: u32,
    pub(crate) peer: SocketAddr,
}

struct Datagram {
    from: Option<SocketAddr>,
    ancillary: Ancillary,
    full_length: usize,
    bytes: Box<[u8]>,
}

/// The state behind a socket's lock.
pub(crate) struct Socket {
    pub(crate) kind: Kind,
    pub(crate) phase: Phase,
    pub(crate) local: Option<SocketAddr>,
    pub(crate) peer: Option<SocketAddr>,
    pub(crate) watch: Option<Arc<dyn Watch>>,
    pub(crate) arrivals: VecDeque<Arrival>,
    pub(crate) backlog: u32,
    /// What is kept for the program, until it sends something.
    pub(crate) promise: Option<Promise>,
    /// Bytes or connections that the program has taken and the far side does not know of.
    owed: u32,
    received: ByteQueue,
    datagrams: VecDeque<Datagram>,
    receive_ended: bool,
    receive_shut: bool,
    error: i32,
    pub(crate) send_shut: bool,
    /// The far side's socket is full; [`abi::hostnet::Event::Writable`] follows.
    pub(crate) blocked: bool,
    /// A queued send's status has not come. Datagrams: how many.
    pub(crate) under_way: u32,
    pub(crate) unsent: ByteQueue,
    /// Shut down or closed once `unsent` is empty.
    pub(crate) ending: Ending,
}

/// What is put off until everything is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Ending {
    #[default]
    Open,
    Shutdown,
    Close,
}

impl Socket {
    pub(crate) fn new(kind: Kind) -> Socket {
        Socket {
            kind,
            phase: Phase::Fresh,
            local: None,
            peer: None,
            watch: None,
            arrivals: VecDeque::new(),
            backlog: 0,
            promise: None,
            owed: 0,
            received: ByteQueue::new(),
            datagrams: VecDeque::new(),
            receive_ended: false,
            receive_shut: false,
            error: 0,
            send_shut: false,
            blocked: false,
            under_way: 0,
            unsent: ByteQueue::new(),
            ending: Ending::Open,
        }
    }

    /// A connection that a listener has got.
    pub(crate) fn arrived(peer: Option<SocketAddr>, local: Option<SocketAddr>) -> Socket {
        Socket { phase: Phase::Connected, peer, local, ..Socket::new(Kind::Stream) }
    }

    pub(crate) fn ready(&self) -> Ready {
        let stream = self.kind == Kind::Stream;
        let mut bits = Ready::default();
        let mut set = |condition: bool, bit: Ready| {
            if condition {
                bits = bits | bit;
            }
        };
        set(self.error != 0, Ready::ERROR);
        match self.phase {
            Phase::Listening => set(!self.arrivals.is_empty(), Ready::READ),
            Phase::Connecting => {}
            Phase::Fresh if stream => set(true, Ready::WRITE | Ready::HANG_UP),
            Phase::Failed => {
                set(true, Ready::READ | Ready::WRITE | Ready::READ_END | Ready::HANG_UP);
            }
            Phase::Fresh | Phase::Connected => {
                let ended = stream && (self.receive_ended || self.receive_shut);
                let data = !self.received.is_empty() || !self.datagrams.is_empty();
                set(data || ended || self.receive_shut || stream && self.error != 0, Ready::READ);
                set(self.has_room() || self.send_shut, Ready::WRITE);
                set(ended, Ready::READ_END);
                set(ended && self.send_shut, Ready::HANG_UP);
            }
        }
        bits
    }

    /// Would a send be taken?
    pub(crate) fn has_room(&self) -> bool {
        !self.blocked && self.unsent.len() < UNSENT_MAX
    }

    pub(crate) fn available(&self) -> usize {
        match self.kind {
            Kind::Stream => self.received.len(),
            Kind::Datagram => self.datagrams.front().map_or(0, |d| d.bytes.len()),
        }
    }

    /// The pending error, taken.
    pub(crate) fn take_error(&mut self) -> i32 {
        core::mem::take(&mut self.error)
    }

    /// What goes along is left in `ancillary` where the caller asks for it.
    #[inline]
    pub(crate) fn receive(
        &mut self,
        buffer: &mut [u8],
        peek: bool,
        ancillary: Option<&mut Ancillary>,
    ) -> Result<Received, Error> {
        match self.kind {
            Kind::Stream => self.receive_bytes(buffer, peek),
            Kind::Datagram => self.receive_datagram(buffer, peek, ancillary),
        }
    }

    #[inline]
    fn receive_bytes(&mut self, buffer: &mut [u8], peek: bool) -> Result<Received, Error> {
        let length = if peek { self.received.peek(buffer) } else { self.received.pop(buffer) };
        if length == 0 && (!buffer.is_empty() || self.received.is_empty()) {
            return self.receive_nothing();
        }
        if !peek {
            self.owe(length as u32);
        }
        Ok(Received { length, full_length: length, from: None })
    }

    fn receive_datagram(
        &mut self,
        buffer: &mut [u8],
        peek: bool,
        ancillary: Option<&mut Ancillary>,
    ) -> Result<Received, Error> {
        let Some(datagram) = self.datagrams.front() else { return self.receive_nothing() };
        if let Some(ancillary) = ancillary {
            *ancillary = datagram.ancillary;
        }
        let length = datagram.bytes.len().min(buffer.len());
        buffer[..length].copy_from_slice(&datagram.bytes[..length]);
        let got = Received { length, full_length: datagram.full_length, from: datagram.from };
        if !peek {
            let credit = datagram.bytes.len() as u32 + DATAGRAM_OVERHEAD;
            self.datagrams.pop_front();
            self.owe(credit);
        }
        Ok(got)
    }

    /// What a receive says that found no data.
    #[cold]
    fn receive_nothing(&mut self) -> Result<Received, Error> {
        if self.error != 0 {
            return Err(Error::Errno(self.take_error()));
        }
        match self.phase {
            _ if self.receive_shut => Ok(Received { length: 0, full_length: 0, from: None }),
            _ if self.kind == Kind::Datagram => Err(Error::WouldBlock),
            Phase::Connecting => Err(Error::WouldBlock),
            Phase::Fresh | Phase::Listening => Err(Error::Errno(NOT_CONNECTED)),
            Phase::Connected if !self.receive_ended => Err(Error::WouldBlock),
            Phase::Connected | Phase::Failed => Ok(Received { length: 0, full_length: 0, from: None }),
        }
    }

    /// The far side may be told of so many more bytes or connections that are dealt with.
    pub(crate) fn owe(&mut self, amount: u32) {
        self.owed = self.owed.saturating_add(amount);
    }

    /// The next connection of a listener.
    pub(crate) fn accept(&mut self) -> Result<Arrival, Error> {
        if self.phase != Phase::Listening {
            return Err(Error::Errno(INVALID));
        }
        let arrival = self.arrivals.pop_front().ok_or(Error::WouldBlock)?;
        self.owe(1);
        Ok(arrival)
    }

    /// Credit that is due now.
    #[inline]
    pub(crate) fn credit_due(&self) -> Option<u32> {
        let step = if self.phase == Phase::Listening { (self.backlog / 4).max(1) } else { CREDIT_STEP };
        (self.owed >= step).then_some(self.owed)
    }

    /// The far side was told of `credit`.
    pub(crate) fn credited(&mut self, credit: u32) {
        self.owed -= credit.min(self.owed);
    }

    /// Why a send cannot even be tried, if so.
    #[inline]
    pub(crate) fn may_send(&mut self) -> Result<(), Error> {
        if self.error != 0 {
            return Err(Error::Errno(self.take_error()));
        }
        match self.phase {
            _ if self.send_shut => Err(Error::Errno(BROKEN_PIPE)),
            _ if self.kind == Kind::Datagram => Ok(()),
            Phase::Connected => Ok(()),
            Phase::Connecting => Err(Error::WouldBlock),
            Phase::Failed => Err(Error::Errno(BROKEN_PIPE)),
            Phase::Fresh | Phase::Listening => Err(Error::Errno(BROKEN_PIPE)),
        }
        .and_then(|()| if self.has_room() { Ok(()) } else { Err(Error::WouldBlock) })
    }

    /// A send that was dealt with at once.
    #[inline]
    pub(crate) fn sent_now(&mut self, length: usize, status: SendStatus) -> Result<usize, Error> {
        let taken = (status.taken as usize).min(length);
        match status.status.saturating_neg() {
            0 => Ok(taken),
            AGAIN => {
                self.blocked = true;
                if taken > 0 { Ok(taken) } else { Err(Error::WouldBlock) }
            }
            number if self.kind == Kind::Stream => {
                // The connection is gone; what arrived before stays readable.
                self.receive_ended = true;
                Err(Error::Errno(number))
            }
            number => Err(Error::Errno(number)),
        }
    }

    /// A queued send's status. Returns true if the socket has become readier.
    pub(crate) fn sent_later(&mut self, status: SendStatus) -> bool {
        self.under_way = self.under_way.saturating_sub(1);
        let number = status.status.saturating_neg();
        if self.kind == Kind::Stream {
            self.unsent.discard(status.taken as usize);
        }
        match number {
            0 => {}
            AGAIN => self.blocked = true,
            _ => self.fail(number),
        }
        self.has_room()
    }

    pub(crate) fn fail(&mut self, number: i32) {
        self.error = number;
        if self.kind == Kind::Stream {
            self.phase = Phase::Failed;
            self.receive_ended = true;
            self.blocked = false;
            self.unsent.clear();
        }
    }

    pub(crate) fn shut(&mut self, receive: bool, send: bool) {
        self.receive_shut |= receive;
        self.send_shut |= send;
    }

    /// Is everything handed over, so that an [`Ending`] can be carried out?
    pub(crate) fn is_drained(&self) -> bool {
        self.unsent.is_empty() && self.under_way == 0
    }

    /// `Data` has come. Data for which there is no memory breaks the connection, and only this one.
    pub(crate) fn data(&mut self, header: &EventHeader, bytes: &[u8]) {
        if self.receive_shut {
            self.owe(bytes.len() as u32);
            return;
        }
        let stored = match self.kind {
            Kind::Stream => self.received.push(bytes).is_ok(),
            Kind::Datagram => self.store_datagram(header, bytes),
        };
        if !stored && self.kind == Kind::Stream {
            self.fail(NO_MEMORY);
        }
    }

    fn store_datagram(&mut self, header: &EventHeader, bytes: &[u8]) -> bool {
        let mut copy = Vec::new();
        if copy.try_reserve_exact(bytes.len()).is_err() || self.datagrams.try_reserve(1).is_err() {
            // Lost, as datagrams may be.
            self.owe(bytes.len() as u32 + DATAGRAM_OVERHEAD);
            return false;
        }
        copy.extend_from_slice(bytes);
        let from = convert::from_device(&header.peer);
        let full_length = (header.full_length as usize).max(bytes.len());
        let ancillary = convert::ancillary(header);
        self.datagrams.push_back(Datagram { from, ancillary, full_length, bytes: copy.into_boxed_slice() });
        true
    }

    /// `End` has come.
    pub(crate) fn end(&mut self) {
        self.receive_ended = true;
    }

    /// `Connected` has come.
    pub(crate) fn connected(&mut self, local: Option<SocketAddr>) {
        self.phase = Phase::Connected;
        self.local = local.or(self.local);
    }
}
