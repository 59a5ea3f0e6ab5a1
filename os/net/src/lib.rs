//! TCP/IP: the socket service over Ethernet frames, and the one inside the machine.
//!
//! [`stack`] is the network behind the machine's Ethernet device: ARP, IPv4 with DHCP, IPv6 on the link, ICMP echo, TCP,
//! UDP and names. [`loopback()`] is 127.0.0.0/8 and ::1: connections of a program to itself, which are pairs of buffers in
//! memory and never packets; it needs no device and no manifest entry. Both are [`device::Stack`]s, so that the socket
//! service above ([`ampoule-posix`]) sees no difference.
//!
//! | file or folder | what |
//! |---|---|
//! | `inet/` | TCP/IP: smoltcp's protocols behind our own tables. Knows neither clock nor threads |
//! | `loopback/` | the stack inside the machine |
//! | `service` | `inet` as a [`device::Stack`]: its lock, its clock, its place in the scheduler's polling |
//! | `policy` | what the manifest allows |
//! | `dns`, `checksum`, `random`, `errno` | small things they share |
//!
//! [`ampoule-posix`]: ../ampoule_posix/index.html
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

mod checksum;
mod dns;
mod errno;
mod inet;
mod loopback;
mod policy;
mod random;
mod service;

pub use loopback::loopback;
pub use service::{is_own_address, stack};
