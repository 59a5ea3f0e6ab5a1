//! Unix sockets with names, between the threads of one machine.
#![forbid(unsafe_code)]

#[cfg(feature = "line")]
use ampoule as _;

use std::io::{ErrorKind, Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener, UnixStream};
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

const CLIENTS: usize = 20;
const BYTES: usize = 300_000;

fn main() {
    streams(UnixListener::bind("/tmp/socket").expect("the name is free"), || UnixStream::connect("/tmp/socket"));
    let name = SocketAddr::from_abstract_name(b"abstract").expect("a name");
    let listener = UnixListener::bind_addr(&name).expect("the name is free");
    streams(listener, || UnixStream::connect_addr(&SocketAddr::from_abstract_name(b"abstract")?));
    errors();
    datagrams();
    println!("all of them talk");
}

/// Each client sends more than any buffer holds, and gets all of it back.
fn streams(listener: UnixListener, connect: fn() -> std::io::Result<UnixStream>) {
    let server = thread::spawn(move || {
        let serve = |mut stream: UnixStream| {
            let mut all = Vec::new();
            stream.read_to_end(&mut all).expect("it can be read");
            stream.write_all(&all).expect("it can be written");
        };
        let threads: Vec<_> = (0..CLIENTS)
            .map(|_| listener.accept().expect("somebody comes").0)
            .map(|stream| thread::spawn(move || serve(stream)))
            .collect();
        threads.into_iter().for_each(|thread| thread.join().expect("it serves"));
    });
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            thread::spawn(move || {
                let mut stream = connect().expect("it listens");
                let bytes: Vec<u8> = (0..BYTES).map(|at| (at * 7 + number) as u8).collect();
                stream.write_all(&bytes).expect("it is read");
                stream.shutdown(std::net::Shutdown::Write).expect("it is open");
                let mut back = Vec::new();
                stream.read_to_end(&mut back).expect("it is written");
                assert_eq!(back, bytes);
            })
        })
        .collect();
    clients.into_iter().for_each(|client| client.join().expect("it gets all of it"));
    server.join().expect("it serves");
}

fn errors() {
    let kind = |result: std::io::Result<UnixStream>| result.expect_err("nobody is there").kind();
    assert_eq!(kind(UnixStream::connect("/tmp/nobody")), ErrorKind::NotFound);
    let listener = UnixListener::bind("/tmp/taken").expect("the name is free");
    assert_eq!(UnixListener::bind("/tmp/taken").expect_err("it is taken").kind(), ErrorKind::AddrInUse);
    listener.set_nonblocking(true).expect("it is a socket");
    assert_eq!(listener.accept().expect_err("nobody came").kind(), ErrorKind::WouldBlock);
    let local = listener.local_addr().expect("it has a name");
    assert_eq!(local.as_pathname(), Some(Path::new("/tmp/taken")));
    let client = UnixStream::connect("/tmp/taken").expect("it listens");
    assert!(client.local_addr().expect("it is a socket").is_unnamed());
    assert_eq!(client.peer_addr().expect("it is connected").as_pathname(), Some(Path::new("/tmp/taken")));
    // Never accepted: it learns that the listener is gone.
    drop(listener);
    assert!(matches!((&client).read(&mut [0]), Ok(0) | Err(_)));
    let datagram = UnixDatagram::bind("/tmp/datagrams").expect("the name is free");
    assert!(UnixStream::connect("/tmp/datagrams").is_err());
    drop(datagram);
}

fn datagrams() {
    const COUNT: u32 = 2_000;
    let receiver = UnixDatagram::bind("/tmp/receiver").expect("the name is free");
    let (done, is_done) = mpsc::channel();
    for number in 0..4 {
        let done = done.clone();
        thread::spawn(move || {
            let path = format!("/tmp/sender-{number}");
            let sender = UnixDatagram::bind(&path).expect("the name is free");
            if number % 2 == 0 {
                sender.connect("/tmp/receiver").expect("it is there");
            }
            for message in 0..COUNT {
                let bytes = message.to_le_bytes();
                // More than the receiver's queue holds: some of these wait for room.
                let sent = if number % 2 == 0 { sender.send(&bytes) } else { sender.send_to(&bytes, "/tmp/receiver") };
                assert_eq!(sent.expect("it takes it"), 4);
            }
            done.send(sender).expect("the main thread waits");
        });
    }
    let mut next = [0; 4];
    for _ in 0..4 * COUNT {
        let mut bytes = [0; 8];
        let (length, from) = receiver.recv_from(&mut bytes).expect("it comes");
        let path = from.as_pathname().and_then(Path::to_str).expect("a sender with a name").to_owned();
        let number: usize = path.strip_prefix("/tmp/sender-").and_then(|n| n.parse().ok()).expect("one of ours");
        assert_eq!((length, &bytes[..4]), (4, &u32::to_le_bytes(next[number])[..]), "in order");
        next[number] += 1;
    }
    assert_eq!(next, [COUNT; 4]);
    for _ in 0..4 {
        is_done.recv_timeout(Duration::from_secs(10)).expect("all were sent");
    }
}
