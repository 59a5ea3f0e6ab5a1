//! Frames from the device.
//!
//! A frame of segments that came together takes several buffers (§5.1.6.3.2). Buffers lie side by side and are offered in
//! that order, so such a frame is one piece of memory, except where it goes on at the block's start: that one is copied.

use super::{BUFFER, HEADER, NEEDS_CSUM};
use crate::memory::Block;
use crate::queue::Queue;
use abi::ring::Buffer;
use alloc::vec::Vec;

/// `flags`: the checksum was verified.
const DATA_VALID: u8 = 2;
/// After this many used buffers they go back to the device, kick or no kick.
const BATCH: usize = 16;
/// A buffer where frames may take several: what one page holds.
const LONG_BUFFER: usize = 4096;
const LONG_BUFFERS: usize = 256;
/// A frame of 64 KiB takes 17 long buffers; whoever says more is not believed.
const PARTS: usize = 32;

pub(super) struct Receive {
    queue: Queue,
    memory: Block,
    /// Bytes of a buffer.
    size: usize,
    /// Frames may take several buffers.
    merges: bool,
    /// Buffers posted since the device was last told.
    unsaid: usize,
}

impl Receive {
    /// With so many buffers, or, if `long`, with larger ones that frames are put together from.
    pub(super) fn new(mut queue: Queue, count: usize, long: bool) -> Option<Self> {
        queue.disarm();
        let (count, size) = if long { (LONG_BUFFERS, LONG_BUFFER) } else { (count, BUFFER) };
        let memory = Block::new(count.min(queue.size()), size)?;
        let mut receive = Self { queue, memory, size, merges: long, unsaid: 0 };
        for buffer in 0..receive.memory.count() {
            receive.post(buffer);
        }
        receive.give_back();
        Some(receive)
    }

    pub(super) fn arm(&mut self) -> bool {
        self.queue.arm()
    }

    fn post(&mut self, buffer: usize) {
        let chain = [Buffer::writable(self.memory.bus(buffer), self.size as u32)];
        self.queue.add(buffer as u16, &chain);
        self.unsaid += 1;
    }

    /// Lets the device have the buffers. It asks for a kick (`avail_event`) only when it had run out of them.
    pub(super) fn give_back(&mut self) {
        if core::mem::take(&mut self.unsaid) > 0 {
            self.queue.offer();
        }
    }

    pub(super) fn receive(&mut self, take: &mut dyn FnMut(&mut [u8], bool)) -> bool {
        let Some((first, written)) = self.queue.take() else {
            self.queue.disarm();
            return false;
        };
        let (first, written) = (usize::from(first), written.min(self.size));
        if written > HEADER {
            let bytes = &mut self.memory.bytes(first)[..written];
            let checked = bytes[0] & (NEEDS_CSUM | DATA_VALID) != 0;
            let parts = usize::from(u16::from_le_bytes([bytes[10], bytes[11]]));
            if self.merges && parts > 1 {
                self.receive_parts(first, written, parts, &mut |frame| take(frame, checked));
            } else {
                take(&mut bytes[HEADER..], checked);
                self.post(first);
            }
        } else {
            self.post(first);
        }
        if self.unsaid >= BATCH {
            self.give_back();
        }
        true
    }

    /// A frame whose first part is in buffer `first`; the device has given back the others as well (§5.1.6.4). One that
    /// is not as it says is lost.
    fn receive_parts(&mut self, first: usize, written: usize, parts: usize, take: &mut dyn FnMut(&mut [u8])) {
        let mut taken: Vec<(usize, usize)> = Vec::with_capacity(parts.min(PARTS));
        taken.push((first, written));
        while taken.len() < parts
            && let Some((buffer, written)) = self.queue.take()
        {
            taken.push((usize::from(buffer), written.min(self.size)));
        }
        let whole = taken.len() == parts && parts <= PARTS;
        let aligned = |(number, part): (usize, &(usize, usize))| {
            part.0 == first + number && (number + 1 == parts || part.1 == self.size)
        };
        if whole && taken.iter().enumerate().all(aligned) {
            let length = (parts - 1) * self.size + taken[parts - 1].1;
            take(&mut self.memory.span(first, parts)[HEADER..length]);
        } else if whole {
            let mut frame = Vec::with_capacity(parts * self.size);
            for (buffer, written) in &taken {
                frame.extend_from_slice(&self.memory.bytes(*buffer)[..*written]);
            }
            take(&mut frame[HEADER..]);
        }
        for (buffer, _) in taken {
            self.post(buffer);
        }
    }
}
