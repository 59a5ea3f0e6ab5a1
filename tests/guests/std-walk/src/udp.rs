//! `std::net::UdpSocket`, over loopback.

use crate::{Case, outcome, saw};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

pub(crate) const CASES: &[Case] = &[
    ("UdpSocket::bind", bind),
    ("UdpSocket::send_to and recv_from", send_and_receive),
    ("UdpSocket::connect", connect),
    ("UdpSocket: nobody is there", refused),
    ("UdpSocket::peek", peek),
    ("UdpSocket: sizes", sizes),
    ("UdpSocket: timeouts", timeouts),
    ("UdpSocket::set_nonblocking", nonblocking),
    ("UdpSocket's options", options),
    ("UdpSocket: multicast options", multicast),
    ("UDP over IPv6", version6),
];

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    socket
}

fn address(socket: &UdpSocket) -> SocketAddr {
    socket.local_addr().unwrap()
}

fn bind() {
    let one = socket();
    saw!("a port", address(&one).port() != 0);
    saw!("again", outcome(UdpSocket::bind(address(&one)).map(drop)));
    saw!("an address of nobody's", outcome(UdpSocket::bind("192.0.2.1:0").map(drop)));
    saw!("peer_addr", outcome(one.peer_addr()));
    let old = address(&one);
    drop(one);
    saw!("after the end", outcome(UdpSocket::bind(old).map(drop)));
}

fn send_and_receive() {
    let (left, right) = (socket(), socket());
    saw!("sent", left.send_to(b"hello", address(&right)).unwrap());
    let mut buffer = [0; 16];
    let (length, from) = right.recv_from(&mut buffer).unwrap();
    saw!("received", (&buffer[..length], from == address(&left)));
    assert!((0..10u8).all(|n| left.send_to(&[n], address(&right)).is_ok()));
    saw!("in order", (0..10).map(|_| (right.recv_from(&mut buffer).unwrap().0, buffer[0]).1).collect::<Vec<_>>());
    saw!("to itself", left.send_to(b"me", address(&left)).unwrap());
    saw!("from itself", left.recv_from(&mut buffer).unwrap().1 == address(&left));
    saw!("send without a peer", outcome(left.send(b"x")));
    left.send_to(b"by recv", address(&right)).unwrap();
    saw!("recv without a peer", outcome(right.recv(&mut buffer)));
    saw!("to no address", outcome(left.send_to(b"x", &[][..] as &[SocketAddr])));
    saw!("to port 0", outcome(left.send_to(b"x", "127.0.0.1:0")));
}

fn connect() {
    let (left, right, stranger) = (socket(), socket(), socket());
    left.connect(address(&right)).unwrap();
    saw!("peer_addr", left.peer_addr().unwrap() == address(&right));
    saw!("send", left.send(b"to the peer").unwrap());
    let mut buffer = [0; 16];
    saw!("recv", right.recv(&mut buffer).unwrap());
    stranger.send_to(b"stranger", address(&left)).unwrap();
    right.send_to(b"peer", address(&left)).unwrap();
    saw!("only the peer's arrive", left.recv(&mut buffer).map(|n| buffer[..n].to_vec()).unwrap());
    saw!("send_to another", outcome(left.send_to(b"elsewhere", address(&stranger))));
    saw!("arrives", stranger.recv(&mut buffer).unwrap());
    left.connect(address(&stranger)).unwrap();
    saw!("another peer", left.peer_addr().unwrap() == address(&stranger));
}

fn refused() {
    let (left, nobody) = (socket(), address(&socket()));
    saw!("send_to", outcome(left.send_to(b"x", nobody)));
    left.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    saw!("not connected, nothing is heard", outcome(left.recv(&mut [0])));
    left.connect(nobody).unwrap();
    saw!("send", outcome(left.send(b"x")));
    thread::sleep(Duration::from_millis(5));
    saw!("recv", outcome(left.recv(&mut [0])));
    saw!("and once more", outcome(left.recv(&mut [0])));
    saw!("send", outcome(left.send(b"x")));
    thread::sleep(Duration::from_millis(5));
    saw!("take_error", outcome(left.take_error()));
    saw!("and once more", outcome(left.take_error()));
}

fn peek() {
    let (left, right) = (socket(), socket());
    left.send_to(b"first", address(&right)).unwrap();
    left.send_to(b"second", address(&right)).unwrap();
    let mut buffer = [0; 16];
    saw!("peek", right.peek(&mut buffer).unwrap());
    saw!("peek_from", right.peek_from(&mut buffer).unwrap().1 == address(&left));
    saw!("recv", right.recv(&mut buffer).unwrap());
    saw!("peek at the next", right.peek(&mut buffer).unwrap());
}

