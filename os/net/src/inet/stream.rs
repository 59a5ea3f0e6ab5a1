//! TCP connections: made, used, ended.

use super::egress::Cause;
use super::socket::{Body, Connection, Socket};
use super::{Inet, World};
use crate::errno::{
    EALREADY, ECONNREFUSED, ECONNRESET, EINVAL, EISCONN, ENETUNREACH, ENOBUFS, ENOTCONN, EOPNOTSUPP, EPIPE, ETIMEDOUT,
};
use core::net::{IpAddr, SocketAddr};
use device::{Error, How, Received};
use memory::{Admission, Promise};
use smoltcp::socket::tcp::{self, CongestionControl, State};
use smoltcp::time::Duration;
use smoltcp::wire::{IpEndpoint, IpListenEndpoint};

/// How long a connection request is repeated (Linux's six retries).
const CONNECTING: Duration = Duration::from_secs(127);
/// How long a connection that nobody has any more waits for its peer (Linux's tcp_fin_timeout).
const LINGERING: Duration = Duration::from_secs(60);
/// A buffer is this part of the free memory, within bounds.
const PART: usize = 256;
const BUFFER_MIN: usize = 4 << 10;
const BUFFER_MAX: usize = 64 << 10;
/// What connections leave of the memory for everything else.
const RESERVE: usize = 192 << 10;
/// Dirty sockets go out once they are so many, whoever else may follow.
const BURST: usize = 64;

/// A socket with buffers, and what is promised to its program; `None` where memory is short: the served ones are not to
/// suffer for a new one.
pub(super) fn with_buffers(memory: usize, admission: &Admission) -> Option<(tcp::Socket<'static>, Promise)> {
    let size = (memory / PART).clamp(BUFFER_MIN, BUFFER_MAX).next_power_of_two().min(BUFFER_MAX);
    let promise = admission.admit(memory, 2 * size, RESERVE)?;
    let buffer = || {
        let mut bytes = alloc::vec::Vec::new();
        // The memory may be free in smaller pieces only.
        bytes.try_reserve_exact(size).ok()?;
        bytes.resize(size, 0);
        Some(tcp::SocketBuffer::new(bytes))
    };
    let mut socket = tcp::Socket::new(buffer()?, buffer()?);
    // What to gather is decided by `Inet::sent`, which knows when nothing more is coming; Nagle's algorithm (RFC 9293
    // §3.7.4) would guess.
    socket.set_nagle_enabled(false);
    // Linux's shortest (TCP_DELACK_MIN): time for an answer that the acknowledgement can travel with.
    socket.set_ack_delay(Some(Duration::from_millis(40)));
    socket.set_congestion_control(CongestionControl::Reno);
    socket.set_timeout(Some(CONNECTING));
    Some((socket, promise))
}

impl Inet {
    /// Starts to connect.
    pub(super) fn connect_stream(&mut self, world: World<'_>, number: u32, remote: SocketAddr) -> Result<(), Error> {
        let Some(socket) = self.sockets.get_mut(number) else { return Err(EINVAL) };
        match &socket.body {
            Body::Idle => {}
            Body::Connection(c) if matches!(c.tcp().state(), State::SynSent) => return Err(EALREADY),
            Body::Connection(_) => match socket.error.take() {
                Some(errno) => return Err(Error::Errno(errno)),
                None => return Err(EISCONN),
            },
            _ => return Err(EOPNOTSUPP),
        }
        if remote.ip().is_unspecified() || remote.port() == 0 {
            return Err(Error::Errno(ECONNREFUSED));
        }
        if !self.addressing.reaches(remote.ip()) {
            return Err(ENETUNREACH);
        }
        let bound = socket.local;
        let hop_limit = socket.options.hop_limit as u8;
        let ip = match bound.map(|l| l.ip()).filter(|ip| !ip.is_unspecified()) {
            Some(ip) => ip,
            None => self.interface.get_source_address(&remote.ip().into()).ok_or(ENETUNREACH)?.into(),
        };
        let port = match bound {
            Some(bound) => bound.port(),
            None => self.connecting_port(world, ip, remote)?,
        };
        let local = SocketAddr::new(ip, port);
        let hash = self.flow_hash((local, remote));
        if self.flow(hash, (local, remote)).is_some() {
            return Err(crate::errno::EADDRNOTAVAIL);
        }
        let (mut tcp, promise) = with_buffers((world.memory)(), &self.admission).ok_or(ENOBUFS)?;
        tcp.set_hop_limit(Some(hop_limit.max(1)));
        let ends =
            (IpEndpoint::new(remote.ip().into(), remote.port()), IpListenEndpoint { addr: Some(ip.into()), port });
        tcp.connect(self.interface.context(), ends.0, ends.1).map_err(|_| ENETUNREACH)?;
        self.release_port(number);
        let Some(socket) = self.sockets.get_mut(number) else { return Err(EINVAL) };
        socket.local = Some(local);
        socket.error = None;
        socket.body = Body::Connection(alloc::boxed::Box::new(Connection::new(tcp, remote, promise)));
        self.flows.insert(hash, number);
        self.touch(number);
        self.transmit(world);
        world.frames.flush();
        Err(Error::InProgress)
    }

