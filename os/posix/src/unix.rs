//! Socket pairs (POSIX `socketpair`, `AF_UNIX`): streams, and datagrams that keep their bounds.
//!
//! Programs use them to wake themselves up (tokio's signal driver) and to talk between threads. Those that are made one by
//! one are in [`named`].

pub mod named;

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU8, Ordering::Relaxed};
use sync::SpinLock;

use crate::errno::{Errno, Result};
use crate::events::{self, HUP, RDHUP, READABLE, WRITABLE};
use crate::file::{Description, File, Kind, NON_BLOCKING, Open, READ_WRITE};
use crate::observe::Observers;
use crate::options::{self, Timeouts};
use crate::pipe::Channel;
use crate::socket::{AF_UNIX, Address, DATAGRAM, Received, SEQUENCED, STREAM, Socket};
use crate::stat::{self, Stat};
use named::Label;

/// Messages that one direction of a datagram pair holds.
const MESSAGES_MAX: usize = 256;

/// One side of a pair.
struct Side {
    kind: u32,
    observers: Arc<Observers>,
    incoming: Way,
    outgoing: Way,
    timeouts: Timeouts,
    /// The names of this side and of the other.
    labels: (Option<Arc<Label>>, Option<Arc<Label>>),
    /// What both sides know of their connection: [`WAITS`], [`STANDS`] or [`REFUSED`].
    fate: Arc<AtomicU8>,
}

/// Nobody has accepted it yet.
const WAITS: u8 = 0;
/// It was accepted, or needs not be.
const STANDS: u8 = 1;
/// The listener went before it was accepted, and nobody was told yet.
const REFUSED: u8 = 2;

/// One direction.
#[derive(Clone)]
enum Way {
    Stream(Arc<Channel>),
    Messages(Arc<Messages>),
}

/// A one-way queue of datagrams.
struct Messages {
    state: SpinLock<MessageState>,
    readers: Arc<Observers>,
    writers: Arc<Observers>,
}

struct MessageState {
    queue: VecDeque<Box<[u8]>>,
    reader_open: bool,
    writer_open: bool,
}

/// A connected pair of this `SOCK_*` type; `flags` may hold `O_NONBLOCK`.
pub fn pair(kind: u32, flags: u32) -> Result<(Open, Open)> {
    if ![STREAM, DATAGRAM, SEQUENCED].contains(&kind) {
        return Err(Errno::SOCKTNOSUPPORT);
    }
    let (left, right) = Side::two(kind, Arc::new(Observers::new()), None, None);
    left.fate.store(STANDS, Relaxed);
    let open = |side| Description::open(side, READ_WRITE | flags & NON_BLOCKING);
    Ok((open(left), open(right)))
}

/// `SO_PEERCRED`?
fn is_credentials(level: u32, name: u32) -> bool {
    (level, name) == (options::SOL_SOCKET, 17)
}

