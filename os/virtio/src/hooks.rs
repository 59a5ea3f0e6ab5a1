//! The four symbols that the device seams ask for (`os/device`, `hook.rs`), each set up on first use.
//!
//! A machine has at most one device of a kind today; the first of the boot information's counts.

use crate::console::Console;
use crate::entropy::Entropy;
use crate::host_sockets::HostSockets;
use crate::net::Net;
use crate::platform;
use abi::boot::{DEVICE_CONSOLE, DEVICE_ENTROPY, DEVICE_HOSTNET, DEVICE_NET, Device};
use sync::Once;

static CONSOLE: Once<Option<Console>> = Once::new();
static ENTROPY: Once<Option<Entropy>> = Once::new();
static FRAMES: Once<Option<Net>> = Once::new();
static HOST_SOCKETS: Once<Option<HostSockets>> = Once::new();

/// The first device of this kind, opened.
fn first<T>(kind: u64, open: fn(usize, &Device) -> Option<T>) -> Option<T> {
    let (index, device) = platform::devices().iter().enumerate().find(|(_, device)| device.kind == kind)?;
    open(index, device)
}

#[unsafe(no_mangle)]
extern "Rust" fn ampoule_device_console() -> Option<&'static dyn device::Console> {
    CONSOLE.get_or_init(|| first(DEVICE_CONSOLE, Console::open)).as_ref().map(|d| d as _)
}

#[unsafe(no_mangle)]
extern "Rust" fn ampoule_device_entropy() -> Option<&'static dyn device::Entropy> {
    ENTROPY.get_or_init(|| first(DEVICE_ENTROPY, Entropy::open)).as_ref().map(|d| d as _)
}

#[unsafe(no_mangle)]
extern "Rust" fn ampoule_device_frames() -> Option<&'static dyn device::Frames> {
    FRAMES.get_or_init(|| first(DEVICE_NET, Net::open)).as_ref().map(|d| d as _)
}

#[unsafe(no_mangle)]
extern "Rust" fn ampoule_device_host_sockets() -> Option<&'static dyn device::HostSockets> {
    HOST_SOCKETS.get_or_init(|| first(DEVICE_HOSTNET, HostSockets::open)).as_ref().map(|d| d as _)
}
