//! The device seams: traits only, each defined for the one who calls it.
//!
//! Drivers ([`ampoule-virtio`]) stand on one side, services ([`ampoule-net`], [`ampoule-hostnet`], [`ampoule-posix`]) on the
//! other, and neither names the other. A service asks for its device by the functions here ([`console()`],
//! [`host_sockets()`], [`frames()`], [`entropy()`]); each is a link-time hook that the drivers define, so that the linker
//! takes a driver into an image exactly when some service in it is reachable.
//!
//! Every method may be called from any thread, with or without upcalls masked, and never blocks.
//!
//! [`ampoule-virtio`]: ../ampoule_virtio/index.html
//! [`ampoule-net`]: ../ampoule_net/index.html
//! [`ampoule-hostnet`]: ../ampoule_hostnet/index.html
//! [`ampoule-posix`]: ../ampoule_posix/index.html
#![no_std]

extern crate alloc;
#[cfg(feature = "testing")]
extern crate std;

mod console;
mod entropy;
mod frames;
mod hook;
mod host_sockets;
mod stack;
#[cfg(feature = "testing")]
pub mod testing;

pub use console::{Console, Input, Stream};
pub use entropy::Entropy;
pub use frames::{Capabilities, Frames, Offload};
pub use hook::{console, entropy, frames, host_sockets};
pub use host_sockets::{HostSockets, Incoming, Sent};
pub use stack::{
    Ancillary, Error, Family, How, Kind, Option_ as SocketOption, Ready, Received, Resolved, SocketId, Stack, Watch,
};
