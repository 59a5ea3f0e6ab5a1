//! The sockets of the stack inside the machine, and what both kinds have in common.

use super::datagram::Datagram;
use super::sockets::Sockets;
use super::stream::Stream;
use crate::errno::{EADDRINUSE, EAFNOSUPPORT, EBADF, EINVAL, ENOPROTOOPT, ENOTCONN, EOPNOTSUPP};
use alloc::sync::Arc;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use device::{Ancillary, Error, Family, How, Kind, Ready, Received, SocketId, SocketOption, Watch};

/// What Linux says of its loopback interface, in bytes.
const MTU: u32 = 65_536;

/// Ports that nobody asked for. They are not the outer stacks' range, so that a port got here is free there.
const EPHEMERAL: core::ops::RangeInclusive<u16> = 61000..=65535;

/// Where linger stands among the options that are remembered.
const LINGER: usize = 6;

/// All sockets.
pub(super) struct Table {
    pub(super) sockets: Sockets,
    next_port: u16,
}

/// A socket.
pub(super) struct Socket {
    pub(super) family: Family,
    pub(super) local: Option<SocketAddr>,
    pub(super) watch: Option<Arc<dyn Watch>>,
    pub(super) error: Option<i32>,
    only_v6: bool,
    reuse_port: bool,
    /// Options that mean nothing here, but are remembered: keep-alive and its three numbers, broadcast, hops, linger, patience,
    /// buffers.
    remembered: [u32; 10],
    pub(super) body: Body,
}

pub(super) enum Body {
    Stream(Stream),
    Datagram(Datagram),
}

impl Socket {
    pub(super) fn new(family: Family, body: Body) -> Self {
        let remembered = [0, 7200, 75, 9, 0, 64, 0, 0, 0, 0];
        Self { family, local: None, watch: None, error: None, only_v6: false, reuse_port: false, remembered, body }
    }

    pub(super) fn changed(&self) {
        if let Some(watch) = &self.watch {
            watch.changed();
        }
    }

    pub(super) fn kind(&self) -> Kind {
        match self.body {
            Body::Stream(_) => Kind::Stream,
            Body::Datagram(_) => Kind::Datagram,
        }
    }

    /// Would it take what is sent to `to`?
    pub(super) fn takes(&self, to: SocketAddr) -> bool {
        self.local.is_some_and(|local| {
            local.port() == to.port()
                && match local.ip() {
                    IpAddr::V4(Ipv4Addr::UNSPECIFIED) => to.is_ipv4(),
                    IpAddr::V6(Ipv6Addr::UNSPECIFIED) => to.is_ipv6() || !self.only_v6,
                    own => own == to.ip(),
                }
        })
    }

    /// An address as the program is to see it (RFC 4291 §2.5.5.2).
    pub(super) fn outward(&self, address: SocketAddr) -> SocketAddr {
        match (self.family, address) {
            (Family::V6, SocketAddr::V4(v4)) => SocketAddr::new(IpAddr::V6(v4.ip().to_ipv6_mapped()), v4.port()),
            _ => address,
        }
    }

    fn remembered(&mut self, option: SocketOption) -> Option<&mut u32> {
        let at = match option {
            SocketOption::KeepAlive => 0,
            SocketOption::KeepIdle => 1,
            SocketOption::KeepInterval => 2,
            SocketOption::KeepCount => 3,
            SocketOption::Broadcast => 4,
            SocketOption::HopLimit => 5,
            SocketOption::Linger => LINGER,
            SocketOption::UserTimeout => 7,
            SocketOption::ReceiveBuffer => 8,
            SocketOption::SendBuffer => 9,
            _ => return None,
        };
        self.remembered.get_mut(at)
    }
}

/// IPv4 wherever it is one; `None` if a socket of this family cannot use it. Any address means this host.
pub(super) fn inward(family: Family, address: SocketAddr) -> Option<SocketAddr> {
    if family == Family::V4 && address.is_ipv6() {
        return None;
    }
    Some(SocketAddr::new(address.ip().to_canonical(), address.port()))
}

