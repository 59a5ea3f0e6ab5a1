//! What goes along with datagrams: classes, sources, several at once; and how large they may be.

use super::{Pair, address, noise};
use crate::errno::{EINVAL, EMSGSIZE};
use core::net::{IpAddr, SocketAddr};
use device::testing::Faults;
use device::{Ancillary, Family, Kind, SocketId, SocketOption};

/// A server at port 53 of station 1, of this family, and a client at station 0; each knows its neighbour.
fn pair(family: Family) -> (Pair, SocketId, SocketId) {
    let mut pair = Pair::new(1, Faults { delay_us: 20, ..Faults::default() });
    let server = pair.stations[1].inet.open_socket(family, Kind::Datagram).unwrap();
    let any = match family {
        Family::V4 => SocketAddr::from(([0; 4], 53)),
        Family::V6 => SocketAddr::from(([0u16; 8], 53)),
    };
    pair.stations[1].inet.bind(server, any).unwrap();
    let client = pair.stations[0].inet.open_socket(family, Kind::Datagram).unwrap();
    pair.run(2_000_000);
    (pair, client, server)
}

fn six(last: u16) -> SocketAddr {
    SocketAddr::from(([0xfe80, 0, 0, 0, 0, 0xff, 0xfe00, last], 53))
}

fn set(pair: &mut Pair, side: usize, socket: SocketId, option: SocketOption, value: u32) {
    pair.stations[side].inet.set_option(socket, option, value).unwrap();
    assert_eq!(call!(pair, side, option, socket, option), Ok(value));
}

/// What station 1 receives: length, longest it could have been, and what came along.
fn receive(pair: &mut Pair, server: SocketId, room: usize) -> (Vec<u8>, usize, Ancillary) {
    pair.run(3_000_000);
    let mut buffer = vec![0; room];
    let (got, along) = pair.stations[1].inet.receive_with(server, &mut buffer, false).unwrap();
    (buffer[..got.length].to_vec(), got.full_length, along)
}

#[test]
fn classes_and_destinations_are_told_and_the_message_s_own_wins() {
    for (family, to) in [(Family::V4, address(2, 53)), (Family::V6, six(2))] {
        let (mut pair, client, server) = pair(family);
        set(&mut pair, 0, client, SocketOption::Class, 0xb8);
        for (given, expected) in [(None, 0xb8), (Some(0), 0), (Some(1), 1), (Some(2), 2), (Some(0xff), 0xff)] {
            let along = Ancillary { class: given, ..Ancillary::default() };
            assert_eq!(call!(pair, 0, send_with, client, b"marked", Some(to), &along), Ok(6));
            let (bytes, _, along) = receive(&mut pair, server, 100);
            assert_eq!(bytes, b"marked");
            assert_eq!(along, Ancillary { class: Some(expected), local: Some(to.ip()), segment: 0 });
        }
    }
}

#[test]
fn an_ipv6_socket_is_told_of_ipv4_by_mapped_addresses() {
    let (mut pair, client, _) = pair(Family::V4);
    let server = pair.stations[1].inet.open_socket(Family::V6, Kind::Datagram).unwrap();
    pair.stations[1].inet.bind(server, SocketAddr::from(([0u16; 8], 54))).unwrap();
    assert_eq!(call!(pair, 0, send, client, b"x", Some(address(2, 54))), Ok(1));
    let mapped = IpAddr::V6(core::net::Ipv4Addr::new(10, 0, 0, 2).to_ipv6_mapped());
    assert_eq!(receive(&mut pair, server, 9).2.local, Some(mapped));
}

#[test]
fn the_segments_of_a_connection_bear_its_class() {
    let mut pair = Pair::new(1, Faults { delay_us: 20, ..Faults::default() });
    let (client, _, _) = pair.connected(80);
    set(&mut pair, 0, client, SocketOption::Class, 0x10);
    pair.stations[0].frames.take();
    call!(pair, 0, send, client, b"x", None).unwrap();
    let sent = pair.stations[0].frames.take();
    assert_eq!(sent.iter().map(|(_, frame)| frame[15]).collect::<Vec<_>>(), [0x10]);
    assert_eq!(call!(pair, 0, option, client, SocketOption::MaxSegment), Ok(1460));
}

#[test]
fn a_source_is_one_of_our_own() {
    let (mut pair, client, server) = pair(Family::V4);
    let from = |last| Ancillary { local: Some([10, 0, 0, last].into()), ..Ancillary::default() };
    assert_eq!(call!(pair, 0, send_with, client, b"x", Some(address(2, 53)), &from(1)), Ok(1));
    assert_eq!(receive(&mut pair, server, 9).0, b"x");
    assert_eq!(call!(pair, 0, send_with, client, b"x", Some(address(2, 53)), &from(7)), Err(EINVAL));
}

