//! Internet sockets: one service over up to two stacks.
//!
//! The *inner* stack is the machine's own loopback, always there. The *outer* one is the network that the manifest
//! names: the host's sockets under our own monitors, else our TCP/IP. A socket has an end in either or both: one bound to
//! the wildcard address is reachable through both, one bound or connected to 127.0.0.1 or ::1 has the inner end only.
//! Nothing of this needs the network: a machine without one is a Linux whose only interface is `lo`.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use device::{Family, How, Kind as Type, Ready, SocketId, SocketOption, Stack};
use sync::{Once, SpinLock};

use crate::errno::{Errno, Result};
use crate::events;
use crate::file::{Description, File, Kind, NON_BLOCKING, Open, READ_WRITE};
use crate::observe::Observers;
use crate::options::{self, Timeouts};
use crate::outside;
use crate::socket::{AF_INET, AF_INET6, Address, DATAGRAM, Received, STREAM, Socket};
use crate::stat::{self, Stat};

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
    listening: bool,
    connect: Connect,
    /// Options by level and name; set again at an end that is opened later.
    options: Vec<(u32, u32, u32)>,
    /// Peers at loopback addresses whose datagrams came from outside: the host's own. Answers go back there, not to the
    /// loopback inside the machine. The latest ones, in a circle.
    host_peers: [Option<SocketAddr>; HOST_PEERS],
    next_host_peer: usize,
}

/// How many of the host's own peers a datagram socket remembers.
const HOST_PEERS: usize = 16;

impl State {
    fn remember(&mut self, peer: SocketAddr) {
        if !self.host_peers.contains(&Some(peer)) {
            self.host_peers[self.next_host_peer] = Some(peer);
            self.next_host_peer = (self.next_host_peer + 1) % HOST_PEERS;
        }
    }
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
        (STREAM, 0 | options::IPPROTO_TCP) => Type::Stream,
        (DATAGRAM, 0 | options::IPPROTO_UDP) => Type::Datagram,
        (STREAM | DATAGRAM, _) => return Err(Errno::PROTONOSUPPORT),
        // Raw sockets are for the privileged.
        (3, _) => return Err(Errno::PERM),
        _ => return Err(Errno::SOCKTNOSUPPORT),
    };
    Ok(Inet::open(family, kind, None, flags))
}