/// Who is at the other end (`struct ucred`): process 1, user and group 0, as everybody in a machine. Gives the length.
fn credentials(value: &mut [u8]) -> usize {
    options::copy(value, &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
}

impl Side {
    /// Two that are connected: one whose observers and name are these, and the other.
    fn two(kind: u32, left: Arc<Observers>, own: Option<Arc<Label>>, other: Option<Arc<Label>>) -> (Side, Side) {
        let right = Arc::new(Observers::new());
        let there = Way::new(kind, &right, &left);
        let back = Way::new(kind, &left, &right);
        let fate = Arc::new(AtomicU8::new(WAITS));
        let side = |observers, incoming: &Way, outgoing: &Way, labels| {
            let (incoming, outgoing, fate) = (incoming.clone(), outgoing.clone(), fate.clone());
            Side { kind, observers, incoming, outgoing, timeouts: Timeouts::default(), labels, fate }
        };
        (side(left, &back, &there, (own.clone(), other.clone())), side(right, &there, &back, (other, own)))
    }

    /// Ends both directions.
    fn end(&self) {
        self.incoming.close_reader();
        self.outgoing.close_writer();
    }
}

impl Way {
    fn new(kind: u32, readers: &Arc<Observers>, writers: &Arc<Observers>) -> Way {
        let (readers, writers) = (readers.clone(), writers.clone());
        if kind == STREAM {
            return Way::Stream(Channel::new(readers, writers));
        }
        let state = MessageState { queue: VecDeque::new(), reader_open: true, writer_open: true };
        Way::Messages(Arc::new(Messages { state: SpinLock::new(state), readers, writers }))
    }

    fn receive(&self, buffer: &mut [u8], peek: bool) -> Result<Received> {
        match self {
            Way::Stream(channel) => {
                let length = channel.read(buffer, peek)?;
                Ok(Received { length, full_length: length, from: None })
            }
            Way::Messages(messages) => messages.receive(buffer, peek),
        }
    }

    fn send(&self, bytes: &[u8]) -> Result<usize> {
        match self {
            Way::Stream(channel) => channel.write(bytes),
            Way::Messages(messages) => messages.send(bytes),
        }
    }

    fn close_reader(&self) {
        match self {
            Way::Stream(channel) => channel.close_reader(),
            Way::Messages(messages) => messages.close(true),
        }
    }

    fn close_writer(&self) {
        match self {
            Way::Stream(channel) => channel.close_writer(),
            Way::Messages(messages) => messages.close(false),
        }
    }

    /// Bytes there, and whether no more will come.
    fn readable(&self) -> (usize, bool, bool) {
        match self {
            Way::Stream(channel) => {
                let state = channel.readable();
                (state.bytes, state.bytes > 0, state.ended)
            }
            Way::Messages(messages) => {
                let state = messages.state.lock();
                let first = state.queue.front().map_or(0, |m| m.len());
                (first, !state.queue.is_empty(), !state.writer_open || !state.reader_open)
            }
        }
    }

    /// Is there room, and has either side ended it?
    fn writable(&self) -> (bool, bool) {
        match self {
            Way::Stream(channel) => {
                let state = channel.writable();
                (state.room, state.broken || state.ended)
            }
            Way::Messages(messages) => {
                let state = messages.state.lock();
                (state.queue.len() < MESSAGES_MAX, !state.writer_open || !state.reader_open)
            }
        }
    }
}

impl Messages {
    fn receive(&self, buffer: &mut [u8], peek: bool) -> Result<Received> {
        let mut state = self.state.lock();
        let Some(message) = state.queue.front() else {
            let open = state.writer_open && state.reader_open;
            return if open { Err(Errno::AGAIN) } else { Ok(Received::default()) };
        };
        let length = message.len().min(buffer.len());
        buffer[..length].copy_from_slice(&message[..length]);
        let got = Received { length, full_length: message.len(), from: None };
        let taken = if peek { None } else { state.queue.pop_front() };
        let watched = taken.is_some() && self.writers.watched();
        drop(state);
        drop(taken);
        if watched {
            self.writers.notify(WRITABLE);
        }
        Ok(got)
    }

    fn send(&self, bytes: &[u8]) -> Result<usize> {
        if bytes.len() > crate::pipe::CAPACITY {
            return Err(Errno::MSGSIZE);
        }
        let mut message = alloc::vec::Vec::new();
        message.try_reserve_exact(bytes.len()).map_err(|_| Errno::NOBUFS)?;
        message.extend_from_slice(bytes);
        let mut state = self.state.lock();
        if !state.reader_open || !state.writer_open {
            return Err(Errno::PIPE);
        }
        if state.queue.len() >= MESSAGES_MAX || state.queue.try_reserve(1).is_err() {
            return Err(Errno::AGAIN);
        }
        state.queue.push_back(message.into_boxed_slice());
        let watched = self.readers.watched();
        drop(state);
        if watched {
            self.readers.notify(READABLE);
        }
        Ok(bytes.len())
    }

    fn close(&self, reader: bool) {
        let mut state = self.state.lock();
        if reader {
            state.reader_open = false;
        } else {
            state.writer_open = false;
        }
        drop(state);
        self.readers.notify(READABLE | HUP);
        self.writers.notify(WRITABLE | events::ERR);
    }
}

impl File for Side {
    #[inline]
    fn read(&self, buffer: &mut [u8]) -> Result<usize> {
        self.incoming.receive(buffer, false).map(|r| r.length)
    }

    #[inline]
    fn write(&self, bytes: &[u8]) -> Result<usize> {
        self.outgoing.send(bytes)
    }

    fn ready(&self) -> u32 {
        let (_, data, ended) = self.incoming.readable();
        let (room, broken) = self.outgoing.writable();
        let mut bits = 0;
        bits |= if data || ended { READABLE } else { 0 };
        bits |= if ended { RDHUP } else { 0 };
        bits |= if room || broken { WRITABLE } else { 0 };
        bits | if ended && broken { HUP } else { 0 }
    }

    fn observers(&self) -> Option<&Observers> {
        Some(&self.observers)
    }

    fn stat(&self) -> Stat {
        Stat::special(stat::SOCKET | 0o777)
    }

    fn available(&self) -> Result<usize> {
        Ok(self.incoming.readable().0)
    }

    fn timeout_ns(&self, writing: bool) -> u64 {
        self.timeouts.get(writing)
    }

    fn kind(&self) -> Kind<'_> {
        Kind::Socket(self)
    }
}

