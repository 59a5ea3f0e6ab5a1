//! The stack: sockets by number, requests to the far side, and what it sends.
//!
//! Locks: the table's is held to find a socket and no longer. A socket's is held while the far side is asked to send for
//! it, so that a status and a `Writable` that follows it are seen in this order. Watches are called with neither.
//!
//! A socket's number here is the far side's own.

use abi::hostnet::{
    Address, CLASS_GIVEN, Event, EventHeader, Operation, Request, Response, SEND_CREDIT, SEND_DATA, SendHeader,
    SendStatus, SocketOption,
};
use abi::manifest::Policy;
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use device::{
    Ancillary, Error, Family, HostSockets, How, Incoming, Kind, Ready, Received, Resolved, Sent, SocketId, Stack, Watch,
};
use memory::Admission;
use sync::{Guard, Lasting, SpinLock, lasting};

use crate::convert;
use crate::numbers::Numbers;
use crate::resolve::{Lookup, Pending};
use crate::socket::{Arrival, Ending, Phase, Socket, UNSENT_MAX};

const BAD_DESCRIPTOR: i32 = 9;
const NO_MEMORY: i32 = 12;
const ACCESS: i32 = 13;
const INVALID: i32 = 22;
const DESTINATION_REQUIRED: i32 = 89;
const NO_BUFFERS: i32 = 105;
const ALREADY_CONNECTED: i32 = 106;
const NOT_CONNECTED: i32 = 107;
const ALREADY: i32 = 114;

/// New connections are refused when less memory than this part of the arena is left, ...
const RESERVE_PART: usize = 32;
/// ... but never while this much is, in bytes.
const RESERVE_MAX: usize = 1 << 20;

type Locked = SpinLock<Socket>;

/// The host's sockets. Never dropped.
pub struct HostNet {
    device: &'static dyn HostSockets,
    policy: Lasting<Policy>,
    admission: Admission,
    sockets: Lasting<Numbers<Locked>>,
    /// Sockets that the driver had no room for.
    starved: Lasting<Vec<u32>>,
    is_starved: AtomicBool,
    /// Requests to make once the events are dealt with.
    put_off: Lasting<Vec<(u32, Ending)>>,
    lookups: Lasting<Vec<Arc<Pending>>>,
    tokens: AtomicU32,
}

impl HostNet {
    /// The stack over `device`, under `policy`. Whoever makes it sees to it that [`HostNet::look`] is called.
    pub fn new(device: &'static dyn HostSockets, policy: Policy) -> HostNet {
        HostNet {
            device,
            policy: lasting(policy),
            admission: Admission::default(),
            sockets: lasting(Numbers::new()),
            starved: lasting(Vec::new()),
            is_starved: AtomicBool::new(false),
            put_off: lasting(Vec::new()),
            lookups: lasting(Vec::new()),
            tokens: AtomicU32::new(0),
        }
    }

    /// Deals with everything that has arrived; true if there was something.
    pub fn look(&self) -> bool {
        let news = self.device.poll(&mut |incoming| match incoming {
            Incoming::Event(header, bytes) => self.event(header, bytes),
            Incoming::Sent(number, kind, status) => self.sent(number, kind, status),
            Incoming::Resolved(token, status, addresses) => {
                let mut lookups = self.lookups.lock();
                let found = lookups.iter().position(|l| l.token == token).map(|i| lookups.swap_remove(i));
                drop(lookups);
                if let Some(lookup) = found {
                    let addresses = lookup.finish(status, addresses);
                    self.policy.lock().learn(&lookup.name, &addresses);
                }
            }
        });
        if news {
            self.after_news();
        }
        news
    }

    /// Asks for an event when something arrives; true if something has.
    pub fn arm_device(&self) -> bool {
        self.device.arm()
    }

    fn after_news(&self) {
        if self.is_starved.swap(false, Relaxed) {
            // Taken in a statement of its own: who has no luck this time goes back into the list.
            let starved = core::mem::take(&mut *self.starved.lock());
            for number in starved {
                if let Some(socket) = self.find(number) {
                    let mut state = socket.lock();
                    self.pump(number, &mut state);
                    self.pay(number, &mut state);
                    tell(state);
                }
            }
        }
        let put_off = core::mem::take(&mut *self.put_off.lock());
        for (number, ending) in put_off {
            let _ = self.ask(match ending {
                Ending::Shutdown => shutdown_request(number, How::Send),
                _ => Request { operation: Operation::Close as u32, socket: number, ..Request::default() },
            });
        }
    }

