//! UDP. What is received is queued by need; what is sent leaves at once, or waits for its neighbour.

use super::socket::{Body, Datagram, Waiting};
use super::{Flow, Inet, World};
use crate::errno::{EACCES, EAFNOSUPPORT, EDESTADDRREQ, EINVAL, EMSGSIZE, ENETUNREACH, ENOBUFS, ENOTCONN, EPIPE};
use crate::ip::packet::{Outgoing, UDP};
use crate::ip::{Ip, Sent};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use device::{Ancillary, Error, How, Received};

/// The largest payload (RFC 768 with RFC 791's length; ip(7)).
const PAYLOAD_MAX: usize = 65_507;
/// Bytes that may wait to be received: a part of the free memory, within bounds. A datagram counts this much beyond itself.
const QUEUE_PART: usize = 64;
const QUEUE_MIN: usize = 16 << 10;
const QUEUE_MAX: usize = 208 << 10;
const OVERHEAD: usize = 64;
/// What datagrams leave of the memory for everything else.
const RESERVE: usize = 128 << 10;
/// Datagrams that are received as one, at most (Linux's UDP_GRO_CNT_MAX).
const JOINED: usize = 64;
/// Datagrams that are gathered while more are there to be answered.
const BURST: u32 = 32;

/// How a datagram is to leave.
struct Departure {
    outgoing: Outgoing,
    /// From, to.
    ports: (u16, u16),
    /// Others wait to be received, and maybe answered.
    more: bool,
    /// `IP_PMTUDISC_*`.
    discovery: u32,
}

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

