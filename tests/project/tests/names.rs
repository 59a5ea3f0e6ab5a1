//! Names, of a machine that may connect anywhere.
#![forbid(unsafe_code)]

use std::net::{IpAddr, ToSocketAddrs};

#[test]
fn a_name_that_nobody_has_is_an_error() {
    // RFC 6761 §6.4: no resolver knows it.
    assert!("no-such-host.invalid:80".to_socket_addrs().is_err());
}

#[test]
fn the_computer_s_own_name_is_known() {
    assert!("localhost:80".to_socket_addrs().unwrap().all(|address| IpAddr::is_loopback(&address.ip())));
}
