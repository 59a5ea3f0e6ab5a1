//! The driver's half: adds buffers, publishes them, takes them back.

use super::cells::{Areas, Ordering, fence};
use super::{
    AVAILABLE_NO_INTERRUPT, Buffer, DESCRIPTOR_NEXT, DESCRIPTOR_WRITE, MAX_SIZE, RingError, USED_NO_NOTIFY, crosses,
};
use crate::address::BusAddr;

/// A chain that came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Used {
    /// The number that [`Driver::add`] gave it.
    pub head: u16,
    /// Bytes that the device wrote, at most what the chain's writable buffers hold.
    pub length: u32,
}

/// The driver's end of a queue.
///
/// Free descriptors are chained through their own `next` fields, and a chain keeps its links until it comes back, so
/// there is nothing to allocate. What the device could harm by writing there is checked when the chain is taken apart.
#[derive(Debug)]
pub struct Driver {
    areas: Areas,
    event_idx: bool,
    /// First free descriptor; meaningless when `free` is 0.
    free_head: u16,
    free: u16,
    /// Running number of the next slot of the available ring, and what was published of it.
    next: u16,
    published: u16,
    /// `next` when the device was last told.
    told: u16,
    /// Running number of the next element of the used ring.
    taken: u16,
    /// Heads that the device has, a bit each.
    outstanding: [u64; MAX_SIZE as usize / 64],
}

impl Driver {
    /// Sets the queue up in zeroed memory. `event_idx`: both sides agreed on [`super::FEATURE_EVENT_IDX`].
    pub fn new(areas: Areas, event_idx: bool) -> Self {
        let size = areas.size();
        for index in 0..size {
            if let Some(descriptor) = areas.descriptor(index) {
                descriptor.next.store(index.wrapping_add(1), Ordering::Relaxed);
            }
        }
        Self {
            areas,
            event_idx,
            free_head: 0,
            free: size,
            next: 0,
            published: 0,
            told: 0,
            taken: 0,
            outstanding: [0; MAX_SIZE as usize / 64],
        }
    }

    /// Entries.
    pub fn size(&self) -> u16 {
        self.areas.size()
    }

    /// Free descriptors.
    pub fn free(&self) -> u16 {
        self.free
    }

    /// Adds a chain, readable buffers first, and gives its number; `None` if `chain` is empty or there are too few free
    /// descriptors. The device sees it after [`Driver::publish`].
    pub fn add(&mut self, chain: &[Buffer]) -> Option<u16> {
        if chain.is_empty() || chain.len() > usize::from(self.free) {
            return None;
        }
        let head = self.free_head;
        let mut index = head;
        for (position, buffer) in chain.iter().enumerate() {
            let descriptor = self.areas.descriptor(index)?;
            let last = position + 1 == chain.len();
            let flags = if last { 0 } else { DESCRIPTOR_NEXT } | if buffer.writable { DESCRIPTOR_WRITE } else { 0 };
            descriptor.address.store(buffer.address.0, Ordering::Relaxed);
            descriptor.length.store(buffer.length, Ordering::Relaxed);
            descriptor.flags.store(flags, Ordering::Relaxed);
            index = descriptor.next.load(Ordering::Relaxed);
        }
        self.free_head = index;
        self.free -= chain.len() as u16; // at most `free`, see above
        self.areas.available_slot(self.next).store(head, Ordering::Relaxed);
        self.next = self.next.wrapping_add(1);
        self.outstanding[usize::from(head) / 64] |= 1 << (head % 64);
        Some(head)
    }

    /// Lets the device see every chain added so far.
    pub fn publish(&mut self) {
        if self.published != self.next {
            self.published = self.next;
            self.areas.available_index().store(self.next, Ordering::Release);
        }
    }

