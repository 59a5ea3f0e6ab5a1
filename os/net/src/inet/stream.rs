//! TCP connections: made, used, ended.

use super::socket::{Body, Connection, Options, Socket};
use super::{Inet, World};
use crate::errno::{
    EADDRNOTAVAIL, EALREADY, ECONNREFUSED, ECONNRESET, EINVAL, EISCONN, ENETUNREACH, ENOBUFS, ENOTCONN, EOPNOTSUPP,
    EPIPE, ETIMEDOUT,
};
use crate::tcp::segment::HEADER;
use crate::tcp::{Failure, KeepAlive, State, Tcb, Terms};
use crate::time::Duration;
use core::net::{IpAddr, SocketAddr};
use device::{Error, How, Received};
use memory::Promise;

/// What a connection may hold in each direction is this part of the free memory, within bounds.
const PART: usize = 64;
const ROOM_MIN: usize = 4 << 10;
const ROOM_MAX: usize = 256 << 10;
/// The bounds of what a program may ask for instead; the upper is also a sixteenth of the free memory.
const WISH_MIN: u32 = 2 << 10;
const WISH_MAX: u32 = 1 << 20;
/// What connections leave of the memory for everything else: below the first there are no new ones and the others are kept
/// short, below the second nothing more is taken.
const RESERVE: usize = 192 << 10;
const BOTTOM: usize = 32 << 10;
/// What the network takes for a connection that has nothing under way, tables included.
const OWN: usize = 1 << 10;
/// There are new ones only while so much is free in one piece.
const PIECE: usize = 64 << 10;
/// Dirty sockets go out once they are so many, whoever else may follow.
const BURST: usize = 64;

/// How much a connection may hold in each direction.
#[derive(Clone, Copy)]
pub(super) struct Rooms {
    auto: usize,
    most: usize,
    /// There is not enough for what was promised.
    pub(super) scarce: bool,
}

impl Rooms {
    /// With so much memory free.
    pub(super) fn of(memory: usize) -> Self {
        let auto = match memory {
            RESERVE.. => (memory / PART).clamp(ROOM_MIN, ROOM_MAX),
            BOTTOM.. => ROOM_MIN,
            _ => 0,
        };
        Self { auto, most: auto.max(memory / 16), scarce: memory < RESERVE }
    }

    /// What a socket's options leave of it: to receive, to send.
    pub(super) fn with(self, options: &Options) -> (usize, usize) {
        let room = |wish: u32| match wish {
            0 => self.auto,
            wish => (wish.clamp(WISH_MIN, WISH_MAX) as usize).min(self.most),
        };
        // What a program gives us to send is its own affair; a little always fits.
        (room(options.receive_buffer), room(options.send_buffer).max(ROOM_MIN))
    }
}

impl Inet {
    /// Starts to connect.
    pub(super) fn connect_stream(&mut self, world: World<'_>, number: u32, remote: SocketAddr) -> Result<(), Error> {
        let Some(socket) = self.sockets.get_mut(number) else { return Err(EINVAL) };
        match &socket.body {
            Body::Idle => {}
            Body::Connection(c) if c.tcb.is_opening() => return Err(EALREADY),
            Body::Connection(_) => match socket.error.take() {
                Some(errno) => return Err(Error::Errno(errno)),
                None => return Err(EISCONN),
            },
            _ => return Err(EOPNOTSUPP),
        }
        if remote.ip().is_unspecified() || remote.port() == 0 {
            return Err(Error::Errno(ECONNREFUSED));
        }
        if !self.ip.reaches(remote.ip()) {
            return Err(ENETUNREACH);
        }
        let bound = socket.local;
        let ip = match bound.map(|l| l.ip()).filter(|ip| !ip.is_unspecified()) {
            Some(ip) => ip,
            None => self.ip.source(remote.ip()).ok_or(ENETUNREACH)?,
        };
        let port = match bound {
            Some(bound) => bound.port(),
            None => self.connecting_port(world, ip, remote)?,
        };
        let local = SocketAddr::new(ip, port);
        let hash = self.flow_hash((local, remote));
        if self.flow(hash, (local, remote)).is_some() {
            return Err(EADDRNOTAVAIL);
        }
        let terms = self.terms(world, remote.ip(), number).ok_or(EINVAL)?;
        let promise = self.admit(world).ok_or(ENOBUFS)?;
        let tcb = Tcb::connect(world.now, self.first_sequence(world, (local, remote)), terms);
        self.release_port(number);
        let Some(socket) = self.sockets.get_mut(number) else { return Err(EINVAL) };
        socket.local = Some(local);
        socket.error = None;
        socket.body = Body::Connection(alloc::boxed::Box::new(Connection::new(tcb, remote, promise)));
        socket.apply_options();
        self.flows.insert(hash, number);
        self.touch(number);
        self.transmit(world);
        world.frames.flush();
        Err(Error::InProgress)
    }

