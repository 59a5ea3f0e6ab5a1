//! The host-socket server between a driver's ring and real sockets of this host, and under drivers that lie.
#![allow(clippy::unwrap_used, reason = "a test that fails should panic")]

use abi::address::BusAddr;
use abi::hostnet::{Address, Event, EventHeader, Operation, QUEUE_CONTROL, QUEUE_EVENTS, QUEUE_SEND};
use abi::hostnet::{RECEIVE_WINDOW, Request, Response, SEND_CREDIT, SEND_DATA, SendHeader, SendStatus};
use abi::ring::{Areas, Buffer, Device, Driver, Layout};
use ampoule_host_device::hostnet::table::{Table, memory_for};
use ampoule_host_device::hostnet::{Answer, Control, Hostnet};
use ampoule_host_device::system::{self, EpollEvent};
use ampoule_host_device::{Ram, bytes_of, value_of};
use proptest::prelude::*;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{FromRawFd as _, IntoRawFd, OwnedFd, RawFd};

unsafe extern "C" {
    fn epoll_create1(flags: i32) -> RawFd;
}

const BASE: u64 = 0x10_0000;
const EVENT_BUFFER: usize = 4096;

/// Stands for whoever decides: hands out one prepared descriptor at the first connect or listen.
#[derive(Default)]
struct Prepared(Option<OwnedFd>);

impl Control for Prepared {
    fn request(&mut self, request: &Request, _: Option<i32>) -> Answer {
        let hands_out = [Operation::Connect as u32, Operation::Listen as u32].contains(&request.operation);
        let descriptor = if hands_out { self.0.take().map(IntoRawFd::into_raw_fd) } else { None };
        Answer { response: Response::default(), descriptor }
    }

    fn resolve(&mut self, _: u32, _: &[u8]) -> Result<(), i32> {
        Ok(())
    }

    fn send_to(&mut self, _: &SendHeader, _: *const u8, _: bool) -> Answer {
        Answer::error(13)
    }
}

struct Bench {
    ram: Vec<u8>,
    drivers: [Driver; 3],
    server: Hostnet,
    control: Prepared,
    set: RawFd,
}

impl Bench {
    fn new(descriptor: Option<OwnedFd>) -> Self {
        let mut ram = vec![0u8; 1 << 20];
        let areas = || {
            let block = vec![0u128; Layout::of(64).length.div_ceil(16)].leak();
            // SAFETY: leaked, aligned and long enough.
            unsafe { Areas::in_block(64, block.as_mut_ptr().cast()) }.unwrap()
        };
        let areas = [areas(), areas(), areas()];
        let table = vec![0u64; memory_for(64).div_ceil(8)].leak();
        // SAFETY: leaked and zeroed; the RAM is on the heap and lives as long as the server.
        let (table, memory, set) = unsafe {
            let memory = Ram::new(BusAddr(BASE), ram.as_mut_ptr(), ram.len() as u64);
            (Table::in_zeroed(table.as_mut_ptr().cast(), 64), memory, epoll_create1(0))
        };
        let server = Hostnet::new(areas.map(|a| Device::new(a, false)), memory, set, table);
        let mut bench =
            Self { ram, drivers: areas.map(|a| Driver::new(a, false)), server, control: Prepared(descriptor), set };
        for buffer in 0..16 {
            bench.post(buffer);
        }
        bench
    }

    fn post(&mut self, buffer: u64) {
        let address = BusAddr(BASE + 0x4_0000 + buffer * EVENT_BUFFER as u64);
        self.drivers[QUEUE_EVENTS].add(&[Buffer::writable(address, EVENT_BUFFER as u32)]).unwrap();
        self.drivers[QUEUE_EVENTS].publish();
    }

    fn kick(&mut self, queue: usize) {
        let _ = self.server.kick(queue, &mut self.control).unwrap();
    }

    fn call(&mut self, queue: usize, parts: &[&[u8]], answer: u32) -> &[u8] {
        let bytes = parts.concat();
        self.ram[..bytes.len()].copy_from_slice(&bytes);
        let chain =
            [Buffer::readable(BusAddr(BASE), bytes.len() as u32), Buffer::writable(BusAddr(BASE + 0x3_0000), answer)];
        self.drivers[queue].add(&chain).unwrap();
        self.drivers[queue].publish();
        self.kick(queue);
        self.drivers[queue].take_used().unwrap().expect("answered at once");
        &self.ram[0x3_0000..]
    }

