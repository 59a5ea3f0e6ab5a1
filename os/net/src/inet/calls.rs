//! What a program can ask of a socket: [`device::Stack`]'s methods, with the world as an argument.

use super::socket::{Body, Datagram, Socket, inward};
use super::{Inet, World};
use crate::errno::{EAFNOSUPPORT, EBADF, ENOBUFS, ENOTCONN, EOPNOTSUPP};
use alloc::boxed::Box;
use alloc::sync::Arc;
use core::net::{IpAddr, SocketAddr};
use device::{Ancillary, Error, Family, How, Kind, Ready, Received, SocketId, SocketOption, Watch};

impl Inet {
    pub(crate) fn open_socket(&mut self, family: Family, kind: Kind) -> Result<SocketId, Error> {
        let body = match kind {
            Kind::Stream => Body::Idle,
            Kind::Datagram => Body::Datagram(Box::new(Datagram::new(false))),
        };
        let number = self.sockets.insert(Socket::new(family, kind, body)).ok_or(ENOBUFS)?;
        Ok(self.sockets.id(number))
    }

    pub(crate) fn bind(&mut self, id: SocketId, address: SocketAddr) -> Result<(), Error> {
        let number = self.number(id)?;
        self.bind_socket(number, address)
    }

    pub(crate) fn listen(&mut self, id: SocketId, backlog: u32) -> Result<(), Error> {
        let number = self.number(id)?;
        // Two may share a port without SO_REUSEPORT until one of them listens; here bind has seen to it already.
        self.listen_on(number, backlog)
    }

    pub(crate) fn connect(&mut self, world: World<'_>, id: SocketId, address: SocketAddr) -> Result<(), Error> {
        let number = self.number(id)?;
        let Some(socket) = self.sockets.get(number) else { return Err(EBADF) };
        let address = inward(socket.family, address).ok_or(EAFNOSUPPORT)?;
        match socket.kind {
            Kind::Stream => self.connect_stream(world, number, address),
            Kind::Datagram => {
                // A program takes the peer away with AF_UNSPEC, which arrives as port 0 of no address.
                let peer = Some(address).filter(|a| a.port() != 0 || !a.ip().is_unspecified());
                self.connect_datagram(number, peer)
            }
        }
    }

    pub(crate) fn accept(&mut self, id: SocketId) -> Result<(SocketId, SocketAddr), Error> {
        let number = self.number(id)?;
        self.accept_from(number)
    }

    /// [`Inet::send_with`] of nothing else.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn send(
        &mut self,
        world: World<'_>,
        id: SocketId,
        bytes: &[u8],
        to: Option<SocketAddr>,
    ) -> Result<usize, Error> {
        self.send_with(world, id, bytes, to, &Ancillary::default())
    }

    pub(crate) fn send_with(
        &mut self,
        world: World<'_>,
        id: SocketId,
        bytes: &[u8],
        to: Option<SocketAddr>,
        ancillary: &Ancillary,
    ) -> Result<usize, Error> {
        let number = self.number(id)?;
        match self.sockets.get(number).map(|s| s.kind) {
            Some(Kind::Datagram) => self.send_datagrams(world, number, bytes, to, ancillary),
            _ => self.send_stream(world, number, bytes),
        }
    }

    /// [`Inet::receive_with`] without what came along.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn receive(&mut self, id: SocketId, buffer: &mut [u8], peek: bool) -> Result<Received, Error> {
        self.receive_with(id, buffer, peek).map(|(received, _)| received)
    }

    pub(crate) fn receive_with(
        &mut self,
        id: SocketId,
        buffer: &mut [u8],
        peek: bool,
    ) -> Result<(Received, Ancillary), Error> {
        let number = self.number(id)?;
        match self.sockets.get(number).map(|s| s.kind) {
            Some(Kind::Datagram) => self.receive_datagram(number, buffer, peek),
            _ => self.receive_stream(number, buffer, peek).map(|received| (received, Ancillary::default())),
        }
    }

    pub(crate) fn shutdown(&mut self, world: World<'_>, id: SocketId, how: How) -> Result<(), Error> {
        let number = self.number(id)?;
        match self.sockets.get(number).map(|s| &s.body) {
            Some(Body::Connection(_)) => self.shut_stream(world, number, how),
            Some(Body::Datagram(_)) => self.shut_datagram(number, how),
            Some(Body::Idle) => Err(ENOTCONN),
            _ => Err(EOPNOTSUPP),
        }
    }

    pub(crate) fn close(&mut self, world: World<'_>, id: SocketId) {
        let Ok(number) = self.number(id) else { return };
        match self.sockets.get(number).map(|s| &s.body) {
            Some(Body::Connection(_)) => self.close_stream(world, number),
            Some(Body::Datagram(_)) => self.close_datagram(world, number),
            Some(Body::Listener(_)) => self.close_listener(world, number),
            _ => self.discard(number),
        }
    }

    pub(crate) fn local(&self, id: SocketId) -> Result<SocketAddr, Error> {
        let socket = self.socket(id)?;
        let none = match socket.family {
            Family::V4 => SocketAddr::new(IpAddr::V4(0.into()), 0),
            Family::V6 => SocketAddr::new(IpAddr::V6(0.into()), 0),
        };
        Ok(socket.local.map_or(none, |local| match (socket.family, local.ip()) {
            // A dual-stack socket bound to any address shows IPv6's.
            (Family::V6, ip) if ip.is_unspecified() => SocketAddr::new(IpAddr::V6(0.into()), local.port()),
            _ => socket.outward(local),
        }))
    }

    pub(crate) fn peer(&self, id: SocketId) -> Result<SocketAddr, Error> {
        let socket = self.socket(id)?;
        let peer = match &socket.body {
            Body::Connection(c) if !c.tcb.is_opening() => Some(c.remote),
            Body::Datagram(datagram) => datagram.peer,
            _ => None,
        };
        peer.map(|peer| socket.outward(peer)).ok_or(ENOTCONN)
    }

    pub(crate) fn set_option(&mut self, id: SocketId, option: SocketOption, value: u32) -> Result<(), Error> {
        let number = self.number(id)?;
        self.set(number, option, value)
    }

    pub(crate) fn option(&mut self, world: World<'_>, id: SocketId, option: SocketOption) -> Result<u32, Error> {
        let number = self.number(id)?;
        self.get(world, number, option)
    }

    pub(crate) fn ready(&self, id: SocketId) -> Ready {
        self.socket(id).map_or(Ready::ERROR | Ready::HANG_UP, Socket::ready)
    }

    pub(crate) fn available(&self, id: SocketId) -> usize {
        match self.socket(id).map(|s| &s.body) {
            Ok(Body::Connection(connection)) => connection.tcb.readable(),
            Ok(Body::Datagram(datagram)) => datagram.queue.front().map_or(0, |first| first.bytes.len()),
            _ => 0,
        }
    }

    pub(crate) fn watch(&mut self, id: SocketId, watch: Option<Arc<dyn Watch>>) {
        if let Ok(number) = self.number(id)
            && let Some(socket) = self.sockets.get_mut(number)
        {
            socket.watch = watch;
        }
    }

    pub(crate) fn kind(&self, id: SocketId) -> Result<Kind, Error> {
        Ok(self.socket(id)?.kind)
    }

    fn number(&self, id: SocketId) -> Result<u32, Error> {
        self.sockets.number(id).ok_or(EBADF)
    }

    fn socket(&self, id: SocketId) -> Result<&Socket, Error> {
        self.sockets.get(self.number(id)?).ok_or(EBADF)
    }
}
