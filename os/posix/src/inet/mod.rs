//! Internet sockets: one service over up to two stacks.
//!
//! The *inner* stack is the machine's own loopback, always there. The *outer* one is the network that the manifest
//! names: the host's sockets under our own monitors, else our TCP/IP. A socket has an end in either or both: one bound to
//! the wildcard address is reachable through both, one bound or connected to 127.0.0.1 or ::1 has the inner end only.
//! Nothing of this needs the network: a machine without one is a Linux whose only interface is `lo`.

//!
//! * `calls`: what programs call
//! * `host_peers`: where answers to a loopback address go
//! * `options`: socket options

mod calls;
mod host_peers;
mod options;

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use device::{Ancillary, Family, Kind as Type, SocketId, Stack};
use sync::{Once, SpinLock};

use crate::errno::{Errno, Result};
use crate::file::{Description, NON_BLOCKING, Open, READ_WRITE};
use crate::observe::Observers;
use crate::options::{IPPROTO_TCP, IPPROTO_UDP, Timeouts};
use crate::outside;
use crate::socket::{AF_INET, AF_INET6, Address, DATAGRAM, Received, STREAM, Socket};
use host_peers::HostPeers;

/// How often a wildcard bind to any port looks for a number that is free in both stacks.
const BIND_ATTEMPTS: u32 = 8;

/// One of a socket's two possible ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Inner = 0,
    Outer = 1,
}

const ENDS: [End; 2] = [End::Inner, End::Outer];

impl End {
    fn stack(self) -> Option<&'static dyn Stack> {
        match self {
            End::Inner => Some(outside::loopback()),
            End::Outer => outer(),
        }
    }

    /// Which end leads to `ip`; the wildcard address means this machine, as on Linux.
    fn towards(ip: IpAddr) -> End {
        let ip = ip.to_canonical();
        let own = ip.is_loopback() || ip.is_unspecified() || outside::is_own_address(ip);
        if own { End::Inner } else { End::Outer }
    }
}

/// The stack of the network that the manifest names.
pub fn outer() -> Option<&'static dyn Stack> {
    static OUTER: Once<Option<&'static dyn Stack>> = Once::new();
    *OUTER.get_or_init(outside::network)
}

/// Tells the machine's own addresses on the network that the manifest names, each with the bits of its prefix; none where
/// there is no such network, or its stack does not know.
pub fn addresses(take: &mut dyn FnMut(IpAddr, u8)) {
    if let Some(stack) = outer() {
        stack.addresses(take);
    }
}

/// Says once that the manifest is why there is no network.
fn hint() {
    static SAID: AtomicBool = AtomicBool::new(false);
    if !SAID.swap(true, Relaxed) {
        crate::console::say(
            b"ampoule: the program uses a network, but it was started with --net none, or its manifest names none; \
              add net.listen or net.connect to [package.metadata.ampoule] and build again\n",
        );
    }
}

/// An internet socket.
struct Inet {
    family: Family,
    kind: Type,
    /// Socket numbers by [`End`], plus 1; 0 for none.
    ends: [AtomicU64; 2],
    observers: Arc<Observers>,
    timeouts: Timeouts,
    state: SpinLock<State>,
    /// Which end is asked first, in turn.
    turn: AtomicBool,
}

