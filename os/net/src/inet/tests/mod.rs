//! Two stacks on a simulated link: seeded faults, virtual time, the same run every time.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

/// Calls a method of a station's stack with its world.
macro_rules! call {
    ($pair:expr, $side:expr, $method:ident $(, $argument:expr)*) => {{
        let now = crate::time::Instant::from_micros($pair.now_us);
        let station = &mut $pair.stations[$side];
        let memory = station.memory;
        let memory = move || memory;
        let world = crate::inet::World { frames: &station.frames, now, memory: &memory };
        station.inet.$method(world $(, $argument)*)
    }};
}

mod along;
mod bad_input;
mod bad_links;
mod dhcp;
mod names;
mod options;
mod scale;
mod v6;

use super::{Inet, Network, World};
use crate::time::Instant;
use core::net::{IpAddr, SocketAddr};
use device::testing::{Faults, TracedFrames, Wire, WireEnd};
use device::{Error, Family, Frames, How, Kind, Ready, SocketId, SocketOption, Watch};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

const MEMORY: usize = 64 << 20;

struct Station {
    frames: TracedFrames<WireEnd>,
    inet: Inet,
    memory: usize,
}

impl Station {
    fn new(end: WireEnd, last: u8) -> Self {
        let network =
            Network { address: Some(([10, 0, 0, last], 24)), gateway: None, name_server: Some([10, 0, 0, 2]) };
        Self::with(end, last, network)
    }

    fn with(end: WireEnd, last: u8, network: Network) -> Self {
        let frames = TracedFrames::new(end);
        let world = World { frames: &frames, now: Instant::ZERO, memory: &|| MEMORY };
        let inet = Inet::new(world, network, [last; 32]);
        Self { frames, inet, memory: MEMORY }
    }
}

/// The two, and the time.
struct Pair {
    stations: [Station; 2],
    now_us: u64,
}

fn address(last: u8, port: u16) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, last], port))
}

impl Pair {
    fn new(seed: u64, faults: Faults) -> Self {
        Self::with(seed, faults, 64, false)
    }

    fn with(seed: u64, faults: Faults, capacity: usize, offload: bool) -> Self {
        let (a, b) = Wire::pair(seed, faults, capacity, offload);
        Self { stations: [Station::new(a, 1), Station::new(b, 2)], now_us: 0 }
    }

    /// Lets both work until nothing is left to do now, then goes to the next moment when there is; false if there is none
    /// before `until_us`.
    fn step(&mut self, until_us: u64) -> bool {
        self.stations[0].frames.inner().set_now_us(self.now_us);
        for _ in 0..1000 {
            if !(call!(self, 0, poll) | call!(self, 1, poll)) {
                break;
            }
        }
        let timers = self.stations.iter_mut().filter_map(|s| s.inet.deadline()).map(|at| at.micros()).min();
        let next = [timers, self.stations[0].frames.inner().next_us()].into_iter().flatten().min();
        match next {
            Some(next) if next.max(self.now_us + 1) <= until_us => {
                self.now_us = next.max(self.now_us + 1);
                self.stations[0].frames.inner().set_now_us(self.now_us);
                true
            }
            _ => false,
        }
    }

    fn run(&mut self, us: u64) {
        let until = self.now_us + us;
        while self.step(until) {}
        self.now_us = until;
    }

    fn open(&mut self, side: usize, kind: Kind) -> SocketId {
        self.stations[side].inet.open_socket(Family::V4, kind).unwrap()
    }

    fn listener(&mut self, side: usize, port: u16, backlog: u32) -> SocketId {
        let id = self.open(side, Kind::Stream);
        self.stations[side].inet.bind(id, address(side as u8 + 1, port)).unwrap();
        self.stations[side].inet.listen(id, backlog).unwrap();
        id
    }

