//! Device memory: pages of the arena that a driver shares with its device.
//!
//! The invariant of this module's unsafe code: a [`Block`] owns its bytes for ever (drivers live as long as the machine),
//! and a driver touches a buffer only while the device does not have it. A device that writes a buffer after returning it
//! could corrupt what is read there, but nothing else: no reference to such bytes outlives a call, and no value in them is
//! trusted.

use crate::platform;
use abi::address::BusAddr;
use core::ptr::NonNull;

/// Memory cut into `count` buffers of `size` bytes.
pub(crate) struct Block {
    start: NonNull<u8>,
    size: usize,
    count: usize,
}

// SAFETY: the block is the sole owner of its bytes.
unsafe impl Send for Block {}

impl Block {
    /// `count` buffers of `size` bytes each, zeroed; `None` when memory has run out.
    pub(crate) fn new(count: usize, size: usize) -> Option<Self> {
        let bytes = count.checked_mul(size)?.next_multiple_of(abi::PAGE_SIZE as usize);
        Some(Self { start: platform::allocate(bytes)?, size, count })
    }

    /// How many buffers there are.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// What the device calls buffer `index`.
    pub(crate) fn bus(&self, index: usize) -> BusAddr {
        platform::bus_address(self.pointer(index))
    }

    /// Buffer `index`, which the device does not have.
    pub(crate) fn bytes(&mut self, index: usize) -> &mut [u8] {
        self.span(index, 1)
    }

    /// `count` buffers from number `index` on, side by side, none of which the device has.
    ///
    /// # Panics
    /// If there are not so many: a driver's own mistake.
    pub(crate) fn span(&mut self, index: usize, count: usize) -> &mut [u8] {
        assert!(count <= self.count - index.min(self.count), "no such device buffers");
        // SAFETY: `pointer` is the start of `count * size` bytes within the block, which `self` owns and lends mutably.
        unsafe { core::slice::from_raw_parts_mut(self.pointer(index), count * self.size) }
    }

    /// The first byte of buffer `index`.
    ///
    /// # Panics
    /// If there is no such buffer: a driver's own mistake, for indices come from its own tables.
    fn pointer(&self, index: usize) -> *mut u8 {
        assert!(index < self.count, "no such device buffer");
        // SAFETY: `index * size` is within the block.
        unsafe { self.start.as_ptr().add(index * self.size) }
    }

    /// The bytes themselves, for a ring laid out in buffer 0.
    pub(crate) fn start(&self) -> *mut u8 {
        self.start.as_ptr()
    }
}
