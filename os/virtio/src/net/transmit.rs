//! Frames to the device: each in one buffer, those that it is to cut in a long one.

use super::{BUFFER, FRAME_MAX, HEADER, NEEDS_CSUM};
use crate::memory::Block;
use crate::queue::Queue;
use abi::ring::Buffer;
use alloc::vec::Vec;
use device::Offload;

/// `gso_type` (§5.1.6).
const GSO_TCP_V4: u8 = 1;
const GSO_TCP_V6: u8 = 4;
/// A long buffer: RFC 791's largest packet, nearly.
const LONG_BUFFER: usize = 64 << 10;
const LONG_BUFFERS: usize = 16;

pub(super) struct Transmit {
    queue: Queue,
    short: Block,
    long: Option<Block>,
    /// Numbers of free buffers; those of long ones follow those of short ones.
    free: Vec<u16>,
    free_long: Vec<u16>,
}

impl Transmit {
    pub(super) fn new(mut queue: Queue, count: usize, long: bool) -> Option<Self> {
        queue.disarm();
        let long = match long {
            true => Some(Block::new(LONG_BUFFERS, LONG_BUFFER)?),
            false => None,
        };
        let long_count = long.as_ref().map_or(0, Block::count);
        let short = Block::new(count.min(queue.size().saturating_sub(long_count)), BUFFER)?;
        let count = short.count() as u16;
        let free = (0..count).rev().collect();
        let free_long = (count..count + long_count as u16).rev().collect();
        Some(Self { queue, short, long, free, free_long })
    }

    /// The longest frame that is cut.
    pub(super) fn long_max(&self) -> usize {
        if self.long.is_some() { LONG_BUFFER - HEADER } else { 0 }
    }

    /// Is there a buffer of each kind?
    pub(super) fn room(&mut self) -> bool {
        let enough = |s: &Self| !s.free.is_empty() && (s.long.is_none() || !s.free_long.is_empty());
        if !enough(self) {
            while let Some((buffer, _)) = self.queue.take() {
                if usize::from(buffer) < self.short.count() {
                    self.free.push(buffer);
                } else {
                    self.free_long.push(buffer);
                }
            }
        }
        enough(self)
    }

    pub(super) fn transmit(&mut self, length: usize, fill: &mut dyn FnMut(&mut [u8]) -> Option<Offload>) -> bool {
        if length > FRAME_MAX.max(self.long_max()) {
            return false;
        }
        self.room();
        let free = if length > FRAME_MAX { &mut self.free_long } else { &mut self.free };
        let Some(buffer) = free.pop() else { return false };
        let index = usize::from(buffer);
        let (block, index) = match &mut self.long {
            Some(long) if index >= self.short.count() => (long, index - self.short.count()),
            _ => (&mut self.short, index),
        };
        let (header, frame) = block.bytes(index)[..HEADER + length].split_at_mut(HEADER);
        let offload = fill(frame);
        header.fill(0);
        if let Some(Offload { start, offset, cut }) = offload {
            header[0] = NEEDS_CSUM;
            header[6..8].copy_from_slice(&start.to_le_bytes());
            header[8..10].copy_from_slice(&offset.to_le_bytes());
            if cut > 0 {
                // The TCP header's length stands in its thirteenth byte.
                let tcp = frame.get(usize::from(start) + 12).map_or(0, |byte| u16::from(byte >> 4) * 4);
                header[1] = if frame.get(12) == Some(&8) { GSO_TCP_V4 } else { GSO_TCP_V6 };
                header[2..4].copy_from_slice(&(start + tcp).to_le_bytes());
                header[4..6].copy_from_slice(&cut.to_le_bytes());
            }
        }
        let chain = [Buffer::readable(block.bus(index), (HEADER + length) as u32)];
        // There is a descriptor for every buffer.
        self.queue.add(buffer, &chain);
        true
    }

    pub(super) fn kick(&mut self) {
        self.queue.kick();
    }

    pub(super) fn arm(&mut self) -> bool {
        self.room() || self.queue.arm()
    }
}
