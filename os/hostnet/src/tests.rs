//! The stack over a scripted far side.

use abi::hostnet::*;
use abi::manifest::{Connect, Host, Listen, Network, Policy, Protocol};
use device::{Error, Family, HostSockets, How, Incoming, Kind, Ready, Sent, SocketId, Stack, Watch};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use crate::HostNet;

/// How the far side treats sends.
#[derive(Clone, Copy, PartialEq)]
enum Mode {
    /// At once, this many bytes at most.
    Now(u32),
    /// Later: [`FarSide::complete`].
    Later,
    /// There is no room.
    Full,
}

struct State {
    mode: Mode,
    next: u32,
    requests: Vec<Request>,
    sent: Vec<(SendHeader, Vec<u8>)>,
    waiting: VecDeque<SendHeader>,
    events: VecDeque<(EventHeader, Vec<u8>)>,
    done: VecDeque<(SendHeader, SendStatus)>,
}

struct FarSide(Mutex<State>);

impl FarSide {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().expect("no test panics with it")
    }

    fn event(&self, event: Event, socket: u32, value: u32, data: &[u8]) {
        let peer = Address { family: 4, port: 9999, scope: 0, bytes: [1; 16] };
        let header = EventHeader { event: event as u32, socket, value, peer, local: peer, ..Default::default() };
        self.state().events.push_back((header, data.to_vec()));
    }

    fn complete(&self, taken: u32, status: i32) {
        let mut state = self.state();
        let header = state.waiting.pop_front().expect("a send under way");
        state.done.push_back((header, SendStatus { taken, status }));
    }

    fn operations(&self) -> Vec<u32> {
        self.state().requests.iter().map(|r| r.operation).collect()
    }
}

impl HostSockets for FarSide {
    fn control(&self, request: &Request) -> Response {
        let mut state = self.state();
        state.requests.push(*request);
        state.next += 1;
        Response { socket: state.next, address: request.address, ..Default::default() }
    }

    fn resolve(&self, _: &str, _: u32) -> bool {
        true
    }

    fn send(&self, header: &SendHeader, bytes: &[u8]) -> Sent {
        let mut state = self.state();
        if state.mode == Mode::Full {
            return Sent::Full;
        }
        state.sent.push((*header, bytes.to_vec()));
        match state.mode {
            Mode::Now(most) => {
                let taken = most.min(bytes.len() as u32);
                let status = if (taken as usize) < bytes.len() { -11 } else { 0 };
                Sent::Done(SendStatus { taken, status })
            }
            Mode::Later => {
                state.waiting.push_back(*header);
                Sent::Queued
            }
            Mode::Full => Sent::Full,
        }
    }