    /// Sends some of `bytes`.
    pub(super) fn send_stream(&mut self, world: World<'_>, number: u32, bytes: &[u8]) -> Result<usize, Error> {
        let Some(socket) = self.sockets.get_mut(number) else { return Err(EINVAL) };
        if let Some(errno) = socket.error.take() {
            return Err(Error::Errno(errno));
        }
        let connection = socket.connection().ok_or(ENOTCONN)?;
        if connection.is_connecting() {
            return Err(Error::WouldBlock);
        }
        if connection.send_shut {
            return Err(EPIPE);
        }
        connection.promise = None;
        let taken = connection.tcp_mut().send_slice(bytes).map_err(|_| EPIPE)?;
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
        if connection.is_connecting() {
            return match error.take() {
                Some(errno) => Err(Error::Errno(errno)),
                None => Err(Error::WouldBlock),
            };
        }
        if connection.tcp().can_recv() && !connection.receive_shut {
            let tcp = connection.tcp_mut();
            let length = if peek { tcp.peek_slice(buffer).unwrap_or(0) } else { tcp.recv_slice(buffer).unwrap_or(0) };
            if !peek {
                connection.consumed += length;
                // Half the buffer is free again: the peer may want to know (RFC 9293 §3.8.6.2.2).
                if connection.consumed >= connection.tcp().recv_capacity() / 2 {
                    connection.consumed = 0;
                    self.touch(number);
                }
            }
            return Ok(Received { length, full_length: length, from: None });
        }
        if let Some(errno) = error.take() {
            return Err(Error::Errno(errno));
        }
        if connection.peer_done() || connection.receive_shut {
            return Ok(Received { length: 0, full_length: 0, from: None });
        }
        Err(Error::WouldBlock)
    }

    /// Ends one direction or both.
    pub(super) fn shut_stream(&mut self, world: World<'_>, number: u32, how: How) -> Result<(), Error> {
        let Some(socket) = self.sockets.get_mut(number) else { return Err(EINVAL) };
        let connection = socket.connection().ok_or(ENOTCONN)?;
        if connection.is_connecting() || connection.tcp().state() == State::Closed {
            return Err(ENOTCONN);
        }
        if matches!(how, How::Receive | How::Both) {
            connection.receive_shut = true;
        }
        if matches!(how, How::Send | How::Both) && !connection.send_shut {
            connection.send_shut = true;
            connection.tcp_mut().close();
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
        let tcp = connection.tcp_mut();
        tcp.set_timeout(Some(LINGERING));
        // Nobody will send anything that an acknowledgement could travel with.
        tcp.set_ack_delay(None);
        if reset || tcp.can_recv() {
            // RFC 1122 §4.2.2.13: data that nobody will read is answered with a reset.
            tcp.abort();
        } else {
            tcp.close();
        }
        self.sockets.forget(number);
        self.sent(world, number);
    }
}

impl Connection {
    pub(super) fn is_connecting(&self) -> bool {
        matches!(self.tcp().state(), State::SynSent | State::SynReceived | State::Listen)
    }
}

impl Socket {
    /// The connection went from one state to another.
    pub(super) fn moved(&mut self, before: State, after: State, cause: Cause) {
        use State::*;
        let timeout = cause == Cause::Time;
        match (before, after) {
            (SynSent, Closed) => self.error = Some(if timeout { ETIMEDOUT } else { ECONNREFUSED }),
            (Established | FinWait1 | FinWait2 | CloseWait, Closed) => {
                self.error = Some(if timeout { ETIMEDOUT } else { ECONNRESET });
            }
            (SynSent | SynReceived, Established | CloseWait) => self.apply_keep_alive(),
            _ => {}
        }
    }

    /// Sets smoltcp's timers as the options want them.
    pub(super) fn apply_keep_alive(&mut self) {
        let options = self.options;
        let Some(connection) = self.connection() else { return };
        if connection.orphan || connection.is_connecting() {
            return;
        }
        let seconds = |s: u32| Duration::from_secs(u64::from(s));
        let tcp = connection.tcp_mut();
        if options.keep_alive {
            // One interval for the first probe and the later ones; the limit leaves room for at least two.
            let limit = (options.keep_idle + options.keep_interval * options.keep_count)
                .max(2 * options.keep_idle + options.keep_interval);
            tcp.set_keep_alive(Some(seconds(options.keep_idle.max(1))));
            tcp.set_timeout(Some(seconds(limit.max(2))));
        } else {
            tcp.set_keep_alive(None);
            tcp.set_timeout(None);
        }
        tcp.set_hop_limit(Some((options.hop_limit as u8).max(1)));
    }
}

/// The source address of a datagram or connection, if it was bound to one.
pub(super) fn particular(local: Option<SocketAddr>) -> Option<IpAddr> {
    local.map(|l| l.ip()).filter(|ip| !ip.is_unspecified())
}