    /// A connection from station 0 to a listener at station 1: both ends.
    fn connected(&mut self, port: u16) -> (SocketId, SocketId, SocketId) {
        let listener = self.listener(1, port, 8);
        let client = self.open(0, Kind::Stream);
        assert_eq!(call!(self, 0, connect, client, address(2, port)), Err(Error::InProgress));
        for _ in 0..2000 {
            self.run(100_000);
            if let Ok((server, peer)) = self.stations[1].inet.accept(listener) {
                assert_eq!(peer, self.stations[0].inet.local(client).unwrap());
                self.run(100_000);
                return (client, server, listener);
            }
        }
        panic!("no connection");
    }

    /// What a connection is doing, for whoever wonders why it does nothing.
    fn state(&mut self, side: usize, id: SocketId) -> String {
        let station = &mut self.stations[side];
        let Some(number) = station.inet.sockets.number(id) else { return String::from("gone") };
        let Some(socket) = station.inet.sockets.get_mut(number) else { return String::from("gone") };
        let head =
            format!("error {:?}, dirty {}, timer {:?}, due {:?}", socket.error, socket.dirty, socket.timer, socket.due);
        socket.connection().map_or(head.clone(), |connection| format!("{head}, {}", connection.tcb.summary()))
    }

    /// How often a connection's retransmission timer ran out.
    fn timeouts(&mut self, side: usize, id: SocketId) -> u32 {
        let station = &mut self.stations[side];
        let number = station.inet.sockets.number(id).unwrap();
        station.inet.sockets.get_mut(number).and_then(|socket| socket.connection()).map_or(0, |end| end.tcb.timeouts)
    }

    fn receive(&mut self, side: usize, id: SocketId) -> Result<Vec<u8>, Error> {
        let mut buffer = [0; 4096];
        let got = self.stations[side].inet.receive(id, &mut buffer, false)?;
        Ok(buffer[..got.length].to_vec())
    }

    /// Sends `bytes` from one end and reads them at the other; what arrived.
    fn carry(&mut self, from: (usize, SocketId), to: (usize, SocketId), bytes: &[u8], limit_us: u64) -> Vec<u8> {
        let (mut sent, mut got) = (0, Vec::new());
        let end = self.now_us + limit_us;
        while got.len() < bytes.len() && self.now_us < end {
            match call!(self, from.0, send, from.1, &bytes[sent..], None) {
                Ok(n) => sent += n,
                Err(Error::WouldBlock) => {}
                Err(error) => panic!("send: {error:?}"),
            }
            self.step(u64::MAX);
            while let Ok(part) = self.receive(to.0, to.1) {
                assert!(!part.is_empty(), "the stream ended early");
                got.extend(part);
            }
        }
        got
    }
}

fn noise(length: usize) -> Vec<u8> {
    let mut random = device::testing::Random::new(9);
    (0..length).map(|_| random.word() as u8).collect()
}

struct Counter(AtomicU32);

