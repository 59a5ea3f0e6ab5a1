//! TCP/IP: the socket service over Ethernet frames, and the one inside the machine.
//!
//! [`stack`] is the network behind the machine's Ethernet device: IPv4 with ARP and DHCP, IPv6 with neighbour discovery and
//! autoconfiguration, ICMP, TCP, UDP and names. [`loopback()`] is 127.0.0.0/8 and ::1: connections of a program to itself, which are pairs of buffers in
//! memory and never packets; it needs no device and no manifest entry. Both are [`device::Stack`]s, so that the socket
//! service above ([`ampoule-posix`]) sees no difference.
//!
//! | file or folder | what |
//! |---|---|
//! | `tcp/` | a connection: segments and time in, segments out |
//! | `ip/` | an interface: addresses, neighbours, routes, ICMP, fragments |
//! | `inet/` | sockets over these two. None of the three knows a clock or threads |
//! | `loopback/` | the stack inside the machine |
//! | `service` | `inet` as a [`device::Stack`]: its lock, its clock, its place in the scheduler's polling |
//! | `dns`, `checksum`, `index`, `random`, `time`, `errno` | small things they share |
//!
//! [`ampoule-posix`]: ../ampoule_posix/index.html
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

mod checksum;
mod dns;
mod errno;
mod index;
mod inet;
mod ip;
mod loopback;
mod random;
mod service;
mod tcp;
#[cfg(feature = "testing")]
pub mod testing;
mod time;

pub use loopback::loopback;
pub use service::{is_own_address, stack};
