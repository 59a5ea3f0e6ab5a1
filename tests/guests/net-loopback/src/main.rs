//! A program talks to itself over 127.0.0.1 and ::1, by TCP and UDP, without a network in its manifest. Ends with 0.

#[cfg(feature = "line")]
use ampoule as _;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs, UdpSocket};
use std::time::Duration;

fn main() {
    for address in ["127.0.0.1:0", "[::1]:0", "0.0.0.0:0"] {
        echo(address);
    }
    refused();
    times_out();
    datagrams();
    names();
    println!("the machine reaches itself");
}

fn echo(address: &str) {
    let listener = TcpListener::bind(address).expect("loopback needs no permission");
    let port = listener.local_addr().expect("bound").port();
    let server = std::thread::spawn(move || {
        let (mut stream, peer) = listener.accept().expect("a connection");
        assert_eq!(stream.peer_addr().expect("connected"), peer);
        let mut all = Vec::new();
        stream.read_to_end(&mut all).expect("bytes");
        stream.write_all(&all).expect("open");
    });
    let host = if address.starts_with('[') { "[::1]" } else { "127.0.0.1" };
    let mut stream = TcpStream::connect(format!("{host}:{port}")).expect("somebody listens");
    stream.set_nodelay(true).expect("an option");
    let bytes: Vec<u8> = (0..300_000u32).map(|i| (i * 7) as u8).collect();
    let mut half = stream.try_clone().expect("a duplicate");
    let sent = bytes.clone();
    let writer = std::thread::spawn(move || {
        half.write_all(&sent).expect("open");
        half.shutdown(Shutdown::Write).expect("open");
    });
    let mut back = Vec::new();
    stream.read_to_end(&mut back).expect("bytes");
    assert!(back == bytes);
    writer.join().expect("no panic");
    server.join().expect("no panic");
}

fn refused() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = listener.local_addr().expect("bound");
    assert_eq!(TcpListener::bind(address).expect_err("taken").kind(), ErrorKind::AddrInUse);
    drop(listener);
    assert_eq!(TcpStream::connect(address).expect_err("nobody listens").kind(), ErrorKind::ConnectionRefused);
    let again = TcpStream::connect_timeout(&address, Duration::from_secs(5)).expect_err("nobody listens");
    assert_eq!(again.kind(), ErrorKind::ConnectionRefused);
}

fn times_out() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let mut stream = TcpStream::connect(listener.local_addr().expect("bound")).expect("the backlog takes it");
    stream.set_read_timeout(Some(Duration::from_millis(5))).expect("an option");
    assert_eq!(stream.read(&mut [0]).expect_err("nothing comes").kind(), ErrorKind::WouldBlock);
    listener.set_nonblocking(true).expect("an option");
    let _accepted = listener.accept().expect("it waits in the backlog");
    assert_eq!(listener.accept().expect_err("no more").kind(), ErrorKind::WouldBlock);
}

fn datagrams() {
    let left = UdpSocket::bind("127.0.0.1:0").expect("bound");
    let right = UdpSocket::bind("127.0.0.1:0").expect("bound");
    let to = right.local_addr().expect("bound");
    left.send_to(b"hello", to).expect("sent");
    let mut buffer = [0; 16];
    let (length, from) = right.recv_from(&mut buffer).expect("a datagram");
    assert_eq!((&buffer[..length], from), (&b"hello"[..], left.local_addr().expect("bound")));
    right.connect(from).expect("a peer");
    right.send(b"back").expect("sent");
    assert_eq!(left.recv(&mut buffer).expect("a datagram"), 4);
}

fn names() {
    let found: Vec<SocketAddr> = "localhost:80".to_socket_addrs().expect("always known").collect();
    assert!(found.contains(&"127.0.0.1:80".parse().expect("an address")));
    assert!("example.invalid:80".to_socket_addrs().is_err());
}
