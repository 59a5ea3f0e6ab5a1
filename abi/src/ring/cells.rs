//! The shared memory of a queue, as atomic cells.
//!
//! The other side may write any of it at any time, so every access is atomic: a plain read of memory that somebody else
//! writes would be undefined, however hostile or friendly they are. On x86-64 a relaxed load is a plain move.
//!
//! Under `cfg(ring_model)` the cells are loom's, which are larger than the memory they stand for; so all pointers are to
//! arrays of cells, and nothing here computes a byte offset except [`Areas::new`].

#[cfg(not(ring_model))]
pub(super) use core::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, Ordering, fence};
#[cfg(ring_model)]
pub(super) use loom::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, Ordering, fence};

#[cfg(not(ring_model))]
use super::RingError;
use super::check_size;

/// An entry of the descriptor table (VIRTIO 1.2 §2.7.5).
#[repr(C)]
pub(super) struct Descriptor {
    pub(super) address: AtomicU64,
    pub(super) length: AtomicU32,
    pub(super) flags: AtomicU16,
    pub(super) next: AtomicU16,
}

/// An entry of the used ring (§2.7.8).
#[repr(C)]
pub(super) struct Element {
    pub(super) id: AtomicU32,
    pub(super) length: AtomicU32,
}

/// Where a queue's three areas are in this address space.
///
/// Whoever makes one vouches for the memory; see [`Areas::new`]. A copy is another handle to the same memory, as each
/// side of a queue within one process wants it.
#[derive(Clone, Copy, Debug)]
pub struct Areas {
    size: u16,
    descriptors: *const Descriptor,
    /// `flags`, `idx`.
    available: *const AtomicU16,
    /// `size` descriptor numbers, then `used_event`.
    available_ring: *const AtomicU16,
    /// `flags`, `idx`.
    used: *const AtomicU16,
    used_ring: *const Element,
    available_event: *const AtomicU16,
}

// SAFETY: the pointers lead to shared memory that is only accessed through atomics and outlives the value (`Areas::new`).
unsafe impl Send for Areas {}

#[cfg(not(ring_model))]
impl Areas {
    /// The areas of a queue of `size` entries.
    ///
    /// # Errors
    /// [`RingError::BadSize`], [`RingError::Misaligned`].
    ///
    /// # Safety
    /// `descriptors` has 16 × `size` bytes, `available` 6 + 2 × `size`, `used` 6 + 8 × `size`, all readable and writable
    /// for as long as a [`super::Driver`] or [`super::Device`] made from this value lives, and nobody in this address
    /// space accesses them but through such values (the other side of the gate may do what it likes).
    pub unsafe fn new(size: u16, descriptors: *mut u8, available: *mut u8, used: *mut u8) -> Result<Self, RingError> {
        check_size(size)?;
        let aligned = |area: *mut u8, to: usize| (area as usize).is_multiple_of(to);
        if !(aligned(descriptors, 16) && aligned(available, 2) && aligned(used, 4)) {
            return Err(RingError::Misaligned);
        }
        let entries = usize::from(size);
        // SAFETY: within the areas, by this function's contract.
        let (available_ring, used_ring, available_event) =
            unsafe { (available.add(4), used.add(4), used.add(4 + 8 * entries)) };
        Ok(Self {
            size,
            descriptors: descriptors.cast(),
            available: available.cast(),
            available_ring: available_ring.cast(),
            used: used.cast(),
            used_ring: used_ring.cast(),
            available_event: available_event.cast(),
        })
    }

    /// The areas in one block of memory, as [`super::Layout::of`] places them.
    ///
    /// # Errors
    /// As [`Areas::new`].
    ///
    /// # Safety
    /// As [`Areas::new`], for the [`super::Layout::length`] bytes at `block`.
    pub unsafe fn in_block(size: u16, block: *mut u8) -> Result<Self, RingError> {
        check_size(size)?;
        let layout = super::Layout::of(size);
        // SAFETY: the offsets are within the block by the layout; the rest is this function's contract.
        unsafe { Self::new(size, block, block.add(layout.available), block.add(layout.used)) }
    }
}

#[cfg(ring_model)]
impl Areas {
    /// Fresh areas out of loom's cells, leaked into `keep` so that they live as long as the model's run.
    pub fn model(size: u16) -> Self {
        use alloc::{boxed::Box, vec::Vec};
        check_size(size).expect("a valid size");
        let cells = |n: usize| -> *const AtomicU16 {
            Box::leak((0..n).map(|_| AtomicU16::new(0)).collect::<Vec<_>>().into_boxed_slice()).as_ptr()
        };
        let entries = usize::from(size);
        let descriptors: Vec<Descriptor> = (0..entries)
            .map(|_| Descriptor {
                address: AtomicU64::new(0),
                length: AtomicU32::new(0),
                flags: AtomicU16::new(0),
                next: AtomicU16::new(0),
            })
            .collect();
        let used: Vec<Element> =
            (0..entries).map(|_| Element { id: AtomicU32::new(0), length: AtomicU32::new(0) }).collect();
        Self {
            size,
            descriptors: Box::leak(descriptors.into_boxed_slice()).as_ptr(),
            available: cells(2),
            available_ring: cells(entries + 1),
            used: cells(2),
            used_ring: Box::leak(used.into_boxed_slice()).as_ptr(),
            available_event: cells(1),
        }
    }
}

impl Areas {
    /// Entries.
    pub fn size(&self) -> u16 {
        self.size
    }

    /// Entry `index` of the descriptor table, or `None` outside it.
    pub(super) fn descriptor(&self, index: u16) -> Option<&Descriptor> {
        // SAFETY: `index` is within the table, which is valid by the contract of `Areas::new`; all fields are atomics.
        (index < self.size).then(|| unsafe { &*self.descriptors.add(usize::from(index)) })
    }

    /// The available ring's flags.
    pub(super) fn available_flags(&self) -> &AtomicU16 {
        // SAFETY: the area's first cell.
        unsafe { &*self.available }
    }

    /// The available ring's index.
    pub(super) fn available_index(&self) -> &AtomicU16 {
        // SAFETY: the area's second cell.
        unsafe { &*self.available.add(1) }
    }

    /// The available ring's slot for the running number `position`.
    pub(super) fn available_slot(&self, position: u16) -> &AtomicU16 {
        // SAFETY: masked by the size, a power of two, so within the ring.
        unsafe { &*self.available_ring.add(usize::from(position & (self.size - 1))) }
    }

    /// `used_event`, behind the available ring (§2.7.7).
    pub(super) fn used_event(&self) -> &AtomicU16 {
        // SAFETY: the cell behind the last slot belongs to the area.
        unsafe { &*self.available_ring.add(usize::from(self.size)) }
    }

    /// The used ring's flags.
    pub(super) fn used_flags(&self) -> &AtomicU16 {
        // SAFETY: the area's first cell.
        unsafe { &*self.used }
    }

    /// The used ring's index.
    pub(super) fn used_index(&self) -> &AtomicU16 {
        // SAFETY: the area's second cell.
        unsafe { &*self.used.add(1) }
    }

    /// The used ring's slot for the running number `position`.
    pub(super) fn used_slot(&self, position: u16) -> &Element {
        // SAFETY: masked by the size, a power of two, so within the ring.
        unsafe { &*self.used_ring.add(usize::from(position & (self.size - 1))) }
    }

    /// `avail_event`, behind the used ring (§2.7.8).
    pub(super) fn available_event(&self) -> &AtomicU16 {
        // SAFETY: the cell behind the last element belongs to the area.
        unsafe { &*self.available_event }
    }
}
