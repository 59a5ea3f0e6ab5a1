//! What socket options do: keep-alive, user timeout, linger, buffers.

use super::{Pair, address, noise};
use device::testing::Faults;
use device::{Error, How, Kind, Ready, SocketId, SocketOption};

const SECOND: u64 = 1_000_000;
const GOOD: Faults = Faults { loss: 0, duplicate: 0, corrupt: 0, reorder: 0, delay_us: 20, bytes_per_ms: 0 };

fn set(pair: &mut Pair, side: usize, socket: SocketId, option: SocketOption, value: u32) {
    pair.stations[side].inet.set_option(socket, option, value).unwrap();
    assert_eq!(call!(pair, side, option, socket, option), Ok(value));
}

/// Nothing passes any more, except what neighbours say: the peer is gone, its address is not.
fn silence(pair: &mut Pair) {
    pair.stations[0].frames.inner().set_faults(Faults { loss: 1000, ..GOOD });
}

#[test]
fn a_silent_peer_is_probed_and_given_up_as_the_options_say() {
    let mut pair = Pair::new(1, GOOD);
    let (client, _, _) = pair.connected(80);
    set(&mut pair, 0, client, SocketOption::KeepAlive, 1);
    set(&mut pair, 0, client, SocketOption::KeepIdle, 10);
    set(&mut pair, 0, client, SocketOption::KeepInterval, 2);
    set(&mut pair, 0, client, SocketOption::KeepCount, 3);
    // A peer that answers is kept for ever.
    pair.stations[0].frames.take();
    pair.run(100 * SECOND);
    assert_eq!(pair.receive(0, client), Err(Error::WouldBlock));
    let probes = pair.stations[0].frames.take().iter().filter(|(sent, f)| *sent && f[23] == 6).count();
    assert!((8..=10).contains(&probes), "{probes} probes in 100 s");
    silence(&mut pair);
    pair.run(14 * SECOND);
    assert_eq!(pair.receive(0, client), Err(Error::WouldBlock));
    pair.run(14 * SECOND);
    assert!(pair.stations[0].inet.ready(client).contains(Ready::ERROR));
    assert!(matches!(pair.receive(0, client), Err(Error::Errno(110 | 113))));
}

#[test]
fn the_user_timeout_ends_a_connection_that_gets_nothing_through() {
    let mut pair = Pair::new(1, GOOD);
    let (client, _, _) = pair.connected(80);
    set(&mut pair, 0, client, SocketOption::UserTimeout, 5000);
    silence(&mut pair);
    assert_eq!(call!(pair, 0, send, client, b"lost", None), Ok(4));
    pair.run(4 * SECOND);
    assert_eq!(pair.receive(0, client), Err(Error::WouldBlock));
    pair.run(9 * SECOND);
    assert_eq!(pair.receive(0, client), Err(Error::Errno(110)));
}

#[test]
fn a_connection_to_nobody_fails_in_time() {
    // No neighbour: the host is not reachable, after three questions.
    let mut pair = Pair::new(1, GOOD);
    let client = pair.open(0, Kind::Stream);
    assert_eq!(call!(pair, 0, connect, client, address(77, 80)), Err(Error::InProgress));
    pair.run(5 * SECOND);
    assert_eq!(call!(pair, 0, option, client, SocketOption::Error), Ok(113));
    // A neighbour that says nothing: six repetitions, two minutes.
    let mut pair = Pair::new(1, GOOD);
    pair.connected(81);
    let client = pair.open(0, Kind::Stream);
    set(&mut pair, 0, client, SocketOption::UserTimeout, 20_000);
    silence(&mut pair);
    assert_eq!(call!(pair, 0, connect, client, address(2, 80)), Err(Error::InProgress));
    pair.run(15 * SECOND);
    assert_eq!(pair.stations[0].inet.ready(client), Ready::default());
    pair.run(40 * SECOND);
    assert_eq!(call!(pair, 0, option, client, SocketOption::Error), Ok(110));
    // No way at all.
    let client = pair.open(0, Kind::Stream);
    let far = core::net::SocketAddr::from(([192, 0, 2, 1], 80));
    assert_eq!(call!(pair, 0, connect, client, far), Err(crate::errno::ENETUNREACH));
}

