//! Looks the names of its command line up, and prints what each leads to, or why it leads nowhere.

#[cfg(feature = "line")]
use ampoule as _;

use std::net::ToSocketAddrs;

fn main() {
    for name in std::env::args().skip(1) {
        let found = match (name.as_str(), 80).to_socket_addrs() {
            Ok(addresses) => addresses.map(|address| address.ip().to_string()).collect::<Vec<_>>().join(" "),
            Err(error) => error.to_string(),
        };
        println!("{name}: {found}");
    }
}