    /// What our side brings to a connection with this peer, by the options of socket `number`.
    pub(super) fn terms(&mut self, world: World<'_>, remote: IpAddr, number: u32) -> Option<Terms> {
        self.rooms = Rooms::of((world.memory)());
        let (receive_room, send_room) = self.rooms.with(&self.sockets.get(number)?.options);
        Some(Terms { mss: self.segment_size(world, remote), receive_room, send_room })
    }

    /// The segment size towards an address (RFC 9293 §3.7.1).
    pub(super) fn segment_size(&self, world: World<'_>, remote: IpAddr) -> usize {
        self.ip.mtu(world.now, remote) - HEADER - if remote.is_ipv4() { 20 } else { 40 }
    }

    /// Room for one more connection; `None` where memory is short: the served ones are not to suffer for a new one.
    pub(super) fn admit(&self, world: World<'_>) -> Option<Promise> {
        // What is free may be so in pieces that are of use to nobody.
        let mut piece = alloc::vec::Vec::<u8>::new();
        piece.try_reserve_exact(PIECE).ok()?;
        // Or else it would be left out as one that nobody uses.
        drop(core::hint::black_box(piece));
        self.admission.admit((world.memory)(), OWN, RESERVE)
    }

    /// Sends some of `bytes`.
    pub(super) fn send_stream(&mut self, world: World<'_>, number: u32, bytes: &[u8]) -> Result<usize, Error> {
        let rooms = Rooms::of((world.memory)());
        let Some(socket) = self.sockets.get_mut(number) else { return Err(EINVAL) };
        if let Some(errno) = socket.error.take() {
            return Err(Error::Errno(errno));
        }
        let (receive, send) = rooms.with(&socket.options);
        let connection = socket.connection().ok_or(ENOTCONN)?;
        if connection.tcb.is_opening() {
            return Err(Error::WouldBlock);
        }
        if connection.send_shut || !connection.tcb.may_send() {
            return Err(EPIPE);
        }
        connection.promise = None;
        connection.tcb.set_rooms(receive, send, rooms.scarce);
        let taken = connection.tcb.send(bytes);
        if taken < bytes.len() {
            connection.starved = true;
        }
        if taken == 0 && !bytes.is_empty() {
            return Err(Error::WouldBlock);
        }
        self.sent(world, number);
        Ok(taken)
    }

    /// Something stands in a socket's buffer: it leaves now, or together with what is expected to follow at once.
    fn sent(&mut self, world: World<'_>, number: u32) {
        self.answered(number);
        self.touch(number);
        if self.answers_due == 0 || self.dirty.len() >= BURST {
            self.transmit(world);
            world.frames.flush();
        }
    }

    /// A connection that became readable needs no waiting for any more.
    pub(super) fn answered(&mut self, number: u32) {
        let epoch = self.epoch;
        if let Some(connection) = self.sockets.get_mut(number).and_then(|s| s.connection())
            && connection.epoch == epoch
        {
            connection.epoch = 0;
            self.answers_due = self.answers_due.saturating_sub(1);
        }
    }

