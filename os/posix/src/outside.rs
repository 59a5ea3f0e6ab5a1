//! The stacks that sockets reach.

use core::net::IpAddr;
use device::Stack;

/// The machine's own loopback.
pub(crate) fn loopback() -> &'static dyn Stack {
    net::loopback()
}

/// The network that the manifest names: the host's sockets, else our own TCP/IP over a frame device.
pub(crate) fn network() -> Option<&'static dyn Stack> {
    hostnet::stack().or_else(net::stack)
}

/// Is this an address of the machine itself on its network?
pub(crate) fn is_own_address(ip: IpAddr) -> bool {
    net::is_own_address(ip)
}
