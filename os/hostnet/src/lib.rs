//! The host's sockets as a [`device::Stack`]: the guest's side of [`abi::hostnet`].
//!
//! The far side pushes: it reads ready sockets into event buffers, and [`HostNet`] sorts what arrives into each socket's
//! queue, at a cost that follows the events and never the number of sockets. Sends are taken at once where a kick is a
//! plain call, and queued within bounds where it is not. The manifest's policy is checked here first, and by the far side
//! again, which trusts no guest.
//!
//! * `socket`: one socket's queues and state, without any device
//! * `host`: the stack: the table of sockets, requests, events
//! * `resolve`: names
//!
//! [`bytes`] is the byte queue that pipes use as well.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod bytes;
mod convert;
mod host;
mod numbers;
mod resolve;
mod socket;
#[cfg(test)]
mod tests;

use abi::manifest::{Connect, Host, Listen, Network, Policy, Protocol};
use device::Stack;
use sync::Once;

pub use host::HostNet;

/// The stack, if this machine has the host's sockets; set up on first use.
pub fn stack() -> Option<&'static dyn Stack> {
    static NET: Once<Option<HostNet>> = Once::new();
    static REGISTERED: Once<()> = Once::new();
    let net = NET.get_or_init(|| {
        let device = device::host_sockets()?;
        Some(HostNet::new(device, policy()))
    });
    let net = net.as_ref()?;
    REGISTERED.get_or_init(|| thread::register_poller(net));
    Some(net)
}

/// The sealed manifest's. A guest that was never sealed has no manifest at all: then everything is left to the far side.
fn policy() -> Policy {
    let manifest = machine::sealed::manifest();
    match manifest.is_empty() {
        true => Policy::new(everything(), None),
        false => Policy::of_sealed(manifest),
    }
}

fn everything() -> Network {
    let both = [Protocol::Tcp, Protocol::Udp];
    let listen = |protocol| Listen { protocol, first_port: 0, last_port: u16::MAX };
    let connect = |protocol| Connect { protocol, host: Host::Any, first_port: 0, last_port: u16::MAX };
    Network { listen: both.map(listen).into(), connect: both.map(connect).into() }
}

impl thread::Poller for HostNet {
    fn poll(&self) -> bool {
        self.look()
    }

    fn arm(&self) -> bool {
        self.arm_device()
    }

    fn deadline(&self) -> Option<u64> {
        None
    }
}
