//! Options: what each is at first, what it may be set to, and what it is then.

use crate::calls::{Fd, Said, get, set, set_bytes, socket};
use libc::*;

/// Options that are numbers.
const NUMBERS: [(c_int, c_int, &str); 47] = [
    (SOL_SOCKET, SO_REUSEADDR, "SO_REUSEADDR"),
    (SOL_SOCKET, SO_DONTROUTE, "SO_DONTROUTE"),
    (SOL_SOCKET, SO_BROADCAST, "SO_BROADCAST"),
    (SOL_SOCKET, SO_KEEPALIVE, "SO_KEEPALIVE"),
    (SOL_SOCKET, SO_OOBINLINE, "SO_OOBINLINE"),
    (SOL_SOCKET, SO_REUSEPORT, "SO_REUSEPORT"),
    (SOL_SOCKET, SO_SNDLOWAT, "SO_SNDLOWAT"),
    (SOL_SOCKET, SO_TYPE, "SO_TYPE"),
    (SOL_SOCKET, SO_DOMAIN, "SO_DOMAIN"),
    (SOL_SOCKET, SO_PROTOCOL, "SO_PROTOCOL"),
    (SOL_SOCKET, SO_ERROR, "SO_ERROR"),
    (SOL_SOCKET, SO_ACCEPTCONN, "SO_ACCEPTCONN"),
    (IPPROTO_IP, IP_TTL, "IP_TTL"),
    (IPPROTO_IP, IP_PKTINFO, "IP_PKTINFO"),
    (IPPROTO_IP, IP_MTU_DISCOVER, "IP_MTU_DISCOVER"),
    (IPPROTO_IP, IP_RECVERR, "IP_RECVERR"),
    (IPPROTO_IP, IP_RECVTTL, "IP_RECVTTL"),
    (IPPROTO_IP, IP_RECVTOS, "IP_RECVTOS"),
    (IPPROTO_IP, IP_FREEBIND, "IP_FREEBIND"),
    (IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, "IP_BIND_ADDRESS_NO_PORT"),
    (IPPROTO_IP, IP_MULTICAST_TTL, "IP_MULTICAST_TTL"),
    (IPPROTO_IP, IP_MULTICAST_LOOP, "IP_MULTICAST_LOOP"),
    (IPPROTO_IPV6, IPV6_UNICAST_HOPS, "IPV6_UNICAST_HOPS"),
    (IPPROTO_IPV6, IPV6_MULTICAST_HOPS, "IPV6_MULTICAST_HOPS"),
    (IPPROTO_IPV6, IPV6_MULTICAST_LOOP, "IPV6_MULTICAST_LOOP"),
    (IPPROTO_IPV6, IPV6_MTU_DISCOVER, "IPV6_MTU_DISCOVER"),
    (IPPROTO_IPV6, IPV6_RECVERR, "IPV6_RECVERR"),
    (IPPROTO_IPV6, IPV6_V6ONLY, "IPV6_V6ONLY"),
    (IPPROTO_IPV6, IPV6_RECVPKTINFO, "IPV6_RECVPKTINFO"),
    (IPPROTO_IPV6, IPV6_RECVHOPLIMIT, "IPV6_RECVHOPLIMIT"),
    (IPPROTO_IPV6, IPV6_DONTFRAG, "IPV6_DONTFRAG"),
    (IPPROTO_IPV6, IPV6_RECVTCLASS, "IPV6_RECVTCLASS"),
    (IPPROTO_IPV6, IPV6_TCLASS, "IPV6_TCLASS"),
    (IPPROTO_TCP, TCP_NODELAY, "TCP_NODELAY"),
    (IPPROTO_TCP, TCP_CORK, "TCP_CORK"),
    (IPPROTO_TCP, TCP_KEEPIDLE, "TCP_KEEPIDLE"),
    (IPPROTO_TCP, TCP_KEEPINTVL, "TCP_KEEPINTVL"),
    (IPPROTO_TCP, TCP_KEEPCNT, "TCP_KEEPCNT"),
    (IPPROTO_TCP, TCP_SYNCNT, "TCP_SYNCNT"),
    (IPPROTO_TCP, TCP_DEFER_ACCEPT, "TCP_DEFER_ACCEPT"),
    (IPPROTO_TCP, TCP_QUICKACK, "TCP_QUICKACK"),
    (IPPROTO_TCP, TCP_USER_TIMEOUT, "TCP_USER_TIMEOUT"),
    (IPPROTO_TCP, TCP_NOTSENT_LOWAT, "TCP_NOTSENT_LOWAT"),
    (IPPROTO_UDP, UDP_CORK, "UDP_CORK"),
    (IPPROTO_UDP, UDP_SEGMENT, "UDP_SEGMENT"),
    (IPPROTO_UDP, UDP_GRO, "UDP_GRO"),
    (99, 1, "no such level"),
];

