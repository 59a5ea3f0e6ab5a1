//! IPv6: addresses that stations find by themselves, routers' advertisements, path MTU.

use super::{Pair, Station, address, noise};
use crate::checksum;
use crate::ip::packet::{ICMP, ICMP6, Outgoing};
use core::net::{IpAddr, Ipv6Addr, SocketAddr};
use device::testing::Faults;
use device::{Error, Family, Kind};

const SECOND: u64 = 1_000_000;
const GLOBAL: [u16; 8] = [0x2001, 0xdb8, 0, 0, 0, 0xff, 0xfe00, 1];
const ROUTER: [u16; 8] = [0xfe80, 0, 0, 0, 0, 0, 0, 0x99];

fn pair() -> Pair {
    let mut pair = Pair::new(1, Faults { delay_us: 20, ..Faults::default() });
    pair.run(2 * SECOND);
    pair
}

/// The address that a station finds by itself.
fn link_local(last: u16) -> Ipv6Addr {
    Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0xff, 0xfe00, last)
}

/// A message of ICMP or ICMPv6 towards station 0, as somebody at `source` would send it.
fn inject(station: &Station, source: IpAddr, destination: IpAddr, hop_limit: u8, mut body: Vec<u8>) {
    let protocol = if destination.is_ipv4() { ICMP } else { ICMP6 };
    let outgoing = Outgoing::new(source, destination, protocol, hop_limit);
    let pseudo = if destination.is_ipv4() { 0 } else { outgoing.pseudo(body.len()) };
    checksum::complete(pseudo, &mut body, 2, None);
    let mut frame = vec![0; outgoing.header() + body.len()];
    outgoing.write(&mut frame, [2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 9]).copy_from_slice(&body);
    station.frames.inner().inject(frame);
}

/// An advertisement of 2001:db8::/64, with a name server and a link MTU of 1400.
fn advertise(pair: &Pair, lifetime: u16, hop_limit: u8) {
    let mut body = vec![134, 0, 0, 0, 64, 0];
    body.extend(lifetime.to_be_bytes());
    body.extend([0; 8]);
    body.extend([3, 4, 64, 0xc0, 0, 0, 0x1c, 0x20, 0, 0, 0x0e, 0x10, 0, 0, 0, 0]);
    body.extend(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0).octets());
    body.extend([5, 1, 0, 0, 0, 0, 5, 0x78]);
    body.extend([25, 3, 0, 0, 0, 0, 0, 60]);
    body.extend(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x53).octets());
    let everybody = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    inject(&pair.stations[1], IpAddr::from(ROUTER), everybody.into(), hop_limit, body);
}

#[test]
fn two_stations_find_their_addresses_and_talk() {
    let mut pair = pair();
    let listener = pair.stations[1].inet.open_socket(Family::V6, Kind::Stream).unwrap();
    pair.stations[1].inet.bind(listener, SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), 80)).unwrap();
    pair.stations[1].inet.listen(listener, 8).unwrap();
    let client = pair.stations[0].inet.open_socket(Family::V6, Kind::Stream).unwrap();
    let server = SocketAddr::new(link_local(2).into(), 80);
    assert_eq!(call!(pair, 0, connect, client, server), Err(Error::InProgress));
    pair.run(SECOND);
    let (accepted, peer) = pair.stations[1].inet.accept(listener).unwrap();
    assert_eq!(peer.ip(), IpAddr::from(link_local(1)));
    let bytes = noise(100_000);
    assert_eq!(pair.carry((0, client), (1, accepted), &bytes, 10 * SECOND), bytes);
    // Datagrams that do not fit a frame as well.
    let there = pair.stations[1].inet.open_socket(Family::V6, Kind::Datagram).unwrap();
    pair.stations[1].inet.bind(there, SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), 53)).unwrap();
    let here = pair.stations[0].inet.open_socket(Family::V6, Kind::Datagram).unwrap();
    let to = SocketAddr::new(link_local(2).into(), 53);
    assert_eq!(call!(pair, 0, send, here, &bytes[..30_000], Some(to)), Ok(30_000));
    pair.run(SECOND);
    let mut buffer = vec![0; 40_000];
    let got = pair.stations[1].inet.receive(there, &mut buffer, false).unwrap();
    assert_eq!(buffer[..got.length], bytes[..30_000]);
    // Nobody listens there.
    call!(pair, 0, connect, here, SocketAddr::new(link_local(2).into(), 9)).unwrap();
    assert_eq!(call!(pair, 0, send, here, b"hello", None), Ok(5));
    pair.run(SECOND);
    assert_eq!(pair.receive(0, here), Err(Error::Errno(111)));
}

