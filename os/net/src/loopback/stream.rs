//! Connections inside the machine. Each end has the bytes that wait for it; the other end writes there.

use super::pipe::Pipe;
use super::table::{Body, Socket, Table};
use crate::errno::{ECONNREFUSED, ECONNRESET, EINVAL, EISCONN, ENOTCONN, EOPNOTSUPP, EPIPE, PIPE};
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use core::net::SocketAddr;
use device::{Error, How, Ready, Received, SocketId};

/// The longest queue (Linux's somaxconn).
const BACKLOG_MAX: u32 = 4096;

/// A stream socket.
pub(super) enum Stream {
    /// It neither listens nor is it connected.
    Idle,
    /// It listens: the sockets that wait to be accepted, and how many may.
    Listening(VecDeque<SocketId>, u32),
    /// One end of a connection.
    Connected(Box<End>),
}

/// One end.
pub(super) struct End {
    /// The other; `None` once it is closed.
    other: Option<SocketId>,
    pub(super) remote: SocketAddr,
    /// What waits for this end.
    pub(super) input: Pipe,
    receive_shut: bool,
    send_shut: bool,
    /// It came by `accept`.
    pub(super) accepted: bool,
    /// The other end's last try to send here found no room.
    starves: bool,
}

impl End {
    fn stream(other: SocketId, remote: SocketAddr, accepted: bool) -> Stream {
        let input = Pipe::default();
        let end =
            Self { other: Some(other), remote, input, receive_shut: false, send_shut: false, accepted, starves: false };
        Stream::Connected(Box::new(end))
    }
}

impl Stream {
    pub(super) fn listen(&mut self, backlog: u32) -> Result<(), Error> {
        let backlog = backlog.clamp(1, BACKLOG_MAX);
        match self {
            Stream::Idle => *self = Stream::Listening(VecDeque::new(), backlog),
            Stream::Listening(_, most) => *most = backlog,
            Stream::Connected(_) => return Err(EINVAL),
        }
        Ok(())
    }
}

impl Table {
    fn end(&mut self, id: SocketId) -> Result<&mut End, Error> {
        match &mut self.get(id)?.body {
            Body::Stream(Stream::Connected(end)) => Ok(end),
            _ => Err(ENOTCONN),
        }
    }

    pub(super) fn connect_stream(&mut self, id: SocketId, remote: SocketAddr) -> Result<(), Error> {
        match &self.get(id)?.body {
            Body::Stream(Stream::Idle) => {}
            Body::Stream(Stream::Connected(_)) => return Err(EISCONN),
            _ => return Err(EOPNOTSUPP),
        }
        let refused = Err(Error::Errno(ECONNREFUSED));
        let Some(listener) = self.listener(remote) else { return refused };
        let local = self.bind_towards(id, remote)?;
        let Ok(parent) = self.get(listener) else { return refused };
        let family = parent.family;
        let Body::Stream(Stream::Listening(queue, most)) = &parent.body else { return refused };
        if queue.len() as u32 >= *most {
            // A packet would be dropped and sent again; here there is nothing to wait for.
            return refused;
        }
        let child = self.sockets.insert(Socket::new(family, Body::Stream(End::stream(id, local, true))));
        self.get(child)?.local = Some(remote);
        self.get(id)?.body = Body::Stream(End::stream(child, remote, false));
        let parent = self.get(listener)?;
        if let Body::Stream(Stream::Listening(queue, _)) = &mut parent.body {
            queue.push_back(child);
        }
        parent.changed();
        self.get(id)?.changed();
        Ok(())
    }

    /// Who listens there? An address of its own goes before any address.
    fn listener(&self, at: SocketAddr) -> Option<SocketId> {
        let listening = |s: &Socket| matches!(s.body, Body::Stream(Stream::Listening(..))) && s.takes(at);
        let mut found = self.sockets.iter().filter(|(_, socket)| listening(socket));
        let particular = |s: &Socket| s.local.is_some_and(|l| !l.ip().is_unspecified());
        let first = found.next()?;
        let best = if particular(first.1) { first } else { found.find(|(_, s)| particular(s)).unwrap_or(first) };
        Some(best.0)
    }

    pub(super) fn accept(&mut self, id: SocketId) -> Result<(SocketId, SocketAddr), Error> {
        let child = match &mut self.get(id)?.body {
            Body::Stream(Stream::Listening(queue, _)) => queue.pop_front().ok_or(Error::WouldBlock)?,
            Body::Stream(_) => return Err(EINVAL),
            Body::Datagram(_) => return Err(EOPNOTSUPP),
        };
        let remote = self.end(child)?.remote;
        Ok((child, self.get(child)?.outward(remote)))
    }

