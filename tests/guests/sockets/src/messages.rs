//! Datagrams: messages with scattered pieces, and what comes along with them.

use crate::calls::{Fd, Said, address, bind, connect, own, port, receive, said, send_to, set, udp, wait, wire};
use libc::*;
use std::mem::zeroed;

/// A control message to send: level, type, data.
type Along<'a> = (c_int, c_int, &'a [u8]);

pub(crate) fn walk() {
    lengths();
    along();
    segments();
    many();
    nonsense();
}

fn receiver() -> (Fd, u16) {
    let fd = udp();
    bind(&fd, own(0));
    let port = port(&fd);
    (fd, port)
}

fn lengths() {
    let (fd, port) = receiver();
    let client = udp();
    send_to(&client, b"0123456789", own(port));
    wait(&fd, POLLIN);
    println!("peek: {:?}", receive(&fd, 4, MSG_PEEK).1);
    println!("full length: {}", receive(&fd, 4, MSG_PEEK | MSG_TRUNC).0);
    println!("cut: {:?}", receive(&fd, 4, 0).1);
    println!("empty: {}", send_to(&client, b"", own(port)));
    wait(&fd, POLLIN);
    println!("empty: {}", receive(&fd, 4, 0).0);
    println!("long: {}", send_to(&client, &vec![7; 65507], own(port)));
    wait(&fd, POLLIN);
    println!("long: {}", receive(&fd, 70_000, 0).0);
    let other = udp();
    let (third, _) = receiver();
    connect(&fd, own(crate::calls::port(&third)));
    println!("from a stranger: {} {}", send_to(&other, b"x", own(port)), receive(&fd, 4, MSG_DONTWAIT).0);
    println!("from the peer: {} {:?}", send_to(&third, b"y", own(port)), receive(&fd, 4, 0).1);
}