    fn request(&mut self, operation: Operation, socket: u32, argument: u32) -> Response {
        let address = Address { family: 4, ..Address::default() };
        let request = Request { operation: operation as u32, socket, argument, address, value: 0 };
        value_of(self.call(QUEUE_CONTROL, &[bytes_of(&request)], 40)).unwrap()
    }

    fn send(&mut self, socket: u32, kind: u32, length: u32, bytes: &[u8]) -> SendStatus {
        let header = SendHeader { socket, kind, length, ..SendHeader::default() };
        value_of(self.call(QUEUE_SEND, &[bytes_of(&header), bytes], 8)).unwrap()
    }

    /// Waits until the server has filled buffers, and takes them.
    fn events(&mut self) -> Vec<(EventHeader, Vec<u8>)> {
        let mut out = Vec::new();
        while out.is_empty() {
            let mut events = [EpollEvent::default(); 8];
            let count = system::epoll_wait(self.set, &mut events, Some(10_000_000_000));
            assert!(count > 0, "nothing happens any more");
            for event in &events[..usize::try_from(count).unwrap_or(0)] {
                self.server.event(event.token, event.events);
            }
            self.kick(QUEUE_EVENTS);
            out = self.taken();
        }
        out
    }

    fn taken(&mut self) -> Vec<(EventHeader, Vec<u8>)> {
        let mut out = Vec::new();
        while let Ok(Some(used)) = self.drivers[QUEUE_EVENTS].take_used() {
            let at = 0x4_0000 + usize::from(used.head) * EVENT_BUFFER;
            let bytes = self.ram[at..at + used.length as usize].to_vec();
            out.push((value_of(&bytes).unwrap(), bytes[size_of::<EventHeader>()..].to_vec()));
            self.post(used.head.into());
        }
        out
    }
}

fn pair() -> (TcpStream, OwnedFd) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (theirs, _) = listener.accept().unwrap();
    theirs.set_nonblocking(true).unwrap();
    (ours, theirs.into())
}

#[test]
fn a_stream_carries_both_ways_and_ends() {
    let (mut ours, theirs) = pair();
    let mut bench = Bench::new(Some(theirs));
    let socket = bench.request(Operation::Open, 0, 1).socket;
    assert_eq!(bench.request(Operation::Connect, socket, 0).status, 0);
    assert_eq!(bench.events()[0].0.event, Event::Connected as u32);
    ours.write_all(b"ping").unwrap();
    let events = bench.events();
    assert_eq!((events[0].0.event, &events[0].1[..]), (Event::Data as u32, &b"ping"[..]));
    let sent = bench.send(socket, SEND_DATA, 4, b"pong");
    assert_eq!((sent.taken, sent.status), (4, 0));
    let mut answer = [0; 4];
    ours.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"pong");
    ours.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(bench.events()[0].0.event, Event::End as u32);
    assert_eq!(bench.request(Operation::Close, socket, 0).status, 0);
    assert_eq!(ours.read(&mut answer).unwrap(), 0);
    assert_eq!(bench.send(socket, SEND_DATA, 0, b"").status, -9);
}

#[test]
fn an_end_that_came_with_the_last_bytes_is_told() {
    let (mut ours, theirs) = pair();
    ours.write_all(b"last words").unwrap();
    ours.shutdown(std::net::Shutdown::Write).unwrap();
    let mut bench = Bench::new(Some(theirs));
    let socket = bench.request(Operation::Open, 0, 1).socket;
    assert_eq!(bench.request(Operation::Connect, socket, 0).status, 0);
    let mut told = Vec::new();
    while told.last() != Some(&(Event::End as u32)) {
        told.extend(bench.events().iter().map(|(header, _)| header.event));
    }
    assert_eq!(told, [Event::Connected as u32, Event::Data as u32, Event::End as u32]);
}

