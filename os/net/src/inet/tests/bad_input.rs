//! Floods and lies: those that are served go on, memory stays bounded, and errors are what they should be.

use super::super::socket::Body;
use super::{Counter, Pair, address, noise};
use crate::checksum;
use crate::ip::packet::{Outgoing, TCP};
use crate::tcp::segment::{Header, Options, SYN};
use crate::tcp::seq::Seq;
use core::net::{IpAddr, SocketAddr};
use device::testing::{Faults, Random};
use device::{Error, Kind, Ready};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

/// A frame with a segment to port 80 of station 1.
fn frame(from: SocketAddr, header: &Header) -> Vec<u8> {
    let destination = address(2, 80);
    let outgoing = Outgoing::new(from.ip(), destination.ip(), TCP, 64);
    let mut segment = vec![0; header.length()];
    header.write(&mut segment);
    segment[..2].copy_from_slice(&from.port().to_be_bytes());
    segment[2..4].copy_from_slice(&destination.port().to_be_bytes());
    checksum::complete(outgoing.pseudo(segment.len()), &mut segment, 16, None);
    let mut frame = vec![0; outgoing.header() + segment.len()];
    outgoing.write(&mut frame, [2, 0, 0, 0, 0, 2], [2, 0, 0, 0, 0, 1]).copy_from_slice(&segment);
    frame
}

fn embryos(pair: &Pair) -> usize {
    let inet = &pair.stations[1].inet;
    let listeners = inet.sockets.numbers().filter_map(|number| match &inet.sockets.get(number)?.body {
        Body::Listener(listener) => Some(listener.embryos as usize),
        _ => None,
    });
    listeners.sum()
}

#[test]
fn a_flood_of_requests_is_bounded_and_honest_ones_get_through() {
    let mut pair = Pair::with(1, Faults { delay_us: 20, ..Faults::default() }, 1024, false);
    let (client, server, listener) = pair.connected(80);
    let mut random = Random::new(3);
    let options = Options { mss: Some(1460), ..Options::default() };
    let mut flood = |pair: &mut Pair, count: usize| {
        for _ in 0..count {
            let from = SocketAddr::new(IpAddr::from([10, 0, 0, 3 + random.below(250) as u8]), random.word() as u16 | 1);
            let header =
                Header { seq: Seq(random.word() as u32), flags: SYN, window: 1000, options, ..Header::default() };
            pair.stations[0].frames.inner().inject(frame(from, &header));
        }
        pair.run(1000);
        pair.stations.iter().for_each(|station| drop(station.frames.take()));
    };
    for _ in 0..50 {
        flood(&mut pair, 200);
    }
    pair.run(1_100_000);
    flood(&mut pair, 200);
    assert!(embryos(&pair) <= 8, "{} requests are kept", embryos(&pair));
    assert!(pair.stations[1].inet.sockets.numbers().count() < 20);
    // Who is served is served on; who comes honestly comes in, on what a cookie can tell.
    let bytes = noise(50_000);
    assert_eq!(pair.carry((0, client), (1, server), &bytes, 10_000_000), bytes);
    let honest = pair.open(0, Kind::Stream);
    assert_eq!(call!(pair, 0, connect, honest, address(2, 80)), Err(Error::InProgress));
    flood(&mut pair, 200);
    pair.run(10_000);
    assert!(pair.stations[0].inet.ready(honest).contains(Ready::WRITE), "connected");
    let (accepted, _) = pair.stations[1].inet.accept(listener).expect("accepted");
    assert_eq!(pair.carry((0, honest), (1, accepted), &bytes, 10_000_000), bytes);
    assert_eq!(pair.carry((1, accepted), (0, honest), &bytes, 10_000_000), bytes);
}