#[derive(Default)]
struct State {
    bound: bool,
    /// The address that the program bound, for a datagram socket that leaves its peer.
    at: Option<SocketAddr>,
    listening: bool,
    /// Why a connect failed on the spot; told as if it had failed later, as it does on Linux.
    refusal: u32,
    connect: Connect,
    /// Options by their place in the table; set again at an end that is opened later.
    options: Vec<(u8, u32)>,
    /// Peers at loopback addresses that are the host's own. Answers go back there, not to the loopback inside the machine.
    host_peers: HostPeers,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Connect {
    #[default]
    Not,
    Started,
    Done,
}

/// `socket`: `kind` is a `SOCK_*` type without flags; `flags` may hold `O_NONBLOCK`.
pub fn socket(family: u32, kind: u32, protocol: u32, flags: u32) -> Result<Open> {
    let family = match family {
        AF_INET => Family::V4,
        AF_INET6 => Family::V6,
        _ => return Err(Errno::AFNOSUPPORT),
    };
    let kind = match (kind, protocol) {
        (STREAM, 0 | IPPROTO_TCP) => Type::Stream,
        (DATAGRAM, 0 | IPPROTO_UDP) => Type::Datagram,
        (STREAM | DATAGRAM, _) => return Err(Errno::PROTONOSUPPORT),
        // Raw sockets are for the privileged.
        (3, _) => return Err(Errno::PERM),
        _ => return Err(Errno::SOCKTNOSUPPORT),
    };
    Ok(Inet::open(family, kind, None, flags, Vec::new()))
}

impl Inet {
    fn open(family: Family, kind: Type, end: Option<(End, SocketId)>, flags: u32, options: Vec<(u8, u32)>) -> Open {
        let inet = Inet {
            family,
            kind,
            ends: [AtomicU64::new(0), AtomicU64::new(0)],
            observers: Arc::new(Observers::new()),
            timeouts: Timeouts::default(),
            state: SpinLock::new(State { options, ..State::default() }),
            turn: AtomicBool::new(false),
        };
        if let Some((end, id)) = end {
            inet.ends[end as usize].store(u64::from(id.0) + 1, Relaxed);
            if let Some(stack) = end.stack() {
                stack.watch(id, Some(inet.observers.clone()));
            }
            let mut state = inet.state.lock();
            state.bound = true;
            state.connect = Connect::Done;
        }
        Description::open(inet, READ_WRITE | flags & NON_BLOCKING)
    }

    /// The stack and the number at `end`, if the socket has that end.
    #[inline]
    fn at(&self, end: End) -> Option<(&'static dyn Stack, SocketId)> {
        let number = self.ends[end as usize].load(Relaxed).checked_sub(1)?;
        Some((end.stack()?, SocketId(number as u32)))
    }

    /// The ends there are.
    fn present(&self) -> impl Iterator<Item = (&'static dyn Stack, SocketId)> {
        ENDS.into_iter().filter_map(|end| self.at(end))
    }

    /// The end at `end`, opened if need be.
    fn ensure(&self, end: End) -> Result<(&'static dyn Stack, SocketId)> {
        if let Some(there) = self.at(end) {
            return Ok(there);
        }
        let Some(stack) = end.stack() else {
            hint();
            return Err(Errno::NETUNREACH);
        };
        let id = stack.open(self.family, self.kind)?;
        let options: Vec<_> = self.state.lock().options.clone();
        for (option, value) in Inet::of_stack(&options) {
            // It was accepted when it was set; a stack that does not know it does without.
            let _ = stack.set_option(id, option, value);
        }
        stack.watch(id, Some(self.observers.clone()));
        let number = u64::from(id.0) + 1;
        if self.ends[end as usize].compare_exchange(0, number, Relaxed, Relaxed).is_err() {
            stack.close(id);
        }
        self.at(end).ok_or(Errno::BADF)
    }

    /// Closes the end at `end`, if there is one.
    fn forget(&self, end: End) {
        if let Some((stack, id)) = self.at(end) {
            self.ends[end as usize].store(0, Relaxed);
            stack.watch(id, None);
            stack.close(id);
        }
    }

