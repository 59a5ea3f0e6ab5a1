//! Transports: how a driver comes by its queues.
//!
//! `open` looks at the boot information's device and gives the driver what it needs, whichever way it went: the
//! features that both sides agreed on, the configuration space, and the queues with their doorbells.

mod mmio;
mod pci;
pub(crate) mod registers;
mod shared;

use crate::memory::Block;
use crate::queue::Queue;
use abi::boot::{Device, TRANSPORT_MMIO, TRANSPORT_PCI, TRANSPORT_SHARED};
use alloc::vec::Vec;

/// `VIRTIO_F_VERSION_1` (VIRTIO 1.2 §6): a device of ours is never a legacy one.
pub const FEATURE_VERSION_1: u64 = 1 << 32;
/// `VIRTIO_F_EVENT_IDX` (§6).
pub const FEATURE_EVENT_IDX: u64 = abi::ring::FEATURE_EVENT_IDX;

/// A device as its driver sees it.
pub(crate) struct Opened {
    /// Features that both sides agreed on.
    pub(crate) features: u64,
    /// The start of the device's configuration space.
    pub(crate) config: Config,
    /// The queues, in the device's order.
    pub(crate) queues: Vec<Queue>,
}

/// What a driver wants of a device.
pub(crate) struct Wanted {
    /// What to call the device in reports.
    pub(crate) name: &'static str,
    /// Features that the driver knows, beyond the two of every transport.
    pub(crate) features: u64,
    /// Those of them that are of use all together only: where one is not offered, the others are not accepted.
    pub(crate) together: u64,
    /// The largest useful size of each queue, in entries: a power of two. Its length is the number of queues.
    pub(crate) queue_sizes: &'static [u16],
}

/// A copy of the first bytes of a configuration space.
#[derive(Clone, Copy, Default)]
pub(crate) struct Config {
    bytes: [u8; Config::LENGTH],
}

impl Config {
    /// How many bytes are copied: as many as any driver here looks at.
    pub(crate) const LENGTH: usize = 16;

    /// The bytes at `offset`.
    pub(crate) fn array<const N: usize>(&self, offset: usize) -> [u8; N] {
        core::array::from_fn(|i| self.bytes.get(offset + i).copied().unwrap_or(0))
    }
}

/// Opens device number `index`; `None` if it is not there after all, or memory has run out.
pub(crate) fn open(index: usize, device: &Device, wanted: &Wanted) -> Option<Opened> {
    match device.transport {
        TRANSPORT_SHARED => shared::open(index, device, wanted),
        TRANSPORT_MMIO => registers::open(mmio::Mmio::new(device)?, wanted),
        TRANSPORT_PCI => registers::open(pci::Pci::new(device), wanted),
        _ => None,
    }
}

/// Memory for a ring of `size` entries.
fn ring_memory(size: u16) -> Option<Block> {
    Block::new(1, abi::ring::Layout::of(size).length)
}