impl Datagram {
    /// Takes the first out of the queue.
    fn take(&mut self) {
        if let Some(first) = self.queue.pop_front() {
            self.queued_bytes -= first.bytes.len() + OVERHEAD;
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
        self.send_datagrams(world, number, bytes, to, &Ancillary::default())
    }

    /// Sends a datagram, or several of one length, with what goes along.
    pub(super) fn send_datagrams(
        &mut self,
        world: World<'_>,
        number: u32,
        bytes: &[u8],
        to: Option<SocketAddr>,
        ancillary: &Ancillary,
    ) -> Result<usize, Error> {
        self.bind_any(number)?;
        let Departure { outgoing, ports, more, discovery } = self.prepare(number, to, ancillary)?;
        let size = match ancillary.segment {
            0 => bytes.len(),
            segment => segment.into(),
        };
        let most = self.most(world, discovery, outgoing.destination);
        if bytes.len() > PAYLOAD_MAX || size.min(bytes.len()) > most {
            return Err(EMSGSIZE);
        }
        let (first, rest) = bytes.split_at(size.min(bytes.len()));
        self.put(world, number, &outgoing, ports, first)?;
        // What finds no room is lost, as datagrams may be: the caller could not send it alone.
        let _ = rest.chunks(size.max(1)).try_for_each(|part| self.put(world, number, &outgoing, ports, part));
        // Whoever has more to receive will soon have more to send.
        self.gathered += 1;
        if !more || !rest.is_empty() || self.gathered > BURST {
            self.gathered = 0;
            world.frames.flush();
        }
        Ok(bytes.len())
    }

    /// The largest payload, for `IP_PMTUDISC_DO` and `IP_PMTUDISC_PROBE` (ip(7)): these are never cut.
    fn most(&self, world: World<'_>, discovery: u32, to: IpAddr) -> usize {
        let mtu = match discovery {
            2 => self.ip.mtu(world.now, to),
            3 => self.ip.link_mtu(to),
            _ => return PAYLOAD_MAX,
        };
        mtu - 8 - if to.is_ipv4() { 20 } else { 40 }
    }

    /// How a datagram is to leave.
    fn prepare(&mut self, number: u32, to: Option<SocketAddr>, ancillary: &Ancillary) -> Result<Departure, Error> {
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
        let more = !datagram.queue.is_empty();
        let asked = ancillary.local.map(|ip| ip.to_canonical()).filter(|ip| ip.is_ipv4() == to.is_ipv4());
        let bound = local.map(|l| l.ip()).filter(|ip| !ip.is_unspecified() && ip.is_ipv4() == to.is_ipv4());
        let source = match (asked, bound) {
            // As Linux says of an address that is not its own (ip(7), IP_PKTINFO).
            (Some(asked), _) if !self.ip.has(asked) => return Err(EINVAL),
            (Some(own), _) | (None, Some(own)) => own,
            (None, None) => self.ip.source(to.ip()).ok_or(ENETUNREACH)?,
        };
        let outgoing = Outgoing {
            class: ancillary.class.unwrap_or(options.class as u8),
            is_probe: options.mtu_discover == 3,
            ..Outgoing::new(source, to.ip(), UDP, (options.hop_limit as u8).max(1))
        };
        let ports = (local.map_or(0, |l| l.port()), to.port());
        Ok(Departure { outgoing, ports, more, discovery: options.mtu_discover })
    }

    /// One datagram into the link.
    fn put(
        &mut self,
        world: World<'_>,
        number: u32,
        outgoing: &Outgoing,
        (from, to): (u16, u16),
        bytes: &[u8],
    ) -> Result<(), Error> {
        let mut packet = Vec::new();
        if packet.try_reserve_exact(8 + bytes.len()).is_err() {
            return Err(ENOBUFS);
        }
        packet.extend_from_slice(&[0; 8]);
        packet.extend_from_slice(bytes);
        Ip::finish_datagram(outgoing, &mut packet, from, to);
        match self.ip.send(world.wire(), number, outgoing, &packet) {
            Sent::Done => Ok(()),
            Sent::Full => {
                if let Some(datagram) = self.sockets.get_mut(number).and_then(|socket| socket.datagram()) {
                    datagram.starved = true;
                }
                self.exhausted = true;
                self.touch(number);
                world.frames.flush();
                Err(Error::WouldBlock)
            }
            Sent::Unreachable => Err(ENETUNREACH),
        }
    }

    /// Receives a datagram, or several that came after each other and are alike but for the last one's length, where the
    /// program takes them joined (udp(7), UDP_GRO).
    pub(super) fn receive_datagram(
        &mut self,
        number: u32,
        buffer: &mut [u8],
        peek: bool,
    ) -> Result<(Received, Ancillary), Error> {
        let Some(socket) = self.sockets.get_mut(number) else { return Err(EINVAL) };
        if let Some(errno) = socket.error.take() {
            return Err(Error::Errno(errno));
        }
        let (family, joins) = (socket.family, socket.options.joins && !peek);
        let Body::Datagram(datagram) = &mut socket.body else { return Err(EINVAL) };
        let Some(Waiting { from, to, class, bytes }) = datagram.queue.front() else {
            return match datagram.receive_shut {
                true => Ok((Received { length: 0, full_length: 0, from: None }, Ancillary::default())),
                false => Err(Error::WouldBlock),
            };
        };
        let (from, to, class, segment) = (*from, *to, *class, bytes.len());
        let local = super::socket::outward(family, SocketAddr::new(to, 0)).ip();
        let mut ancillary = Ancillary { class: Some(class), local: Some(local), segment: 0 };
        let mut length = segment.min(buffer.len());
        buffer[..length].copy_from_slice(&bytes[..length]);
        if !peek {
            datagram.take();
        }
        while joins && length > 0 && length % segment == 0 && length / segment < JOINED {
            let is_next = |next: &&Waiting| (next.from, next.to, next.class) == (from, to, class);
            let Some(next) = datagram.queue.front().filter(is_next).map(|next| &next.bytes) else { break };
            if next.is_empty() || next.len() > segment.min(buffer.len() - length) {
                break;
            }
            buffer[length..length + next.len()].copy_from_slice(next);
            length += next.len();
            ancillary.segment = segment as u16;
            datagram.take();
        }
        let received =
            Received { length, full_length: length.max(segment), from: Some(super::socket::outward(family, from)) };
        Ok((received, ancillary))
    }

    /// A datagram for us; false if nobody wants it.
    pub(super) fn datagram_arrived(
        &mut self,
        world: World<'_>,
        (local, remote): Flow,
        class: u8,
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
        let most = match socket.options.receive_buffer {
            0 => (memory / QUEUE_PART).clamp(QUEUE_MIN, QUEUE_MAX),
            wish => (wish as usize).min(memory / QUEUE_PART).max(QUEUE_MIN),
        };
        if datagram.queued_bytes >= most || memory < RESERVE || datagram.receive_shut {
            return true;
        }
        datagram.queued_bytes += payload.len() + OVERHEAD;
        datagram.queue.push_back(Waiting { from: remote, to: local.ip(), class, bytes: Box::from(payload) });
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
