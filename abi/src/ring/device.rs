//! The device's half: takes chains, returns them, and believes nothing.

use super::cells::{Areas, Ordering, fence};
use super::{
    AVAILABLE_NO_INTERRUPT, Buffer, DESCRIPTOR_INDIRECT, DESCRIPTOR_NEXT, DESCRIPTOR_WRITE, MAX_CHAIN, RingError,
    USED_NO_NOTIFY, crosses,
};
use crate::address::BusAddr;

/// A chain of buffers that the driver made available: a private copy, so that what was checked is what is used.
#[derive(Clone, Copy, Debug)]
pub struct Chain {
    head: u16,
    readable: u8,
    count: u8,
    buffers: [Buffer; MAX_CHAIN],
}

impl Chain {
    /// What [`Device::complete`] wants.
    pub fn head(&self) -> u16 {
        self.head
    }

    /// The buffers to read, in order.
    pub fn readable(&self) -> &[Buffer] {
        &self.buffers[..usize::from(self.readable)]
    }

    /// The buffers to write, in order.
    pub fn writable(&self) -> &[Buffer] {
        &self.buffers[usize::from(self.readable)..usize::from(self.count)]
    }
}

/// The device's end of a queue.
#[derive(Debug)]
pub struct Device {
    areas: Areas,
    event_idx: bool,
    /// Running number of the next slot of the available ring.
    taken: u16,
    /// Running number of the next element of the used ring, and what was published of it.
    next: u16,
    published: u16,
    /// `next` when the driver was last told.
    told: u16,
}

impl Device {
    /// Serves a queue whose memory is zeroed or just set up. `event_idx`: both sides agreed on
    /// [`super::FEATURE_EVENT_IDX`].
    pub fn new(areas: Areas, event_idx: bool) -> Self {
        Self { areas, event_idx, taken: 0, next: 0, published: 0, told: 0 }
    }

    /// How many chains are waiting.
    ///
    /// # Errors
    /// [`RingError::IndexJumped`].
    pub fn pending(&self) -> Result<u16, RingError> {
        let ahead = self.areas.available_index().load(Ordering::Acquire).wrapping_sub(self.taken);
        if ahead > self.areas.size() { Err(RingError::IndexJumped) } else { Ok(ahead) }
    }

    /// Takes the next chain, if there is one. Never more than [`MAX_CHAIN`] steps of work.
    ///
    /// # Errors
    /// The driver broke the protocol; the machine is to be ended.
    pub fn take(&mut self) -> Result<Option<Chain>, RingError> {
        if self.pending()? == 0 {
            return Ok(None);
        }
        let head = self.areas.available_slot(self.taken).load(Ordering::Relaxed);
        let chain = self.walk(head)?;
        self.taken = self.taken.wrapping_add(1);
        Ok(Some(chain))
    }

    /// Returns a chain with `length` bytes written; the driver sees it after [`Device::publish`].
    pub fn complete(&mut self, head: u16, length: u32) {
        let element = self.areas.used_slot(self.next);
        element.id.store(u32::from(head), Ordering::Relaxed);
        element.length.store(length, Ordering::Relaxed);
        self.next = self.next.wrapping_add(1);
    }

    /// Lets the driver see every chain completed so far.
    pub fn publish(&mut self) {
        if self.published != self.next {
            self.published = self.next;
            self.areas.used_index().store(self.next, Ordering::Release);
        }
    }

    /// After [`Device::publish`]: does the driver want to be told of what was published since this was last asked?
    pub fn notify_needed(&mut self) -> bool {
        if self.told == self.published {
            return false;
        }
        fence(Ordering::SeqCst);
        let old = core::mem::replace(&mut self.told, self.published);
        if self.event_idx {
            crosses(self.areas.used_event().load(Ordering::Relaxed), self.published, old)
        } else {
            self.areas.available_flags().load(Ordering::Relaxed) & AVAILABLE_NO_INTERRUPT == 0
        }
    }

    /// Asks for no kicks: the queue is looked at anyway.
    pub fn disable_kicks(&mut self) {
        if self.event_idx {
            self.areas.available_event().store(self.taken.wrapping_sub(1), Ordering::Relaxed);
        } else {
            self.areas.used_flags().store(USED_NO_NOTIFY, Ordering::Relaxed);
        }
    }

    /// Asks for a kick at the next chain; true if there is one already, and then nobody may sleep.
    ///
    /// # Errors
    /// [`RingError::IndexJumped`].
    pub fn enable_kicks(&mut self) -> Result<bool, RingError> {
        if self.event_idx {
            self.areas.available_event().store(self.taken, Ordering::Relaxed);
        } else {
            self.areas.used_flags().store(0, Ordering::Relaxed);
        }
        fence(Ordering::SeqCst);
        Ok(self.pending()? != 0)
    }

    fn walk(&self, head: u16) -> Result<Chain, RingError> {
        let mut chain = Chain { head, readable: 0, count: 0, buffers: [Buffer::default(); MAX_CHAIN] };
        let mut index = head;
        let mut bytes = 0u32;
        for slot in 0..MAX_CHAIN {
            let descriptor = self.areas.descriptor(index).ok_or(RingError::NoSuchDescriptor)?;
            let flags = descriptor.flags.load(Ordering::Relaxed);
            if flags & DESCRIPTOR_INDIRECT != 0 {
                return Err(RingError::UnknownFlag);
            }
            let buffer = Buffer {
                address: BusAddr(descriptor.address.load(Ordering::Relaxed)),
                length: descriptor.length.load(Ordering::Relaxed),
                writable: flags & DESCRIPTOR_WRITE != 0,
            };
            bytes = bytes.checked_add(buffer.length).ok_or(RingError::TooManyBytes)?;
            chain.buffers[slot] = buffer;
            chain.count += 1;
            if !buffer.writable {
                if chain.readable + 1 != chain.count {
                    return Err(RingError::OutOfOrder);
                }
                chain.readable += 1;
            }
            if flags & DESCRIPTOR_NEXT == 0 {
                return Ok(chain);
            }
            index = descriptor.next.load(Ordering::Relaxed);
        }
        Err(RingError::ChainTooLong)
    }
}