    fn find(&self, number: u32) -> Option<Arc<Locked>> {
        self.sockets.lock().get(number).cloned()
    }

    #[inline]
    fn socket(&self, id: SocketId) -> Result<Arc<Locked>, Error> {
        self.find(id.0).ok_or(Error::Errno(BAD_DESCRIPTOR))
    }

    fn ask(&self, request: Request) -> Result<Response, Error> {
        let response = self.device.control(&request);
        if response.status < 0 { Err(Error::Errno(response.status.saturating_neg())) } else { Ok(response) }
    }

    /// Adds a socket, unless memory runs short; the far side's is closed then.
    fn add(&self, number: u32, mut socket: Socket) -> bool {
        let reserve = (memory::pages::total_bytes() / RESERVE_PART).min(RESERVE_MAX);
        let promise = self.admission.admit(memory::free_bytes(), 0, reserve);
        let low = promise.is_none();
        // A socket that the program asked for is its own affair.
        socket.promise = promise.filter(|_| socket.phase == Phase::Connected);
        let added = !low && self.sockets.lock().insert(number, Arc::new(SpinLock::new(socket)));
        if !added {
            self.put_off.lock().push((number, Ending::Close));
        }
        added
    }

    fn event(&self, header: &EventHeader, bytes: &[u8]) {
        let Some(socket) = self.find(header.socket) else {
            if header.event == Event::Accepted as u32 {
                self.put_off.lock().push((header.value, Ending::Close));
            }
            return;
        };
        let mut state = socket.lock();
        match header.event {
            e if e == Event::Data as u32 => state.data(header, bytes),
            e if e == Event::End as u32 => state.end(),
            e if e == Event::Error as u32 => state.fail(header.value as i32),
            e if e == Event::Connected as u32 => state.connected(convert::from_device(&header.local)),
            e if e == Event::Writable as u32 => {
                state.blocked = false;
                self.pump(header.socket, &mut state);
            }
            e if e == Event::Accepted as u32 => self.arrived(header, &mut state),
            // A later far side may know more events; they are not for us.
            _ => {}
        }
        tell(state);
    }

    /// A listener has a new connection. One that is refused gives its place in the far side's window back, or else so many
    /// refusals as the backlog has places would end the listening for good.
    fn arrived(&self, header: &EventHeader, listener: &mut Socket) {
        let peer = convert::from_device(&header.peer);
        let arrived = Socket::arrived(peer, convert::from_device(&header.local));
        let room = listener.arrivals.try_reserve(1).is_ok();
        match peer {
            Some(peer) if room && self.add(header.value, arrived) => {
                listener.arrivals.push_back(Arrival { number: header.value, peer });
                return;
            }
            Some(_) if room => {}
            _ => self.put_off.lock().push((header.value, Ending::Close)),
        }
        listener.owe(1);
        self.pay(header.socket, listener);
    }

    /// A queued send was dealt with.
    fn sent(&self, number: u32, kind: u32, status: SendStatus) {
        self.is_starved.store(true, Relaxed);
        if kind == SEND_CREDIT {
            return; // nobody waits for it
        }
        let Some(socket) = self.find(number) else { return };
        let mut state = socket.lock();
        state.sent_later(status);
        self.pump(number, &mut state);
        tell(state);
    }

    /// Sends what waits, one piece at a time, and carries an ending out when nothing waits any more.
    fn pump(&self, number: u32, state: &mut Socket) {
        while state.kind == Kind::Stream && state.under_way == 0 && !state.blocked && !state.unsent.is_empty() {
            let length = state.unsent.front().len();
            match self.device.send(&data_header(number, None), state.unsent.front()) {
                Sent::Done(status) => {
                    state.under_way = 1;
                    state.sent_later(SendStatus { taken: status.taken.min(length as u32), ..status });
                }
                Sent::Queued => state.under_way = 1,
                Sent::Full => {
                    self.starve(number);
                    break;
                }
            }
        }
        if state.ending != Ending::Open && state.is_drained() {
            let ending = core::mem::take(&mut state.ending);
            self.put_off.lock().push((number, ending));
            if ending == Ending::Close {
                self.sockets.lock().remove(number);
            }
        }
    }

