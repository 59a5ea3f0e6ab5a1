//! Datagrams inside the machine: from the sender straight into the receiver's queue.

use super::table::{Body, Table, here, inward};
use crate::errno::{EAFNOSUPPORT, ECONNREFUSED, EDESTADDRREQ, EINVAL, EMSGSIZE, ENOTCONN, EPIPE};
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use core::net::SocketAddr;
use device::{Ancillary, Error, How, Ready, Received, SocketId};

/// The longest datagram (RFC 768 over IPv4).
const LONGEST: usize = 65_507;
/// Bytes that may wait in a queue; each datagram counts this much beyond itself. What does not fit is lost, as UDP may be.
const QUEUE: usize = 208 << 10;
const OVERHEAD: usize = 64;

/// A datagram in a queue.
pub(super) struct Waiting {
    from: SocketAddr,
    to: SocketAddr,
    class: u8,
    pub(super) bytes: Box<[u8]>,
}

#[derive(Default)]
pub(super) struct Datagram {
    pub(super) peer: Option<SocketAddr>,
    pub(super) queue: VecDeque<Waiting>,
    bytes: usize,
    receive_shut: bool,
    send_shut: bool,
}

impl Datagram {
    pub(super) fn ready(&self) -> Ready {
        let readable = if self.queue.is_empty() && !self.receive_shut { Ready::default() } else { Ready::READ };
        readable | Ready::WRITE | if self.receive_shut { Ready::READ_END } else { Ready::default() }
    }
}

impl Table {
    fn datagram(&mut self, id: SocketId) -> Result<&mut Datagram, Error> {
        match &mut self.get(id)?.body {
            Body::Datagram(datagram) => Ok(datagram),
            Body::Stream(_) => Err(EINVAL),
        }
    }

    pub(super) fn connect_datagram(&mut self, id: SocketId, peer: SocketAddr) -> Result<(), Error> {
        // Port 0 of no address takes the peer away (AF_UNSPEC).
        if peer.port() == 0 && peer.ip().is_unspecified() {
            self.datagram(id)?.peer = None;
            return Ok(());
        }
        let peer = here(peer);
        self.bind_towards(id, peer)?;
        self.datagram(id)?.peer = Some(peer);
        Ok(())
    }

    pub(super) fn send_datagram(
        &mut self,
        id: SocketId,
        bytes: &[u8],
        to: Option<SocketAddr>,
        class: u8,
    ) -> Result<usize, Error> {
        let socket = self.get(id)?;
        if let Some(errno) = socket.error.take() {
            return Err(Error::Errno(errno));
        }
        let family = socket.family;
        let to = match to {
            Some(to) => Some(inward(family, to).ok_or(EAFNOSUPPORT)?),
            None => None,
        };
        let datagram = self.datagram(id)?;
        if datagram.send_shut {
            return Err(EPIPE);
        }
        let to = here(to.or(datagram.peer).ok_or(EDESTADDRREQ)?);
        if bytes.len() > LONGEST {
            return Err(EMSGSIZE);
        }
        let from = match self.get(id)?.local {
            Some(local) if local.ip().is_unspecified() => SocketAddr::new(to.ip(), local.port()),
            Some(local) => local,
            None => {
                // A port of its own, at any address: others may answer it from elsewhere.
                let any = match family {
                    device::Family::V4 => SocketAddr::from(([0; 4], 0)),
                    device::Family::V6 => SocketAddr::from(([0u16; 8], 0)),
                };
                self.bind(id, any)?;
                SocketAddr::new(to.ip(), self.get(id)?.local.map_or(0, |l| l.port()))
            }
        };
        self.carry(id, Waiting { from, to, class, bytes: Box::from(bytes) });
        Ok(bytes.len())
    }

    fn carry(&mut self, sender: SocketId, waiting: Waiting) {
        let (from, to) = (waiting.from, waiting.to);
        let receiver = self
            .sockets
            .iter_mut()
            .filter(|socket| socket.takes(to))
            .find(|socket| matches!(&socket.body, Body::Datagram(d) if d.peer.is_none_or(|peer| peer == from)));
        let Some(socket) = receiver else {
            // RFC 1122 §4.1.3.3: who has a peer is told that nobody is there.
            if let Some(socket) = self.sockets.get_mut(sender)
                && matches!(&socket.body, Body::Datagram(d) if d.peer == Some(to))
            {
                socket.error = Some(ECONNREFUSED);
                socket.changed();
            }
            return;
        };
        if let Body::Datagram(datagram) = &mut socket.body
            && datagram.bytes < QUEUE
            && !datagram.receive_shut
        {
            datagram.bytes += waiting.bytes.len() + OVERHEAD;
            datagram.queue.push_back(waiting);
            socket.changed();
        }
    }

    pub(super) fn receive_datagram(
        &mut self,
        id: SocketId,
        buffer: &mut [u8],
        peek: bool,
    ) -> Result<(Received, Ancillary), Error> {
        if let Some(errno) = self.get(id)?.error.take() {
            return Err(Error::Errno(errno));
        }
        let datagram = self.datagram(id)?;
        let Some(Waiting { from, to, class, bytes }) = datagram.queue.front() else {
            return match datagram.receive_shut {
                true => Ok((Received { length: 0, full_length: 0, from: None }, Ancillary::default())),
                false => Err(Error::WouldBlock),
            };
        };
        let (from, to, class, full_length) = (*from, *to, *class, bytes.len());
        let length = full_length.min(buffer.len());
        buffer[..length].copy_from_slice(&bytes[..length]);
        if !peek {
            datagram.bytes -= full_length + OVERHEAD;
            datagram.queue.pop_front();
        }
        let socket = self.get(id)?;
        let ancillary = Ancillary { class: Some(class), local: Some(socket.outward(to).ip()), segment: 0 };
        Ok((Received { length, full_length, from: Some(socket.outward(from)) }, ancillary))
    }

    pub(super) fn shut_datagram(&mut self, id: SocketId, how: How) -> Result<(), Error> {
        let datagram = self.datagram(id)?;
        if datagram.peer.is_none() {
            return Err(ENOTCONN);
        }
        datagram.receive_shut |= matches!(how, How::Receive | How::Both);
        datagram.send_shut |= matches!(how, How::Send | How::Both);
        self.get(id)?.changed();
        Ok(())
    }
}