#[test]
fn several_datagrams_leave_at_once_and_come_joined_where_that_is_wanted() {
    let (mut pair, client, server) = pair(Family::V4);
    let bytes = noise(2500);
    let along = Ancillary { segment: 1000, ..Ancillary::default() };
    let send = |pair: &mut Pair| call!(pair, 0, send_with, client, &bytes, Some(address(2, 53)), &along);
    assert_eq!(send(&mut pair), Ok(2500));
    for part in bytes.chunks(1000) {
        let (got, full, along) = receive(&mut pair, server, 5000);
        assert_eq!((&got[..], full, along.segment), (part, part.len(), 0));
    }
    set(&mut pair, 1, server, SocketOption::ReceiveJoined, 1);
    assert_eq!((send(&mut pair), send(&mut pair)), (Ok(2500), Ok(2500)));
    for _ in 0..2 {
        let (got, full, along) = receive(&mut pair, server, 5000);
        assert_eq!((&got, full, along.segment), (&bytes, 2500, 1000), "a shorter one is the last");
    }
    // What does not fit waits; one that is cut is cut alone.
    send(&mut pair).unwrap();
    let (got, full, along) = receive(&mut pair, server, 2100);
    assert_eq!((got.len(), full, along.segment), (2000, 2000, 1000));
    assert_eq!(receive(&mut pair, server, 100).1, 500);
    assert_eq!(pair.stations[1].inet.available(server), 0);
}

#[test]
fn joining_goes_by_sender_and_class_and_ends() {
    let (mut pair, client, server) = pair(Family::V4);
    set(&mut pair, 1, server, SocketOption::ReceiveJoined, 1);
    for class in [0, 0, 2, 2] {
        let along = Ancillary { class: Some(class), ..Ancillary::default() };
        call!(pair, 0, send_with, client, &[class; 10], Some(address(2, 53)), &along).unwrap();
    }
    let other = pair.open(0, Kind::Datagram);
    call!(pair, 0, send, other, &[2; 10], Some(address(2, 53))).unwrap();
    for (length, class, segment) in [(20, 0, 10), (20, 2, 10), (10, 0, 0)] {
        let (got, _, along) = receive(&mut pair, server, 1000);
        assert_eq!((got.len(), along.class, along.segment), (length, Some(class), segment));
    }
    // Empty ones are nobody's neighbours.
    for _ in 0..2 {
        call!(pair, 0, send, client, b"", Some(address(2, 53))).unwrap();
    }
    for _ in 0..2 {
        assert_eq!(receive(&mut pair, server, 1000).0, b"");
    }
    assert!(pair.stations[1].inet.receive(server, &mut [0; 9], false).is_err());
}

#[test]
fn what_must_not_be_cut_has_a_size() {
    let (mut pair, client, server) = pair(Family::V4);
    let send = |pair: &mut Pair, length| call!(pair, 0, send, client, &noise(length), Some(address(2, 53)));
    // IP_PMTUDISC_DO, IP_PMTUDISC_PROBE.
    for discovery in [2, 3] {
        set(&mut pair, 0, client, SocketOption::MtuDiscover, discovery);
        assert_eq!((send(&mut pair, 1472), send(&mut pair, 1473)), (Ok(1472), Err(EMSGSIZE)));
        assert_eq!(receive(&mut pair, server, 2000).1, 1472);
    }
    let now = crate::time::Instant::from_micros(pair.now_us);
    pair.stations[0].inet.ip.narrow(now, [10, 0, 0, 2].into(), 1000);
    // A probe finds out; the others go by what is known.
    assert_eq!(send(&mut pair, 1472), Ok(1472));
    set(&mut pair, 0, client, SocketOption::MtuDiscover, 2);
    assert_eq!((send(&mut pair, 972), send(&mut pair, 973)), (Ok(972), Err(EMSGSIZE)));
    set(&mut pair, 0, client, SocketOption::MtuDiscover, 1);
    pair.stations[0].frames.take();
    assert_eq!(send(&mut pair, 1472), Ok(1472));
    let sent = pair.stations[0].frames.take().iter().filter(|(sent, _)| *sent).count();
    assert_eq!(sent, 2, "in pieces");
}

#[test]
fn a_receive_buffer_bounds_what_waits() {
    let (mut pair, client, server) = pair(Family::V4);
    set(&mut pair, 1, server, SocketOption::ReceiveBuffer, 20_000);
    for _ in 0..100 {
        call!(pair, 0, send, client, &[0; 936], Some(address(2, 53))).unwrap();
        pair.run(100_000);
    }
    let mut count = 0;
    while pair.stations[1].inet.receive(server, &mut [0; 1000], false).is_ok() {
        count += 1;
    }
    assert_eq!(count, 20);
}
