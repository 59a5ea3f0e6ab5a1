//! Unix sockets that are made one by one and find each other by name (`unix(7)`), among the threads of this machine: there is
//! nobody else to talk to.
//!
//! A name is a path or, with a NUL before it, an abstract one, which lasts as long as its socket is open. Where the machine
//! has a tree of names, a path is a file of it: who is there is found by the file's inode, so the name may be moved, and the
//! file stays when the socket is gone. Where it has none, a path is known to sockets alone, like an abstract name. A stream
//! that has found its peer is a [`Side`] of a pair as `socketpair` makes them. A datagram socket has one inbox; who finds it
//! full waits to be told by it.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::Ordering::Relaxed;
use sync::{Once, SpinLock};

use super::{MESSAGES_MAX, STANDS, Side, credentials, is_credentials};
use crate::errno::{Errno, Result};
use crate::events::{HUP, READABLE, WRITABLE};
use crate::file::{Description, File, Kind, NON_BLOCKING, Open, READ_WRITE};
use crate::names::Names as Tree;
use crate::observe::Observers;
use crate::options::{self, Timeouts};
use crate::socket::{AF_UNIX, Address, DATAGRAM, Received, SEQUENCED, STREAM, Socket};
use crate::stat::{self, Stat};

/// The longest name, in bytes (`sun_path`).
pub const NAME_MAX: usize = 108;

/// A name that is taken. Sockets that were accepted under it keep it, too; it is free when the last of them is gone.
pub(super) struct Label {
    /// Its number in [`Address::Unix`], from 1.
    pub(super) number: u32,
}

struct Entry {
    number: u32,
    name: Box<[u8]>,
    /// The inode of the file that stands for it, or 0.
    node: u64,
    socket: Weak<Shared>,
}

impl Entry {
    fn is(&self, name: &[u8], node: u64) -> bool {
        self.node == node && (node != 0 || *self.name == *name)
    }
}

struct Names {
    last: u32,
    entries: Vec<Entry>,
}

static NAMES: SpinLock<Names> = SpinLock::new(Names { last: 0, entries: Vec::new() });

impl Names {
    /// Whoever is there under a name. The reference MUST NOT be given up while the names are locked: it may be the last.
    fn find(&self, name: &[u8], node: u64) -> Option<Arc<Shared>> {
        self.entries.iter().rev().filter(|entry| entry.is(name, node)).find_map(|entry| entry.socket.upgrade())
    }

    fn take(&mut self, name: &[u8], node: u64, socket: &Arc<Shared>) -> Result<Arc<Label>> {
        let is_taken = |entry: &Entry| entry.is(name, node) && entry.socket.strong_count() > 0;
        if self.entries.iter().any(is_taken) {
            return Err(Errno::ADDRINUSE);
        }
        self.entries.try_reserve(1).map_err(|_| Errno::NOMEM)?;
        self.last += 1;
        let number = self.last;
        self.entries.push(Entry { number, name: name.into(), node, socket: Arc::downgrade(socket) });
        Ok(Arc::new(Label { number }))
    }
}

impl Drop for Label {
    fn drop(&mut self) {
        let mut names = NAMES.lock();
        let at = names.entries.iter().position(|entry| entry.number == self.number);
        let gone = at.map(|at| names.entries.swap_remove(at));
        drop(names);
        drop(gone);
    }
}

/// The name behind a number, into `out`; its length. 0 for a number that stands for none any more.
pub fn name_of(number: u32, out: &mut [u8; NAME_MAX]) -> usize {
    let names = NAMES.lock();
    let entry = names.entries.iter().find(|entry| entry.number == number);
    entry.map_or(0, |entry| {
        out[..entry.name.len()].copy_from_slice(&entry.name);
        entry.name.len()
    })
}

/// The address of whoever is there under a name: to send to.
///
/// # Errors
/// `ENOENT` for a path that is not there, `ECONNREFUSED` for a name that nobody has.
pub fn address_of(name: &[u8], names: Option<&dyn Tree>) -> Result<Address> {
    let node = node_of(name, names)?;
    let found = NAMES.lock().find(name, node);
    Ok(Address::Unix(found.ok_or(nobody(name, node))?.number()))
}

fn nobody(name: &[u8], node: u64) -> Errno {
    if node != 0 || name.first() == Some(&0) { Errno::CONNREFUSED } else { Errno::NOENT }
}