fn sizes() {
    let (left, right) = (socket(), socket());
    let mut buffer = vec![0; 70_000];
    left.send_to(b"", address(&right)).unwrap();
    saw!("an empty one", right.recv_from(&mut buffer).unwrap().0);
    left.send_to(b"0123456789", address(&right)).unwrap();
    saw!("cut", right.recv(&mut buffer[..4]).unwrap());
    left.send_to(b"next", address(&right)).unwrap();
    saw!("the rest is gone", right.recv(&mut buffer).unwrap());
    for length in [1000, 1472, 9000, 65_507] {
        let sent: Vec<u8> = (0..length).map(|n| n as u8).collect();
        let result = left.send_to(&sent, address(&right));
        let whole = result.is_ok() && right.recv(&mut buffer).is_ok_and(|n| buffer[..n] == sent);
        saw!(format!("{length} bytes"), (outcome(result), whole));
    }
    saw!("65,508 bytes", outcome(left.send_to(&buffer[..65_508], address(&right))));
}

fn timeouts() {
    let one = socket();
    one.set_read_timeout(None).unwrap();
    saw!("none", (one.read_timeout().unwrap(), one.write_timeout().unwrap()));
    saw!("zero", outcome(one.set_read_timeout(Some(Duration::ZERO))));
    one.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    one.set_write_timeout(Some(Duration::from_secs(3))).unwrap();
    saw!("set", (one.read_timeout().unwrap(), one.write_timeout().unwrap()));
    let start = Instant::now();
    saw!("recv", outcome(one.recv(&mut [0])));
    saw!("waited", start.elapsed() >= Duration::from_millis(20));
}

fn nonblocking() {
    let one = socket();
    one.set_nonblocking(true).unwrap();
    saw!("recv", outcome(one.recv(&mut [0])));
    saw!("peek", outcome(one.peek(&mut [0])));
    one.set_nonblocking(false).unwrap();
    let other = one.try_clone().unwrap();
    let waiting = thread::spawn(move || other.recv(&mut [0; 8]).unwrap());
    socket().send_to(b"wake", address(&one)).unwrap();
    saw!("a clone receives", waiting.join().unwrap());
}

fn options() {
    let one = socket();
    saw!("broadcast", one.broadcast().unwrap());
    one.set_broadcast(true).unwrap();
    saw!("set", one.broadcast().unwrap());
    saw!("ttl", one.ttl().unwrap());
    one.set_ttl(9).unwrap();
    saw!("set", one.ttl().unwrap());
    saw!("a ttl of 0", outcome(one.set_ttl(0)));
    saw!("take_error", outcome(one.take_error()));
}

fn multicast() {
    let one = socket();
    saw!("loop_v4", one.multicast_loop_v4().unwrap());
    one.set_multicast_loop_v4(false).unwrap();
    saw!("set", one.multicast_loop_v4().unwrap());
    saw!("ttl_v4", one.multicast_ttl_v4().unwrap());
    one.set_multicast_ttl_v4(7).unwrap();
    saw!("set", one.multicast_ttl_v4().unwrap());
    saw!("a ttl of 300", outcome(one.set_multicast_ttl_v4(300)));
    let no_group = Ipv4Addr::new(10, 1, 2, 3);
    saw!("no group", outcome(one.join_multicast_v4(&no_group, &Ipv4Addr::LOCALHOST)));
    let group = Ipv4Addr::new(224, 0, 0, 251);
    saw!("join", outcome(one.join_multicast_v4(&group, &Ipv4Addr::LOCALHOST)));
    saw!("join again", outcome(one.join_multicast_v4(&group, &Ipv4Addr::LOCALHOST)));
    saw!("leave", outcome(one.leave_multicast_v4(&group, &Ipv4Addr::LOCALHOST)));
    saw!("leave again", outcome(one.leave_multicast_v4(&group, &Ipv4Addr::LOCALHOST)));
    let six = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).unwrap();
    saw!("loop_v6", six.multicast_loop_v6().unwrap());
    six.set_multicast_loop_v6(false).unwrap();
    saw!("set", six.multicast_loop_v6().unwrap());
}

fn version6() {
    let left = UdpSocket::bind("[::1]:0").unwrap();
    let right = UdpSocket::bind("[::1]:0").unwrap();
    left.send_to(b"six", right.local_addr().unwrap()).unwrap();
    let mut buffer = [0; 8];
    let (length, from) = right.recv_from(&mut buffer).unwrap();
    saw!("received", (&buffer[..length], from == left.local_addr().unwrap()));
    saw!("to an IPv4 address", left.send_to(b"four", "127.0.0.1:9").is_err());
}
