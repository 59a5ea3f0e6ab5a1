//! `std::net`: addresses and names.

use crate::{Case, outcome, saw};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, ToSocketAddrs};

pub(crate) const CASES: &[Case] = &[("ToSocketAddrs", resolve), ("addresses as text", text)];

fn all(of: impl ToSocketAddrs) -> String {
    outcome(of.to_socket_addrs().map(|found| found.collect::<Vec<_>>()))
}

fn resolve() {
    saw!("address", all("10.1.2.3:4"));
    saw!("address of six", all("[fe80::1]:4"));
    saw!("pair", all(("10.1.2.3", 4)));
    saw!("pairs", (all((Ipv4Addr::LOCALHOST, 1)), all((Ipv6Addr::LOCALHOST, 2)), all((IpAddr::from([1, 2, 3, 4]), 3))));
    saw!("itself", all(SocketAddr::from(([127, 0, 0, 1], 5))));
    let several = [SocketAddr::from(([127, 0, 0, 1], 5)), SocketAddr::from(([0; 16], 6))];
    saw!("slice", all(&several[..]));
    saw!("string", all(String::from("127.0.0.1:7")));
    saw!("no port", all("localhost"));
    saw!("bad port", all("localhost:70000"));
    saw!("empty", all(""));
    saw!("localhost is loopback", "localhost:80".to_socket_addrs().unwrap().all(|a| a.ip().is_loopback()));
    saw!("and IPv4 is there", "localhost:80".to_socket_addrs().unwrap().any(|a| a.is_ipv4()));
    saw!("a name of nobody's", "nobody.invalid:80".to_socket_addrs().is_err());
    saw!("a name with a space", "no body:80".to_socket_addrs().is_err());
    saw!("a name with a zero", all("no\0body:80"));
}

fn text() {
    let parse = |text: &str| text.parse::<SocketAddr>().map_err(|e| e.to_string());
    for text in
        ["1.2.3.4:5", "1.2.3:4", "256.0.0.1:1", "[::1%3]:9", "[::ffff:1.2.3.4]:80", ":80", "[::1]", "01.2.3.4:5"]
    {
        saw!(text, parse(text));
    }
    saw!("v6", SocketAddrV6::new(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1), 9, 1, 2).to_string());
    saw!("v4", SocketAddrV4::new(Ipv4Addr::BROADCAST, 65535).to_string());
    saw!("mapped", Ipv4Addr::new(1, 2, 3, 4).to_ipv6_mapped().to_string());
    saw!("kinds", (Ipv4Addr::new(224, 0, 0, 1).is_multicast(), Ipv6Addr::UNSPECIFIED.is_unspecified()));
}