impl Socket for Side {
    fn family_and_type(&self) -> (u32, u32) {
        (AF_UNIX, self.kind)
    }

    fn receive(&self, buffer: &mut [u8], peek: bool) -> Result<Received> {
        self.incoming.receive(buffer, peek)
    }

    fn send(&self, bytes: &[u8], to: Option<Address>) -> Result<usize> {
        match to {
            None => self.outgoing.send(bytes),
            Some(_) => Err(Errno::ISCONN),
        }
    }

    fn shutdown(&self, receive: bool, send: bool) -> Result<()> {
        if receive {
            self.incoming.close_reader();
        }
        if send {
            self.outgoing.close_writer();
        }
        Ok(())
    }

    fn local(&self) -> Result<Address> {
        Ok(Address::Unix(self.labels.0.as_ref().map_or(0, |label| label.number)))
    }

    fn peer(&self) -> Result<Address> {
        Ok(Address::Unix(self.labels.1.as_ref().map_or(0, |label| label.number)))
    }

    fn set_option(&self, level: u32, name: u32, value: &[u8]) -> Result<()> {
        options::set_common(level, name, value, &self.timeouts, self.family_and_type().0)
    }

    fn option(&self, level: u32, name: u32, value: &mut [u8]) -> Result<usize> {
        if is_credentials(level, name) {
            return Ok(credentials(value));
        }
        let is_error = (level, name) == (options::SOL_SOCKET, options::SO_ERROR);
        if is_error && self.fate.compare_exchange(REFUSED, STANDS, Relaxed, Relaxed).is_ok() {
            return options::give(value, Errno::CONNRESET.0 as u32);
        }
        options::get_common(level, name, value, &self.timeouts, self.family_and_type())
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        _ = self.fate.compare_exchange(WAITS, REFUSED, Relaxed, Relaxed);
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::{IN, OUT};

    #[test]
    fn a_stream_pair_talks_both_ways_and_half_closes() {
        let (left, right) = pair(STREAM, NON_BLOCKING).expect("a known type");
        assert_eq!(left.file().write(b"ping"), Ok(4));
        let mut buffer = [0; 16];
        assert_eq!(right.file().read(&mut buffer), Ok(4));
        assert_eq!(right.file().write(b"pong"), Ok(4));
        left.socket().expect("a socket").shutdown(false, true).expect("open");
        assert_eq!(left.file().write(b"x"), Err(Errno::PIPE));
        assert_eq!(right.file().read(&mut buffer), Ok(0));
        assert_eq!(right.file().ready() & (IN | RDHUP | HUP | OUT), IN | RDHUP | OUT);
        assert_eq!(left.file().read(&mut buffer), Ok(4));
        drop(right);
        assert_ne!(left.file().ready() & HUP, 0);
    }

    #[test]
    fn datagrams_keep_their_bounds() {
        let (left, right) = pair(DATAGRAM, NON_BLOCKING).expect("a known type");
        left.file().write(b"first").expect("room");
        left.file().write(b"second").expect("room");
        let mut buffer = [0; 3];
        let socket = right.socket().expect("a socket");
        let got = socket.receive(&mut buffer, true).expect("data");
        assert_eq!((got.length, got.full_length), (3, 5));
        assert_eq!(socket.receive(&mut buffer, false).expect("data").full_length, 5);
        assert_eq!(socket.receive(&mut buffer, false).expect("data").full_length, 6);
        assert_eq!(socket.receive(&mut buffer, false), Err(Errno::AGAIN));
    }
}