fn is_path(name: &[u8]) -> bool {
    name.first().is_some_and(|first| *first != 0)
}

/// The inode of the file that stands for a name; 0 where none does.
pub(crate) fn node_of(name: &[u8], names: Option<&dyn Tree>) -> Result<u64> {
    names.filter(|_| is_path(name)).map_or(Ok(0), |names| names.socket(name))
}

/// `bind` of a Unix socket: in a tree of names, a path becomes a file of this mode.
///
/// # Errors
/// Those of making a file, `EADDRINUSE` where there is one, `EINVAL` for a socket that has a name.
pub fn bind(socket: &dyn Socket, name: &[u8], names: Option<&dyn Tree>, mode: u32) -> Result<()> {
    match names.filter(|_| is_path(name)) {
        Some(names) => names.bind(socket, name, mode),
        None => socket.bind_name(name, 0),
    }
}

/// A socket by itself.
struct Unix(Arc<Shared>);

struct Shared {
    kind: u32,
    observers: Arc<Observers>,
    timeouts: Timeouts,
    /// A stream's side once it is connected.
    side: Once<Side>,
    state: SpinLock<State>,
}

#[derive(Default)]
struct State {
    label: Option<Arc<Label>>,
    /// Of a socket that listens: how many may wait, and who does.
    backlog: Option<usize>,
    pending: VecDeque<Side>,
    /// Datagrams, each with its sender's number.
    inbox: VecDeque<(u32, Box<[u8]>)>,
    /// Who found no room, and is told when there is some.
    crowd: Vec<Arc<Observers>>,
    /// Where a datagram socket is connected to.
    peer: Option<(Weak<Shared>, u32)>,
    receives_no_more: bool,
    sends_no_more: bool,
}

/// A socket of this `SOCK_*` type; `flags` may hold `O_NONBLOCK`.
///
/// # Errors
/// `ESOCKTNOSUPPORT`.
pub fn socket(kind: u32, flags: u32) -> Result<Open> {
    if ![STREAM, DATAGRAM, SEQUENCED].contains(&kind) {
        return Err(Errno::SOCKTNOSUPPORT);
    }
    let (observers, timeouts) = (Arc::new(Observers::new()), Timeouts::default());
    let shared = Shared { kind, observers, timeouts, side: Once::new(), state: SpinLock::new(State::default()) };
    Ok(Description::open(Unix(Arc::new(shared)), READ_WRITE | flags & NON_BLOCKING))
}

impl State {
    /// Waits, as `observers`, for room.
    fn join_crowd(&mut self, observers: &Arc<Observers>) -> Errno {
        let is_new = !self.crowd.iter().any(|other| Arc::ptr_eq(other, observers));
        if is_new && self.crowd.try_reserve(1).is_ok() {
            self.crowd.push(observers.clone());
        }
        Errno::AGAIN
    }
}

impl Shared {
    fn number(&self) -> u32 {
        self.state.lock().label.as_ref().map_or(0, |label| label.number)
    }

    /// Puts a datagram from `sender` into the inbox.
    fn deliver(&self, sender: &Shared, bytes: &[u8]) -> Result<usize> {
        if self.kind != DATAGRAM {
            return Err(Errno::PROTOTYPE);
        }
        if bytes.len() > crate::pipe::CAPACITY {
            return Err(Errno::MSGSIZE);
        }
        let from = sender.number();
        let mut message = Vec::new();
        message.try_reserve_exact(bytes.len()).map_err(|_| Errno::NOBUFS)?;
        message.extend_from_slice(bytes);
        let mut state = self.state.lock();
        if state.receives_no_more {
            return Err(Errno::PIPE);
        }
        if state.inbox.len() >= MESSAGES_MAX || state.inbox.try_reserve(1).is_err() {
            return Err(state.join_crowd(&sender.observers));
        }
        state.inbox.push_back((from, message.into_boxed_slice()));
        drop(state);
        self.observers.notify(READABLE);
        Ok(bytes.len())
    }

    /// Takes something away by `take`, and tells who waits for the room.
    fn make_room<T>(&self, take: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state.lock();
        let taken = take(&mut state);
        let crowd = core::mem::take(&mut state.crowd);
        drop(state);
        crowd.iter().for_each(|observers| observers.notify(WRITABLE));
        taken
    }