    /// Asks one end after the other until one does not say [`Errno::AGAIN`]; they take turns at being first.
    fn either<R>(&self, mut ask: impl FnMut(End, &'static dyn Stack, SocketId) -> Result<R>) -> Option<Result<R>> {
        let turn = self.ends[0].load(Relaxed) != 0 && self.ends[1].load(Relaxed) != 0 && {
            let turn = self.turn.load(Relaxed);
            self.turn.store(!turn, Relaxed);
            turn
        };
        let order = if turn { [End::Outer, End::Inner] } else { ENDS };
        let mut result = None;
        for end in order {
            if let Some((stack, id)) = self.at(end) {
                let answer = ask(end, stack, id);
                if !matches!(answer, Err(Errno::AGAIN)) {
                    return Some(answer);
                }
                result = Some(answer);
            }
        }
        result
    }

    /// Receives from whichever end has something, and what came along where that is asked for.
    fn take(&self, buffer: &mut [u8], peek: bool, mut along: Option<&mut Ancillary>) -> Result<Received> {
        let got = self.either(|end, stack, id| {
            let got = match &mut along {
                None => stack.receive(id, buffer, peek)?,
                Some(along) => {
                    let (got, ancillary) = stack.receive_with(id, buffer, peek)?;
                    **along = ancillary;
                    // Where a stack does not tell where a datagram was sent to, it was to the address of the socket.
                    let bound = || stack.local(id).ok().map(|local| local.ip()).filter(|ip| !ip.is_unspecified());
                    along.local = along.local.or_else(bound);
                    got
                }
            };
            if let Some(from) = got.from.filter(|from| from.ip().to_canonical().is_loopback()) {
                self.state.lock().host_peers.heard(from, end == End::Outer);
            }
            Ok(got)
        });
        match got {
            Some(got) => {
                let got = got?;
                let from = got.from.map(Address::Inet);
                Ok(Received { length: got.length, full_length: got.full_length, from })
            }
            None if self.kind == Type::Stream => Err(Errno::NOTCONN),
            None => Err(Errno::AGAIN),
        }
    }

    fn bind_everywhere(&self, address: SocketAddr) -> Result<()> {
        if outer().is_none() {
            let (stack, id) = self.ensure(End::Inner)?;
            return Ok(stack.bind(id, address)?);
        }
        for _ in 0..BIND_ATTEMPTS {
            let (outer, id) = self.ensure(End::Outer)?;
            let mut both = address;
            match outer.bind(id, address) {
                Ok(()) => both.set_port(outer.local(id)?.port()),
                // Nobody outside can know a port that nobody named: the machine's own loopback will do.
                Err(device::Error::Errno(13)) if address.port() == 0 => self.forget(End::Outer),
                Err(error) => return Err(error.into()),
            }
            let (inner, id) = self.ensure(End::Inner)?;
            match inner.bind(id, both).map_err(Errno::from) {
                Err(Errno::ADDRINUSE) if address.port() == 0 => ENDS.into_iter().for_each(|end| self.forget(end)),
                Err(error) => {
                    ENDS.into_iter().for_each(|end| self.forget(end));
                    return Err(error);
                }
                Ok(()) => return Ok(()),
            }
        }
        Err(Errno::ADDRINUSE)
    }

    fn wildcard(&self) -> SocketAddr {
        match self.family {
            Family::V4 => SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0),
            Family::V6 => SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), 0),
        }
    }

    /// `address` as this socket's stack is to see it, or why it cannot be one of its family.
    fn of_family(&self, address: SocketAddr) -> Result<SocketAddr> {
        match (self.family, address) {
            (Family::V4, SocketAddr::V6(_)) => Err(Errno::AFNOSUPPORT),
            // Linux finds it too short.
            (Family::V6, SocketAddr::V4(_)) => Err(Errno::INVAL),
            _ => Ok(address),
        }
    }

    /// The same for a peer: a datagram socket of IPv6 also takes an IPv4 address as it is.
    fn peer_of_family(&self, address: SocketAddr) -> Result<SocketAddr> {
        match (self.family, self.kind, address) {
            (Family::V6, Type::Datagram, SocketAddr::V4(_)) if self.has_own_v6_address() => Err(Errno::NETUNREACH),
            (Family::V6, Type::Datagram, SocketAddr::V4(v4)) => {
                Ok(SocketAddr::new(v4.ip().to_ipv6_mapped().into(), v4.port()))
            }
            _ => self.of_family(address),
        }
    }

    /// The errno of a connect that failed on the spot, or 0; taken.
    fn take_refusal(&self) -> u32 {
        let mut state = self.state.lock();
        let refusal = core::mem::take(&mut state.refusal);
        if refusal != 0 {
            state.connect = Connect::Not;
        }
        refusal
    }

    /// The wildcard as a destination is the loopback address.
    fn destination(mut address: SocketAddr) -> SocketAddr {
        if address.ip().is_unspecified() {
            address.set_ip(match address {
                SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            });
        }
        address
    }
}

impl Inet {
    /// Is it bound to an address that no IPv4 packet comes from?
    fn has_own_v6_address(&self) -> bool {
        let is_own = |ip: Ipv6Addr| !ip.is_unspecified() && ip.to_ipv4_mapped().is_none();
        matches!(self.local(), Ok(Address::Inet(SocketAddr::V6(address))) if is_own(*address.ip()))
    }

    fn is_wildcard(&self) -> bool {
        matches!(self.local(), Ok(Address::Inet(address)) if address.ip().is_unspecified())
    }
}

impl Drop for Inet {
    fn drop(&mut self) {
        ENDS.into_iter().for_each(|end| self.forget(end));
    }
}
