//! What programs rely on between themselves.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::Loopback;
use core::net::{IpAddr, SocketAddr};
use device::{Error, Family, How, Kind, Ready, SocketId, SocketOption, Stack, Watch};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

#[derive(Default)]
struct Counter(AtomicU32);

impl Counter {
    fn take(&self) -> u32 {
        self.0.swap(0, Ordering::Relaxed)
    }
}

impl Watch for Counter {
    fn changed(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn listener(stack: &Loopback, address: SocketAddr) -> (SocketId, SocketAddr) {
    let family = if address.is_ipv4() { Family::V4 } else { Family::V6 };
    let id = stack.open(family, Kind::Stream).unwrap();
    stack.bind(id, address).unwrap();
    stack.listen(id, 8).unwrap();
    (id, stack.local(id).unwrap())
}

fn pair(stack: &Loopback) -> (SocketId, SocketId) {
    let (listener, address) = listener(stack, local(0));
    let client = stack.open(Family::V4, Kind::Stream).unwrap();
    stack.connect(client, address).unwrap();
    let (server, peer) = stack.accept(listener).unwrap();
    assert_eq!(peer, stack.local(client).unwrap());
    assert_eq!(stack.peer(client), Ok(address));
    stack.close(listener);
    (client, server)
}

fn receive(stack: &Loopback, id: SocketId) -> Result<Vec<u8>, Error> {
    let mut buffer = [0; 1 << 16];
    let got = stack.receive(id, &mut buffer, false)?;
    Ok(buffer[..got.length].to_vec())
}

#[test]
fn bytes_go_both_ways_and_watches_hear_of_it() {
    let stack = Loopback::new();
    let (client, server) = pair(&stack);
    let counter = Arc::new(Counter::default());
    stack.watch(server, Some(counter.clone()));
    assert_eq!(receive(&stack, server), Err(Error::WouldBlock));
    assert_eq!(stack.send(client, b"hello", None), Ok(5));
    assert_eq!(counter.take(), 1);
    assert!(stack.ready(server).contains(Ready::READ | Ready::WRITE));
    assert_eq!(stack.available(server), 5);
    let mut two = [0; 2];
    assert_eq!(stack.receive(server, &mut two, true).unwrap().length, 2);
    assert_eq!(receive(&stack, server), Ok(b"hello".to_vec()));
    assert_eq!(stack.ready(server), Ready::WRITE);
    assert_eq!(stack.send(server, b"back", None), Ok(4));
    assert_eq!(receive(&stack, client), Ok(b"back".to_vec()));
}

#[test]
fn a_slow_reader_holds_the_sender_and_wakes_it() {
    let stack = Loopback::new();
    let (client, server) = pair(&stack);
    let counter = Arc::new(Counter::default());
    stack.watch(client, Some(counter.clone()));
    let mut sent = 0;
    loop {
        match stack.send(client, &[7; 10_000], None) {
            Ok(n) => sent += n,
            Err(error) => break assert_eq!(error, Error::WouldBlock),
        }
    }
    assert!(!stack.ready(client).contains(Ready::WRITE));
    counter.take();
    let mut got = 0;
    while let Ok(part) = receive(&stack, server) {
        got += part.len();
    }
    assert_eq!(got, sent);
    assert_eq!(counter.take(), 1);
    assert!(stack.ready(client).contains(Ready::WRITE));
}

#[test]
fn ends_half_ends_and_resets() {
    let stack = Loopback::new();
    let (client, server) = pair(&stack);
    stack.send(client, b"last", None).unwrap();
    stack.shutdown(client, How::Send).unwrap();
    assert_eq!(stack.send(client, b"x", None), Err(crate::errno::EPIPE));
    assert_eq!(receive(&stack, server), Ok(b"last".to_vec()));
    assert_eq!(receive(&stack, server), Ok(vec![]));
    assert!(stack.ready(server).contains(Ready::READ_END | Ready::WRITE));
    assert!(!stack.ready(server).contains(Ready::HANG_UP));
    stack.send(server, b"bye", None).unwrap();
    stack.close(server);
    assert_eq!(receive(&stack, client), Ok(b"bye".to_vec()));
    assert_eq!(receive(&stack, client), Ok(vec![]));
    assert!(stack.ready(client).contains(Ready::HANG_UP));

    let (client, server) = pair(&stack);
    stack.send(client, b"unread", None).unwrap();
    stack.close(server);
    assert_eq!(stack.option(client, SocketOption::Error), Ok(104));
    assert_eq!(stack.send(client, b"x", None), Err(crate::errno::EPIPE));
}

#[test]
fn nobody_listening_and_full_queues_refuse() {
    let stack = Loopback::new();
    let client = stack.open(Family::V4, Kind::Stream).unwrap();
    assert_eq!(stack.connect(client, local(1)), Err(Error::Errno(111)));
    let (listener, address) = listener(&stack, local(0));
    stack.listen(listener, 1).unwrap();
    assert_eq!(stack.connect(client, address), Ok(()));
    let other = stack.open(Family::V4, Kind::Stream).unwrap();
    assert_eq!(stack.connect(other, address), Err(Error::Errno(111)));
    // Who waited in the queue is told when the listener goes.
    stack.close(listener);
    assert_eq!(receive(&stack, client), Err(Error::Errno(104)));
}

#[test]
fn any_address_and_both_families_are_reached() {
    let stack = Loopback::new();
    let (listener, address) = listener(&stack, SocketAddr::from(([0u16; 8], 0)));
    for to in [local(address.port()), SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], address.port()))] {
        let family = if to.is_ipv4() { Family::V4 } else { Family::V6 };
        let client = stack.open(family, Kind::Stream).unwrap();
        stack.connect(client, to).unwrap();
        let (server, peer) = stack.accept(listener).unwrap();
        assert!(peer.is_ipv6());
        assert_eq!(stack.local(server).unwrap().ip().to_canonical(), to.ip());
        stack.close(client);
        stack.close(server);
    }
    // To any address is to this host.
    let client = stack.open(Family::V4, Kind::Stream).unwrap();
    stack.connect(client, SocketAddr::from(([0; 4], address.port()))).unwrap();
    assert_eq!(stack.peer(client).unwrap().ip(), IpAddr::from([127, 0, 0, 1]));
}

