//! What calls say that cannot be done.

use crate::calls::{
    Fd, Said, accept, address, bind, connect, disconnect, do_not_block, get, listen, listener, name, own, port,
    receive, said, send, send_to, set, shutdown, tcp, udp, wait,
};
use libc::*;
use std::net::SocketAddr;

fn any(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

pub(crate) fn walk() {
    creation();
    binding();
    connecting();
    unconnected();
    datagrams();
    names();
}

fn creation() {
    let open = |family, kind, protocol| {
        // SAFETY: takes no pointers.
        let said = said(unsafe { socket(family, kind, protocol) }.into());
        Said(said.0.map(|fd| {
            drop(Fd(fd as c_int));
            1
        }))
    };
    println!("socket: {} {}", open(AF_INET, SOCK_STREAM, IPPROTO_UDP), open(AF_INET, SOCK_DGRAM, IPPROTO_TCP));
    println!("socket: {} {}", open(9999, SOCK_STREAM, 0), open(AF_INET, 9, 0));
    println!("socket: {} {}", open(AF_INET, SOCK_STREAM, IPPROTO_TCP), open(AF_INET6, SOCK_DGRAM, IPPROTO_UDP));
    let mut ends = [0; 2];
    // SAFETY: room for two.
    println!("socketpair: {}", said(unsafe { socketpair(AF_INET, SOCK_STREAM, 0, ends.as_mut_ptr()) }.into()));
    let mut pipe = [0; 2];
    // SAFETY: room for two.
    unsafe { libc::pipe(pipe.as_mut_ptr()) };
    let (reader, _writer) = (Fd(pipe[0]), Fd(pipe[1]));
    println!("a pipe: {} {} {}", bind(&reader, own(0)), send(&reader, b"x", 0), get(&reader, SOL_SOCKET, SO_TYPE));
    let nothing = std::mem::ManuallyDrop::new(Fd(999));
    println!("nothing: {} {} {}", bind(&nothing, own(0)), receive(&nothing, 1, 0).0, listen(&nothing, 1));
}

fn binding() {
    let first = tcp();
    println!("bind: {}", bind(&first, own(0)));
    println!("again: {}", bind(&first, own(0)));
    println!("in use: {}", bind(&tcp(), own(port(&first))));
    println!("not ours: {}", bind(&tcp(), any("192.0.2.1:0")));
    println!("of the other family: {}", bind(&tcp(), any("[::1]:0")));
    let v6 = crate::calls::socket(AF_INET6, SOCK_STREAM);
    println!("of the other family: {}", bind(&v6, own(0)));
    println!("all and one: {}", bind(&tcp(), any(&format!("0.0.0.0:{}", port(&first)))));
    let (listener, port) = listener();
    println!("where one listens: {}", bind(&tcp(), own(port)));
    println!("listen again: {}", listen(&listener, 5));
    println!("bind a listener: {}", bind(&listener, own(0)));
    let reused = tcp();
    println!("reuse: {} {}", set(&reused, SOL_SOCKET, SO_REUSEADDR, 1), bind(&reused, own(port)));
    let shared = [tcp(), tcp()];
    let ports: Vec<_> = shared.iter().map(|fd| set(fd, SOL_SOCKET, SO_REUSEPORT, 1).to_string()).collect();
    println!("share: {ports:?} {}", bind(&shared[0], own(0)));
    println!("share: {}", bind(&shared[1], own(crate::calls::port(&shared[0]))));
}

fn connecting() {
    let closed = {
        let fd = tcp();
        bind(&fd, own(0));
        port(&fd)
    };
    println!("nobody listens: {}", connect(&tcp(), own(closed)));
    println!("the other family: {}", connect(&tcp(), any("[::1]:1")));
    let v6 = crate::calls::socket(AF_INET6, SOCK_STREAM);
    println!("the other family: {}", connect(&v6, own(closed)));
    println!("inside the other family: {}", connect(&v6, any(&format!("[::ffff:127.0.0.1]:{closed}"))));
    let waiting = tcp();
    do_not_block(&waiting);
    println!("at once: {}", connect(&waiting, own(closed)));
    let ready = wait(&waiting, POLLOUT);
    println!("then: {ready:#x} {}, and {}", get(&waiting, SOL_SOCKET, SO_ERROR), get(&waiting, SOL_SOCKET, SO_ERROR));
    let (listener, port) = listener();
    let client = tcp();
    do_not_block(&client);
    println!("at once: {}", connect(&client, own(port)));
    println!("then: {:#x} {}", wait(&client, POLLOUT), get(&client, SOL_SOCKET, SO_ERROR));
    println!("again: {}, and {}", connect(&client, own(port)), connect(&client, own(port)));
    println!("listen: {}", listen(&client, 1));
    println!("a listener: {}", connect(&listener, own(port)));
    println!("accept: {}", accept(&listener, 0).map_or_else(|said| said.to_string(), |_| "one".to_owned()));
    do_not_block(&listener);
    println!("accept: {}", accept(&listener, 0).map_or_else(|said| said.to_string(), |_| "one".to_owned()));
}

fn unconnected() {
    let fd = tcp();
    println!("send: {}, receive: {}", send(&fd, b"x", 0), receive(&fd, 1, 0).0);
    println!("shutdown: {}, accept: {}", shutdown(&fd, SHUT_RDWR), accept(&fd, 0).err().expect("nothing to accept"));
    println!("peer: {}", name(&fd, true).expect_err("no peer"));
    println!("name: {:?}", name(&fd, false).ok());
    println!("how: {}", shutdown(&fd, 7));
    let (listener, _) = listener();
    println!("a listener sends: {}, receives: {}", send(&listener, b"x", 0), receive(&listener, 1, 0).0);
    println!("a listener's peer: {}", name(&listener, true).expect_err("no peer"));
    println!("a listener accepts: {}", get(&listener, SOL_SOCKET, SO_ACCEPTCONN));
}

fn datagrams() {
    let fd = udp();
    println!("to nobody: {}", send(&fd, b"x", 0));
    println!("to port 0: {}", send_to(&fd, b"x", own(0)));
    println!("to the other family: {}", send_to(&fd, b"x", any("[::1]:9")));
    println!("too long: {}", send_to(&fd, &vec![0; 65508], own(9)));
    println!("listen: {}", listen(&fd, 1));
    println!("accept: {}", accept(&fd, 0).err().expect("no stream"));
    println!("shutdown: {}", shutdown(&fd, SHUT_RD));
    println!("peer: {}", name(&fd, true).expect_err("no peer"));
    println!("wait: {}", receive(&fd, 1, MSG_DONTWAIT).0);
    // A port where nobody is: the answer of the network comes as the error of a later call.
    let closed = {
        let fd = udp();
        bind(&fd, own(0));
        port(&fd)
    };
    let client = udp();
    println!("connect: {}", connect(&client, own(closed)));
    println!("send: {}", send(&client, b"x", 0));
    println!("ready: {:#x}", wait(&client, POLLIN));
    println!("receive: {}, and {}", receive(&client, 1, MSG_DONTWAIT).0, receive(&client, 1, MSG_DONTWAIT).0);
    println!("disconnect: {}, peer: {}", disconnect(&client), name(&client, true).expect_err("no peer"));
}

fn names() {
    let index = |name: &std::ffi::CStr| {
        // SAFETY: a C string.
        unsafe { if_nametoindex(name.as_ptr()) }
    };
    println!("lo is interface {}, nowhere is {}", index(c"lo"), index(c"nowhere"));
    let mut list = std::ptr::null_mut::<ifaddrs>();
    // SAFETY: room for one pointer.
    println!("getifaddrs: {}", said(unsafe { getifaddrs(&raw mut list) }.into()));
    let mut next = list;
    let mut found = Vec::new();
    // SAFETY: the list is as the call left it, until it is freed.
    while let Some(entry) = unsafe { next.as_ref() } {
        // SAFETY: each has a name.
        let name = unsafe { std::ffi::CStr::from_ptr(entry.ifa_name) };
        // SAFETY: null, or an address that its family describes.
        let ip = unsafe { entry.ifa_addr.cast::<sockaddr_storage>().as_ref() }.and_then(address).map(|a| a.ip());
        if let (b"lo", Some(ip)) = (name.to_bytes(), ip) {
            found.push(format!("{ip} {:#x}", entry.ifa_flags & (IFF_UP | IFF_LOOPBACK | IFF_RUNNING) as u32));
        }
        next = entry.ifa_next;
    }
    if !list.is_null() {
        // SAFETY: the call's own, freed once.
        unsafe { freeifaddrs(list) };
    }
    println!("lo: {}", found.first().map_or("none", String::as_str));
}
