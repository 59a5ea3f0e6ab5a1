//! UDP. What is received is queued by need; what is sent leaves at once, or waits for its neighbour.

use super::socket::{Body, Datagram};
use super::{Inet, World};
use crate::errno::{EACCES, EAFNOSUPPORT, EDESTADDRREQ, EINVAL, EMSGSIZE, ENETUNREACH, ENOBUFS, ENOTCONN, EPIPE};
use crate::ip::packet::{Outgoing, UDP};
use crate::ip::{Ip, Sent};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use device::{Error, How, Received};

/// The largest payload (RFC 768 with RFC 791's length; ip(7)).
const PAYLOAD_MAX: usize = 65_507;
/// Bytes that may wait to be received: a part of the free memory, within bounds. A datagram counts this much beyond itself.
const QUEUE_PART: usize = 64;
const QUEUE_MIN: usize = 16 << 10;
const QUEUE_MAX: usize = 208 << 10;
const OVERHEAD: usize = 64;
/// What datagrams leave of the memory for everything else.
const RESERVE: usize = 128 << 10;
/// Datagrams that are gathered while more are there to be answered.
const BURST: u32 = 32;

impl Datagram {
    pub(super) fn new(internal: bool) -> Self {
        Self {
            peer: None,
            queue: Default::default(),
            queued_bytes: 0,
            starved: false,
            receive_shut: false,
            send_shut: false,
            internal,
        }
    }
}

impl Inet {
    /// Sets the peer; `None` takes it away.
    pub(super) fn connect_datagram(&mut self, number: u32, peer: Option<SocketAddr>) -> Result<(), Error> {
        if peer.is_some_and(|peer| !self.ip.reaches(peer.ip())) {
            return Err(ENETUNREACH);
        }
        self.bind_any(number)?;
        let source = peer.and_then(|peer| self.ip.source(peer.ip()));
        let Some(socket) = self.sockets.get_mut(number) else { return Err(EINVAL) };
        // As on Linux, a connected socket knows its own address.
        if let (Some(local), Some(source)) = (socket.local.as_mut().filter(|l| l.ip().is_unspecified()), source) {
            *local = SocketAddr::new(source, local.port());
        }
        if let Some(datagram) = socket.datagram() {
            datagram.peer = peer;
        }
        Ok(())
    }

    /// Sends a datagram.
    pub(super) fn send_datagram(
        &mut self,
        world: World<'_>,
        number: u32,
        bytes: &[u8],
        to: Option<SocketAddr>,
    ) -> Result<usize, Error> {
        self.bind_any(number)?;
        let Some(socket) = self.sockets.get_mut(number) else { return Err(EINVAL) };
        if let Some(errno) = socket.error.take() {
            return Err(Error::Errno(errno));
        }
        let (local, options) = (socket.local, socket.options);
        let to = match to {
            Some(to) => Some(super::socket::inward(socket.family, to).ok_or(EAFNOSUPPORT)?),
            None => None,
        };
        let Body::Datagram(datagram) = &mut socket.body else { return Err(EINVAL) };
        let to = to.or(datagram.peer).ok_or(EDESTADDRREQ)?;
        if datagram.send_shut {
            return Err(EPIPE);
        }
        if to.port() == 0 || to.ip().is_unspecified() {
            return Err(EINVAL);
        }
        let everybody = matches!(to.ip(), IpAddr::V4(v4) if self.ip.is_broadcast(v4));
        if everybody && !options.broadcast {
            return Err(EACCES);
        }
        if !self.ip.reaches(to.ip()) {
            return Err(ENETUNREACH);
        }
        if bytes.len() > PAYLOAD_MAX {
            return Err(EMSGSIZE);
        }
        let more = !datagram.queue.is_empty();
        let source = match local.map(|l| l.ip()).filter(|ip| !ip.is_unspecified() && ip.is_ipv4() == to.is_ipv4()) {
            Some(own) => own,
            None => self.ip.source(to.ip()).ok_or(ENETUNREACH)?,
        };
        let hop_limit = (options.hop_limit as u8).max(1);
        let outgoing = Outgoing { source, destination: to.ip(), protocol: UDP, hop_limit };
        let mut packet = Vec::new();
        if packet.try_reserve_exact(8 + bytes.len()).is_err() {
            return Err(ENOBUFS);
        }
        packet.extend_from_slice(&[0; 8]);
        packet.extend_from_slice(bytes);
        Ip::finish_datagram(&outgoing, &mut packet, local.map_or(0, |l| l.port()), to.port());
        match self.ip.send(world.wire(), number, &outgoing, &packet) {
            Sent::Done => {}
            Sent::Full => {
                if let Some(datagram) = self.sockets.get_mut(number).and_then(|socket| socket.datagram()) {
                    datagram.starved = true;
                }
                self.exhausted = true;
                self.touch(number);
                world.frames.flush();
                return Err(Error::WouldBlock);
            }
            Sent::Unreachable => return Err(ENETUNREACH),
        }
        // Whoever has more to receive will soon have more to send.
        self.gathered += 1;
        if !more || self.gathered > BURST {
            self.gathered = 0;
            world.frames.flush();
        }
        Ok(bytes.len())
    }