impl Inet {
    fn open(family: Family, kind: Type, end: Option<(End, SocketId)>, flags: u32) -> Open {
        let inet = Inet {
            family,
            kind,
            ends: [AtomicU64::new(0), AtomicU64::new(0)],
            observers: Arc::new(Observers::new()),
            timeouts: Timeouts::default(),
            state: SpinLock::new(State::default()),
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
        for (level, name, value) in options {
            if let Some(option) = options::of_stack(level, name) {
                // It was accepted when it was set; a stack that does not know it does without.
                let _ = stack.set_option(id, option, value);
            }
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
        if matches!(self.family, Family::V4) != address.is_ipv4() {
            return Err(Errno::AFNOSUPPORT);
        }
        Ok(address)
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

    fn remember(&self, level: u32, name: u32, value: u32) -> Result<()> {
        let mut state = self.state.lock();
        match state.options.iter_mut().find(|o| (o.0, o.1) == (level, name)) {
            Some(option) => option.2 = value,
            None => {
                state.options.try_reserve(1).map_err(|_| Errno::NOBUFS)?;
                state.options.push((level, name, value));
            }
        }
        Ok(())
    }

    fn remembered(&self, level: u32, name: u32) -> Option<u32> {
        self.state.lock().options.iter().find(|o| (o.0, o.1) == (level, name)).map(|o| o.2)
    }
}

impl File for Inet {
    #[inline]
    fn read(&self, buffer: &mut [u8]) -> Result<usize> {
        Socket::receive(self, buffer, false).map(|r| r.length)
    }

    #[inline]
    fn write(&self, bytes: &[u8]) -> Result<usize> {
        Socket::send(self, bytes, None)
    }

    fn ready(&self) -> u32 {
        let mut ready = None;
        for (stack, id) in self.present() {
            ready = Some(ready.unwrap_or_default() | stack.ready(id));
        }
        match (ready, self.kind) {
            (Some(ready), _) => events::of(ready),
            (None, Type::Stream) => events::WRITABLE | events::HUP,
            (None, Type::Datagram) => events::WRITABLE,
        }
    }

    fn observers(&self) -> Option<&Observers> {
        Some(&self.observers)
    }

    fn stat(&self) -> Stat {
        Stat::special(stat::SOCKET | 0o777)
    }

    fn available(&self) -> Result<usize> {
        Ok(self.present().map(|(stack, id)| stack.available(id)).find(|bytes| *bytes > 0).unwrap_or(0))
    }

    fn timeout_ns(&self, writing: bool) -> u64 {
        self.timeouts.get(writing)
    }

    fn kind(&self) -> Kind<'_> {
        Kind::Socket(self)
    }
}

impl Socket for Inet {
    fn family_and_type(&self) -> (u32, u32) {
        let family = if matches!(self.family, Family::V4) { AF_INET } else { AF_INET6 };
        (family, if self.kind == Type::Stream { STREAM } else { DATAGRAM })
    }

    #[inline]
    fn receive(&self, buffer: &mut [u8], peek: bool) -> Result<Received> {
        let got = self.either(|end, stack, id| {
            let got = stack.receive(id, buffer, peek)?;
            if let (End::Outer, Some(from)) = (end, got.from.filter(|from| from.ip().is_loopback())) {
                self.state.lock().remember(from);
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

    #[inline]
    fn send(&self, bytes: &[u8], to: Option<Address>) -> Result<usize> {
        let to = match to {
            // A stream's destination is where it is connected to; Linux ignores the address as well.
            Some(Address::Inet(address)) if self.kind == Type::Datagram => {
                Some(Inet::destination(self.of_family(address)?))
            }
            Some(Address::Unix(_)) => return Err(Errno::AFNOSUPPORT),
            _ => None,
        };
        let Some(address) = to else {
            let missing = if self.kind == Type::Stream { Errno::PIPE } else { Errno::DESTADDRREQ };
            let connected = self.at(End::Outer).or_else(|| self.at(End::Inner));
            let (stack, id) = connected.ok_or(missing)?;
            return Ok(stack.send(id, bytes, None)?);
        };
        let mut end = End::towards(address.ip());
        {
            let state = self.state.lock();
            if end == End::Inner && state.host_peers.contains(&Some(address)) {
                end = End::Outer;
            }
            if self.at(end).is_none() && state.bound {
                return Err(Errno::NETUNREACH);
            }
        }
        let (stack, id) = self.ensure(end)?;
        Ok(stack.send(id, bytes, Some(address))?)
    }

    fn shutdown(&self, receive: bool, send: bool) -> Result<()> {
        let how = match (receive, send) {
            (true, true) => How::Both,
            (true, false) => How::Receive,
            (false, true) => How::Send,
            (false, false) => return Err(Errno::INVAL),
        };
        let mut result = Err(Errno::NOTCONN);
        for (stack, id) in self.present() {
            let answer = stack.shutdown(id, how).map_err(Errno::from);
            result = if result.is_ok() { result } else { answer };
        }
        result
    }

    fn local(&self) -> Result<Address> {
        let end = self.at(End::Outer).or_else(|| self.at(End::Inner));
        Ok(Address::Inet(match end {
            Some((stack, id)) => stack.local(id)?,
            None => self.wildcard(),
        }))
    }

    fn peer(&self) -> Result<Address> {
        let (stack, id) = self.at(End::Outer).or_else(|| self.at(End::Inner)).ok_or(Errno::NOTCONN)?;
        Ok(Address::Inet(stack.peer(id)?))
    }

    fn bind(&self, address: SocketAddr) -> Result<()> {
        let address = self.of_family(address)?;
        if self.state.lock().bound {
            return Err(Errno::INVAL);
        }
        let ip = address.ip().to_canonical();
        if ip.is_unspecified() || outside::is_own_address(ip) {
            self.bind_everywhere(address)?;
        } else {
            let end = End::towards(ip);
            if end.stack().is_none() {
                hint();
                return Err(Errno::ADDRNOTAVAIL);
            }
            let (stack, id) = self.ensure(end)?;
            stack.bind(id, address)?;
        }
        self.state.lock().bound = true;
        Ok(())
    }

    fn listen(&self, backlog: u32) -> Result<()> {
        if self.kind != Type::Stream {
            return Err(Errno::OPNOTSUPP);
        }
        if !self.state.lock().bound {
            self.bind(self.wildcard())?;
        }
        for (stack, id) in self.present() {
            stack.listen(id, backlog)?;
        }
        self.state.lock().listening = true;
        if outer().is_none() && self.is_wildcard() {
            hint();
        }
        Ok(())
    }

    fn connect(&self, address: SocketAddr) -> Result<()> {
        let address = Inet::destination(self.of_family(address)?);
        if self.kind == Type::Stream {
            let mut state = self.state.lock();
            match state.connect {
                Connect::Done => return Err(Errno::ISCONN),
                Connect::Started => {
                    drop(state);
                    return match self.connected() {
                        Err(Errno::AGAIN) => Err(Errno::ALREADY),
                        done => done,
                    };
                }
                Connect::Not if state.listening => return Err(Errno::ISCONN),
                Connect::Not => state.connect = Connect::Started,
            }
        }
        let end = End::towards(address.ip());
        let result = self.ensure(end).and_then(|(stack, id)| {
            self.forget(if end == End::Inner { End::Outer } else { End::Inner });
            Ok(stack.connect(id, address)?)
        });
        let mut state = self.state.lock();
        state.connect = match result {
            Ok(()) => Connect::Done,
            Err(Errno::INPROGRESS) => Connect::Started,
            Err(_) => Connect::Not,
        };
        state.bound |= result.is_ok() || result == Err(Errno::INPROGRESS);
        result
    }

    fn connected(&self) -> Result<()> {
        let (stack, id) = self.at(End::Outer).or_else(|| self.at(End::Inner)).ok_or(Errno::NOTCONN)?;
        let ready = stack.ready(id);
        let broken = ready.0 & (Ready::ERROR | Ready::HANG_UP).0 != 0;
        if !broken && ready.0 & (Ready::READ | Ready::WRITE).0 == 0 {
            return Err(Errno::AGAIN);
        }
        let error = if broken { stack.option(id, SocketOption::Error).unwrap_or(0) } else { 0 };
        let result = match error {
            0 if broken && !ready.contains(Ready::WRITE) => Err(Errno::CONNREFUSED),
            0 => Ok(()),
            number => Err(Errno(number as i32)),
        };
        self.state.lock().connect = if result.is_ok() { Connect::Done } else { Connect::Not };
        result
    }

    fn accept(&self, flags: u32) -> Result<(Open, Option<Address>)> {
        if !self.state.lock().listening {
            return Err(if self.kind == Type::Stream { Errno::INVAL } else { Errno::OPNOTSUPP });
        }
        let accepted = self.either(|end, stack, id| stack.accept(id).map(|new| (end, new)).map_err(Errno::from));
        let (end, (id, peer)) = accepted.unwrap_or(Err(Errno::INVAL))?;
        let open = Inet::open(self.family, self.kind, Some((end, id)), flags);
        Ok((open, Some(Address::Inet(peer))))
    }

    fn set_option(&self, level: u32, name: u32, value: &[u8]) -> Result<()> {
        if let Some(option) = options::of_stack(level, name) {
            let number = match option {
                SocketOption::Error => return Err(Errno::NOPROTOOPT),
                SocketOption::Linger => linger(value)?,
                _ => options::number(level, value)?,
            };
            for (stack, id) in self.present() {
                stack.set_option(id, option, number)?;
            }
            return self.remember(level, name, number);
        }
        if options::is_hint(level, name) {
            return self.remember(level, name, options::number(level, value)?);
        }
        options::set_common(level, name, value, &self.timeouts)
    }

    fn option(&self, level: u32, name: u32, value: &mut [u8]) -> Result<usize> {
        use options::{SO_ACCEPTCONN, SO_LINGER, SO_RCVBUF, SO_SNDBUF, SOL_SOCKET};
        match (level, name) {
            (SOL_SOCKET, SO_LINGER) => {
                let remembered = self.remembered(level, name).unwrap_or(0);
                let pair = [u32::from(remembered > 0), remembered.saturating_sub(1)];
                let mut bytes = [0; 8];
                bytes[..4].copy_from_slice(&pair[0].to_ne_bytes());
                bytes[4..].copy_from_slice(&pair[1].to_ne_bytes());
                return Ok(options::copy(value, &bytes));
            }
            (SOL_SOCKET, SO_ACCEPTCONN) => return options::give(value, self.state.lock().listening.into()),
            (SOL_SOCKET, SO_SNDBUF | SO_RCVBUF) => {
                // Linux doubles what was asked for, and says so.
                let size = self.remembered(level, name).map_or(options::DEFAULT_BUFFER, |v| v.saturating_mul(2));
                return options::give(value, size);
            }
            _ => {}
        }
        if let Some(option) = options::of_stack(level, name) {
            let mut number = self.remembered(level, name).unwrap_or_else(|| default_of(option));
            for (stack, id) in self.present() {
                number = stack.option(id, option).unwrap_or(number);
                if option == SocketOption::Error && number != 0 {
                    break;
                }
            }
            return options::give(value, number);
        }
        if options::is_hint(level, name) {
            return options::give(value, self.remembered(level, name).unwrap_or(0));
        }
        options::get_common(level, name, value, &self.timeouts, self.family_and_type())
    }
}

impl Inet {
    fn is_wildcard(&self) -> bool {
        matches!(self.local(), Ok(Address::Inet(address)) if address.ip().is_unspecified())
    }
}

impl Drop for Inet {
    fn drop(&mut self) {
        ENDS.into_iter().for_each(|end| self.forget(end));
    }
}

/// `struct linger` as [`SocketOption::Linger`] counts: seconds + 1, 0 for off.
fn linger(value: &[u8]) -> Result<u32> {
    let seconds = value.get(4..).and_then(|v| v.first_chunk::<4>()).ok_or(Errno::INVAL)?;
    let on = options::number(options::SOL_SOCKET, value)? != 0;
    Ok(if on { u32::from_ne_bytes(*seconds).min(u32::MAX - 1) + 1 } else { 0 })
}

/// What Linux says of an option that nobody set, on a socket that no stack knows yet.
fn default_of(option: SocketOption) -> u32 {
    match option {
        SocketOption::HopLimit => 64,
        SocketOption::KeepIdle => 7200,
        SocketOption::KeepInterval => 75,
        SocketOption::KeepCount => 9,
        _ => 0,
    }
}
