//! `std::net`: TcpListener and TcpStream, over loopback.

use crate::{Case, outcome, said, saw};
use std::io::{ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

pub(crate) const CASES: &[Case] = &[
    ("TcpListener::bind", bind),
    ("TcpListener's options", listener_options),
    ("TcpListener::incoming", incoming),
    ("TcpStream::connect", connect),
    ("TcpStream::connect_timeout", connect_timeout),
    ("TcpStream: addresses", addresses),
    ("TcpStream: read and write", read_and_write),
    ("TcpStream::shutdown", shutdown),
    ("TcpStream: the other side is gone", gone),
    ("TcpStream: timeouts", timeouts),
    ("TcpStream::set_nonblocking", nonblocking),
    ("TcpStream::peek", peek),
    ("TcpStream::try_clone", try_clone),
    ("TcpStream's options", options),
    ("TcpStream: a megabyte each way at once", both_ways),
    ("TCP over IPv6", version6),
];

/// Two ends of a connection.
fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (client, listener.accept().unwrap().0)
}

fn bind() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    saw!("port 0 becomes another", address.port() != 0);
    saw!("again", outcome(TcpListener::bind(address).map(drop)));
    saw!("an address of nobody's", outcome(TcpListener::bind("192.0.2.1:0").map(drop)));
    let both = [address, "127.0.0.1:0".parse().unwrap()];
    saw!("the second of two", TcpListener::bind(&both[..]).is_ok());
    saw!("of none", outcome(TcpListener::bind(&[][..] as &[SocketAddr]).map(drop)));
    drop(listener);
    saw!("again after the end", outcome(TcpListener::bind(address).map(drop)));
    let any = TcpListener::bind("0.0.0.0:0").unwrap();
    saw!("any address", any.local_addr().unwrap().ip());
    let port = any.local_addr().unwrap().port();
    saw!("any, and one of it", outcome(TcpListener::bind(("127.0.0.1", port)).map(drop)));
    saw!("reached by loopback", TcpStream::connect(("127.0.0.1", port)).is_ok());
}

fn listener_options() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    saw!("ttl", listener.ttl().unwrap());
    saw!("set_ttl", outcome(listener.set_ttl(100)));
    saw!("ttl", listener.ttl().unwrap());
    saw!("ttl of 0", outcome(listener.set_ttl(0)));
    saw!("ttl of 256", outcome(listener.set_ttl(256)));
    saw!("take_error", outcome(listener.take_error()));
    listener.set_nonblocking(true).unwrap();
    saw!("accept, nobody there", outcome(listener.accept().map(drop)));
    let other = listener.try_clone().unwrap();
    let client = TcpStream::connect(other.local_addr().unwrap()).unwrap();
    listener.set_nonblocking(false).unwrap();
    let (accepted, peer) = other.accept().unwrap();
    saw!("peer", peer == client.local_addr().unwrap());
    saw!("is not non-blocking itself", outcome(accepted.set_read_timeout(Some(Duration::from_millis(10)))));
}

fn incoming() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let clients = thread::spawn(move || {
        for n in 0..5u8 {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(&[n; 3]).unwrap();
        }
    });
    let mut sum = 0;
    for stream in listener.incoming().take(5) {
        let mut all = Vec::new();
        stream.unwrap().read_to_end(&mut all).unwrap();
        sum += all.into_iter().map(u32::from).sum::<u32>();
    }
    clients.join().unwrap();
    saw!("sum", sum);
}

fn closed_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn connect() {
    saw!("nobody listens", outcome(TcpStream::connect(closed_port()).map(drop)));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let two = [closed_port(), address];
    saw!("the second of two", TcpStream::connect(&two[..]).is_ok());
    saw!("a string", TcpStream::connect(format!("127.0.0.1:{}", address.port())).is_ok());
    saw!("a name", TcpStream::connect(("localhost", address.port())).is_ok());
    saw!("0.0.0.0 means here", TcpStream::connect(("0.0.0.0", address.port())).is_ok());
    saw!("no port", outcome(TcpStream::connect("127.0.0.1").map(drop)));
    saw!("a bad port", outcome(TcpStream::connect("127.0.0.1:http").map(drop)));
    saw!("port 0", outcome(TcpStream::connect("127.0.0.1:0").map(drop)));
    saw!("127.0.0.2 is here, too", outcome(TcpListener::bind("127.0.0.2:0").map(drop)));
}

fn connect_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    saw!("in time", outcome(TcpStream::connect_timeout(&address, Duration::from_secs(5)).map(drop)));
    saw!("nobody listens", outcome(TcpStream::connect_timeout(&closed_port(), Duration::from_secs(5)).map(drop)));
    saw!("no time", outcome(TcpStream::connect_timeout(&address, Duration::ZERO).map(drop)));
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5)).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
    saw!("it blocks afterwards", outcome(stream.read(&mut [0])));
}