    /// Receives a datagram.
    pub(super) fn receive_datagram(&mut self, number: u32, buffer: &mut [u8], peek: bool) -> Result<Received, Error> {
        let Some(socket) = self.sockets.get_mut(number) else { return Err(EINVAL) };
        if let Some(errno) = socket.error.take() {
            return Err(Error::Errno(errno));
        }
        let family = socket.family;
        let Body::Datagram(datagram) = &mut socket.body else { return Err(EINVAL) };
        let Some((from, bytes)) = datagram.queue.front() else {
            return match datagram.receive_shut {
                true => Ok(Received { length: 0, full_length: 0, from: None }),
                false => Err(Error::WouldBlock),
            };
        };
        let length = bytes.len().min(buffer.len());
        buffer[..length].copy_from_slice(&bytes[..length]);
        let received = Received { length, full_length: bytes.len(), from: Some(super::socket::outward(family, *from)) };
        if !peek {
            datagram.queued_bytes -= bytes.len() + OVERHEAD;
            datagram.queue.pop_front();
        }
        Ok(received)
    }

    /// A datagram for us; false if nobody wants it.
    pub(super) fn datagram_arrived(
        &mut self,
        world: World<'_>,
        local: SocketAddr,
        remote: SocketAddr,
        payload: &[u8],
    ) -> bool {
        let Some(number) = self.datagram_socket(local, remote) else { return false };
        let Some(socket) = self.sockets.get_mut(number) else { return false };
        let Body::Datagram(datagram) = &mut socket.body else { return false };
        if datagram.internal {
            self.name_answered(number, remote, payload);
            return true;
        }
        let memory = (world.memory)();
        let most = (memory / QUEUE_PART).clamp(QUEUE_MIN, QUEUE_MAX);
        if datagram.queued_bytes >= most || memory < RESERVE || datagram.receive_shut {
            return true;
        }
        datagram.queued_bytes += payload.len() + OVERHEAD;
        datagram.queue.push_back((remote, Box::from(payload)));
        socket.changed();
        true
    }

    /// Whoever found no room on the link may try again.
    pub(super) fn drained(&mut self, world: World<'_>, number: u32) {
        if !world.frames.room() {
            self.exhausted = true;
            return self.touch(number);
        }
        let Some(socket) = self.sockets.get_mut(number) else { return };
        if socket.datagram().is_some_and(|datagram| core::mem::take(&mut datagram.starved)) {
            socket.changed();
        }
    }

    /// Ends one direction or both; only for a socket with a peer.
    pub(super) fn shut_datagram(&mut self, number: u32, how: How) -> Result<(), Error> {
        let Some(socket) = self.sockets.get_mut(number) else { return Err(EINVAL) };
        let datagram = socket.datagram().ok_or(EINVAL)?;
        if datagram.peer.is_none() {
            return Err(ENOTCONN);
        }
        datagram.receive_shut |= matches!(how, How::Receive | How::Both);
        datagram.send_shut |= matches!(how, How::Send | How::Both);
        socket.changed();
        Ok(())
    }

    /// Lets go of a datagram socket; what it sent is on its way.
    pub(super) fn close_datagram(&mut self, world: World<'_>, number: u32) {
        world.frames.flush();
        self.discard(number);
    }
}