impl Watch for Counter {
    fn changed(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn bytes_arrive_whole_over_a_good_link_with_and_without_offload() {
    for offload in [false, true] {
        let mut pair = Pair::with(1, Faults { delay_us: 50, ..Faults::default() }, 64, offload);
        let (client, server, _) = pair.connected(80);
        let bytes = noise(1 << 20);
        assert_eq!(pair.carry((0, client), (1, server), &bytes, 60_000_000), bytes);
        assert_eq!(pair.carry((1, server), (0, client), &bytes, 60_000_000), bytes);
    }
}

#[test]
fn bytes_arrive_whole_over_bad_links() {
    for seed in 0..6 {
        let faults = Faults { loss: 30, duplicate: 30, corrupt: 20, reorder: 50, delay_us: 200, ..Faults::default() };
        let mut pair = Pair::new(seed, faults);
        let (client, server, _) = pair.connected(80);
        let bytes = noise(200_000);
        assert_eq!(pair.carry((0, client), (1, server), &bytes, 3_600_000_000), bytes, "seed {seed}");
    }
}

#[test]
fn a_link_with_little_room_is_waited_for() {
    let mut pair = Pair::with(3, Faults { delay_us: 10, ..Faults::default() }, 2, false);
    let (client, server, _) = pair.connected(80);
    let bytes = noise(300_000);
    assert_eq!(pair.carry((0, client), (1, server), &bytes, 600_000_000), bytes);
}

#[test]
fn nobody_listening_is_refused() {
    let mut pair = Pair::new(1, Faults::default());
    let client = pair.open(0, Kind::Stream);
    let counter = Arc::new(Counter(AtomicU32::new(0)));
    pair.stations[0].inet.watch(client, Some(counter.clone()));
    assert_eq!(call!(pair, 0, connect, client, address(2, 81)), Err(Error::InProgress));
    pair.run(2_000_000);
    assert!(counter.0.load(Ordering::Relaxed) > 0);
    let ready = pair.stations[0].inet.ready(client);
    assert!(ready.contains(Ready::ERROR | Ready::WRITE | Ready::HANG_UP), "{ready:?}");
    assert_eq!(call!(pair, 0, option, client, SocketOption::Error), Ok(111));
}

#[test]
fn half_closes_and_ends() {
    let mut pair = Pair::new(1, Faults { delay_us: 20, ..Faults::default() });
    let (client, server, _) = pair.connected(80);
    call!(pair, 0, shutdown, client, How::Send).unwrap();
    assert_eq!(call!(pair, 0, send, client, b"x", None), Err(crate::errno::EPIPE));
    pair.run(1_000_000);
    assert_eq!(pair.receive(1, server), Ok(vec![]));
    assert!(pair.stations[1].inet.ready(server).contains(Ready::READ | Ready::READ_END | Ready::WRITE));
    // The other direction still works.
    assert_eq!(call!(pair, 1, send, server, b"bye", None), Ok(3));
    pair.run(1_000_000);
    assert_eq!(pair.receive(0, client), Ok(b"bye".to_vec()));
    call!(pair, 1, close, server);
    pair.run(1_000_000);
    assert_eq!(pair.receive(0, client), Ok(vec![]));
    call!(pair, 0, close, client);
    pair.run(1_000_000);
    assert_eq!(pair.stations[0].inet.sockets.numbers().count(), 0, "the client's end is gone");
    assert_eq!(pair.stations[1].inet.sockets.numbers().count(), 1, "only the listener is left");
}

#[test]
fn data_sent_before_a_close_still_arrives() {
    let mut pair = Pair::new(5, Faults { loss: 100, delay_us: 100, ..Faults::default() });
    let (client, server, _) = pair.connected(80);
    let bytes = noise(40_000);
    assert_eq!(call!(pair, 0, send, client, &bytes, None), Ok(bytes.len()));
    call!(pair, 0, close, client);
    let mut got = Vec::new();
    for _ in 0..2000 {
        pair.run(50_000);
        match pair.receive(1, server) {
            Ok(part) if part.is_empty() => break,
            Ok(part) => got.extend(part),
            Err(error) => assert_eq!(error, Error::WouldBlock),
        }
    }
    assert_eq!(got, bytes);
}

#[test]
fn closing_with_unread_data_resets_the_peer() {
    let mut pair = Pair::new(1, Faults { delay_us: 20, ..Faults::default() });
    let (client, server, _) = pair.connected(80);
    call!(pair, 0, send, client, b"unread", None).unwrap();
    pair.run(100_000);
    call!(pair, 1, close, server);
    pair.run(100_000);
    assert_eq!(pair.receive(0, client), Err(Error::Errno(104)));
    assert_eq!(pair.receive(0, client), Ok(vec![]));
}

#[test]
fn a_full_backlog_makes_others_wait_and_not_fail() {
    let mut pair = Pair::new(1, Faults { delay_us: 20, ..Faults::default() });
    let listener = pair.listener(1, 80, 2);
    let clients: Vec<_> = (0..5)
        .map(|_| {
            let client = pair.open(0, Kind::Stream);
            let _ = call!(pair, 0, connect, client, address(2, 80));
            client
        })
        .collect();
    pair.run(500_000);
    let up = |pair: &Pair| clients.iter().filter(|c| pair.stations[0].inet.ready(**c).contains(Ready::WRITE)).count();
    assert_eq!(up(&pair), 2);
    for _ in 0..5 {
        for _ in 0..200 {
            if pair.stations[1].inet.accept(listener).is_ok() {
                break;
            }
            pair.run(500_000);
        }
    }
    pair.run(500_000);
    assert_eq!(up(&pair), 5);
}

#[test]
fn short_memory_refuses_new_connections_and_spares_the_served_ones() {
    let mut pair = Pair::new(1, Faults { delay_us: 20, ..Faults::default() });
    let (client, server, _) = pair.connected(80);
    pair.stations[1].memory = 100 << 10;
    let other = pair.open(0, Kind::Stream);
    let _ = call!(pair, 0, connect, other, address(2, 80));
    pair.run(1_000_000);
    assert_eq!(pair.stations[0].inet.ready(other), Ready::default());
    let bytes = noise(50_000);
    assert_eq!(pair.carry((0, client), (1, server), &bytes, 10_000_000), bytes);
}

#[test]
fn an_established_peer_that_falls_silent_is_given_up_in_time_and_an_idle_one_never() {
    const MINUTE: u64 = 60_000_000;
    let mut pair = Pair::new(1, Faults { delay_us: 20, ..Faults::default() });
    let (client, server, _) = pair.connected(80);
    assert_eq!(pair.carry((0, client), (1, server), b"hello", 10_000_000), b"hello");
    pair.run(60 * MINUTE);
    assert_eq!(pair.carry((0, client), (1, server), b"again", 10_000_000), b"again");
    pair.stations[0].frames.inner().set_faults(Faults { loss: 1000, ..Faults::default() });
    assert_eq!(call!(pair, 0, send, client, b"lost", None), Ok(4));
    pair.run(15 * MINUTE);
    assert_eq!(pair.receive(0, client), Err(Error::WouldBlock));
    pair.run(2 * MINUTE);
    // Nobody answers for its address either, and that is the reason that is told, as on Linux.
    assert_eq!(pair.receive(0, client), Err(Error::Errno(crate::errno::EHOSTUNREACH)));
}

#[test]
fn an_end_that_comes_again_still_acknowledges_ours() {
    let mut pair = Pair::new(1, Faults { delay_us: 20, ..Faults::default() });
    let (client, server, _) = pair.connected(80);
    pair.stations[0].frames.take();
    call!(pair, 0, close, client);
    pair.run(100_000);
    let sent = pair.stations[0].frames.take();
    let mut end =
        sent.into_iter().map(|(_, frame)| frame).find(|f| f[47] & 1 != 0 && f[26..30] == [10, 0, 0, 1]).unwrap();
    // The acknowledgement of the server's end is lost; the client's end comes again instead, and carries it.
    pair.stations[0].frames.inner().set_faults(Faults { loss: 1000, ..Faults::default() });
    call!(pair, 1, close, server);
    pair.run(100_000);
    assert_eq!(pair.stations[1].inet.sockets.numbers().count(), 2);
    let number = u32::from_be_bytes([end[42], end[43], end[44], end[45]]) + 1;
    end[42..46].copy_from_slice(&number.to_be_bytes());
    let world = World { frames: &pair.stations[1].frames, now: Instant::from_micros(pair.now_us), memory: &|| MEMORY };
    pair.stations[1].inet.ingress(world, &end, true);
    pair.stations[1].inet.poll(world);
    assert_eq!(pair.stations[1].inet.sockets.numbers().count(), 1, "only the listener is left");
}

#[test]
fn datagrams_go_both_ways_and_keep_their_senders() {
    let mut pair = Pair::new(1, Faults { delay_us: 20, ..Faults::default() });
    let server = pair.open(1, Kind::Datagram);
    pair.stations[1].inet.bind(server, SocketAddr::from(([0, 0, 0, 0], 53))).unwrap();
    let client = pair.open(0, Kind::Datagram);
    assert_eq!(call!(pair, 0, send, client, b"question", Some(address(2, 53))), Ok(8));
    pair.run(1_100_000);
    let mut buffer = [0; 4];
    let got = pair.stations[1].inet.receive(server, &mut buffer, true).unwrap();
    assert_eq!((got.length, got.full_length, &buffer), (4, 8, b"ques"));
    let got = pair.stations[1].inet.receive(server, &mut buffer, false).unwrap();
    let from = got.from.unwrap();
    assert_eq!(from.ip(), IpAddr::from([10, 0, 0, 1]));
    assert_eq!(call!(pair, 1, send, server, b"answer", Some(from)), Ok(6));
    pair.run(100_000);
    assert_eq!(pair.receive(0, client), Ok(b"answer".to_vec()));
    // What does not fit a frame goes in pieces.
    for length in [1472, 1473, 9000, 65_507] {
        let bytes = noise(length);
        assert_eq!(call!(pair, 0, send, client, &bytes, Some(address(2, 53))), Ok(length));
        pair.run(100_000);
        let mut buffer = vec![0; 70_000];
        let got = pair.stations[1].inet.receive(server, &mut buffer, false).unwrap();
        assert_eq!(buffer[..got.length], bytes);
    }
    assert_eq!(call!(pair, 0, send, client, &noise(65_508), Some(address(2, 53))), Err(crate::errno::EMSGSIZE));
}

#[test]
fn a_connected_datagram_socket_learns_that_nobody_is_there() {
    let mut pair = Pair::new(1, Faults { delay_us: 20, ..Faults::default() });
    let client = pair.open(0, Kind::Datagram);
    call!(pair, 0, connect, client, address(2, 9)).unwrap();
    assert_eq!(call!(pair, 0, send, client, b"hello", None), Ok(5));
    pair.run(1_100_000);
    assert_eq!(pair.receive(0, client), Err(Error::Errno(111)));
}

#[test]
fn answers_to_requests_that_came_together_leave_together() {
    let mut pair = Pair::new(1, Faults { delay_us: 20, ..Faults::default() });
    let listener = pair.listener(1, 80, 16);
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let client = pair.open(0, Kind::Stream);
            let _ = call!(pair, 0, connect, client, address(2, 80));
            client
        })
        .collect();
    pair.run(1_100_000);
    let servers: Vec<_> = (0..8).map(|_| pair.stations[1].inet.accept(listener).unwrap().0).collect();
    pair.run(100_000);
    call!(pair, 1, arm);
    for client in &clients {
        call!(pair, 0, send, *client, b"GET", None).unwrap();
    }
    pair.now_us += 100;
    pair.stations[0].frames.inner().set_now_us(pair.now_us);
    call!(pair, 1, poll);
    let before = pair.stations[1].frames.inner().flushes();
    pair.stations[1].frames.take();
    for server in &servers {
        assert_eq!(pair.receive(1, *server), Ok(b"GET".to_vec()));
        assert_eq!(call!(pair, 1, send, *server, b"200 OK", None), Ok(6));
    }
    assert_eq!(pair.stations[1].frames.inner().flushes() - before, 1, "one kick for eight answers");
    assert_eq!(pair.stations[1].frames.take().len(), 8, "no acknowledgement of its own");
}