    /// Connects a stream to `target`, which listens.
    fn join(&self, target: &Shared) -> Result<()> {
        if self.side.get().is_some() {
            return Err(Errno::ISCONN);
        }
        if target.kind != self.kind {
            return Err(Errno::PROTOTYPE);
        }
        let own = self.state.lock().label.clone();
        let mut state = target.state.lock();
        let Some(backlog) = state.backlog.filter(|_| !state.receives_no_more) else { return Err(Errno::CONNREFUSED) };
        if state.pending.len() > backlog || state.pending.try_reserve(1).is_err() {
            return Err(state.join_crowd(&self.observers));
        }
        let sides = Side::two(self.kind, self.observers.clone(), own, state.label.clone());
        self.side.get_or_init(|| sides.0);
        state.pending.push_back(sides.1);
        drop(state);
        target.observers.notify(READABLE);
        self.observers.notify(WRITABLE);
        Ok(())
    }
}

impl Unix {
    fn side(&self) -> Result<&Side> {
        self.0.side.get().ok_or(Errno::NOTCONN)
    }
}

impl File for Unix {
    fn read(&self, buffer: &mut [u8]) -> Result<usize> {
        self.receive(buffer, false).map(|got| got.length)
    }

    fn write(&self, bytes: &[u8]) -> Result<usize> {
        self.send(bytes, None)
    }

    fn ready(&self) -> u32 {
        if let Some(side) = self.0.side.get() {
            return side.ready();
        }
        let state = self.0.state.lock();
        if self.0.kind != DATAGRAM {
            return match state.backlog {
                Some(_) if state.pending.is_empty() => 0,
                Some(_) => READABLE,
                None => WRITABLE | HUP,
            };
        }
        let readable = if state.inbox.is_empty() && !state.receives_no_more { 0 } else { READABLE };
        let peer = state.peer.as_ref().and_then(|(peer, _)| peer.upgrade());
        drop(state);
        let is_full = peer.is_some_and(|peer| {
            let mut state = peer.state.lock();
            let is_full = state.inbox.len() >= MESSAGES_MAX;
            // Whoever looks wants to be told.
            is_full && state.join_crowd(&self.0.observers) == Errno::AGAIN
        });
        readable | if is_full { 0 } else { WRITABLE }
    }

    fn observers(&self) -> Option<&Observers> {
        Some(&self.0.observers)
    }

    fn stat(&self) -> Stat {
        Stat::special(stat::SOCKET | 0o777)
    }

    fn available(&self) -> Result<usize> {
        match self.0.side.get() {
            Some(side) => side.available(),
            None => Ok(self.0.state.lock().inbox.front().map_or(0, |(_, message)| message.len())),
        }
    }

    fn timeout_ns(&self, writing: bool) -> u64 {
        self.0.timeouts.get(writing)
    }

    fn kind(&self) -> Kind<'_> {
        Kind::Socket(self)
    }
}

impl Socket for Unix {
    fn family_and_type(&self) -> (u32, u32) {
        (AF_UNIX, self.0.kind)
    }

    fn receive(&self, buffer: &mut [u8], peek: bool) -> Result<Received> {
        if self.0.kind != DATAGRAM {
            return self.side().map_err(|_| Errno::INVAL)?.receive(buffer, peek);
        }
        let taken = self.0.make_room(|state| {
            let ended = state.receives_no_more;
            let Some((from, message)) = state.inbox.front() else {
                return if ended { Ok((Received::default(), None)) } else { Err(Errno::AGAIN) };
            };
            let length = message.len().min(buffer.len());
            buffer[..length].copy_from_slice(&message[..length]);
            let from = Some(Address::Unix(*from));
            let got = Received { length, full_length: message.len(), from };
            Ok((got, if peek { None } else { state.inbox.pop_front() }))
        });
        taken.map(|(got, _)| got)
    }

    fn send(&self, bytes: &[u8], to: Option<Address>) -> Result<usize> {
        if self.0.kind != DATAGRAM {
            return self.side()?.send(bytes, to);
        }
        let state = self.0.state.lock();
        if state.sends_no_more {
            return Err(Errno::PIPE);
        }
        let peer = state.peer.as_ref().map(|(peer, _)| peer.upgrade());
        drop(state);
        let target = match (to, peer) {
            (Some(Address::Unix(number)), _) => {
                let names = NAMES.lock();
                names.entries.iter().find(|entry| entry.number == number).and_then(|entry| entry.socket.upgrade())
            }
            (Some(Address::Inet(_)), _) => return Err(Errno::AFNOSUPPORT),
            (None, Some(peer)) => peer,
            (None, None) => return Err(Errno::NOTCONN),
        };
        target.ok_or(Errno::CONNREFUSED)?.deliver(&self.0, bytes)
    }

