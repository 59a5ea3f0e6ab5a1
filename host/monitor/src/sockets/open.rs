//! One open socket of a machine, as the host holds it.
//!
//! The host's socket is made late, at the first request that says which family it must have: a guest's IPv6 socket whose
//! port is published at an IPv4 address, or that connects to one, is an IPv4 socket here.

use super::policy::Policy;
use super::{address, options, system};
use crate::Notice;
use abi::hostnet::{Address, CLASS_GIVEN, SendHeader, SocketOption};
use abi::manifest::Protocol;
use host_device::control::Control;
use rustix::io::Errno;
use rustix::net::{self, AddressFamily, SocketFlags, SocketType, sockopt};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;

/// One open socket.
#[derive(Debug)]
pub(super) struct Open {
    protocol: Protocol,
    /// The guest sees IPv6 addresses.
    v6: bool,
    descriptor: Option<OwnedFd>,
    /// The data path has it.
    handed_out: bool,
    /// What the guest bound, its port filled in.
    bound: Option<SocketAddr>,
    /// A connect was started.
    connected: bool,
    /// Options set before there was a socket.
    options: Vec<(SocketOption, u32)>,
}

/// Why a socket could not be bound.
#[derive(Debug)]
pub(super) enum BindError {
    /// The host's port belongs to somebody else.
    InUse {
        /// The machine's port.
        port: u16,
        /// The host's address.
        host: SocketAddr,
    },
    /// Anything else.
    Errno(Errno),
}

impl From<Errno> for BindError {
    fn from(errno: Errno) -> Self {
        BindError::Errno(errno)
    }
}

impl Open {
    pub(super) fn new(protocol: Protocol, v6: bool) -> Self {
        Self { protocol, v6, descriptor: None, handed_out: false, bound: None, connected: false, options: Vec::new() }
    }

    pub(super) fn protocol(&self) -> Protocol {
        self.protocol
    }

    pub(super) fn descriptor(&self) -> Option<&OwnedFd> {
        self.descriptor.as_ref()
    }

    /// Is it time to give the descriptor to the data path? Once: when a stream listens or connects, when a datagram
    /// socket exists.
    pub(super) fn hand_out(&mut self) -> bool {
        let ready = self.descriptor.is_some() && !self.handed_out && self.in_use();
        self.handed_out |= ready;
        ready
    }

    fn in_use(&self) -> bool {
        let Some(socket) = &self.descriptor else { return false };
        // A stream that is only bound has nothing to carry yet; in an epoll set it would report a hang-up.
        self.protocol == Protocol::Udp || self.connected || sockopt::socket_acceptconn(socket).unwrap_or(false)
    }

    /// The host's socket, made if there is none, of the family of `address`.
    fn socket(&mut self, address: SocketAddr) -> Result<&OwnedFd, Errno> {
        if self.descriptor.is_none() {
            let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
            let kind = match self.protocol {
                Protocol::Tcp => SocketType::STREAM,
                Protocol::Udp => SocketType::DGRAM,
            };
            let socket = net::socket_with(family, kind, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)?;
            if self.protocol == Protocol::Tcp {
                // The guest's own stack decides when to send; Nagle's algorithm here would only add its delay.
                sockopt::set_tcp_nodelay(&socket, true)?;
            }
            for (option, value) in std::mem::take(&mut self.options) {
                options::set(&socket, option, value)?;
            }
            self.descriptor = Some(socket);
        }
        self.descriptor.as_ref().ok_or(Errno::BADF)
    }

    pub(super) fn bind(&mut self, policy: &Policy, wanted: &Address) -> Result<Address, BindError> {
        let wanted = address::from_guest(wanted)?;
        if self.bound.is_some() {
            return Err(Errno::INVAL.into());
        }
        let port = wanted.port();
        if port != 0 && !policy.may_listen(self.protocol, port) {
            return Err(Errno::ACCESS.into());
        }
        let mut host = policy.host_address(self.protocol, port);
        if self.v6 && wanted.is_ipv6() && self.options.contains(&(SocketOption::OnlyV6, 1)) {
            host = for_v6_alone(host);
        }
        let tcp = self.protocol == Protocol::Tcp;
        let socket = self.socket(host)?;
        if tcp {
            // As std does on Unix: connections of a former life must not keep the port.
            sockopt::set_socket_reuseaddr(socket, true)?;
        }
        match net::bind(socket, &host) {
            Ok(()) => {}
            Err(Errno::ADDRINUSE) => return Err(BindError::InUse { port, host }),
            Err(errno) => return Err(errno.into()),
        }
        let mut bound = wanted;
        if port == 0 {
            bound.set_port(SocketAddr::try_from(net::getsockname(socket)?)?.port());
        }
        self.bound = Some(bound);
        Ok(address::to_guest(bound, self.v6))
    }

    /// Where it listens, as accepted connections show it to the guest.
    pub(super) fn listen(&mut self, policy: &Policy, backlog: u32) -> Result<(Address, Notice), Errno> {
        if self.protocol != Protocol::Tcp {
            return Err(Errno::OPNOTSUPP);
        }
        if self.bound.is_none() {
            let any = address::to_guest(SocketAddr::from(([0, 0, 0, 0], 0)), self.v6);
            self.bind(policy, &any).map_err(|error| match error {
                BindError::Errno(errno) => errno,
                BindError::InUse { .. } => Errno::ADDRINUSE,
            })?;
        }
        let (Some(bound), Some(socket)) = (self.bound, &self.descriptor) else { return Err(Errno::INVAL) };
        let host = SocketAddr::try_from(net::getsockname(socket)?)?;
        // A port that the kernel chose is one of those that port 0 stands for.
        if !policy.may_listen(Protocol::Tcp, bound.port()) && !policy.may_listen(Protocol::Tcp, 0) {
            return Err(Errno::ACCESS);
        }
        net::listen(socket, backlog.clamp(1, 4096) as i32)?;
        let shown = if host.ip().is_unspecified() { bound.ip() } else { host.ip() };
        let local = address::to_guest(SocketAddr::new(shown, bound.port()), self.v6);
        Ok((local, Notice::Listening { protocol: Protocol::Tcp, port: bound.port(), host }))
    }