#[test]
fn reuse_of_a_number_does_not_revive_an_old_identifier() {
    let mut pair = Pair::new(1, Faults::default());
    let old = pair.open(0, Kind::Datagram);
    call!(pair, 0, close, old);
    let new = pair.open(0, Kind::Datagram);
    assert_ne!(old, new);
    assert_eq!(pair.stations[0].inet.local(old), Err(crate::errno::EBADF));
}

#[test]
fn ports_are_taken_and_given_back() {
    let mut pair = Pair::new(1, Faults::default());
    let first = pair.listener(0, 80, 1);
    let second = pair.open(0, Kind::Stream);
    let any = SocketAddr::from(([0, 0, 0, 0], 80));
    assert_eq!(pair.stations[0].inet.bind(second, any), Err(crate::errno::EADDRINUSE));
    call!(pair, 0, close, first);
    assert_eq!(pair.stations[0].inet.bind(second, any), Ok(()));
    let third = pair.open(0, Kind::Stream);
    assert_eq!(pair.stations[0].inet.bind(third, address(9, 0)), Err(crate::errno::EADDRNOTAVAIL));
}

#[test]
fn a_final_segment_that_comes_again_is_acknowledged() {
    let mut pair = Pair::new(1, Faults { delay_us: 20, ..Faults::default() });
    let (client, server, _) = pair.connected(80);
    call!(pair, 0, close, client);
    pair.run(100_000);
    assert_eq!(pair.receive(1, server), Ok(vec![]));
    pair.stations[1].frames.take();
    call!(pair, 1, close, server);
    pair.run(100_000);
    let sent = pair.stations[1].frames.take();
    let fin = sent.iter().find(|(sent, frame)| *sent && frame[47] & 1 != 0).expect("a FIN").1.clone();
    pair.stations[0].frames.take();
    pair.stations[1].frames.inner().inject(fin);
    pair.run(100_000);
    let answers: Vec<_> = pair.stations[0].frames.take().into_iter().filter(|(sent, _)| *sent).collect();
    assert_eq!(answers.len(), 1);
    assert_eq!(answers[0].1[47], 16, "an acknowledgement, not a reset");
    assert!(matches!(crate::ip::packet::read(&answers[0].1), Some(crate::ip::packet::Content::Ip(_))));
}