/// Where a connection to any address goes: to this host.
pub(super) fn here(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

impl Table {
    pub(super) const fn new() -> Self {
        Self { sockets: Sockets::new(), next_port: *EPHEMERAL.start() }
    }

    pub(super) fn get(&mut self, id: SocketId) -> Result<&mut Socket, Error> {
        self.sockets.get_mut(id).ok_or(EBADF)
    }

    pub(super) fn open(&mut self, family: Family, kind: Kind) -> Result<SocketId, Error> {
        let body = match kind {
            Kind::Stream => Body::Stream(Stream::Idle),
            Kind::Datagram => Body::Datagram(Datagram::default()),
        };
        Ok(self.sockets.insert(Socket::new(family, body)))
    }

    pub(super) fn bind(&mut self, id: SocketId, address: SocketAddr) -> Result<(), Error> {
        let socket = self.get(id)?;
        if socket.local.is_some() {
            return Err(EINVAL);
        }
        let address = inward(socket.family, address).ok_or(EAFNOSUPPORT)?;
        let kind = socket.kind();
        let port = match address.port() {
            0 => self.free_port(kind, address.ip())?,
            _ if self.is_taken(Some(id), kind, address) => return Err(EADDRINUSE),
            port => port,
        };
        self.get(id)?.local = Some(SocketAddr::new(address.ip(), port));
        Ok(())
    }

    /// Gives a socket that is to reach `remote` an address of its own.
    pub(super) fn bind_towards(&mut self, id: SocketId, remote: SocketAddr) -> Result<SocketAddr, Error> {
        let socket = self.get(id)?;
        let kind = socket.kind();
        let local = match socket.local {
            // Whoever is reached here is reached from the same address.
            Some(local) if local.ip().is_unspecified() => SocketAddr::new(remote.ip(), local.port()),
            Some(local) => local,
            None => SocketAddr::new(remote.ip(), self.free_port(kind, remote.ip())?),
        };
        self.get(id)?.local = Some(local);
        Ok(local)
    }

    fn free_port(&mut self, kind: Kind, ip: IpAddr) -> Result<u16, Error> {
        for _ in EPHEMERAL {
            let port = self.next_port;
            self.next_port = if port == *EPHEMERAL.end() { *EPHEMERAL.start() } else { port + 1 };
            if !self.is_taken(None, kind, SocketAddr::new(ip, port)) {
                return Ok(port);
            }
        }
        Err(EADDRINUSE)
    }

    /// Is the address somebody else's? A connection's end does not count: its listener has the address.
    fn is_taken(&self, own: Option<SocketId>, kind: Kind, address: SocketAddr) -> bool {
        let own_socket = own.and_then(|id| self.sockets.get(id));
        self.sockets.iter().any(|(number, other)| {
            let Some(local) = other.local else { return false };
            let accepted = matches!(other.body, Body::Stream(Stream::Connected(ref c)) if c.accepted);
            if own == Some(number) || other.kind() != kind || local.port() != address.port() || accepted {
                return false;
            }
            let overlap = local.ip().is_unspecified() || address.ip().is_unspecified() || local.ip() == address.ip();
            let only_v6 = other.only_v6 || own_socket.is_some_and(|s| s.only_v6);
            let apart = local.is_ipv4() != address.is_ipv4() && only_v6;
            let shared = other.reuse_port && own_socket.is_some_and(|s| s.reuse_port);
            overlap && !apart && !shared
        })
    }

    pub(super) fn send(
        &mut self,
        id: SocketId,
        bytes: &[u8],
        to: Option<SocketAddr>,
        class: u8,
    ) -> Result<usize, Error> {
        match self.get(id)?.kind() {
            Kind::Stream => self.send_stream(id, bytes),
            Kind::Datagram => self.send_datagram(id, bytes, to, class),
        }
    }

    pub(super) fn connect(&mut self, id: SocketId, address: SocketAddr) -> Result<(), Error> {
        let socket = self.get(id)?;
        let address = inward(socket.family, address).ok_or(EAFNOSUPPORT)?;
        match socket.kind() {
            Kind::Stream => self.connect_stream(id, here(address)),
            Kind::Datagram => self.connect_datagram(id, address),
        }
    }

    pub(super) fn receive(
        &mut self,
        id: SocketId,
        buffer: &mut [u8],
        peek: bool,
    ) -> Result<(Received, Ancillary), Error> {
        match self.get(id)?.kind() {
            Kind::Stream => self.receive_stream(id, buffer, peek).map(|received| (received, Ancillary::default())),
            Kind::Datagram => self.receive_datagram(id, buffer, peek),
        }
    }

    pub(super) fn shutdown(&mut self, id: SocketId, how: How) -> Result<(), Error> {
        match self.get(id)?.kind() {
            Kind::Stream => self.shut_stream(id, how),
            Kind::Datagram => self.shut_datagram(id, how),
        }
    }

    pub(super) fn close(&mut self, id: SocketId) {
        if let Some(socket) = self.sockets.remove(id)
            && let Body::Stream(stream) = socket.body
        {
            // `SO_LINGER` of no seconds.
            self.close_stream(stream, socket.remembered[LINGER] == 1);
        }
    }

    pub(super) fn local(&mut self, id: SocketId) -> Result<SocketAddr, Error> {
        let socket = self.get(id)?;
        let any = match socket.family {
            Family::V4 => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            Family::V6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        Ok(match socket.local {
            None => SocketAddr::new(any, 0),
            Some(local) if local.ip().is_unspecified() => SocketAddr::new(any, local.port()),
            Some(local) => socket.outward(local),
        })
    }

    pub(super) fn peer(&mut self, id: SocketId) -> Result<SocketAddr, Error> {
        let socket = self.get(id)?;
        let peer = match &socket.body {
            Body::Stream(Stream::Connected(connection)) => Some(connection.remote),
            Body::Datagram(datagram) => datagram.peer,
            _ => None,
        };
        peer.map(|peer| socket.outward(peer)).ok_or(ENOTCONN)
    }

    pub(super) fn set_option(&mut self, id: SocketId, option: SocketOption, value: u32) -> Result<(), Error> {
        let socket = self.get(id)?;
        match option {
            SocketOption::OnlyV6 => socket.only_v6 = value != 0,
            SocketOption::ReusePort => socket.reuse_port = value != 0,
            _ => *socket.remembered(option).ok_or(ENOPROTOOPT)? = value,
        }
        Ok(())
    }

    pub(super) fn option(&mut self, id: SocketId, option: SocketOption) -> Result<u32, Error> {
        let socket = self.get(id)?;
        Ok(match option {
            SocketOption::Error => socket.error.take().map_or(0, |errno| errno as u32),
            SocketOption::OnlyV6 => socket.only_v6.into(),
            SocketOption::ReusePort => socket.reuse_port.into(),
            SocketOption::PathMtu => MTU,
            _ => *socket.remembered(option).ok_or(ENOPROTOOPT)?,
        })
    }

    pub(super) fn ready(&self, id: SocketId) -> Ready {
        let Some(socket) = self.sockets.get(id) else { return Ready::ERROR | Ready::HANG_UP };
        let ready = match &socket.body {
            Body::Stream(stream) => self.stream_ready(stream),
            Body::Datagram(datagram) => datagram.ready(),
        };
        match (&socket.error, &socket.body) {
            (None, _) => ready,
            (Some(_), Body::Stream(_)) => ready | Ready::ERROR | Ready::READ | Ready::WRITE,
            (Some(_), Body::Datagram(_)) => ready | Ready::ERROR | Ready::WRITE,
        }
    }

    pub(super) fn available(&self, id: SocketId) -> usize {
        match self.sockets.get(id).map(|s| &s.body) {
            Some(Body::Stream(Stream::Connected(connection))) => connection.input.len(),
            Some(Body::Datagram(datagram)) => datagram.queue.front().map_or(0, |waiting| waiting.bytes.len()),
            _ => 0,
        }
    }

    pub(super) fn watch(&mut self, id: SocketId, watch: Option<Arc<dyn Watch>>) {
        if let Ok(socket) = self.get(id) {
            socket.watch = watch;
        }
    }

    pub(super) fn listen(&mut self, id: SocketId, backlog: u32) -> Result<(), Error> {
        let socket = self.get(id)?;
        match &mut socket.body {
            Body::Stream(stream) => stream.listen(backlog)?,
            Body::Datagram(_) => return Err(EOPNOTSUPP),
        }
        if socket.local.is_none() {
            let any = match socket.family {
                Family::V4 => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
                Family::V6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            };
            self.bind(id, SocketAddr::new(any, 0))?;
        }
        Ok(())
    }
}