    pub(super) fn send_stream(&mut self, id: SocketId, bytes: &[u8]) -> Result<usize, Error> {
        let socket = self.get(id)?;
        if let Some(errno) = socket.error.take() {
            return Err(Error::Errno(errno));
        }
        let end = self.end(id)?;
        if end.send_shut {
            return Err(EPIPE);
        }
        let Some(other) = end.other else {
            // What is sent to one who is gone is answered by a reset, which only the next call meets.
            end.send_shut = true;
            let socket = self.get(id)?;
            socket.error = Some(PIPE);
            socket.changed();
            return Ok(bytes.len());
        };
        let peer = self.end(other)?;
        if peer.receive_shut {
            return Err(EPIPE);
        }
        let taken = peer.input.write(bytes);
        peer.starves |= taken < bytes.len();
        if taken == 0 && !bytes.is_empty() {
            return Err(Error::WouldBlock);
        }
        self.get(other)?.changed();
        Ok(taken)
    }

    pub(super) fn receive_stream(&mut self, id: SocketId, buffer: &mut [u8], peek: bool) -> Result<Received, Error> {
        let end = self.end(id)?;
        let length = if end.receive_shut { 0 } else { end.input.read(buffer, peek) };
        if length == 0 && (!buffer.is_empty() || end.input.is_empty()) {
            let ended = end.input.ended || end.receive_shut;
            return match self.get(id)?.error.take() {
                Some(errno) => Err(Error::Errno(errno)),
                None if ended => Ok(Received { length: 0, full_length: 0, from: None }),
                None => Err(Error::WouldBlock),
            };
        }
        // Whoever starved is told when a third is free, as TCP would.
        let wake = end.starves && end.input.room() >= super::pipe::CAPACITY / 3;
        if wake {
            end.starves = false;
            if let Some(other) = end.other {
                self.get(other)?.changed();
            }
        }
        Ok(Received { length, full_length: length, from: None })
    }

    pub(super) fn shut_stream(&mut self, id: SocketId, how: How) -> Result<(), Error> {
        let end = self.end(id)?;
        // Both directions have ended before: on Linux nothing is left of the connection.
        if end.send_shut && end.input.ended {
            return Err(ENOTCONN);
        }
        end.receive_shut |= matches!(how, How::Receive | How::Both);
        end.send_shut |= matches!(how, How::Send | How::Both);
        let (send_shut, other) = (end.send_shut, end.other);
        self.get(id)?.changed();
        if let Some(other) = other.filter(|_| send_shut) {
            self.end(other)?.input.ended = true;
            self.get(other)?.changed();
        }
        Ok(())
    }

    /// A stream that was taken out of the table: whoever it concerned is told.
    /// With `abort` by a reset.
    pub(super) fn close_stream(&mut self, stream: Stream, abort: bool) {
        match stream {
            Stream::Idle => {}
            Stream::Listening(queue, _) => {
                for child in queue {
                    if let Some(Socket { body: Body::Stream(Stream::Connected(end)), .. }) = self.sockets.remove(child)
                    {
                        self.part(&end, true);
                    }
                }
            }
            Stream::Connected(end) => {
                let unread = !end.input.is_empty();
                self.part(&end, unread || abort);
            }
        }
    }

    /// Tells the other end that this one is gone; with a reset if it left something unread (RFC 1122 §4.2.2.13).
    fn part(&mut self, end: &End, reset: bool) {
        let Some(socket) = end.other.and_then(|other| self.sockets.get_mut(other)) else { return };
        if let Body::Stream(Stream::Connected(other)) = &mut socket.body {
            other.other = None;
            other.input.ended = true;
            other.send_shut |= reset;
        }
        if reset {
            socket.error = Some(ECONNRESET);
        }
        socket.changed();
    }

    pub(super) fn stream_ready(&self, stream: &Stream) -> Ready {
        let end = match stream {
            Stream::Idle => return Ready::WRITE | Ready::HANG_UP,
            Stream::Listening(queue, _) if queue.is_empty() => return Ready::default(),
            Stream::Listening(..) => return Ready::READ,
            Stream::Connected(end) => end,
        };
        let mut ready = Ready::default();
        let ended = end.input.ended || end.receive_shut;
        if !end.input.is_empty() || ended {
            ready = ready | Ready::READ;
        }
        if ended {
            ready = ready | Ready::READ_END;
        }
        let other = end.other.and_then(|other| self.sockets.get(other));
        let room = match other.map(|s| &s.body) {
            Some(Body::Stream(Stream::Connected(other))) => other.input.room() > 0,
            _ => true,
        };
        if end.send_shut || room {
            ready = ready | Ready::WRITE;
        }
        if ended && (end.send_shut || other.is_none()) {
            ready = ready | Ready::HANG_UP;
        }
        ready
    }
}