    /// Sends credit that is due.
    #[inline]
    fn pay(&self, number: u32, state: &mut Socket) {
        let Some(credit) = state.credit_due() else { return };
        let header = SendHeader { socket: number, kind: SEND_CREDIT, length: credit, ..SendHeader::default() };
        match self.device.send(&header, &[]) {
            Sent::Done(_) | Sent::Queued => state.credited(credit),
            Sent::Full => self.starve(number),
        }
    }

    fn starve(&self, number: u32) {
        self.starved.lock().push(number);
    }

    fn send_stream(&self, number: u32, state: &mut Socket, bytes: &[u8]) -> Result<usize, Error> {
        state.promise = None;
        if state.under_way > 0 || !state.unsent.is_empty() {
            let room = UNSENT_MAX.saturating_sub(state.unsent.len()).min(bytes.len());
            state.unsent.push(&bytes[..room]).map_err(|_| Error::Errno(NO_BUFFERS))?;
            self.pump(number, state);
            return Ok(room);
        }
        let bytes = &bytes[..bytes.len().min(UNSENT_MAX)];
        match self.device.send(&data_header(number, None), bytes) {
            Sent::Done(status) => state.sent_now(bytes.len(), status),
            Sent::Queued => {
                state.under_way = 1;
                if state.unsent.push(bytes).is_err() {
                    state.fail(NO_MEMORY);
                }
                Ok(bytes.len())
            }
            Sent::Full => {
                state.unsent.push(bytes).map_err(|_| Error::Errno(NO_BUFFERS))?;
                self.starve(number);
                Ok(bytes.len())
            }
        }
    }

    fn take(
        &self,
        id: SocketId,
        buffer: &mut [u8],
        peek: bool,
        ancillary: Option<&mut Ancillary>,
    ) -> Result<Received, Error> {
        let socket = self.socket(id)?;
        let mut state = socket.lock();
        let got = state.receive(buffer, peek, ancillary)?;
        self.pay(id.0, &mut state);
        Ok(got)
    }

    fn send_datagram(
        &self,
        number: u32,
        state: &mut Socket,
        bytes: &[u8],
        to: Option<SocketAddr>,
        ancillary: &Ancillary,
    ) -> Result<usize, Error> {
        match to {
            Some(peer) if !self.may_send_to(state, peer) => return Err(Error::Errno(ACCESS)),
            None if state.peer.is_none() => return Err(Error::Errno(DESTINATION_REQUIRED)),
            _ => {}
        }
        let source = |ip| convert::to_device(SocketAddr::new(ip, 0));
        let header = SendHeader {
            class: ancillary.class.map_or(0, |class| CLASS_GIVEN | u16::from(class)),
            segment: ancillary.segment,
            source: ancillary.local.map_or(Address::default(), source),
            ..data_header(number, to)
        };
        match self.device.send(&header, bytes) {
            Sent::Done(status) => state.sent_now(bytes.len(), status).map(|_| bytes.len()),
            Sent::Queued => {
                state.under_way += 1;
                Ok(bytes.len())
            }
            Sent::Full => {
                self.starve(number);
                Err(Error::WouldBlock)
            }
        }
    }

    /// A socket that receives from strangers may answer them; whom exactly, the far side knows.
    fn may_send_to(&self, state: &Socket, peer: SocketAddr) -> bool {
        let listens =
            state.local.is_some_and(|local| self.policy.lock().may_listen(state.kind.protocol(), local.port()));
        listens || self.policy.lock().may_connect(state.kind.protocol(), peer)
    }
}

/// Releases a socket and tells its watch.
fn tell(state: Guard<'_, Socket>) {
    let watch = state.watch.clone();
    drop(state);
    if let Some(watch) = watch {
        watch.changed();
    }
}

fn data_header(number: u32, to: Option<SocketAddr>) -> SendHeader {
    let address = to.map(convert::to_device).unwrap_or_default();
    SendHeader { socket: number, kind: SEND_DATA, address, ..SendHeader::default() }
}

fn shutdown_request(number: u32, how: How) -> Request {
    let argument = match how {
        How::Receive => 0,
        How::Send => 1,
        How::Both => 2,
    };
    Request { operation: Operation::Shutdown as u32, socket: number, argument, ..Request::default() }
}