    fn poll(&self, sink: &mut dyn FnMut(Incoming<'_>)) -> bool {
        let mut news = false;
        loop {
            let Some((header, data)) = self.state().events.pop_front() else { break };
            sink(Incoming::Event(&header, &data));
            news = true;
        }
        loop {
            let Some((header, status)) = self.state().done.pop_front() else { break };
            sink(Incoming::Sent(header.socket, header.kind, status));
            news = true;
        }
        news
    }

    fn arm(&self) -> bool {
        false
    }
}

fn network() -> Network {
    let any = |protocol| Connect { protocol, host: Host::Any, first_port: 1, last_port: 65535 };
    let listen = |protocol| Listen { protocol, first_port: 80, last_port: 80 };
    Network { listen: vec![listen(Protocol::Tcp), listen(Protocol::Udp)], connect: vec![any(Protocol::Tcp)] }
}

fn machine(mode: Mode) -> (&'static FarSide, HostNet) {
    let state = State {
        mode,
        next: 100,
        requests: vec![],
        sent: vec![],
        waiting: VecDeque::new(),
        events: VecDeque::new(),
        done: VecDeque::new(),
    };
    let far: &'static FarSide = Box::leak(Box::new(FarSide(Mutex::new(state))));
    (far, HostNet::new(far, Policy::new(network(), None)))
}

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn connected(far: &FarSide, net: &HostNet) -> SocketId {
    let id = net.open(Family::V4, Kind::Stream).expect("open");
    assert_eq!(net.connect(id, address("192.0.2.1:80")), Err(Error::InProgress));
    assert_eq!(net.ready(id), Ready(0));
    far.event(Event::Connected, id.0, 0, &[]);
    assert!(net.look());
    id
}

#[derive(Default)]
struct Count(AtomicU32);

impl Watch for Count {
    fn changed(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_connection_carries_data_and_ends() {
    let (far, net) = machine(Mode::Now(u32::MAX));
    let id = connected(far, &net);
    let count = Arc::new(Count::default());
    net.watch(id, Some(count.clone()));
    assert_eq!(net.ready(id), Ready::WRITE);
    let mut buffer = [0; 16];
    assert_eq!(net.receive(id, &mut buffer, false), Err(Error::WouldBlock));
    far.event(Event::Data, id.0, 5, b"hello");
    far.event(Event::End, id.0, 0, &[]);
    net.look();
    assert_eq!(count.0.load(Ordering::Relaxed), 2);
    assert_eq!(net.available(id), 5);
    assert_eq!(net.receive(id, &mut buffer, true).expect("data").length, 5);
    assert_eq!(net.receive(id, &mut buffer, false).expect("data").length, 5);
    assert_eq!(net.receive(id, &mut buffer, false).expect("the end").length, 0);
    assert!(net.ready(id).contains(Ready::READ | Ready::READ_END | Ready::WRITE));
    assert_eq!(net.send(id, b"bye", None), Ok(3));
    net.close(id);
    assert_eq!(far.operations().last(), Some(&(Operation::Close as u32)));
    assert_eq!(net.send(id, b"x", None), Err(Error::Errno(9)));
}

#[test]
fn a_full_socket_says_so_until_it_is_writable() {
    let (far, net) = machine(Mode::Now(4));
    let id = connected(far, &net);
    assert_eq!(net.send(id, b"123456", None), Ok(4));
    assert_eq!(net.send(id, b"56", None), Err(Error::WouldBlock));
    assert_eq!(net.ready(id), Ready(0));
    far.event(Event::Writable, id.0, 0, &[]);
    net.look();
    assert_eq!(net.ready(id), Ready::WRITE);
    assert_eq!(net.send(id, b"56", None), Ok(2));
}

#[test]
fn queued_sends_keep_their_order_when_one_is_cut_short() {
    let (far, net) = machine(Mode::Later);
    let id = connected(far, &net);
    assert_eq!(net.send(id, b"abcdef", None), Ok(6));
    assert_eq!(net.send(id, b"ghi", None), Ok(3));
    assert_eq!(far.state().sent.len(), 1);
    far.complete(2, -11);
    net.look();
    assert_eq!(far.state().sent.len(), 1);
    far.event(Event::Writable, id.0, 0, &[]);
    net.look();
    assert_eq!(far.state().sent[1].1, b"cdefghi");
    net.close(id);
    assert_ne!(far.operations().last(), Some(&(Operation::Close as u32)));
    far.complete(7, 0);
    net.look();
    assert_eq!(far.operations().last(), Some(&(Operation::Close as u32)));
}

#[test]
fn credit_that_comes_back_is_not_taken_for_data() {
    let (far, net) = machine(Mode::Later);
    let id = connected(far, &net);
    let piece = vec![7; 128 << 10];
    far.event(Event::Data, id.0, piece.len() as u32, &piece);
    net.look();
    net.receive(id, &mut vec![0; 128 << 10], false).expect("data");
    assert_eq!(net.send(id, b"abc", None), Ok(3));
    far.complete(0, 0); // the credit
    net.look();
    assert_eq!(net.send(id, b"def", None), Ok(3));
    far.complete(3, 0);
    net.look();
    let state = far.state();
    let data: Vec<&[u8]> = state.sent.iter().filter(|s| s.0.kind == SEND_DATA).map(|s| &s.1[..]).collect();
    assert_eq!(data, [b"abc", b"def"]);
}

#[test]
fn those_without_room_get_their_turn() {
    let (far, net) = machine(Mode::Later);
    let ids = [connected(far, &net), connected(far, &net), connected(far, &net)];
    assert_eq!(net.send(ids[0], b"first", None), Ok(5));
    far.state().mode = Mode::Full;
    assert_eq!(net.send(ids[1], b"second", None), Ok(6));
    assert_eq!(net.send(ids[2], b"third", None), Ok(5));
    far.complete(5, 0);
    net.look(); // still full
    far.state().mode = Mode::Later;
    assert_eq!(net.send(ids[0], b"fourth", None), Ok(6));
    far.complete(6, 0);
    net.look();
    let sent: Vec<u32> = far.state().sent.iter().map(|s| s.0.socket).collect();
    assert_eq!(sent, [ids[0].0, ids[0].0, ids[1].0, ids[2].0]);
}

#[test]
fn half_close_waits_for_what_is_queued() {
    let (far, net) = machine(Mode::Later);
    let id = connected(far, &net);
    net.send(id, b"abc", None).expect("room");
    net.shutdown(id, How::Send).expect("connected");
    assert_eq!(net.send(id, b"x", None), Err(Error::Errno(32)));
    assert_ne!(far.operations().last(), Some(&(Operation::Shutdown as u32)));
    far.complete(3, 0);
    net.look();
    assert_eq!(far.operations().last(), Some(&(Operation::Shutdown as u32)));
}

#[test]
fn a_failed_connect_leaves_its_error() {
    let (far, net) = machine(Mode::Now(0));
    let id = net.open(Family::V4, Kind::Stream).expect("open");
    assert_eq!(net.connect(id, address("192.0.2.1:80")), Err(Error::InProgress));
    far.event(Event::Error, id.0, 111, &[]);
    net.look();
    assert!(net.ready(id).contains(Ready::ERROR | Ready::HANG_UP));
    assert_eq!(net.option(id, SocketOption::Error), Ok(111));
    assert_eq!(net.option(id, SocketOption::Error), Ok(0));
}

#[test]
fn credit_follows_what_the_program_takes() {
    let (far, net) = machine(Mode::Now(u32::MAX));
    let id = connected(far, &net);
    let piece = vec![7; 16 << 10];
    for _ in 0..8 {
        far.event(Event::Data, id.0, piece.len() as u32, &piece);
    }
    net.look();
    let mut buffer = vec![0; 32 << 10];
    for _ in 0..4 {
        assert_eq!(net.receive(id, &mut buffer, false).expect("data").length, 32 << 10);
    }
    let credit: u32 = far.state().sent.iter().filter(|s| s.0.kind == SEND_CREDIT).map(|s| s.0.length).sum();
    assert_eq!(credit, 128 << 10);
}

#[test]
fn a_listener_hands_connections_out_with_their_first_bytes() {
    let (far, net) = machine(Mode::Now(u32::MAX));
    let listener = net.open(Family::V4, Kind::Stream).expect("open");
    net.bind(listener, address("0.0.0.0:80")).expect("allowed");
    net.listen(listener, 4).expect("bound");
    assert_eq!(net.accept(listener), Err(Error::WouldBlock));
    far.event(Event::Accepted, listener.0, 500, &[]);
    far.event(Event::Data, 500, 2, b"hi");
    net.look();
    assert_eq!(net.ready(listener), Ready::READ);
    let (id, peer) = net.accept(listener).expect("one arrived");
    assert_eq!((id.0, peer), (500, address("1.1.1.1:9999")));
    assert_eq!(net.receive(id, &mut [0; 8], false).expect("data").length, 2);
    assert_eq!(net.peer(id), Ok(peer));
    far.event(Event::Accepted, listener.0, 501, &[]);
    net.look();
    net.close(listener);
    let closed: Vec<u32> = far.state().requests.iter().filter(|r| r.operation == 6).map(|r| r.socket).collect();
    assert_eq!(closed, [501, listener.0]);
}

#[test]
fn datagrams_keep_their_bounds_and_senders() {
    let (far, net) = machine(Mode::Now(u32::MAX));
    let id = net.open(Family::V4, Kind::Datagram).expect("open");
    assert_eq!(net.send(id, b"x", None), Err(Error::Errno(89)));
    assert_eq!(net.send(id, b"x", Some(address("192.0.2.1:53"))), Err(Error::Errno(13)));
    net.bind(id, address("0.0.0.0:80")).expect("allowed");
    far.event(Event::Data, id.0, 3, b"one");
    far.event(Event::Data, id.0, 5, b"three");
    net.look();
    let mut buffer = [0; 4];
    let got = net.receive(id, &mut buffer, false).expect("data");
    assert_eq!((got.length, got.from), (3, Some(address("1.1.1.1:9999"))));
    let got = net.receive(id, &mut buffer, false).expect("data");
    assert_eq!((got.length, got.full_length), (4, 5));
    assert_eq!(net.send(id, b"back", got.from), Ok(4));
}

#[test]
fn what_the_manifest_forbids_is_never_asked_for() {
    let (far, net) = machine(Mode::Now(u32::MAX));
    let id = net.open(Family::V4, Kind::Stream).expect("open");
    assert_eq!(net.bind(id, address("0.0.0.0:81")), Err(Error::Errno(13)));
    let id = net.open(Family::V4, Kind::Datagram).expect("open");
    assert_eq!(net.connect(id, address("192.0.2.1:53")), Err(Error::Errno(13)));
    assert!(far.operations().iter().all(|o| *o == Operation::Open as u32));
}

#[test]
fn refused_connections_give_their_places_back() {
    const BACKLOG: u32 = 8;
    let (far, net) = machine(Mode::Now(u32::MAX));
    let id = net.open(Family::V4, Kind::Stream).expect("open");
    net.bind(id, address("0.0.0.0:80")).expect("bind");
    net.listen(id, BACKLOG).expect("listen");
    for number in 0..100 {
        // From nowhere, which is as good a reason to refuse as too little memory.
        let header =
            EventHeader { event: Event::Accepted as u32, socket: id.0, value: 1000 + number, ..Default::default() };
        far.state().events.push_back((header, vec![]));
        net.look();
        let credits =
            |s: &State| s.sent.iter().filter(|(h, _)| h.kind == SEND_CREDIT).map(|(h, _)| h.length).sum::<u32>();
        assert!(number + 1 - credits(&far.state()) < BACKLOG, "{number}");
    }
    let closed = far.operations().iter().filter(|o| **o == Operation::Close as u32).count();
    assert_eq!(closed, 100);
}