#[test]
fn a_guessed_cookie_is_refused() {
    let mut pair = Pair::new(1, Faults { delay_us: 20, ..Faults::default() });
    pair.listener(1, 80, 8);
    pair.run(2_000_000);
    let mut random = Random::new(3);
    for _ in 0..2000 {
        let (seq, ack) = (Seq(random.word() as u32), Seq(random.word() as u32));
        let header = Header { seq, ack, flags: 16, window: 1000, ..Header::default() };
        pair.stations[0].frames.inner().inject(frame(address(1, 4000), &header));
    }
    pair.run(100_000);
    assert_eq!(pair.stations[1].inet.sockets.numbers().count(), 1, "only the listener");
}

#[test]
fn blind_resets_and_requests_do_not_end_a_connection() {
    let mut pair = Pair::new(1, Faults { delay_us: 20, ..Faults::default() });
    let (client, server, _) = pair.connected(80);
    let from = pair.stations[0].inet.local(client).unwrap();
    let mut random = Random::new(4);
    for _ in 0..5000 {
        // Without acknowledgements a window is 64 KiB: one in 65,000 is in it, and even that is not the exact number.
        let flags = [4, 2, 20, 18, 1, 16][random.below(6) as usize];
        let (seq, ack) = (Seq(random.word() as u32), Seq(random.word() as u32));
        let header = Header { seq, ack, flags, window: 1000, ..Header::default() };
        pair.stations[0].frames.inner().inject(frame(from, &header));
        if random.chance(50) {
            pair.run(100);
        }
    }
    pair.run(1_000_000);
    let bytes = noise(50_000);
    assert_eq!(pair.carry((0, client), (1, server), &bytes, 10_000_000), bytes);
}

#[test]
fn a_name_servers_lies_are_not_believed() {
    let mut pair = Pair::new(1, Faults { delay_us: 20, ..Faults::default() });
    let server = pair.open(1, Kind::Datagram);
    pair.stations[1].inet.bind(server, SocketAddr::from(([0, 0, 0, 0], 53))).unwrap();
    let other = pair.open(1, Kind::Datagram);
    let watch = Arc::new(Counter(AtomicU32::new(0)));
    let answer = call!(pair, 0, resolve, "example.org", Some(device::Family::V4), watch).unwrap();
    pair.run(500_000);
    let mut buffer = [0; 512];
    let got = pair.stations[1].inet.receive(server, &mut buffer, false).unwrap();
    let from = got.from.unwrap();
    let mut honest = buffer[..got.length].to_vec();
    honest[2] |= 0x80;
    honest[7] = 1;
    honest.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 7]);
    let lie = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut lie = honest.clone();
        *lie.last_mut().unwrap() = 66;
        change(&mut lie);
        lie
    };
    // A wrong number; another question; a loop of pointers; cut off in the middle; a question.
    let lies = [
        lie(&|lie| lie[1] ^= 1),
        lie(&|lie| lie[14] ^= 1),
        lie(&|lie| {
            let at = lie.len() - 16;
            lie[at..at + 2].copy_from_slice(&[63, 63]);
        }),
        lie(&|lie| lie.truncate(lie.len() - 3)),
        lie(&|lie| lie[2] &= 0x7f),
    ];
    for lie in &lies {
        call!(pair, 1, send, server, lie, Some(from)).unwrap();
    }
    // The right answer from the wrong port.
    call!(pair, 1, send, other, &lie(&|_| {}), Some(from)).unwrap();
    pair.run(100_000);
    assert!(answer.lock().is_none());
    call!(pair, 1, send, server, &honest, Some(from)).unwrap();
    pair.run(100_000);
    assert_eq!(answer.lock().take(), Some(Ok(vec![IpAddr::from([192, 0, 2, 7])])));
}

#[test]
fn no_more_sockets_than_there_is_room_for() {
    let mut pair = Pair::new(1, Faults::default());
    pair.stations[0].memory = 100 << 10;
    let client = pair.open(0, Kind::Stream);
    assert_eq!(call!(pair, 0, connect, client, address(2, 80)), Err(crate::errno::ENOBUFS));
}