fn addresses() {
    let (client, server) = pair();
    saw!("each other's", client.local_addr().unwrap() == server.peer_addr().unwrap());
    saw!("each other's", client.peer_addr().unwrap() == server.local_addr().unwrap());
    saw!("host", client.peer_addr().unwrap().ip());
    drop(server);
    thread::sleep(Duration::from_millis(5));
    saw!("peer_addr, the other side is gone", client.peer_addr().map(|a| a.ip()).map_err(|e| said(&e)));
}

fn read_and_write() {
    let (mut client, mut server) = pair();
    client.write_all(b"hello, ").unwrap();
    saw!(
        "write_vectored",
        client.write_vectored(&[IoSlice::new(b"wo"), IoSlice::new(b""), IoSlice::new(b"rld")]).unwrap()
    );
    client.flush().unwrap();
    let (mut a, mut b) = ([0; 4], [0; 8]);
    server.read_exact(&mut a).unwrap();
    saw!("read_exact", a);
    saw!("read into nothing", server.read(&mut []).unwrap());
    let got = server.read_vectored(&mut [IoSliceMut::new(&mut a), IoSliceMut::new(&mut b)]).unwrap();
    saw!("read_vectored", (got, a, b));
    saw!("write nothing", client.write(&[]).unwrap());
    drop(client);
    saw!("end", (server.read(&mut a).unwrap(), server.read(&mut a).unwrap()));
    saw!("read_exact at the end", outcome(server.read_exact(&mut a)));
}

fn shutdown() {
    let (mut client, mut server) = pair();
    client.write_all(b"last words").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    saw!("write afterwards", outcome(client.write(b"x")));
    let mut text = String::new();
    server.read_to_string(&mut text).unwrap();
    saw!("the other side reads to the end", text);
    server.write_all(b"answer").unwrap();
    drop(server);
    text = String::new();
    client.read_to_string(&mut text).unwrap();
    saw!("and answers", text);
    saw!("again", outcome(client.shutdown(Shutdown::Write)));
    let (mut client, mut server) = pair();
    client.shutdown(Shutdown::Read).unwrap();
    saw!("read afterwards", outcome(client.read(&mut [0])));
    saw!("write still goes", outcome(client.write(b"y")));
    let mut byte = [0];
    server.read_exact(&mut byte).unwrap();
    saw!("and arrives", byte);
    client.shutdown(Shutdown::Both).unwrap();
    saw!("read", outcome(client.read(&mut [0])));
    saw!("write", outcome(client.write(b"x")));
    saw!("the other side's end", outcome(server.read(&mut [0])));
}

fn gone() {
    let (mut client, server) = pair();
    client.write_all(b"never read").unwrap();
    thread::sleep(Duration::from_millis(5));
    drop(server);
    saw!("closed with unread bytes: read", outcome(client.read(&mut [0])));
    saw!("and once more", outcome(client.read(&mut [0])));
    saw!("write", outcome(client.write(b"x")));
    let (mut client, server) = pair();
    drop(server);
    saw!("closed: read", outcome(client.read(&mut [0])));
    saw!("first write", outcome(client.write(b"x")));
    thread::sleep(Duration::from_millis(20));
    saw!("second write", outcome(client.write(b"x")));
    let (client, server) = pair();
    client.write_all_slowly();
    drop(server);
    thread::sleep(Duration::from_millis(5));
    saw!("take_error after a reset", outcome(client.take_error()));
    saw!("and once more", outcome(client.take_error()));
}

trait Slowly {
    fn write_all_slowly(&self);
}

impl Slowly for TcpStream {
    fn write_all_slowly(&self) {
        let mut writer = self;
        writer.write_all(b"unread").unwrap();
        thread::sleep(Duration::from_millis(5));
    }
}

fn timeouts() {
    let (mut client, _server) = pair();
    saw!("none at first", (client.read_timeout().unwrap(), client.write_timeout().unwrap()));
    saw!("zero", outcome(client.set_read_timeout(Some(Duration::ZERO))));
    saw!("zero", outcome(client.set_write_timeout(Some(Duration::ZERO))));
    client.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    client.set_write_timeout(Some(Duration::from_millis(2500))).unwrap();
    saw!("set", (client.read_timeout().unwrap(), client.write_timeout().unwrap()));
    let start = Instant::now();
    saw!("read", outcome(client.read(&mut [0])));
    saw!("waited", start.elapsed() >= Duration::from_millis(20));
    client.set_write_timeout(Some(Duration::from_millis(20))).unwrap();
    let block = vec![0; 1 << 16];
    let error = (0..10_000).find_map(|_| client.write(&block).err());
    saw!("write, nobody reads", error.map(|e| said(&e)));
    client.set_read_timeout(None).unwrap();
    saw!("none again", client.read_timeout().unwrap());
}

