//! What the stack keeps of a socket.

use crate::tcp::Tcb;
use crate::time::Instant;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use device::{Family, Kind, Ready, Watch};
use memory::Promise;

/// A socket.
pub(super) struct Socket {
    pub(super) family: Family,
    pub(super) kind: Kind,
    /// What it was bound to; for a connection its own end.
    pub(super) local: Option<SocketAddr>,
    /// It stands in the index of ports.
    pub(super) owns_port: bool,
    pub(super) watch: Option<Arc<dyn Watch>>,
    /// The pending error, a Linux errno.
    pub(super) error: Option<i32>,
    pub(super) options: Options,
    /// It stands in the list of those to be transmitted from.
    pub(super) dirty: bool,
    /// The earliest timer that stands in the heap for it.
    pub(super) timer: Option<Instant>,
    /// When it wants to be woken; not before `timer`.
    pub(super) due: Option<Instant>,
    pub(super) body: Body,
}

/// What a socket is doing.
pub(super) enum Body {
    /// A stream that neither listens nor connects yet.
    Idle,
    /// It accepts connections.
    Listener(Listener),
    /// A connection, or one that is being made.
    Connection(Box<Connection>),
    /// Datagrams.
    Datagram(Box<Datagram>),
}

#[derive(Default)]
pub(super) struct Listener {
    /// Established, oldest first.
    pub(super) waiting: VecDeque<u32>,
    /// Not yet established.
    pub(super) embryos: u32,
    pub(super) backlog: u32,
    /// Since when requests have been refused because of the embryos.
    pub(super) crowded: Option<Instant>,
}

pub(super) struct Connection {
    pub(super) tcb: Tcb,
    pub(super) remote: SocketAddr,
    /// Its listener, until it is accepted.
    pub(super) parent: Option<u32>,
    /// The program has closed it.
    pub(super) orphan: bool,
    pub(super) receive_shut: bool,
    pub(super) send_shut: bool,
    /// The program found no room to send.
    pub(super) starved: bool,
    /// It became readable in this epoch ([`super::Inet`]'s), and nothing was sent on it since.
    pub(super) epoch: u32,
    /// What is kept for the program, until it sends something.
    pub(super) promise: Option<Promise>,
    /// What a router said about it, should it come to nothing (RFC 1122 §4.2.3.9: a soft error).
    pub(super) soft_error: Option<i32>,
}

impl Connection {
    /// With this other end.
    pub(super) fn new(tcb: Tcb, remote: SocketAddr, promise: Promise) -> Self {
        Self {
            tcb,
            remote,
            parent: None,
            orphan: false,
            receive_shut: false,
            send_shut: false,
            starved: false,
            epoch: 0,
            promise: Some(promise),
            soft_error: None,
        }
    }
}

/// A datagram that was received.
pub(super) struct Waiting {
    /// Who sent it, and where to.
    pub(super) from: SocketAddr,
    pub(super) to: IpAddr,
    pub(super) class: u8,
    pub(super) bytes: Box<[u8]>,
}

pub(super) struct Datagram {
    pub(super) peer: Option<SocketAddr>,
    pub(super) queue: VecDeque<Waiting>,
    pub(super) queued_bytes: usize,
    /// The link had no room for what the program wanted to send.
    pub(super) starved: bool,
    pub(super) receive_shut: bool,
    pub(super) send_shut: bool,
    /// It belongs to the resolver.
    pub(super) internal: bool,
}

#[derive(Clone, Copy, Default)]
pub(super) struct Options {
    pub(super) keep_alive: bool,
    pub(super) keep_idle: u32,
    pub(super) keep_interval: u32,
    pub(super) keep_count: u32,
    pub(super) broadcast: bool,
    pub(super) hop_limit: u32,
    pub(super) linger: u32,
    pub(super) only_v6: bool,
    pub(super) reuse_port: bool,
    /// Milliseconds; 0 for the default.
    pub(super) user_timeout: u32,
    /// Bytes; 0 for what memory allows.
    pub(super) receive_buffer: u32,
    pub(super) send_buffer: u32,
    /// Type of service or traffic class.
    pub(super) class: u32,
    /// `IP_PMTUDISC_*` (ip(7)).
    pub(super) mtu_discover: u32,
    /// Datagrams may be received joined.
    pub(super) joins: bool,
}