impl Stack for HostNet {
    fn open(&self, family: Family, kind: Kind) -> Result<SocketId, Error> {
        let mut request = Request { operation: Operation::Open as u32, ..Request::default() };
        request.address.family = if family == Family::V4 { 4 } else { 6 };
        request.argument = if kind == Kind::Stream { 1 } else { 2 };
        let number = self.ask(request)?.socket;
        if !self.add(number, Socket::new(kind)) {
            self.after_news();
            return Err(Error::Errno(NO_BUFFERS));
        }
        Ok(SocketId(number))
    }

    fn bind(&self, id: SocketId, address: SocketAddr) -> Result<(), Error> {
        let socket = self.socket(id)?;
        let kind = socket.lock().kind;
        if !self.policy.lock().may_bind(kind.protocol(), address.port()) {
            return Err(Error::Errno(ACCESS));
        }
        let address = convert::to_device(address);
        let request = Request { operation: Operation::Bind as u32, socket: id.0, address, ..Request::default() };
        let local = convert::from_device(&self.ask(request)?.address);
        socket.lock().local = local.or(convert::from_device(&address));
        Ok(())
    }

    fn listen(&self, id: SocketId, backlog: u32) -> Result<(), Error> {
        let socket = self.socket(id)?;
        let argument = backlog.clamp(1, 4096);
        self.ask(Request { operation: Operation::Listen as u32, socket: id.0, argument, ..Request::default() })?;
        let mut state = socket.lock();
        state.phase = Phase::Listening;
        state.backlog = argument;
        Ok(())
    }

    fn connect(&self, id: SocketId, address: SocketAddr) -> Result<(), Error> {
        let socket = self.socket(id)?;
        let (kind, phase) = {
            let state = socket.lock();
            (state.kind, state.phase)
        };
        match phase {
            Phase::Connected if kind == Kind::Stream => return Err(Error::Errno(ALREADY_CONNECTED)),
            Phase::Connecting => return Err(Error::Errno(ALREADY)),
            Phase::Listening => return Err(Error::Errno(INVALID)),
            _ => {}
        }
        if !self.policy.lock().may_connect(kind.protocol(), address) {
            return Err(Error::Errno(ACCESS));
        }
        // Before the request: its end may come as an event before the answer is looked at.
        if kind == Kind::Stream {
            socket.lock().phase = Phase::Connecting;
        }
        let wire = convert::to_device(address);
        let request =
            Request { operation: Operation::Connect as u32, socket: id.0, address: wire, ..Request::default() };
        let answer = self.ask(request);
        let mut state = socket.lock();
        let response = match answer {
            Ok(response) => response,
            Err(error) => {
                state.phase = phase;
                return Err(error);
            }
        };
        state.peer = Some(address);
        state.local = convert::from_device(&response.address).or(state.local);
        match state.phase {
            _ if kind == Kind::Datagram => {
                state.phase = Phase::Connected;
                Ok(())
            }
            Phase::Connected => Ok(()),
            _ => Err(Error::InProgress),
        }
    }

    fn accept(&self, id: SocketId) -> Result<(SocketId, SocketAddr), Error> {
        let socket = self.socket(id)?;
        let mut state = socket.lock();
        let arrival = state.accept()?;
        self.pay(id.0, &mut state);
        Ok((SocketId(arrival.number), arrival.peer))
    }

    #[inline]
    fn send(&self, id: SocketId, bytes: &[u8], to: Option<SocketAddr>) -> Result<usize, Error> {
        let socket = self.socket(id)?;
        let mut state = socket.lock();
        state.may_send()?;
        match state.kind {
            Kind::Stream if bytes.is_empty() => Ok(0),
            Kind::Stream => self.send_stream(id.0, &mut state, bytes),
            Kind::Datagram => self.send_datagram(id.0, &mut state, bytes, to, &Ancillary::default()),
        }
    }

    fn send_with(
        &self,
        id: SocketId,
        bytes: &[u8],
        to: Option<SocketAddr>,
        ancillary: &Ancillary,
    ) -> Result<usize, Error> {
        let socket = self.socket(id)?;
        let mut state = socket.lock();
        state.may_send()?;
        self.send_datagram(id.0, &mut state, bytes, to, ancillary)
    }

    #[inline]
    fn receive(&self, id: SocketId, buffer: &mut [u8], peek: bool) -> Result<Received, Error> {
        self.take(id, buffer, peek, None)
    }