#[test]
fn lingering_for_no_time_resets() {
    let mut pair = Pair::new(1, GOOD);
    let (client, server, _) = pair.connected(80);
    set(&mut pair, 0, client, SocketOption::Linger, 1);
    call!(pair, 0, close, client);
    pair.run(SECOND);
    assert_eq!(pair.receive(1, server), Err(Error::Errno(104)));
    assert_eq!(pair.stations[0].inet.sockets.numbers().count(), 0);
}

#[test]
fn what_came_before_a_reset_is_still_read() {
    let mut pair = Pair::new(1, GOOD);
    let (client, server, _) = pair.connected(80);
    call!(pair, 0, send, client, b"last words", None).unwrap();
    pair.run(1000);
    set(&mut pair, 0, client, SocketOption::Linger, 1);
    call!(pair, 0, close, client);
    pair.run(SECOND);
    assert_eq!(pair.receive(1, server), Ok(b"last words".to_vec()));
    assert_eq!(pair.receive(1, server), Err(Error::Errno(104)));
    assert_eq!(pair.receive(1, server), Ok(vec![]));
}

#[test]
fn a_small_receive_buffer_holds_a_sender_back_and_loses_nothing() {
    let mut pair = Pair::new(1, GOOD);
    let (client, server, _) = pair.connected(80);
    set(&mut pair, 1, server, SocketOption::ReceiveBuffer, 8192);
    set(&mut pair, 0, client, SocketOption::SendBuffer, 8192);
    let bytes = noise(300_000);
    assert_eq!(call!(pair, 0, send, client, &bytes, None), Ok(8192));
    // The peer reads nothing for an hour: its window is probed, and it is not given up.
    pair.run(10 * SECOND);
    let mut sent = 8192;
    for _ in 0..60 {
        if let Ok(taken) = call!(pair, 0, send, client, &bytes[sent..], None) {
            sent += taken;
        }
        pair.run(60 * SECOND);
    }
    assert!(sent < 300_000, "{sent} bytes fit");
    assert!(pair.stations[1].inet.available(server) <= 256 << 10, "no more than was promised before");
    let mut got = Vec::new();
    while got.len() < bytes.len() {
        while let Ok(part) = pair.receive(1, server) {
            got.extend(part);
        }
        if let Ok(taken) = call!(pair, 0, send, client, &bytes[sent..], None) {
            sent += taken;
        }
        pair.run(100_000);
    }
    assert_eq!(got, bytes);
}

#[test]
fn two_that_call_each_other_at_once_are_connected() {
    let mut pair = Pair::new(1, Faults { delay_us: 1000, ..GOOD });
    pair.run(SECOND);
    let ends = [0, 1].map(|side| {
        let socket = pair.open(side, Kind::Stream);
        pair.stations[side].inet.bind(socket, address(side as u8 + 1, 4000)).unwrap();
        socket
    });
    // Their neighbours are known before.
    let (warm, _, _) = pair.connected(99);
    call!(pair, 0, close, warm);
    for side in [0, 1] {
        assert_eq!(call!(pair, side, connect, ends[side], address(2 - side as u8, 4000)), Err(Error::InProgress));
    }
    pair.run(SECOND);
    assert!(ends.iter().enumerate().all(|(side, end)| pair.stations[side].inet.ready(*end).contains(Ready::WRITE)));
    let bytes = noise(20_000);
    assert_eq!(pair.carry((0, ends[0]), (1, ends[1]), &bytes, 10 * SECOND), bytes);
    // And end at once.
    for side in [0, 1] {
        call!(pair, side, shutdown, ends[side], How::Send).unwrap();
    }
    pair.run(SECOND);
    for side in [0, 1] {
        assert_eq!(pair.receive(side, ends[side]), Ok(vec![]));
        call!(pair, side, close, ends[side]);
    }
    // The first connection's peer never ends: it is waited for no longer than a minute.
    pair.run(61 * SECOND);
    assert_eq!(pair.stations[0].inet.sockets.numbers().count(), 0);
}
