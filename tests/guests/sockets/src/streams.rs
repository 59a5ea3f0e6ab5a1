//! Connections: ends, half-ends, resets, and the flags of receiving.

use crate::calls::{
    accept, bind, connect, get, listen, listener, name, own, pair, port, receive, send, set, set_bytes, shutdown,
    socket, tcp, wait,
};
use libc::*;

pub(crate) fn walk() {
    flags();
    halves();
    ends();
    resets();
    waits();
    families();
}

fn flags() {
    let (client, server) = pair();
    send(&client, b"hello", 0);
    wait(&server, POLLIN);
    println!("peek: {:?}", receive(&server, 3, MSG_PEEK).1);
    let mut available = 0;
    // SAFETY: room for an int.
    unsafe { ioctl(server.0, FIONREAD, &raw mut available) };
    println!("available: {available}");
    println!("take: {:?}", receive(&server, 3, 0).1);
    println!("rest: {:?}", receive(&server, 9, 0).1);
    println!("nothing: {}", receive(&server, 9, MSG_DONTWAIT).0);
    println!("nothing of nothing: {}", receive(&server, 0, MSG_DONTWAIT).0);
    println!("truncating: {}", {
        send(&client, b"0123456789", 0);
        wait(&server, POLLIN);
        receive(&server, 4, MSG_TRUNC).0
    });
    let writer = std::thread::spawn(move || {
        for part in [&b"abc"[..], b"def", b"ghi"] {
            std::thread::sleep(std::time::Duration::from_millis(5));
            send(&client, part, 0);
        }
        client
    });
    receive(&server, 6, 0);
    println!("all: {:?}", receive(&server, 9, MSG_WAITALL).1);
    drop(writer.join());
    let (listener, port) = listener();
    let client = tcp();
    connect(&client, own(port));
    let accepted = accept(&listener, SOCK_NONBLOCK | SOCK_CLOEXEC).unwrap_or_else(|said| panic!("{said}"));
    // SAFETY: take no pointers.
    let (status, own) = unsafe { (fcntl(accepted.0, F_GETFL), fcntl(accepted.0, F_GETFD)) };
    println!("accept4: {} {own}", status & O_NONBLOCK != 0);
}

fn halves() {
    let (client, server) = pair();
    println!("shut: {}", shutdown(&client, SHUT_WR));
    println!("send: {}", send(&client, b"x", 0));
    wait(&server, POLLIN);
    println!("end: {}, and {}", receive(&server, 1, 0).0, receive(&server, 1, 0).0);
    println!("back: {}", send(&server, b"back", 0));
    wait(&client, POLLIN);
    println!("came: {:?}", receive(&client, 9, 0).1);
    println!("shut: {}", shutdown(&server, SHUT_WR));
    wait(&client, POLLIN);
    println!("end: {}", receive(&client, 1, 0).0);
    let (client, server) = pair();
    println!("shut reading: {}", shutdown(&server, SHUT_RD));
    println!("end: {}", receive(&server, 1, 0).0);
    println!("sends still: {}", send(&server, b"x", 0));
    drop(client);
}

fn ends() {
    let (client, server) = pair();
    drop(server);
    wait(&client, POLLIN);
    println!("end: {}", receive(&client, 1, 0).0);
    // The first send is answered by a reset, which the second one meets.
    println!("send: {}", send(&client, b"x", 0));
    let ready = wait(&client, POLLIN | POLLRDHUP) & (POLLERR | POLLHUP | POLLRDHUP);
    println!("ready: {ready:#x}");
    println!("send: {}", send(&client, b"x", 0));
    println!("send: {}", send(&client, b"x", 0));
}

fn resets() {
    let (client, server) = pair();
    let linger = [1i32.to_ne_bytes(), 0i32.to_ne_bytes()].concat();
    println!("linger: {}", set_bytes(&server, SOL_SOCKET, SO_LINGER, &linger));
    drop(server);
    println!("ready: {:#x}", wait(&client, POLLIN | POLLOUT | POLLRDHUP));
    println!("receive: {}, and {}", receive(&client, 1, 0).0, receive(&client, 1, 0).0);
    println!("send: {}", send(&client, b"x", 0));
    let (client, server) = pair();
    send(&client, b"unread", 0);
    wait(&server, POLLIN);
    drop(server);
    wait(&client, POLLIN);
    println!("unread: {}, and {}", receive(&client, 1, 0).0, receive(&client, 1, 0).0);
    let (client, server) = pair();
    set_bytes(&server, SOL_SOCKET, SO_LINGER, &linger);
    drop(server);
    wait(&client, POLLIN);
    println!("error: {}, and {}", get(&client, SOL_SOCKET, SO_ERROR), get(&client, SOL_SOCKET, SO_ERROR));
}

fn waits() {
    let (client, _server) = pair();
    let time = [0i64.to_ne_bytes(), 20_000i64.to_ne_bytes()].concat();
    set_bytes(&client, SOL_SOCKET, SO_RCVTIMEO, &time);
    let start = std::time::Instant::now();
    println!("in time: {} {}", receive(&client, 1, 0).0, start.elapsed().as_millis() >= 20);
}

/// IPv4 inside IPv6.
fn families() {
    let any = |text: &str| text.parse().expect("an address");
    let listener = socket(AF_INET6, SOCK_STREAM);
    println!("all: {} {}", bind(&listener, any("[::]:0")), listen(&listener, 4));
    let client = tcp();
    println!("by 4: {}", connect(&client, own(port(&listener))));
    let server = accept(&listener, 0).unwrap_or_else(|said| panic!("{said}"));
    let ip = |peer| name(&server, peer).map(|address| address.ip().to_string()).unwrap_or_default();
    println!("seen as {}, at {}", ip(true), ip(false));
    let client = socket(AF_INET6, SOCK_STREAM);
    println!("by 6: {}", connect(&client, any(&format!("[::1]:{}", port(&listener)))));
    let server = accept(&listener, 0).unwrap_or_else(|said| panic!("{said}"));
    println!("seen as {}", name(&server, true).map(|address| address.ip().to_string()).unwrap_or_default());
    let only = socket(AF_INET6, SOCK_STREAM);
    set(&only, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    bind(&only, any("[::]:0"));
    listen(&only, 4);
    println!("6 alone: {}", connect(&tcp(), own(port(&only))));
}