#[test]
fn ports_are_owned() {
    let stack = Loopback::new();
    let (first, address) = listener(&stack, local(0));
    let second = stack.open(Family::V4, Kind::Stream).unwrap();
    assert_eq!(stack.bind(second, address), Err(crate::errno::EADDRINUSE));
    assert_eq!(stack.bind(second, SocketAddr::from(([127, 0, 0, 2], address.port()))), Ok(()));
    stack.close(first);
    let third = stack.open(Family::V4, Kind::Stream).unwrap();
    assert_eq!(stack.bind(third, address), Ok(()));
}

#[test]
fn datagrams_know_their_senders() {
    let stack = Loopback::new();
    let server = stack.open(Family::V4, Kind::Datagram).unwrap();
    stack.bind(server, local(0)).unwrap();
    let address = stack.local(server).unwrap();
    let client = stack.open(Family::V4, Kind::Datagram).unwrap();
    assert_eq!(stack.send(client, b"question", Some(address)), Ok(8));
    assert_eq!(stack.send(client, b"", Some(address)), Ok(0));
    let mut four = [0; 4];
    let got = stack.receive(server, &mut four, false).unwrap();
    assert_eq!((got.length, got.full_length), (4, 8));
    assert_eq!(stack.receive(server, &mut four, false).unwrap().full_length, 0);
    assert_eq!(stack.send(server, b"answer", got.from), Ok(6));
    stack.connect(client, address).unwrap();
    assert_eq!(receive(&stack, client), Ok(b"answer".to_vec()));
    stack.close(server);
    assert_eq!(stack.send(client, b"anybody?", None), Ok(8));
    assert!(stack.ready(client).contains(Ready::ERROR));
    assert_eq!(receive(&stack, client), Err(Error::Errno(111)));
    assert_eq!(stack.send(client, &vec![0; 70_000], Some(address)), Err(crate::errno::EMSGSIZE));
}

#[test]
fn a_connected_datagram_socket_hears_only_its_peer() {
    let stack = Loopback::new();
    let bound = || {
        let id = stack.open(Family::V4, Kind::Datagram).unwrap();
        stack.bind(id, local(0)).unwrap();
        (id, stack.local(id).unwrap())
    };
    let ((a, a_address), (b, b_address), (c, _)) = (bound(), bound(), bound());
    stack.connect(a, b_address).unwrap();
    stack.send(c, b"stranger", Some(a_address)).unwrap();
    stack.send(b, b"friend", Some(a_address)).unwrap();
    assert_eq!(receive(&stack, a), Ok(b"friend".to_vec()));
    assert_eq!(receive(&stack, a), Err(Error::WouldBlock));
}

#[test]
fn closed_sockets_are_nobodys() {
    let stack = Loopback::new();
    let (client, server) = pair(&stack);
    stack.close(client);
    stack.close(server);
    assert_eq!(stack.send(client, b"x", None), Err(crate::errno::EBADF));
    assert_eq!(stack.0.lock().sockets.iter().count(), 0);
}