#[test]
fn a_slow_reader_fills_no_memory() {
    let (mut ours, theirs) = pair();
    let mut bench = Bench::new(Some(theirs));
    let socket = bench.request(Operation::Open, 0, 1).socket;
    bench.request(Operation::Connect, socket, 0);
    bench.events();
    ours.set_nonblocking(true).unwrap();
    let (mut got, part) = (0, [7u8; 65536]);
    // Without credit the far side stops at the window, however much is written.
    while got < RECEIVE_WINDOW as usize {
        let _ = ours.write(&part);
        got += bench.events().iter().map(|(_, bytes)| bytes.len()).sum::<usize>();
    }
    let _ = ours.write(&part);
    bench.kick(QUEUE_EVENTS);
    assert_eq!((got, bench.taken().len()), (RECEIVE_WINDOW as usize, 0));
    bench.send(socket, SEND_CREDIT, 1000, b"");
    assert_eq!(bench.taken().iter().map(|(_, bytes)| bytes.len()).sum::<usize>(), 1000);
}

#[test]
fn a_full_peer_is_waited_for() {
    let (mut ours, theirs) = pair();
    let mut bench = Bench::new(Some(theirs));
    let socket = bench.request(Operation::Open, 0, 1).socket;
    bench.request(Operation::Connect, socket, 0);
    bench.events();
    let part = [1u8; 60000];
    let mut total = 0;
    let last = loop {
        let sent = bench.send(socket, SEND_DATA, part.len() as u32, &part);
        total += sent.taken as usize;
        if sent.status != 0 {
            break sent;
        }
    };
    assert_eq!(last.status, -11);
    let mut sink = vec![0; total];
    ours.read_exact(&mut sink).unwrap();
    assert_eq!(bench.events()[0].0.event, Event::Writable as u32);
}

#[test]
fn an_event_for_a_socket_without_a_descriptor_ends() {
    let mut bench = Bench::new(None);
    let socket = bench.request(Operation::Open, 0, 1).socket;
    bench.server.event(u64::from(socket), system::EPOLL_IN);
    bench.kick(QUEUE_EVENTS);
    assert!(bench.taken().is_empty());
}

#[test]
fn a_listener_accepts_as_far_as_its_backlog_is_credited() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let mut bench = Bench::new(Some(listener.into()));
    let socket = bench.request(Operation::Open, 0, 1).socket;
    assert_eq!(bench.request(Operation::Listen, socket, 1).status, 0);
    let clients = [TcpStream::connect(address).unwrap(), TcpStream::connect(address).unwrap()];
    let first = bench.events();
    assert_eq!((first.len(), first[0].0.event), (1, Event::Accepted as u32));
    assert_eq!(first[0].0.peer.port, clients[0].local_addr().unwrap().port());
    bench.send(socket, SEND_CREDIT, 1, b"");
    let second = bench.taken();
    assert_eq!((second.len(), second[0].0.socket), (1, socket));
    assert_ne!(first[0].0.value, second[0].0.value);
}

proptest! {
    /// Nonsense in headers, lengths and addresses is an error or an errno, never a panic, and nothing outside is touched.
    #[test]
    fn nonsense_is_survived(
        queue in 0usize..3,
        header in prop::collection::vec(any::<u8>(), 40..128),
        kind in 0u32..12,
        socket in 0u32..4,
        address in prop_oneof![Just(BASE), any::<u64>()],
        length in prop_oneof![0u32..256, any::<u32>()],
        answer in prop_oneof![Just(BASE + 0x3_0000), any::<u64>()],
        room in prop_oneof![0u32..8192, any::<u32>()],
    ) {
        let (_ours, theirs) = pair();
        let mut bench = Bench::new(Some(theirs));
        bench.request(Operation::Open, 0, 1);
        bench.request(Operation::Connect, 1, 0);
        bench.ram[..header.len()].copy_from_slice(&header);
        let at = if queue == QUEUE_SEND { [4, 0] } else { [0, 4] };
        bench.ram[at[0]..at[0] + 4].copy_from_slice(&kind.to_le_bytes());
        bench.ram[at[1]..at[1] + 4].copy_from_slice(&socket.to_le_bytes());
        let chain = [Buffer::readable(BusAddr(address), length), Buffer::writable(BusAddr(answer), room)];
        bench.drivers[queue].add(&chain).unwrap();
        bench.drivers[queue].publish();
        let _ = bench.server.kick(queue, &mut bench.control);
        // SAFETY: the set is this bench's own.
        drop(unsafe { OwnedFd::from_raw_fd(bench.set) });
    }
}
