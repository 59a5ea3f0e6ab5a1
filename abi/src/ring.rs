//! The split virtqueue (VIRTIO 1.2 §2.7), one implementation for both sides.
//!
//! A queue is three areas of memory that a driver and a device share: the descriptor table, the available ring that the
//! driver writes, and the used ring that the device writes. [`Driver`] is the one end, [`Device`] the other; each works
//! on the same raw memory ([`Areas`]) and keeps everything it must rely on outside of it.
//!
//! # Trust
//! The device half believes nothing that stands in shared memory: an index that jumps, a descriptor number outside the
//! table, a chain that loops or is too long, lengths that do not add up are each a [`RingError`], and no call does more
//! than [`MAX_CHAIN`] steps of work. The driver half checks what it reads as well (a device under another hypervisor is
//! other people's code), so that a wrong answer is an error and not a corrupted heap.
//!
//! # Order
//! The invariant of all unsafe code here: an entry is written before the index that makes it visible is stored with
//! `Release`, and read after that index was loaded with `Acquire`. Asking "must I notify?" and "is there more?" are the
//! two halves of a Dekker handshake, so a `SeqCst` fence stands between the store and the load of each (§2.7.13.3,
//! §2.7.14). Both are checked by loom: `RUSTFLAGS="--cfg ring_model" cargo test -p ampoule-abi --release --test ring_model`.
//!
//! # Batches
//! Adding and publishing are apart, and so are publishing and notifying: a burst costs one index store and at most one
//! notification.

mod cells;
mod device;
mod driver;

pub use cells::Areas;
pub use device::{Chain, Device};
pub use driver::{Driver, Used};

use crate::address::BusAddr;

/// The largest queue that either half takes, in entries.
pub const MAX_SIZE: u16 = 1024;
/// The longest chain that the device half takes, in descriptors.
pub const MAX_CHAIN: usize = 16;
/// The feature bit `VIRTIO_F_EVENT_IDX` (VIRTIO 1.2 §6) as it stands in [`crate::boot::Device::features`].
pub const FEATURE_EVENT_IDX: u64 = 1 << 29;

/// Descriptor flag: `next` counts (§2.7.5).
pub(crate) const DESCRIPTOR_NEXT: u16 = 1;
/// Descriptor flag: the device writes this buffer.
pub(crate) const DESCRIPTOR_WRITE: u16 = 2;
/// Descriptor flag: the buffer holds descriptors; neither half takes part in that.
pub(crate) const DESCRIPTOR_INDIRECT: u16 = 4;
/// Available ring flag: the driver wants no notification (§2.7.7).
pub(crate) const AVAILABLE_NO_INTERRUPT: u16 = 1;
/// Used ring flag: the device wants no notification (§2.7.10).
pub(crate) const USED_NO_NOTIFY: u16 = 1;

/// What was wrong with a ring. Every one of them means that the other side is broken or hostile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RingError {
    /// the queue's size is not a power of two between 1 and [`MAX_SIZE`]
    BadSize,
    /// an area of the queue is not aligned as VIRTIO 1.2 §2.7 wants it
    Misaligned,
    /// the index of the other side's ring jumped further than the queue is long
    IndexJumped,
    /// a descriptor number is outside the table
    NoSuchDescriptor,
    /// a chain is longer than [`MAX_CHAIN`] descriptors, or loops
    ChainTooLong,
    /// a descriptor has a flag that was not agreed on (indirect)
    UnknownFlag,
    /// a buffer for the device to read follows one for it to write (§2.7.4.2)
    OutOfOrder,
    /// the buffers of one chain have more than 2³² − 1 bytes
    TooManyBytes,
    /// the device returned a buffer that it did not have
    NotOutstanding,
    /// the device claims to have written more than the buffer holds
    UsedTooLong,
}

impl RingError {
    /// The error in words, for a report.
    pub fn describe(self) -> &'static str {
        match self {
            RingError::BadSize => "the queue's size is no power of two within bounds",
            RingError::Misaligned => "an area of the queue is misaligned",
            RingError::IndexJumped => "the ring's index jumped further than the queue is long",
            RingError::NoSuchDescriptor => "a descriptor number is outside the table",
            RingError::ChainTooLong => "a descriptor chain is too long or loops",
            RingError::UnknownFlag => "a descriptor has a flag that was not agreed on",
            RingError::OutOfOrder => "a readable buffer follows a writable one in a chain",
            RingError::TooManyBytes => "the buffers of a chain have more than 4 GiB",
            RingError::NotOutstanding => "a buffer was returned that was not outstanding",
            RingError::UsedTooLong => "more bytes were reported as written than the buffer holds",
        }
    }
}

impl core::fmt::Display for RingError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.describe())
    }
}

impl core::error::Error for RingError {}

/// One buffer of a chain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Buffer {
    /// Its first byte.
    pub address: BusAddr,
    /// Its bytes.
    pub length: u32,
    /// The device writes it; otherwise it only reads.
    pub writable: bool,
}

impl Buffer {
    /// A buffer that the device reads.
    pub const fn readable(address: BusAddr, length: u32) -> Self {
        Self { address, length, writable: false }
    }

    /// A buffer that the device writes.
    pub const fn writable(address: BusAddr, length: u32) -> Self {
        Self { address, length, writable: true }
    }
}

/// How many bytes the three areas of a queue take, and where they go in one block of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Offset of the available ring; the descriptor table is at 0.
    pub available: usize,
    /// Offset of the used ring.
    pub used: usize,
    /// Bytes of the whole block, which wants an alignment of 16.
    pub length: usize,
}

impl Layout {
    /// The layout of a queue of `size` entries: the three areas one after the other (§2.7 gives sizes and alignments).
    pub const fn of(size: u16) -> Self {
        let size = size as usize;
        let available = 16 * size;
        let used = (available + 6 + 2 * size).next_multiple_of(4);
        Self { available, used, length: used + 6 + 8 * size }
    }
}

/// Must the other side be told, now that the index went from `old` to `new` and it asked to be told at `event`? (§2.7.7.2)
fn crosses(event: u16, new: u16, old: u16) -> bool {
    new.wrapping_sub(event).wrapping_sub(1) < new.wrapping_sub(old)
}

fn check_size(size: u16) -> Result<(), RingError> {
    if size.is_power_of_two() && size <= MAX_SIZE { Ok(()) } else { Err(RingError::BadSize) }
}
