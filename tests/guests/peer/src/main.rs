//! Talks to the host: std's sockets, blocking, non-blocking, and with time limits. Arguments: the host's address, a TCP
//! and a UDP port where it sends back what comes, and a TCP port where nobody listens. Ends with 0.
#[cfg(feature = "line")]
use ampoule as _;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::ExitCode;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(20);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [host, tcp, udp, closed] = arguments.as_slice() else {
        println!("guest-peer HOST TCP-PORT UDP-PORT CLOSED-PORT");
        return ExitCode::from(2);
    };
    let host: IpAddr = host.parse().expect("an address");
    let at = |port: &str| SocketAddr::from((host, port.parse().expect("a port")));
    blocking(at(tcp));
    limits(at(tcp));
    non_blocking(at(tcp));
    refused(at(closed));
    datagrams(at(udp));
    println!("the host answers");
    ExitCode::SUCCESS
}

fn blocking(to: SocketAddr) {
    let threads: Vec<_> = (0..4u8)
        .map(|seed| {
            std::thread::spawn(move || {
                let mut stream = TcpStream::connect(to).expect("the host listens");
                assert_eq!(stream.peer_addr().expect("connected"), to);
                stream.set_nodelay(true).expect("an option");
                let sent: Vec<u8> = (0..200_000u32).map(|i| (i as u8).wrapping_mul(7).wrapping_add(seed)).collect();
                let (mut writer, bytes) = (stream.try_clone().expect("a duplicate"), sent.clone());
                let writing = std::thread::spawn(move || {
                    writer.write_all(&bytes).expect("open");
                    writer.shutdown(Shutdown::Write).expect("open");
                });
                let mut back = Vec::new();
                stream.read_to_end(&mut back).expect("bytes");
                writing.join().expect("no panic");
                assert!(back == sent, "{} bytes came back of {}", back.len(), sent.len());
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
    println!("streams");
}

fn limits(to: SocketAddr) {
    let mut stream = TcpStream::connect_timeout(&to, PATIENCE).expect("the host listens");
    stream.set_read_timeout(Some(SHORT)).expect("an option");
    let start = Instant::now();
    assert_eq!(stream.read(&mut [0]).expect_err("nothing was sent").kind(), ErrorKind::WouldBlock);
    assert!(start.elapsed() >= SHORT);
    stream.set_read_timeout(None).expect("an option");
    stream.write_all(b"late").expect("open");
    let mut peeked = [0; 1];
    assert_eq!(stream.peek(&mut peeked).expect("bytes"), 1);
    let mut back = [0; 4];
    stream.read_exact(&mut back).expect("bytes");
    assert_eq!((&back, peeked), (b"late", [b'l']));
    println!("time limits");
}

fn non_blocking(to: SocketAddr) {
    let mut stream = TcpStream::connect(to).expect("the host listens");
    stream.set_nonblocking(true).expect("an option");
    assert_eq!(stream.read(&mut [0]).expect_err("nothing was sent").kind(), ErrorKind::WouldBlock);
    // What is sent without reading comes back, and at some time nothing more fits anywhere.
    let (mut sent, deadline) = (0, Instant::now() + PATIENCE);
    while sent < 1 << 20 && Instant::now() < deadline {
        match stream.write(&[7; 65536]) {
            Ok(count) => sent += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => panic!("{error}"),
        }
    }
    stream.set_nonblocking(false).expect("an option");
    stream.shutdown(Shutdown::Write).expect("open");
    let mut back = Vec::new();
    stream.read_to_end(&mut back).expect("bytes");
    assert!(back.len() == sent && sent > 0, "{} bytes came back of {sent}", back.len());
    let listener = TcpListener::bind("0.0.0.0:7000").expect("the manifest allows it");
    listener.set_nonblocking(true).expect("an option");
    assert_eq!(listener.accept().expect_err("nobody comes").kind(), ErrorKind::WouldBlock);
    println!("without blocking");
}

fn refused(to: SocketAddr) {
    let error = TcpStream::connect(to).expect_err("nobody listens");
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{error}");
    println!("refusals");
}

fn datagrams(to: SocketAddr) {
    let socket = UdpSocket::bind("0.0.0.0:0").expect("a client's own port");
    let mut buffer = [0; 2048];
    socket.set_read_timeout(Some(SHORT)).expect("an option");
    assert_eq!(socket.recv_from(&mut buffer).expect_err("nothing was sent").kind(), ErrorKind::WouldBlock);
    socket.set_read_timeout(Some(PATIENCE)).expect("an option");
    for length in [1, 100, 1400] {
        assert_eq!(socket.send_to(&vec![length as u8; length], to).expect("sent"), length);
        let (count, from) = socket.recv_from(&mut buffer).expect("an answer");
        assert_eq!((count, from, buffer[0]), (length, to, length as u8));
    }
    socket.connect(to).expect("a peer");
    socket.set_nonblocking(true).expect("an option");
    assert_eq!(socket.recv(&mut buffer).expect_err("nothing was sent").kind(), ErrorKind::WouldBlock);
    socket.set_nonblocking(false).expect("an option");
    socket.send(b"connected").expect("sent");
    assert_eq!(socket.recv(&mut buffer).expect("an answer"), 9);
    println!("datagrams");
}