const VALUES: [c_int; 9] = [-2, -1, 0, 1, 2, 5, 130, 256, 70_000];

pub(crate) fn walk() {
    for (family, at) in [(AF_INET, "4"), (AF_INET6, "6")] {
        for (kind, of) in [(SOCK_STREAM, "tcp"), (SOCK_DGRAM, "udp")] {
            for (level, name, title) in NUMBERS {
                number(&socket(family, kind), level, name, &format!("{of}{at} {title}"));
            }
            buffers(&socket(family, kind), &format!("{of}{at}"));
            others(&socket(family, kind), &format!("{of}{at}"));
        }
    }
    bound_to_one_family();
}

fn number(fd: &Fd, level: c_int, name: c_int, title: &str) {
    let mut line = format!("{title}: {};", get(fd, level, name));
    for value in VALUES {
        line += &format!(" {value} {} {};", set(fd, level, name, value), get(fd, level, name));
    }
    // Linux reads this one before it looks at the length.
    let short = (level, name) != (IPPROTO_IPV6, IPV6_DONTFRAG);
    println!("{line} short {}", if short { set_bytes(fd, level, name, &[1]) } else { Said(Ok(0)) });
}

/// Doubled, and not less than a least. (What is most, and what is first, is the host's to say.)
fn buffers(fd: &Fd, title: &str) {
    for (name, which) in [(SO_SNDBUF, "SO_SNDBUF"), (SO_RCVBUF, "SO_RCVBUF")] {
        for value in [0, 10_000, 100_000] {
            println!("{title} {which} {value}: {} {}", set(fd, SOL_SOCKET, name, value), get(fd, SOL_SOCKET, name));
        }
    }
}

/// Options that are no numbers.
fn others(fd: &Fd, title: &str) {
    let linger = |on: c_int, seconds: c_int| [on.to_ne_bytes(), seconds.to_ne_bytes()].concat();
    for (on, seconds) in [(1, 0), (1, 7), (0, 9), (5, 2)] {
        let done = set_bytes(fd, SOL_SOCKET, SO_LINGER, &linger(on, seconds));
        println!("{title} SO_LINGER {on} {seconds}: {done} {}", get(fd, SOL_SOCKET, SO_LINGER));
    }
    println!("{title} SO_LINGER short: {}", set_bytes(fd, SOL_SOCKET, SO_LINGER, &[1, 0, 0, 0]));
    let time = |seconds: i64, micros: i64| [seconds.to_ne_bytes(), micros.to_ne_bytes()].concat();
    for (seconds, micros) in [(2, 500_000), (0, 1_000_000), (0, -1), (0, 0), (-1, 0)] {
        println!(
            "{title} SO_RCVTIMEO {seconds} {micros}: {}",
            set_bytes(fd, SOL_SOCKET, SO_RCVTIMEO, &time(seconds, micros))
        );
    }
    println!("{title} SO_RCVTIMEO short: {}", set_bytes(fd, SOL_SOCKET, SO_RCVTIMEO, &[0; 8]));
    println!("{title} unknown: {} {}", set(fd, SOL_SOCKET, 9999, 1), get(fd, SOL_SOCKET, 9999));
}

/// `IPV6_V6ONLY` is settled once the socket is bound.
fn bound_to_one_family() {
    let fd = socket(AF_INET6, SOCK_STREAM);
    crate::calls::bind(&fd, "[::1]:0".parse().expect("an address"));
    println!("IPV6_V6ONLY of a bound socket: {}", set(&fd, IPPROTO_IPV6, IPV6_V6ONLY, 1));
}