    fn receive_with(&self, id: SocketId, buffer: &mut [u8], peek: bool) -> Result<(Received, Ancillary), Error> {
        let mut ancillary = Ancillary::default();
        let got = self.take(id, buffer, peek, Some(&mut ancillary))?;
        Ok((got, ancillary))
    }

    fn shutdown(&self, id: SocketId, how: How) -> Result<(), Error> {
        let socket = self.socket(id)?;
        let mut state = socket.lock();
        if state.kind == Kind::Stream && !matches!(state.phase, Phase::Connected | Phase::Listening) {
            return Err(Error::Errno(NOT_CONNECTED));
        }
        let drained = state.is_drained();
        state.shut(how != How::Send, how != How::Receive);
        let now = match how {
            How::Receive => how,
            _ if drained => how,
            How::Send | How::Both => {
                state.ending = Ending::Shutdown;
                if how == How::Send {
                    tell(state);
                    return Ok(());
                }
                How::Receive
            }
        };
        tell(state);
        self.ask(shutdown_request(id.0, now)).map(drop)
    }

    fn close(&self, id: SocketId) {
        let Some(socket) = self.find(id.0) else { return };
        let mut state = socket.lock();
        state.watch = None;
        let arrivals = core::mem::take(&mut state.arrivals);
        let drained = state.is_drained();
        if !drained {
            state.ending = Ending::Close;
        }
        drop(state);
        for arrival in arrivals {
            self.close(SocketId(arrival.number));
        }
        if drained {
            self.sockets.lock().remove(id.0);
            let _ = self.ask(Request { operation: Operation::Close as u32, socket: id.0, ..Request::default() });
        }
    }

    fn local(&self, id: SocketId) -> Result<SocketAddr, Error> {
        let socket = self.socket(id)?;
        if let Some(local) = socket.lock().local {
            return Ok(local);
        }
        let request = Request { operation: Operation::LocalAddress as u32, socket: id.0, ..Request::default() };
        let local = convert::from_device(&self.ask(request)?.address).ok_or(Error::Errno(INVALID))?;
        let mut state = socket.lock();
        if state.phase == Phase::Connected {
            state.local = Some(local);
        }
        Ok(local)
    }

    fn peer(&self, id: SocketId) -> Result<SocketAddr, Error> {
        let socket = self.socket(id)?;
        let state = socket.lock();
        match state.peer {
            Some(peer) if state.phase == Phase::Connected => Ok(peer),
            _ => Err(Error::Errno(NOT_CONNECTED)),
        }
    }

    fn set_option(&self, id: SocketId, option: SocketOption, value: u32) -> Result<(), Error> {
        self.socket(id)?;
        let argument = option as u32;
        let operation = Operation::SetOption as u32;
        self.ask(Request { operation, socket: id.0, argument, value, ..Request::default() }).map(drop)
    }

    fn option(&self, id: SocketId, option: SocketOption) -> Result<u32, Error> {
        let socket = self.socket(id)?;
        if option == SocketOption::Error {
            return Ok(socket.lock().take_error() as u32);
        }
        let argument = option as u32;
        let operation = Operation::GetOption as u32;
        self.ask(Request { operation, socket: id.0, argument, ..Request::default() }).map(|r| r.value)
    }

    fn ready(&self, id: SocketId) -> Ready {
        self.find(id.0).map_or(Ready::ERROR | Ready::HANG_UP, |socket| socket.lock().ready())
    }

    fn available(&self, id: SocketId) -> usize {
        self.find(id.0).map_or(0, |socket| socket.lock().available())
    }

    fn watch(&self, id: SocketId, watch: Option<Arc<dyn Watch>>) {
        if let Some(socket) = self.find(id.0) {
            let old = core::mem::replace(&mut socket.lock().watch, watch);
            drop(old);
        }
    }

    fn resolve(&self, name: &str, _: Option<Family>, watch: Arc<dyn Watch>) -> Result<Box<dyn Resolved>, Error> {
        let name = name.strip_suffix('.').unwrap_or(name);
        if !self.policy.lock().may_resolve(name) {
            return Err(Error::Errno(ACCESS));
        }
        let token = self.tokens.fetch_add(1, Relaxed);
        let pending = Pending::new(token, name, watch);
        self.lookups.lock().push(pending.clone());
        if !self.device.resolve(name, token) {
            self.lookups.lock().retain(|l| l.token != token);
            return Err(Error::WouldBlock);
        }
        Ok(Box::new(Lookup(pending)))
    }
}