    fn shutdown(&self, receive: bool, send: bool) -> Result<()> {
        if let Some(side) = self.0.side.get() {
            return side.shutdown(receive, send);
        }
        let mut state = self.0.state.lock();
        state.receives_no_more |= receive;
        state.sends_no_more |= send;
        drop(state);
        self.0.observers.notify(READABLE | WRITABLE);
        Ok(())
    }

    fn local(&self) -> Result<Address> {
        Ok(Address::Unix(self.0.number()))
    }

    fn peer(&self) -> Result<Address> {
        match self.0.side.get() {
            Some(side) => side.peer(),
            None => self.0.state.lock().peer.as_ref().map(|(_, number)| Address::Unix(*number)).ok_or(Errno::NOTCONN),
        }
    }

    fn bind_name(&self, name: &[u8], node: u64) -> Result<()> {
        if self.0.number() != 0 {
            return Err(Errno::INVAL);
        }
        let label = match name {
            // No name: any abstract one (`unix(7)`, "Autobind feature").
            [] => {
                let mut names = NAMES.lock();
                let digit = |at: u32| b"0123456789abcdef"[(names.last >> (4 * at) & 15) as usize];
                let any = [0, digit(4), digit(3), digit(2), digit(1), digit(0)];
                names.take(&any, 0, &self.0)?
            }
            name => NAMES.lock().take(name, node, &self.0)?,
        };
        self.0.state.lock().label = Some(label);
        Ok(())
    }

    fn listen(&self, backlog: u32) -> Result<()> {
        if self.0.kind == DATAGRAM {
            return Err(Errno::OPNOTSUPP);
        }
        let mut state = self.0.state.lock();
        if state.label.is_none() || self.0.side.get().is_some() {
            return Err(Errno::INVAL);
        }
        state.backlog = Some(backlog as usize);
        Ok(())
    }

    fn connect_name(&self, name: &[u8], node: u64) -> Result<()> {
        let target = NAMES.lock().find(name, node);
        let target = target.ok_or(nobody(name, node))?;
        if self.0.kind != DATAGRAM {
            return self.0.join(&target);
        }
        if target.kind != DATAGRAM {
            return Err(Errno::PROTOTYPE);
        }
        let number = target.number();
        self.0.state.lock().peer = Some((Arc::downgrade(&target), number));
        self.0.observers.notify(WRITABLE);
        Ok(())
    }

    fn disconnect(&self) -> Result<()> {
        self.0.state.lock().peer = None;
        Ok(())
    }

    fn accept(&self, flags: u32) -> Result<(Open, Option<Address>)> {
        if self.0.state.lock().backlog.is_none() {
            return Err(Errno::INVAL);
        }
        let side = self.0.make_room(|state| match state.receives_no_more {
            true => Err(Errno::INVAL),
            false => state.pending.pop_front().ok_or(Errno::AGAIN),
        })?;
        side.fate.store(STANDS, Relaxed);
        let peer = side.peer()?;
        Ok((Description::open(side, READ_WRITE | flags & NON_BLOCKING), Some(peer)))
    }

    fn set_option(&self, level: u32, name: u32, value: &[u8]) -> Result<()> {
        options::set_common(level, name, value, &self.0.timeouts, self.family_and_type().0)
    }

    fn option(&self, level: u32, name: u32, value: &mut [u8]) -> Result<usize> {
        if let Some(side) = self.0.side.get() {
            return side.option(level, name, value);
        }
        match (level, name) {
            _ if is_credentials(level, name) => Ok(credentials(value)),
            (options::SOL_SOCKET, options::SO_ACCEPTCONN) => {
                options::give(value, u32::from(self.0.state.lock().backlog.is_some()))
            }
            _ => options::get_common(level, name, value, &self.0.timeouts, self.family_and_type()),
        }
    }
}