/// Sends in two pieces.
fn send_along(fd: &Fd, bytes: &[u8], to: Option<u16>, along: &[Along<'_>]) -> Said {
    let mut control = Vec::new();
    for (level, kind, data) in along {
        control.extend((16 + data.len()).to_ne_bytes());
        control.extend(level.to_ne_bytes());
        control.extend(kind.to_ne_bytes());
        control.extend(*data);
        control.resize(control.len().next_multiple_of(8), 0);
    }
    send_raw(fd, bytes, to, &mut control)
}

fn send_raw(fd: &Fd, bytes: &[u8], to: Option<u16>, control: &mut [u8]) -> Said {
    let (left, right) = bytes.split_at(bytes.len() / 2);
    let piece = |bytes: &[u8]| iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    let mut pieces = [piece(left), piece(right)];
    let (mut storage, length) = wire(own(to.unwrap_or(0)));
    // SAFETY: a plain structure.
    let mut message: msghdr = unsafe { zeroed() };
    if to.is_some() {
        message.msg_name = (&raw mut storage).cast();
        message.msg_namelen = length;
    }
    message.msg_iov = pieces.as_mut_ptr();
    message.msg_iovlen = 2;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = control.len();
    // SAFETY: everything that the message names lives through the call.
    said(unsafe { sendmsg(fd.0, &raw const message, 0) } as i64)
}

/// Receives into two pieces, with so much room for control messages; prints all of it but ports.
fn receive_along(fd: &Fd, room: usize, control: usize) -> String {
    let (mut left, mut right) = (vec![0u8; room / 2], vec![0u8; room - room / 2]);
    let mut pieces = [
        iovec { iov_base: left.as_mut_ptr().cast(), iov_len: left.len() },
        iovec { iov_base: right.as_mut_ptr().cast(), iov_len: right.len() },
    ];
    let mut along = vec![0u64; control.div_ceil(8)];
    // SAFETY: plain structures.
    let (mut message, mut storage): (msghdr, sockaddr_storage) = unsafe { (zeroed(), zeroed()) };
    message.msg_name = (&raw mut storage).cast();
    message.msg_namelen = size_of::<sockaddr_storage>() as u32;
    message.msg_iov = pieces.as_mut_ptr();
    message.msg_iovlen = 2;
    message.msg_control = along.as_mut_ptr().cast();
    message.msg_controllen = control;
    wait(fd, POLLIN);
    // SAFETY: everything that the message names lives through the call.
    let got = said(unsafe { recvmsg(fd.0, &raw mut message, MSG_DONTWAIT) } as i64);
    let from = address(&storage).map(|address| address.ip().to_string()).unwrap_or_default();
    let bytes: Vec<u8> = along.iter().flat_map(|word| word.to_ne_bytes()).take(message.msg_controllen).collect();
    format!("{got} from {from}, flags {:#x}, control {}{}", message.msg_flags, message.msg_controllen, describe(&bytes))
}

fn describe(mut control: &[u8]) -> String {
    let mut text = String::new();
    while let Some(head) = control.first_chunk::<16>() {
        let word = |at: usize| head[at..].first_chunk().map_or(0, |bytes| i32::from_ne_bytes(*bytes));
        let length = usize::try_from(word(0)).unwrap_or(0);
        text += &format!(" [{}/{} {:?}]", word(8), word(12), control.get(16..length).unwrap_or_default());
        control = control.get(length.next_multiple_of(8)..).unwrap_or_default();
    }
    text
}

fn along() {
    let (fd, port) = receiver();
    let client = udp();
    let int = |value: i32| value.to_ne_bytes();
    println!("nothing asked: {} {}", send_along(&client, b"hello", Some(port), &[]), receive_along(&fd, 9, 64));
    set(&fd, IPPROTO_IP, IP_PKTINFO, 1);
    set(&fd, IPPROTO_IP, IP_RECVTOS, 1);
    println!("asked: {} {}", send_along(&client, b"hello", Some(port), &[]), receive_along(&fd, 9, 64));
    for class in [0, 1, 2, 0xb8, 0xff] {
        let sent = send_along(&client, b"hello", Some(port), &[(IPPROTO_IP, IP_TOS, &int(class))]);
        println!("class {class}: {sent} {}", receive_along(&fd, 9, 64));
    }
    println!(
        "a byte: {} {}",
        send_along(&client, b"hello", Some(port), &[(IPPROTO_IP, IP_TOS, &[3])]),
        receive_along(&fd, 9, 64)
    );
    for room in [0, 16, 28, 32, 47, 48, 49] {
        println!("room {room}: {} {}", send_along(&client, b"hello", Some(port), &[]), receive_along(&fd, 3, room));
    }
    connect(&client, own(port));
    let source = [int(0), [127, 0, 0, 1], int(0)].concat();
    println!(
        "from: {} {}",
        send_along(&client, b"hello", None, &[(IPPROTO_IP, IP_PKTINFO, &source)]),
        receive_along(&fd, 9, 64)
    );
}

fn segments() {
    let (fd, port) = receiver();
    let client = udp();
    let size = |bytes: u16| bytes.to_ne_bytes();
    println!("segments: {}", send_along(&client, &[7; 2500], Some(port), &[(IPPROTO_UDP, UDP_SEGMENT, &size(1000))]));
    for _ in 0..3 {
        println!("one: {}", receive_along(&fd, 9000, 0));
    }
    println!("one of all: {}", send_along(&client, &[7; 500], Some(port), &[(IPPROTO_UDP, UDP_SEGMENT, &size(1000))]));
    println!("one: {}", receive_along(&fd, 9000, 0));
    set(&client, IPPROTO_UDP, UDP_SEGMENT, 600);
    println!("by the option: {}", send_to(&client, &[7; 1000], own(port)));
    println!("one: {}, and {}", receive_along(&fd, 9000, 0), receive_along(&fd, 9000, 0));
}

fn many() {
    let (fd, port) = receiver();
    let client = udp();
    connect(&client, own(port));
    let texts: [&[u8]; 3] = [b"one", b"three", b"seven"];
    let mut pieces = texts.map(|text| iovec { iov_base: text.as_ptr().cast_mut().cast(), iov_len: text.len() });
    // SAFETY: plain structures.
    let mut messages: [mmsghdr; 3] = unsafe { zeroed() };
    for (message, piece) in messages.iter_mut().zip(&mut pieces) {
        message.msg_hdr.msg_iov = piece;
        message.msg_hdr.msg_iovlen = 1;
    }
    // SAFETY: everything that the messages name lives through the call.
    let sent = said(unsafe { sendmmsg(client.0, messages.as_mut_ptr(), 3, 0) }.into());
    println!("sendmmsg: {sent} {:?}", messages.map(|message| message.msg_len));
    let mut rooms = [[0u8; 4]; 5];
    let mut pieces = rooms.each_mut().map(|room| iovec { iov_base: room.as_mut_ptr().cast(), iov_len: 4 });
    // SAFETY: plain structures.
    let mut messages: [mmsghdr; 5] = unsafe { zeroed() };
    for (message, piece) in messages.iter_mut().zip(&mut pieces) {
        message.msg_hdr.msg_iov = piece;
        message.msg_hdr.msg_iovlen = 1;
    }
    wait(&fd, POLLIN);
    // SAFETY: everything that the messages name lives through the call.
    let got = said(unsafe { recvmmsg(fd.0, messages.as_mut_ptr(), 5, MSG_WAITFORONE, std::ptr::null_mut()) }.into());
    let each: Vec<_> = messages.iter().take(3).map(|m| (m.msg_len, m.msg_hdr.msg_flags)).collect();
    println!("recvmmsg: {got} {each:?} {:?}", &rooms[..3]);
}

fn nonsense() {
    let (_fd, port) = receiver();
    let client = udp();
    let int = |value: i32| value.to_ne_bytes();
    let send = |along: &[Along<'_>]| send_along(&client, b"x", Some(port), along);
    println!(
        "class 256: {}, -1: {}",
        send(&[(IPPROTO_IP, IP_TOS, &int(256))]),
        send(&[(IPPROTO_IP, IP_TOS, &int(-1))])
    );
    println!("no such type: {}", send(&[(IPPROTO_IP, 99, &int(0))]));
    println!("no such level: {}", send(&[(77, 99, &int(0))]));
    println!("a size of four bytes: {}", send(&[(IPPROTO_UDP, UDP_SEGMENT, &int(9))]));
    println!("half a source: {}", send(&[(IPPROTO_IP, IP_PKTINFO, &int(0))]));
    let raw = |length: usize| {
        let mut control = [&length.to_ne_bytes()[..], &0i32.to_ne_bytes(), &1i32.to_ne_bytes(), &[0; 8]].concat();
        send_raw(&udp(), b"x", Some(port), &mut control)
    };
    println!("lengths: {} {} {} {}", raw(0), raw(15), raw(25), raw(usize::MAX));
    println!("less than a header: {}", send_raw(&udp(), b"x", Some(port), &mut [0; 15]));
}