#[test]
fn a_name_is_asked_for_and_answered() {
    let mut pair = Pair::new(1, Faults { delay_us: 20, ..Faults::default() });
    let server = pair.open(1, Kind::Datagram);
    pair.stations[1].inet.bind(server, SocketAddr::from(([0, 0, 0, 0], 53))).unwrap();
    let counter = Arc::new(Counter(AtomicU32::new(0)));
    let answer = call!(pair, 0, resolve, "example.org", Some(Family::V4), counter.clone()).unwrap();
    pair.run(500_000);
    assert!(answer.lock().is_none());
    let mut buffer = [0; 512];
    let got = pair.stations[1].inet.receive(server, &mut buffer, false).unwrap();
    let mut reply = buffer[..got.length].to_vec();
    reply[2] |= 0x80;
    reply[7] = 1;
    reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 7]);
    call!(pair, 1, send, server, &reply, got.from).unwrap();
    pair.run(500_000);
    assert_eq!(counter.0.load(Ordering::Relaxed), 1);
    assert_eq!(answer.lock().take(), Some(Ok(vec![IpAddr::from([192, 0, 2, 7])])));
    // Nobody answers the next: it is asked again, and then given up.
    let answer = call!(pair, 0, resolve, "example.org", Some(Family::V4), counter).unwrap();
    pair.run(60_000_000);
    assert_eq!(answer.lock().take(), Some(Err(Error::Errno(110))));
    assert_eq!(pair.stations[0].inet.sockets.numbers().count(), 0);
}

