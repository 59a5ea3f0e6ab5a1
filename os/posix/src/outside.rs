//! The stacks that sockets reach.

use device::Stack;

/// The machine's own loopback.
pub(crate) fn loopback() -> Option<&'static dyn Stack> {
    None
}

/// The network that the manifest names: the host's sockets, else our own TCP/IP over a frame device.
pub(crate) fn network() -> Option<&'static dyn Stack> {
    hostnet::stack()
}