    /// Where a UDP socket receives, if it was bound to a port of the machine's.
    pub(super) fn receives(&self) -> Option<Notice> {
        let host = SocketAddr::try_from(net::getsockname(self.descriptor.as_ref()?).ok()?).ok()?;
        Some(Notice::Listening { protocol: Protocol::Udp, port: self.bound?.port(), host })
    }

    /// Starts to connect; the local address, as the guest is to see it.
    pub(super) fn connect(&mut self, policy: &Policy, to: &Address) -> Result<Address, Errno> {
        let to = address::peer(address::from_guest(to)?);
        if !policy.may_connect(self.protocol, to) {
            return Err(Errno::ACCESS);
        }
        let socket = self.socket(to)?;
        match net::connect(socket, &to) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(errno) => return Err(errno),
        }
        // From here on the data path has something to watch.
        self.connected = true;
        Ok(self.local())
    }

    pub(super) fn send_to(&mut self, policy: &Policy, header: &SendHeader, bytes: &[u8]) -> Result<(), Errno> {
        if self.protocol != Protocol::Udp {
            return Err(Errno::ISCONN);
        }
        let to = match header.address.family {
            // Whom it is connected to was checked when it was.
            0 if self.connected => None,
            0 => return Err(Errno::DESTADDRREQ),
            _ => Some(address::peer(address::from_guest(&header.address)?)),
        };
        let answers = self.bound.is_some_and(|b| policy.may_listen(Protocol::Udp, b.port()));
        if to.is_some_and(|to| !answers && !policy.may_connect(Protocol::Udp, to)) {
            return Err(Errno::ACCESS);
        }
        let socket = match (to, &self.descriptor) {
            (Some(to), _) => self.socket(to)?,
            (None, Some(socket)) => socket,
            (None, None) => return Err(Errno::DESTADDRREQ),
        };
        system::send(socket, to, bytes, &control(socket, header)?)
    }

    pub(super) fn local(&self) -> Address {
        let host = self.descriptor.as_ref().and_then(|s| SocketAddr::try_from(net::getsockname(s).ok()?).ok());
        let address = match (self.bound, host) {
            // Once connected, the kernel has chosen an address for a socket that was bound to any.
            (Some(bound), Some(host))
                if bound.ip().is_unspecified() && !host.ip().is_unspecified() && self.connected =>
            {
                SocketAddr::new(host.ip(), bound.port())
            }
            (Some(bound), _) => bound,
            (None, Some(host)) => host,
            (None, None) if self.v6 => SocketAddr::from(([0u16; 8], 0)),
            (None, None) => SocketAddr::from(([0, 0, 0, 0], 0)),
        };
        address::to_guest(address, self.v6)
    }

    pub(super) fn set_option(&mut self, option: SocketOption, value: u32) -> Result<(), Errno> {
        match &self.descriptor {
            Some(socket) => options::set(socket, option, value),
            None if option == SocketOption::Error => Err(Errno::NOPROTOOPT),
            None => {
                self.options.retain(|(o, _)| *o != option);
                self.options.push((option, value));
                Ok(())
            }
        }
    }

    pub(super) fn option(&self, option: SocketOption) -> Result<u32, Errno> {
        match &self.descriptor {
            Some(socket) => options::get(socket, option),
            None => Ok(self.options.iter().find(|(o, _)| *o == option).map_or(0, |(_, value)| *value)),
        }
    }
}

/// What a datagram's header asks for, as control messages.
fn control(socket: &OwnedFd, header: &SendHeader) -> Result<Control, Errno> {
    let mut control = Control::empty();
    if header.class == 0 && header.segment == 0 && header.source.family == 0 {
        return Ok(control);
    }
    let local = SocketAddr::try_from(net::getsockname(socket)?)?;
    if header.class & CLASS_GIVEN != 0 {
        control.push_class(local.is_ipv6(), header.class as u8);
    }
    if header.segment != 0 {
        control.push_segment(header.segment);
    }
    // Only where the socket has all of the host's addresses is one of them to be chosen; else the operator has chosen.
    if local.ip().is_unspecified() && header.source.family != 0 {
        let source = address::to_guest(address::from_guest(&header.source)?, local.is_ipv6());
        if matches!((source.family, local.is_ipv6()), (4, false) | (6, true)) {
            control.push_source(&source);
        }
    }
    Ok(control)
}

/// Where on the host a port appears that listens for IPv6 alone (`IPV6_V6ONLY`): beside the IPv4 address that the port is
/// published at, which another socket of the machine has for itself, or will. One address of IPv4's has no counterpart.
fn for_v6_alone(published: SocketAddr) -> SocketAddr {
    let ip = match published.ip() {
        IpAddr::V4(Ipv4Addr::LOCALHOST) => Ipv6Addr::LOCALHOST.into(),
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv6Addr::UNSPECIFIED.into(),
        ip => ip,
    };
    SocketAddr::new(ip, published.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_for_v6_alone_leaves_v4_to_another() {
        let stands = |published: &str, at: &str| {
            assert_eq!(for_v6_alone(published.parse().expect("one")), at.parse().expect("one"));
        };
        stands("127.0.0.1:80", "[::1]:80");
        stands("0.0.0.0:80", "[::]:80");
        stands("[::1]:80", "[::1]:80");
        stands("192.0.2.1:80", "192.0.2.1:80");
    }
}