impl Drop for Unix {
    fn drop(&mut self) {
        // Whoever waits for room in it is to find that it is gone; who was never accepted is, with `pending`.
        let left = self.0.make_room(|state| {
            state.receives_no_more = true;
            (core::mem::take(&mut state.pending), core::mem::take(&mut state.inbox), state.label.take())
        });
        drop(left);
        if let Some(side) = self.0.side.get() {
            side.end();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::{IN, OUT};

    fn made(kind: u32) -> Open {
        socket(kind, NON_BLOCKING).expect("a known type")
    }

    #[test]
    fn streams_find_each_other_by_name() {
        let listener = made(STREAM);
        let socket = listener.socket().expect("a socket");
        assert_eq!(socket.listen(1), Err(Errno::INVAL));
        socket.bind_name(b"/tmp/streams", 0).expect("free");
        socket.listen(1).expect("bound");
        assert_eq!(made(STREAM).socket().expect("a socket").bind_name(b"/tmp/streams", 0), Err(Errno::ADDRINUSE));
        let client = made(STREAM);
        assert_eq!(client.file().ready() & HUP, HUP);
        client.socket().expect("a socket").connect_name(b"/tmp/streams", 0).expect("it listens");
        assert_eq!(client.socket().expect("a socket").connect_name(b"/tmp/streams", 0), Err(Errno::ISCONN));
        assert_eq!(listener.file().ready() & IN, IN);
        let (server, peer) = socket.accept(NON_BLOCKING).expect("somebody waits");
        assert_eq!(peer, Some(Address::Unix(0)));
        assert_eq!(client.socket().expect("a socket").peer(), socket.local());
        assert_eq!(client.file().write(b"ping"), Ok(4));
        let mut buffer = [0; 8];
        assert_eq!(server.file().read(&mut buffer), Ok(4));
        drop(listener);
        assert_eq!(made(STREAM).socket().expect("a socket").connect_name(b"/tmp/streams", 0), Err(Errno::NOENT));
        drop(client);
        assert_eq!(server.file().read(&mut buffer), Ok(0));
        assert_ne!(server.file().ready() & HUP, 0);
    }

    #[test]
    fn a_full_backlog_takes_no_more() {
        let (listener, clients) = (made(STREAM), [made(STREAM), made(STREAM), made(STREAM)]);
        listener.socket().expect("a socket").bind_name(b"\0backlog", 0).expect("free");
        listener.socket().expect("a socket").listen(1).expect("bound");
        let join = |client: &Open| client.socket().expect("a socket").connect_name(b"\0backlog", 0);
        assert_eq!(clients.each_ref().map(join), [Ok(()), Ok(()), Err(Errno::AGAIN)]);
        drop(listener);
        assert_ne!(clients[0].file().ready() & HUP, 0);
        let mut error = [0; 4];
        let mut ask = || {
            let length =
                clients[0].socket().expect("a socket").option(options::SOL_SOCKET, options::SO_ERROR, &mut error);
            (length, u32::from_ne_bytes(error))
        };
        assert_eq!([ask(), ask()], [(Ok(4), Errno::CONNRESET.0 as u32), (Ok(4), 0)]);
        assert_eq!(join(&clients[2]), Err(Errno::CONNREFUSED));
    }

    #[test]
    fn datagrams_name_their_sender() {
        let (one, other) = (made(DATAGRAM), made(DATAGRAM));
        let sockets = (one.socket().expect("a socket"), other.socket().expect("a socket"));
        sockets.0.bind_name(b"\0one", 0).expect("free");
        sockets.1.bind_name(&[], 0).expect("any");
        assert_eq!(sockets.1.send(b"x", None), Err(Errno::NOTCONN));
        let to = address_of(b"\0one", None).expect("it is there");
        assert_eq!(sockets.1.send(b"message", Some(to)), Ok(7));
        let mut buffer = [0; 3];
        let got = sockets.0.receive(&mut buffer, false).expect("it came");
        assert_eq!((got.length, got.full_length), (3, 7));
        assert_eq!(got.from, sockets.1.local().ok());
        assert_eq!(sockets.0.receive(&mut buffer, false), Err(Errno::AGAIN));
        sockets.1.connect_name(b"\0one", 0).expect("it is there");
        let count = (0..).take_while(|_| sockets.1.send(b"y", None).is_ok()).count();
        assert_eq!((count, other.file().ready() & OUT), (MESSAGES_MAX, 0));
        sockets.0.receive(&mut buffer, false).expect("full");
        assert_eq!(other.file().ready() & OUT, OUT);
        drop(one);
        assert_eq!(other.socket().expect("a socket").send(b"z", None), Err(Errno::CONNREFUSED));
    }
}