    /// Receives; 0 is the end.
    pub(super) fn receive_stream(&mut self, number: u32, buffer: &mut [u8], peek: bool) -> Result<Received, Error> {
        let Some(socket) = self.sockets.get_mut(number) else { return Err(EINVAL) };
        let error = &mut socket.error;
        let Body::Connection(connection) = &mut socket.body else { return Err(ENOTCONN) };
        if connection.tcb.is_opening() {
            return match error.take() {
                Some(errno) => Err(Error::Errno(errno)),
                None => Err(Error::WouldBlock),
            };
        }
        if connection.tcb.readable() > 0 && !connection.receive_shut {
            let length = connection.tcb.receive(buffer, peek);
            if connection.tcb.owes() {
                self.touch(number);
            }
            return Ok(Received { length, full_length: length, from: None });
        }
        if let Some(errno) = error.take() {
            return Err(Error::Errno(errno));
        }
        if connection.tcb.peer_is_done() || connection.receive_shut {
            return Ok(Received { length: 0, full_length: 0, from: None });
        }
        Err(Error::WouldBlock)
    }

    /// Ends one direction or both.
    pub(super) fn shut_stream(&mut self, world: World<'_>, number: u32, how: How) -> Result<(), Error> {
        let Some(socket) = self.sockets.get_mut(number) else { return Err(EINVAL) };
        let connection = socket.connection().ok_or(ENOTCONN)?;
        // Both directions have ended: on Linux nothing is left of the connection.
        if connection.tcb.is_opening() || matches!(connection.tcb.state(), State::Closed | State::TimeWait) {
            return Err(ENOTCONN);
        }
        if matches!(how, How::Receive | How::Both) {
            connection.receive_shut = true;
        }
        if matches!(how, How::Send | How::Both) && !connection.send_shut {
            connection.send_shut = true;
            connection.tcb.close();
        }
        socket.changed();
        self.sent(world, number);
        Ok(())
    }

    /// The program lets go of a connection; what was sent is still delivered.
    pub(super) fn close_stream(&mut self, world: World<'_>, number: u32) {
        self.answered(number);
        let Some(socket) = self.sockets.get_mut(number) else { return };
        socket.watch = None;
        // SO_LINGER with a time of 0: a reset instead of an end.
        let reset = socket.options.linger == 1;
        let Some(connection) = socket.connection() else { return };
        connection.orphan = true;
        connection.promise = None;
        let tcb = &mut connection.tcb;
        tcb.orphaned(world.now);
        if reset || tcb.readable() > 0 {
            // RFC 1122 §4.2.2.13: data that nobody will read is answered with a reset.
            tcb.abort();
        } else {
            tcb.close();
        }
        self.sockets.forget(number);
        self.sent(world, number);
    }
}

impl Socket {
    /// The connection went from one state to another.
    pub(super) fn moved(&mut self, before: State, after: State) {
        if let Some(connection) = self.connection() {
            let soft = connection.soft_error;
            if let Some(failure) = connection.tcb.take_failure() {
                self.error = Some(match failure {
                    Failure::Refused => soft.unwrap_or(ECONNREFUSED),
                    Failure::Reset => ECONNRESET,
                    Failure::TimedOut => soft.unwrap_or(ETIMEDOUT),
                });
            }
        }
        if matches!(before, State::SynSent | State::SynReceived) && after != State::Closed {
            self.apply_options();
        }
    }

    /// Tells the connection what the options want of it.
    pub(super) fn apply_options(&mut self) {
        let options = self.options;
        let Some(connection) = self.connection() else { return };
        let seconds = |s: u32| Duration::from_secs(u64::from(s));
        connection.tcb.set_keep_alive(options.keep_alive.then(|| KeepAlive {
            idle: seconds(options.keep_idle.max(1)),
            interval: seconds(options.keep_interval.max(1)),
            count: options.keep_count.max(1),
        }));
        let patience = Duration::from_millis(options.user_timeout.into());
        connection.tcb.set_patience((options.user_timeout > 0).then_some(patience));
    }
}