#[test]
fn hostile_frames_do_no_harm() {
    let mut pair = Pair::new(1, Faults { delay_us: 20, ..Faults::default() });
    let (client, server, _) = pair.connected(80);
    pair.stations[0].frames.take();
    let bytes = noise(20_000);
    assert_eq!(pair.carry((0, client), (1, server), &bytes, 10_000_000), bytes);
    let seen = pair.stations[0].frames.take();
    let mut random = device::testing::Random::new(4);
    for (_, frame) in seen.iter().cycle().take(20_000) {
        let mut frame = frame.clone();
        for _ in 0..1 + random.below(4) {
            let at = random.below(frame.len() as u64) as usize;
            frame[at] = random.word() as u8;
        }
        frame.truncate(frame.len() - random.below(3) as usize);
        pair.stations[0].frames.inner().inject(frame);
        if random.chance(100) {
            pair.run(1000);
        }
    }
    pair.run(10_000_000);
}

#[test]
fn frames_wait_for_nobody_when_there_is_no_room() {
    let mut pair = Pair::with(1, Faults { delay_us: 20, ..Faults::default() }, 0, false);
    let client = pair.open(0, Kind::Stream);
    assert_eq!(call!(pair, 0, connect, client, address(2, 80)), Err(Error::InProgress));
    pair.run(1_000_000);
    assert!(!call!(pair, 0, arm), "no room yet");
    assert!(!pair.stations[0].frames.arm(false));
}