fn nonblocking() {
    let (mut client, mut server) = pair();
    client.set_nonblocking(true).unwrap();
    saw!("read", outcome(client.read(&mut [0])));
    saw!("peek", outcome(client.peek(&mut [0])));
    let block = vec![7; 1 << 16];
    let mut sent = 0;
    let error = loop {
        match client.write(&block) {
            Ok(n) => sent += n,
            Err(error) => break error,
        }
    };
    saw!("write until full", said(&error));
    saw!("something fitted", sent > 1000);
    drop_after_reading(&mut server, sent);
    let start = Instant::now();
    while client.write(b"x").is_err_and(|e| e.kind() == ErrorKind::WouldBlock) {
        assert!(start.elapsed() < Duration::from_secs(20), "room comes back");
        thread::yield_now();
    }
    client.set_nonblocking(false).unwrap();
    server.write_all(b"z").unwrap();
    saw!("blocking again", outcome(client.read(&mut [0])));
}

fn drop_after_reading(stream: &mut TcpStream, mut bytes: usize) {
    let mut buffer = vec![0; 1 << 16];
    while bytes > 0 {
        let most = bytes.min(buffer.len());
        bytes -= stream.read(&mut buffer[..most]).unwrap();
    }
}

fn peek() {
    let (mut client, mut server) = pair();
    client.write_all(b"abcdef").unwrap();
    let mut three = [0; 3];
    saw!("peek", (server.peek(&mut three).unwrap(), three));
    saw!("again", (server.peek(&mut three).unwrap(), three));
    server.read_exact(&mut three).unwrap();
    saw!("read", three);
    saw!("peek", (server.peek(&mut three).unwrap(), three));
    server.read_exact(&mut three).unwrap();
    drop(client);
    saw!("peek at the end", server.peek(&mut three).unwrap());
}

fn try_clone() {
    let (client, mut server) = pair();
    let mut writer = client.try_clone().unwrap();
    writer.set_nodelay(true).unwrap();
    saw!("options are shared", client.nodelay().unwrap());
    drop(client);
    writer.write_all(b"still open").unwrap();
    let mut buffer = [0; 10];
    server.read_exact(&mut buffer).unwrap();
    drop(writer);
    saw!("closed with the last", server.read(&mut buffer).unwrap());
    let (client, server) = pair();
    let mut reader = server.try_clone().unwrap();
    let waiting = thread::spawn(move || outcome(reader.read(&mut [0])));
    thread::sleep(Duration::from_millis(5));
    server.shutdown(Shutdown::Both).unwrap();
    saw!("shutdown wakes a reader", waiting.join().unwrap());
    drop(client);
}

fn options() {
    let (client, _server) = pair();
    saw!("nodelay", client.nodelay().unwrap());
    client.set_nodelay(true).unwrap();
    saw!("set", client.nodelay().unwrap());
    client.set_nodelay(false).unwrap();
    saw!("unset", client.nodelay().unwrap());
    saw!("ttl", client.ttl().unwrap());
    client.set_ttl(42).unwrap();
    saw!("set", client.ttl().unwrap());
    saw!("take_error", outcome(client.take_error()));
}

fn both_ways() {
    let (client, server) = pair();
    let ends = [client, server].map(|stream| {
        thread::spawn(move || {
            let mut writer = stream.try_clone().unwrap();
            let sent: Vec<u8> = (0..1u32 << 20).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
            let writing = thread::spawn(move || {
                writer.write_all(&sent).unwrap();
                writer.shutdown(Shutdown::Write).unwrap();
            });
            let (mut reader, mut all) = (stream, Vec::new());
            reader.read_to_end(&mut all).unwrap();
            writing.join().unwrap();
            (all.len(), all.iter().fold(0u32, |sum, byte| sum.rotate_left(5) ^ u32::from(*byte)))
        })
    });
    saw!("lengths and sums", ends.map(|end| end.join().unwrap()));
}

fn version6() {
    let listener = TcpListener::bind("[::1]:0").unwrap();
    let address = listener.local_addr().unwrap();
    saw!("address", (address.is_ipv6(), address.ip().is_loopback()));
    let mut client = TcpStream::connect(address).unwrap();
    let (mut server, peer) = listener.accept().unwrap();
    saw!("peer", peer.ip());
    client.write_all(b"six").unwrap();
    drop(client);
    let mut text = String::new();
    server.read_to_string(&mut text).unwrap();
    saw!("text", text);
    let any = TcpListener::bind("[::]:0").unwrap();
    let port = any.local_addr().unwrap().port();
    let client = TcpStream::connect(("127.0.0.1", port));
    saw!("[::] takes IPv4, too", client.is_ok());
    saw!("and maps it", any.accept().unwrap().1.ip().to_string());
    drop(client);
}