#[test]
fn a_router_gives_an_address_a_way_out_and_a_name_server() {
    let mut pair = pair();
    let far = SocketAddr::from(([0x2001, 0xdb8, 9, 0, 0, 0, 0, 9], 53));
    let socket = pair.stations[0].inet.open_socket(Family::V6, Kind::Datagram).unwrap();
    assert_eq!(call!(pair, 0, send, socket, b"x", Some(far)), Err(crate::errno::ENETUNREACH));
    advertise(&pair, 1800, 64);
    pair.run(2 * SECOND);
    assert!(!pair.stations[0].inet.has_address(GLOBAL.into()), "a message from beyond the link is not believed");
    advertise(&pair, 1800, 255);
    pair.run(SECOND / 2);
    assert!(!pair.stations[0].inet.has_address(GLOBAL.into()), "it may be somebody else's");
    pair.run(2 * SECOND);
    assert!(pair.stations[0].inet.has_address(GLOBAL.into()));
    assert!(pair.stations[0].inet.name_servers().contains(&IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x53])));
    assert_eq!(call!(pair, 0, send, socket, b"x", Some(far)), Ok(1));
    // The name server is forgotten after its minute, the router after its half hour, the address after its two hours.
    pair.run(61 * SECOND);
    assert!(!pair.stations[0].inet.name_servers().iter().any(IpAddr::is_ipv6));
    pair.run(1800 * SECOND);
    assert_eq!(call!(pair, 0, send, socket, b"x", Some(far)), Err(crate::errno::ENETUNREACH));
    pair.run(5400 * SECOND);
    assert!(!pair.stations[0].inet.has_address(GLOBAL.into()));
}

#[test]
fn an_address_that_somebody_has_is_not_taken() {
    let mut pair = Pair::new(1, Faults { delay_us: 20, ..Faults::default() });
    pair.run(SECOND / 2);
    let mut body = vec![136, 0, 0, 0, 0x20, 0, 0, 0];
    body.extend(link_local(1).octets());
    let everybody = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    inject(&pair.stations[1], link_local(1).into(), everybody.into(), 255, body);
    pair.run(3 * SECOND);
    assert!(!pair.stations[0].inet.has_address(link_local(1).into()));
    assert!(pair.stations[1].inet.has_address(link_local(2).into()));
}

#[test]
fn echo_is_answered() {
    let mut pair = pair();
    let (v4, v6) =
        ([IpAddr::from([10, 0, 0, 2]), IpAddr::from([10, 0, 0, 1])], [link_local(2).into(), link_local(1).into()]);
    for ([from, to], kind, answer) in [(v4, 8, 0), (v6, 128, 129)] {
        pair.stations[0].frames.take();
        inject(&pair.stations[1], from, to, 64, vec![kind, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7]);
        pair.run(SECOND);
        let at = if to.is_ipv4() { 34 } else { 54 };
        let sent = pair.stations[0].frames.take();
        assert!(
            sent.iter()
                .any(|(sent, f)| *sent && f[at..].starts_with(&[answer, 0]) && f[at + 4..] == [1, 2, 3, 4, 5, 6, 7])
        );
    }
}

#[test]
fn a_narrow_path_makes_segments_smaller_and_the_transfer_goes_on() {
    let mut pair = pair();
    let (client, server, _) = pair.connected(80);
    let bytes = noise(400_000);
    pair.stations[0].frames.take();
    assert_eq!(call!(pair, 0, send, client, &bytes[..50_000], None), Ok(50_000));
    // A router that drops the first of them says so: it quotes the packet.
    let sent = pair.stations[0].frames.take();
    let large = sent.iter().map(|(_, frame)| frame).find(|frame| frame.len() > 1400).expect("a large frame");
    let mut body = vec![3, 4, 0, 0, 0, 0, 4, 0];
    body.extend(&large[14..14 + 28]);
    inject(&pair.stations[1], address(2, 0).ip(), address(1, 0).ip(), 64, body);
    pair.run(20);
    pair.stations[0].frames.take();
    let (mut sent, mut got) = (50_000, Vec::new());
    while got.len() < bytes.len() {
        if let Ok(taken) = call!(pair, 0, send, client, &bytes[sent..], None) {
            sent += taken;
        }
        pair.run(1000);
        while let Ok(part) = pair.receive(1, server) {
            got.extend(part);
        }
    }
    assert_eq!(got, bytes);
    let longest = pair.stations[0].frames.take().iter().filter(|(sent, _)| *sent).map(|(_, f)| f.len()).max();
    assert_eq!(longest, Some(14 + 1024));
    assert_eq!(call!(pair, 0, option, client, device::SocketOption::PathMtu), Ok(1024));
    // Nobody else can do that: what is quoted must be under way.
    let mut body = vec![3, 4, 0, 0, 0, 0, 2, 40];
    body.extend(&large[14..14 + 28]);
    inject(&pair.stations[1], address(2, 0).ip(), address(1, 0).ip(), 64, body);
    pair.run(1000);
    assert_eq!(call!(pair, 0, option, client, device::SocketOption::PathMtu), Ok(1024));
}
