//! UDP. What is received is queued by need; what is sent goes through a small socket of smoltcp's, which finds the
//! neighbour.

use super::socket::{Body, Datagram};
use super::stream::particular;
use super::{Inet, World};
use crate::errno::{
    EACCES, EAFNOSUPPORT, ECONNREFUSED, EDESTADDRREQ, EINVAL, EMSGSIZE, ENETUNREACH, ENOBUFS, ENOTCONN, EPIPE,
};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use device::{Error, How, Received};
use smoltcp::iface::SocketSet;
use smoltcp::socket::udp::{self, PacketBuffer, PacketMetadata, UdpMetadata};
use smoltcp::wire::{IpEndpoint, IpListenEndpoint};

/// Datagrams, and bytes of them, that may wait to be sent.
const OUT_DATAGRAMS: usize = 32;
const OUT_BYTES: usize = 16 << 10;
/// Bytes that may wait to be received: a part of the free memory, within bounds. A datagram counts this much beyond itself.
const QUEUE_PART: usize = 64;
const QUEUE_MIN: usize = 16 << 10;
const QUEUE_MAX: usize = 208 << 10;
const OVERHEAD: usize = 64;
/// What datagrams leave of the memory for everything else.
const RESERVE: usize = 128 << 10;

impl Datagram {
    pub(super) fn new(internal: bool) -> Self {
        Self {
            out: None,
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
        if peer.is_some_and(|peer| !self.addressing.reaches(peer.ip())) {
            return Err(ENETUNREACH);
        }
        self.bind_any(number)?;
        let source = peer.and_then(|peer| self.interface.get_source_address(&peer.ip().into()));
        let Some(socket) = self.sockets.get_mut(number) else { return Err(EINVAL) };
        // As on Linux, a connected socket knows its own address.
        if let (Some(local), Some(source)) = (socket.local.as_mut().filter(|l| l.ip().is_unspecified()), source) {
            *local = SocketAddr::new(source.into(), local.port());
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
        let most = self.capabilities.frame_max - crate::checksum::ETHERNET;
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
        let everybody = matches!(to.ip(), IpAddr::V4(v4) if self.addressing.is_broadcast(v4));
        if everybody && !options.broadcast {
            return Err(EACCES);
        }
        if !self.addressing.reaches(to.ip()) {
            return Err(ENETUNREACH);
        }
        // No fragments: what does not fit a frame is refused, as with IP_MTU_DISCOVER on.
        if bytes.len() + 8 + if to.is_ipv4() { 20 } else { 40 } > most {
            return Err(EMSGSIZE);
        }
        if datagram.out.is_none() {
            let port = local.map_or(0, |l| l.port());
            datagram.out = Some(outgoing(port, (world.memory)()).ok_or(ENOBUFS)?);
        }
        let Some(udp) = datagram.udp_mut() else { return Err(ENOBUFS) };
        udp.set_hop_limit(Some((options.hop_limit as u8).max(1)));
        let mut meta = UdpMetadata::from(IpEndpoint::new(to.ip().into(), to.port()));
        meta.local_address = particular(local).map(Into::into);
        if udp.send_slice(bytes, meta).is_err() {
            datagram.starved = true;
            return Err(Error::WouldBlock);
        }
        // Whoever has more to receive will soon have more to send.
        let more = !datagram.queue.is_empty();
        self.touch(number);
        if !more || self.dirty.len() > OUT_DATAGRAMS {
            self.transmit(world);
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

    /// Nobody listens where a datagram of ours went (RFC 1122 §4.1.3.3): a connected socket is told.
    pub(super) fn refused(&mut self, local: SocketAddr, remote: SocketAddr) {
        let Some(number) = self.datagram_socket(local, remote) else { return };
        let Some(socket) = self.sockets.get_mut(number) else { return };
        if socket.datagram().is_some_and(|d| d.peer == Some(remote)) {
            socket.error = Some(ECONNREFUSED);
            socket.changed();
        }
    }

    /// A datagram socket has transmitted: whoever found no room may try again.
    pub(super) fn drained(&mut self, number: u32) {
        let Some(socket) = self.sockets.get_mut(number) else { return };
        let Some(datagram) = socket.datagram() else { return };
        if datagram.starved && datagram.udp_mut().is_some_and(|udp| udp.can_send()) {
            datagram.starved = false;
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

    /// Lets go of a datagram socket; what waits for a neighbour is given up, as on Linux.
    pub(super) fn close_datagram(&mut self, world: World<'_>, number: u32) {
        if self.sockets.get(number).is_some_and(|s| s.dirty) {
            self.transmit(world);
            world.frames.flush();
        }
        self.discard(number);
    }
}

/// A socket of smoltcp's that only sends.
fn outgoing(port: u16, memory: usize) -> Option<(SocketSet<'static>, smoltcp::iface::SocketHandle)> {
    if memory < RESERVE + OUT_BYTES {
        return None;
    }
    let nothing = PacketBuffer::new(Vec::new(), Vec::new());
    let out = PacketBuffer::new(alloc::vec![PacketMetadata::EMPTY; OUT_DATAGRAMS], alloc::vec![0; OUT_BYTES]);
    let mut socket = udp::Socket::new(nothing, out);
    socket.bind(IpListenEndpoint { addr: None, port }).ok()?;
    let mut set = SocketSet::new(Vec::with_capacity(1));
    let handle = set.add(socket);
    Some((set, handle))
}
