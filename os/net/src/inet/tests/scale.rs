//! Many connections: what an idle one costs, which is memory, and what it does not cost, which is time.

use super::super::socket::{Body, Connection, Socket};
use super::{Pair, address, noise};
use device::testing::Faults;
use device::{Error, Kind, Ready, SocketId};
use std::time::{Duration, Instant};

/// So many connections from station 0 to station 1, accepted, each with one question answered.
fn crowd(pair: &mut Pair, count: usize) -> Vec<(SocketId, SocketId)> {
    let listener = pair.listener(1, 80, 1024);
    let mut ends = Vec::new();
    while ends.len() < count {
        let clients: Vec<_> = (0..100)
            .map(|_| {
                let client = pair.open(0, Kind::Stream);
                assert_eq!(call!(pair, 0, connect, client, address(2, 80)), Err(Error::InProgress));
                client
            })
            .collect();
        pair.run(2000);
        for client in clients {
            assert!(pair.stations[0].inet.ready(client).contains(Ready::WRITE), "connected");
            let (server, _) = pair.stations[1].inet.accept(listener).unwrap();
            ends.push((client, server));
        }
        // Which is whose end does not matter to those that are idle.
        for (client, server) in &ends[ends.len() - 100..] {
            assert_eq!(call!(pair, 0, send, *client, b"question", None), Ok(8));
            assert_eq!(call!(pair, 1, send, *server, b"answer", None), Ok(6));
        }
        pair.run(2000);
        for (client, server) in &ends[ends.len() - 100..] {
            assert_eq!(pair.receive(1, *server).unwrap(), b"question");
            assert_eq!(pair.receive(0, *client).unwrap(), b"answer");
        }
        pair.run(100_000);
        pair.stations.iter().for_each(|station| drop(station.frames.take()));
    }
    ends
}

/// The least time that a question and its answer took.
fn least(pair: &mut Pair, (client, server): (SocketId, SocketId)) -> Duration {
    (0..20)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..50 {
                assert_eq!(call!(pair, 0, send, client, b"question", None), Ok(8));
                pair.run(100);
                assert_eq!(pair.receive(1, server).unwrap(), b"question");
                assert_eq!(call!(pair, 1, send, server, b"answer", None), Ok(6));
                pair.run(100);
                assert_eq!(pair.receive(0, client).unwrap(), b"answer");
            }
            let took = start.elapsed();
            pair.stations.iter().for_each(|station| drop(station.frames.take()));
            took
        })
        .min()
        .unwrap()
}

#[test]
fn ten_thousand_idle_connections_cost_memory_alone_and_little_of_it() {
    let mut pair = Pair::with(1, Faults { delay_us: 20, ..Faults::default() }, 4096, false);
    pair.stations.iter_mut().for_each(|station| station.memory = 256 << 20);
    let busy = pair.connected(81);
    let busy = (busy.0, busy.1);
    let alone = least(&mut pair, busy);
    let ends = crowd(&mut pair, 10_000);
    let beside = least(&mut pair, busy);
    println!("50 questions: {alone:?} alone, {beside:?} beside 10,000 idle connections");
    assert!(beside < alone * 2, "{alone:?} alone, {beside:?} beside 10,000 idle connections");
    pair.run(1_000_000);
    let inet = &pair.stations[1].inet;
    let held: usize = inet
        .sockets
        .numbers()
        .filter_map(|number| match &inet.sockets.get(number)?.body {
            Body::Connection(connection) => Some(connection.tcb.memory()),
            _ => None,
        })
        .sum();
    let fixed = size_of::<Socket>() + size_of::<Connection>();
    println!("an idle connection: {fixed} bytes, and {} of buffers", held / ends.len());
    assert_eq!(held, 0, "an idle connection holds no buffers");
    assert!(fixed <= 1024, "{fixed} bytes for a connection");
    assert!(inet.timers.len() < 100, "{} timers of connections that wait for nothing", inet.timers.len());
}

#[test]
fn a_thousand_busy_connections_are_all_served() {
    let mut pair = Pair::with(1, Faults { delay_us: 20, ..Faults::default() }, 4096, false);
    pair.stations.iter_mut().for_each(|station| station.memory = 256 << 20);
    crowd(&mut pair, 1000);
    let servers: Vec<_> =
        pair.stations[1].inet.sockets.numbers().map(|n| pair.stations[1].inet.sockets.id(n)).collect();
    let question = noise(3000);
    let clients: Vec<_> =
        pair.stations[0].inet.sockets.numbers().map(|n| pair.stations[0].inet.sockets.id(n)).collect();
    for client in &clients {
        assert_eq!(call!(pair, 0, send, *client, &question, None), Ok(3000));
    }
    let mut got = 0;
    for _ in 0..200 {
        pair.run(1000);
        for server in &servers {
            while let Ok(part) = pair.receive(1, *server) {
                got += part.len();
            }
        }
    }
    assert_eq!(got, 3000 * clients.len());
}
