//! Who is bound where.

use super::socket::Socket;
use super::{Flow, Inet, World};
use crate::errno::{EADDRINUSE, EADDRNOTAVAIL, EAFNOSUPPORT, EINVAL};
use core::net::{IpAddr, SocketAddr};
use device::{Error, Family, Kind};

/// Ports that nobody asked for (Linux's ip_local_port_range).
const EPHEMERAL: core::ops::Range<u32> = 32768..61000;
/// How many of them are tried before there are none.
const TRIES: u32 = 4096;

impl Inet {
    /// Binds a socket.
    pub(super) fn bind_socket(&mut self, number: u32, address: SocketAddr) -> Result<(), Error> {
        let Some(socket) = self.sockets.get(number) else { return Err(EINVAL) };
        if socket.local.is_some() {
            return Err(EINVAL);
        }
        let address = super::socket::inward(socket.family, address).ok_or(EAFNOSUPPORT)?;
        let ip = address.ip();
        if !ip.is_unspecified() && !self.has_address(ip) {
            return Err(EADDRNOTAVAIL);
        }
        let kind = socket.kind;
        let port = match address.port() {
            0 => self.free_port(kind, ip)?,
            port if self.is_taken(number, kind, ip, port) => return Err(EADDRINUSE),
            port => port,
        };
        self.own_port(number, SocketAddr::new(ip, port));
        Ok(())
    }

    /// Gives a datagram socket a port if it has none.
    pub(super) fn bind_any(&mut self, number: u32) -> Result<(), Error> {
        match self.sockets.get(number) {
            Some(Socket { local: None, family, .. }) => {
                let any = match family {
                    Family::V4 => IpAddr::V4(0.into()),
                    Family::V6 => IpAddr::V6(0.into()),
                };
                self.bind_socket(number, SocketAddr::new(any, 0))
            }
            _ => Ok(()),
        }
    }

    /// The port of a connection that is to be made to `remote`.
    pub(super) fn connecting_port(
        &mut self,
        world: World<'_>,
        local: IpAddr,
        remote: SocketAddr,
    ) -> Result<u16, Error> {
        for _ in 0..TRIES {
            let port = self.random_port();
            let flow: Flow = (SocketAddr::new(local, port), remote);
            let hash = self.flow_hash(flow);
            let free = self.flow(hash, flow).is_none()
                && !self.waits.contains(world.now, hash, flow)
                && self.bound(Kind::Stream, port).next().is_none();
            if free {
                return Ok(port);
            }
        }
        Err(EADDRNOTAVAIL)
    }

    /// The sockets bound to a port.
    pub(super) fn bound(&self, kind: Kind, port: u16) -> impl Iterator<Item = u32> {
        self.ports.find(self.port_hash(kind, port)).filter(move |number| {
            self.sockets
                .get(*number)
                .is_some_and(|s| s.kind == kind && s.owns_port && s.local.is_some_and(|l| l.port() == port))
        })
    }

    /// Gives back a socket's port, if it owns one.
    pub(super) fn release_port(&mut self, number: u32) {
        let Some(socket) = self.sockets.get_mut(number) else { return };
        if !core::mem::take(&mut socket.owns_port) {
            return;
        }
        let (kind, port) = (socket.kind, socket.local.map_or(0, |l| l.port()));
        let hash = self.port_hash(kind, port);
        self.ports.remove(hash, number);
    }

    fn own_port(&mut self, number: u32, local: SocketAddr) {
        let Some(socket) = self.sockets.get_mut(number) else { return };
        socket.local = Some(local);
        socket.owns_port = true;
        let kind = socket.kind;
        let hash = self.port_hash(kind, local.port());
        self.ports.insert(hash, number);
    }

    fn free_port(&mut self, kind: Kind, ip: IpAddr) -> Result<u16, Error> {
        for _ in 0..TRIES {
            let port = self.random_port();
            if !self.is_taken(u32::MAX, kind, ip, port) {
                return Ok(port);
            }
        }
        Err(EADDRINUSE)
    }

    /// Does somebody else have this port at an address that overlaps? (`SO_REUSEPORT` on both allows it.)
    fn is_taken(&self, own: u32, kind: Kind, ip: IpAddr, port: u16) -> bool {
        let shares = self.sockets.get(own).is_some_and(|s| s.options.reuse_port);
        self.bound(kind, port).any(|number| {
            self.sockets.get(number).is_some_and(|other| {
                let theirs = other.local.map(|l| l.ip());
                let overlap = ip.is_unspecified() || theirs.is_some_and(|t| t.is_unspecified() || t == ip);
                let apart = theirs.is_some_and(|t| t.is_ipv4() != ip.is_ipv4())
                    && (other.options.only_v6 || self.sockets.get(own).is_some_and(|s| s.options.only_v6));
                number != own && overlap && !apart && !(shares && other.options.reuse_port)
            })
        })
    }

    fn random_port(&mut self) -> u16 {
        (EPHEMERAL.start + self.random.below(EPHEMERAL.end - EPHEMERAL.start)) as u16
    }

    fn port_hash(&self, kind: Kind, port: u16) -> u32 {
        self.key.hash([u64::from(port) << 1 | u64::from(kind == Kind::Stream)])
    }
}