    /// After [`Driver::publish`]: must the device be told of what was published since this was last asked?
    pub fn kick_needed(&mut self) -> bool {
        if self.told == self.published {
            return false;
        }
        fence(Ordering::SeqCst);
        let old = core::mem::replace(&mut self.told, self.published);
        if self.event_idx {
            crosses(self.areas.available_event().load(Ordering::Relaxed), self.published, old)
        } else {
            self.areas.used_flags().load(Ordering::Relaxed) & USED_NO_NOTIFY == 0
        }
    }

    /// Has a chain come back?
    pub fn has_used(&self) -> bool {
        self.areas.used_index().load(Ordering::Acquire) != self.taken
    }

    /// Takes the next chain that came back, and frees its descriptors.
    ///
    /// # Errors
    /// The device broke the protocol; the queue is then of no further use.
    pub fn take_used(&mut self) -> Result<Option<Used>, RingError> {
        let ahead = self.areas.used_index().load(Ordering::Acquire).wrapping_sub(self.taken);
        if ahead == 0 {
            return Ok(None);
        }
        if ahead > self.size() {
            return Err(RingError::IndexJumped);
        }
        let element = self.areas.used_slot(self.taken);
        let id = element.id.load(Ordering::Relaxed);
        let length = element.length.load(Ordering::Relaxed);
        let head = u16::try_from(id).ok().filter(|h| *h < self.size()).ok_or(RingError::NoSuchDescriptor)?;
        let (word, bit) = (usize::from(head) / 64, 1 << (head % 64));
        if self.outstanding[word] & bit == 0 {
            return Err(RingError::NotOutstanding);
        }
        self.outstanding[word] &= !bit;
        if u64::from(length) > self.release(head)? {
            return Err(RingError::UsedTooLong);
        }
        self.taken = self.taken.wrapping_add(1);
        Ok(Some(Used { head, length }))
    }

    /// Asks for no notification: used buffers are looked for anyway.
    pub fn disable_events(&mut self) {
        if self.event_idx {
            // The one place that the device has just passed: it comes round again after 65,535 buffers.
            self.areas.used_event().store(self.taken.wrapping_sub(1), Ordering::Relaxed);
        } else {
            self.areas.available_flags().store(AVAILABLE_NO_INTERRUPT, Ordering::Relaxed);
        }
    }

    /// Asks for a notification at the next used buffer; true if there is one already, and then nobody may sleep.
    #[must_use]
    pub fn enable_events(&mut self) -> bool {
        if self.event_idx {
            self.areas.used_event().store(self.taken, Ordering::Relaxed);
        } else {
            self.areas.available_flags().store(0, Ordering::Relaxed);
        }
        fence(Ordering::SeqCst);
        self.has_used()
    }

    /// The buffer at the front of a chain that is outstanding.
    pub fn first_buffer(&self, head: u16) -> Option<Buffer> {
        let descriptor = self.areas.descriptor(head)?;
        Some(Buffer {
            address: BusAddr(descriptor.address.load(Ordering::Relaxed)),
            length: descriptor.length.load(Ordering::Relaxed),
            writable: descriptor.flags.load(Ordering::Relaxed) & DESCRIPTOR_WRITE != 0,
        })
    }

    /// Puts a chain's descriptors back on the free list, and says how many bytes the device could write there.
    fn release(&mut self, head: u16) -> Result<u64, RingError> {
        let mut writable = 0;
        let mut index = head;
        for count in 1..=self.size() {
            let descriptor = self.areas.descriptor(index).ok_or(RingError::NoSuchDescriptor)?;
            let flags = descriptor.flags.load(Ordering::Relaxed);
            if flags & DESCRIPTOR_WRITE != 0 {
                writable += u64::from(descriptor.length.load(Ordering::Relaxed));
            }
            if flags & DESCRIPTOR_NEXT == 0 {
                let free = self.free.checked_add(count).filter(|n| *n <= self.size());
                self.free = free.ok_or(RingError::ChainTooLong)?;
                descriptor.next.store(self.free_head, Ordering::Relaxed);
                self.free_head = head;
                return Ok(writable);
            }
            index = descriptor.next.load(Ordering::Relaxed);
        }
        Err(RingError::ChainTooLong)
    }
}
