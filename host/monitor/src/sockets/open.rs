//! One open socket of a machine, as the host holds it.
//!
//! The host's socket is made late, at the first request that says which family it must have: a guest's IPv6 socket whose
//! port is published at an IPv4 address, or that connects to one, is an IPv4 socket here.

use super::address;
use super::policy::Policy;
use crate::Notice;
use abi::hostnet::{Address, SocketOption};
use abi::manifest::Protocol;
use rustix::io::Errno;
use rustix::net::{self, AddressFamily, SendFlags, SocketFlags, SocketType, sockopt};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

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
                set_option(&socket, address.is_ipv6(), option, value)?;
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
        let host = policy.host_address(self.protocol, port);
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

    pub(super) fn send_to(&mut self, policy: &Policy, to: &Address, bytes: &[u8]) -> Result<(), Errno> {
        if self.protocol != Protocol::Udp {
            return Err(Errno::ISCONN);
        }
        let to = address::peer(address::from_guest(to)?);
        let answers = self.bound.is_some_and(|b| policy.may_listen(Protocol::Udp, b.port()));
        if !answers && !policy.may_connect(Protocol::Udp, to) {
            return Err(Errno::ACCESS);
        }
        let socket = self.socket(to)?;
        net::sendto(socket, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL, &to).map(drop)
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
            Some(socket) => {
                let v6 = SocketAddr::try_from(net::getsockname(socket)?)?.is_ipv6();
                set_option(socket, v6, option, value)
            }
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
            Some(socket) => {
                let v6 = SocketAddr::try_from(net::getsockname(socket)?)?.is_ipv6();
                self::option(socket, v6, option)
            }
            None => Ok(self.options.iter().find(|(o, _)| *o == option).map_or(0, |(_, value)| *value)),
        }
    }
}

/// Sets an option of a socket that exists.
pub(super) fn set_option(socket: &OwnedFd, v6: bool, option: SocketOption, value: u32) -> Result<(), Errno> {
    let seconds = Duration::from_secs(u64::from(value));
    match option {
        SocketOption::KeepAlive => sockopt::set_socket_keepalive(socket, value != 0),
        SocketOption::KeepIdle => sockopt::set_tcp_keepidle(socket, seconds),
        SocketOption::KeepInterval => sockopt::set_tcp_keepintvl(socket, seconds),
        SocketOption::KeepCount => sockopt::set_tcp_keepcnt(socket, value),
        SocketOption::Broadcast => sockopt::set_socket_broadcast(socket, value != 0),
        SocketOption::HopLimit if v6 => sockopt::set_ipv6_unicast_hops(socket, u8::try_from(value).ok()),
        SocketOption::HopLimit => sockopt::set_ip_ttl(socket, value),
        SocketOption::Linger => {
            sockopt::set_socket_linger(socket, value.checked_sub(1).map(|s| Duration::from_secs(u64::from(s))))
        }
        // An IPv4 socket stands for an IPv6 one here only where that is what the peer or the port wants.
        SocketOption::OnlyV6 if v6 => sockopt::set_ipv6_v6only(socket, value != 0),
        SocketOption::OnlyV6 => Ok(()),
        SocketOption::ReusePort => sockopt::set_socket_reuseport(socket, value != 0),
        SocketOption::UserTimeout => sockopt::set_tcp_user_timeout(socket, value),
        SocketOption::ReceiveBuffer => sockopt::set_socket_recv_buffer_size(socket, value as usize),
        SocketOption::SendBuffer => sockopt::set_socket_send_buffer_size(socket, value as usize),
        SocketOption::Error | SocketOption::PathMtu => Err(Errno::NOPROTOOPT),
    }
}

/// Gets an option of a socket that exists.
pub(super) fn option(socket: &OwnedFd, v6: bool, option: SocketOption) -> Result<u32, Errno> {
    let seconds = |d: Duration| u32::try_from(d.as_secs()).unwrap_or(u32::MAX);
    // The kernel counts double what was asked for (socket(7)).
    let size = |bytes: usize| u32::try_from(bytes / 2).unwrap_or(u32::MAX);
    Ok(match option {
        SocketOption::KeepAlive => sockopt::socket_keepalive(socket)?.into(),
        SocketOption::KeepIdle => seconds(sockopt::tcp_keepidle(socket)?),
        SocketOption::KeepInterval => seconds(sockopt::tcp_keepintvl(socket)?),
        SocketOption::KeepCount => sockopt::tcp_keepcnt(socket)?,
        SocketOption::Broadcast => sockopt::socket_broadcast(socket)?.into(),
        SocketOption::HopLimit if v6 => sockopt::ipv6_unicast_hops(socket)?.into(),
        SocketOption::HopLimit => sockopt::ip_ttl(socket)?,
        SocketOption::Linger => sockopt::socket_linger(socket)?.map_or(0, |d| seconds(d).saturating_add(1)),
        SocketOption::OnlyV6 if v6 => sockopt::ipv6_v6only(socket)?.into(),
        SocketOption::OnlyV6 => 0,
        SocketOption::ReusePort => sockopt::socket_reuseport(socket)?.into(),
        SocketOption::UserTimeout => sockopt::tcp_user_timeout(socket)?,
        SocketOption::ReceiveBuffer => size(sockopt::socket_recv_buffer_size(socket)?),
        SocketOption::SendBuffer => size(sockopt::socket_send_buffer_size(socket)?),
        SocketOption::PathMtu if v6 => return Err(Errno::NOPROTOOPT),
        SocketOption::PathMtu => sockopt::ip_mtu(socket)?,
        SocketOption::Error => sockopt::socket_error(socket)?.map_or(0, |()| 0),
    })
}