impl Options {
    /// Linux's defaults.
    pub(super) const DEFAULT: Self = Self {
        keep_alive: false,
        keep_idle: 7200,
        keep_interval: 75,
        keep_count: 9,
        broadcast: false,
        hop_limit: 64,
        linger: 0,
        only_v6: false,
        reuse_port: false,
        user_timeout: 0,
        receive_buffer: 0,
        send_buffer: 0,
        class: 0,
        mtu_discover: 1,
        joins: false,
    };
}

impl Socket {
    pub(super) fn new(family: Family, kind: Kind, body: Body) -> Self {
        Self {
            family,
            kind,
            local: None,
            owns_port: false,
            watch: None,
            error: None,
            options: Options::DEFAULT,
            dirty: false,
            timer: None,
            due: None,
            body,
        }
    }

    /// Tells whoever watches.
    pub(super) fn changed(&self) {
        if let Some(watch) = &self.watch {
            watch.changed();
        }
    }

    pub(super) fn connection(&mut self) -> Option<&mut Connection> {
        match &mut self.body {
            Body::Connection(connection) => Some(connection),
            _ => None,
        }
    }

    pub(super) fn datagram(&mut self) -> Option<&mut Datagram> {
        match &mut self.body {
            Body::Datagram(datagram) => Some(datagram),
            _ => None,
        }
    }

    /// Would what was bound here take what is sent to `to`?
    pub(super) fn takes(&self, to: IpAddr) -> bool {
        match self.local.map(|l| l.ip()) {
            Some(IpAddr::V4(Ipv4Addr::UNSPECIFIED)) => to.is_ipv4(),
            Some(IpAddr::V6(Ipv6Addr::UNSPECIFIED)) => to.is_ipv6() || !self.options.only_v6,
            Some(own) => own == to,
            None => false,
        }
    }

    /// An address as the program is to see it: on an IPv6 socket IPv4 addresses are mapped (RFC 4291 §2.5.5.2).
    pub(super) fn outward(&self, address: SocketAddr) -> SocketAddr {
        outward(self.family, address)
    }

    /// What it is ready for.
    pub(super) fn ready(&self) -> Ready {
        let mut ready = match &self.body {
            Body::Idle => Ready::WRITE | Ready::HANG_UP,
            Body::Listener(listener) if listener.waiting.is_empty() => Ready::default(),
            Body::Listener(_) => Ready::READ,
            Body::Connection(connection) => connection.ready(),
            Body::Datagram(datagram) => datagram.ready(),
        };
        if self.error.is_some() {
            ready = ready | Ready::ERROR | Ready::READ | Ready::WRITE;
        }
        ready
    }
}

impl Connection {
    fn ready(&self) -> Ready {
        let tcb = &self.tcb;
        if tcb.is_opening() {
            return Ready::default();
        }
        let mut ready = Ready::default();
        let ended = tcb.peer_is_done() || self.receive_shut;
        if tcb.readable() > 0 || ended {
            ready = ready | Ready::READ;
        }
        if ended {
            ready = ready | Ready::READ_END;
        }
        let sending_over = self.send_shut || !tcb.may_send();
        if tcb.send_room() > 0 || sending_over {
            ready = ready | Ready::WRITE;
        }
        if ended && sending_over {
            ready = ready | Ready::HANG_UP;
        }
        ready
    }
}

impl Datagram {
    fn ready(&self) -> Ready {
        let mut ready = Ready::default();
        if !self.queue.is_empty() || self.receive_shut {
            ready = ready | Ready::READ;
        }
        if self.receive_shut {
            ready = ready | Ready::READ_END;
        }
        if !self.starved || self.send_shut {
            ready = ready | Ready::WRITE;
        }
        ready
    }
}

/// See [`Socket::outward`].
#[inline(never)]
pub(super) fn outward(family: Family, address: SocketAddr) -> SocketAddr {
    match (family, address) {
        (Family::V6, SocketAddr::V4(v4)) => SocketAddr::new(IpAddr::V6(v4.ip().to_ipv6_mapped()), v4.port()),
        _ => address,
    }
}

/// The address inside: IPv4 wherever it is one. `None` if a socket of this family cannot use it.
pub(super) fn inward(family: Family, address: SocketAddr) -> Option<SocketAddr> {
    if family == Family::V4 && address.is_ipv6() {
        return None;
    }
    Some(SocketAddr::new(address.ip().to_canonical(), address.port()))
}
