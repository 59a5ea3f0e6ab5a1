//! The network device (VIRTIO 1.2 §5.1): Ethernet frames, each in one buffer, with checksum offload both ways.
//!
//! Received frames are handed to the stack where they lie; their buffers go back in batches. Sent frames are written by
//! the stack straight into device memory, their buffers are taken back only when new ones are needed, and one kick at
//! `flush` tells the device of all of them. Receiving and sending have a lock each, so that the stack may answer a frame
//! while it looks at it.

use crate::memory::Block;
use crate::platform;
use crate::queue::Queue;
use crate::transport::{Opened, Wanted, open};
use abi::boot::Device;
use abi::ring::Buffer;
use alloc::vec::Vec;
use device::{Capabilities, Offload};
use sync::SpinLock;

/// Feature bits (§5.1.3).
const FEATURE_CSUM: u64 = 1 << 0;
const FEATURE_GUEST_CSUM: u64 = 1 << 1;
const FEATURE_MAC: u64 = 1 << 5;

pub(crate) const WANTED: Wanted =
    Wanted { name: "net", features: FEATURE_CSUM | FEATURE_GUEST_CSUM | FEATURE_MAC, queue_sizes: &[256, 256] };
/// `struct virtio_net_hdr` (§5.1.6): 12 bytes with `VIRTIO_F_VERSION_1`.
const HEADER: usize = 12;
/// `flags`: the checksum from `csum_start` on is to be completed.
const NEEDS_CSUM: u8 = 1;
/// `flags`: the checksum was verified.
const DATA_VALID: u8 = 2;
/// The largest frame: 1500 bytes of payload.
const FRAME_MAX: usize = 1514;
/// Bytes of a buffer: header and frame, a multiple of a cache line.
const BUFFER: usize = 1536;
/// After this many received frames their buffers go back to the device, kick or no kick.
const RECEIVE_BATCH: usize = 16;

/// The driver.
pub(crate) struct Net {
    address: [u8; 6],
    capabilities: Capabilities,
    receive: SpinLock<Receive>,
    transmit: SpinLock<Transmit>,
}

impl Net {
    /// Opens device number `index`.
    pub(crate) fn open(index: usize, device: &Device) -> Option<Self> {
        Self::new(open(index, device, &WANTED)?, index)
    }

    /// On the opened device number `index`.
    pub(crate) fn new(opened: Opened, index: usize) -> Option<Self> {
        let mut queues = opened.queues.into_iter();
        // A sixteenth of the memory at most, as long as a burst of a few dozen frames still fits.
        let count = (platform::free_bytes() / 32 / BUFFER).clamp(32, 128);
        let receive = Receive::new(queues.next()?, count)?;
        let transmit = Transmit::new(queues.next()?, count)?;
        let mut address: [u8; 6] = opened.config.array(0);
        if opened.features & FEATURE_MAC == 0 {
            // Locally administered (IEEE 802 §8.4): the device has none of its own.
            address = [0x02, 0x41, 0x4d, 0x50, 0x4f, index as u8];
        }
        let capabilities =
            Capabilities { frame_max: FRAME_MAX, transmit_checksums: opened.features & FEATURE_CSUM != 0, cut_max: 0 };
        Some(Self { address, capabilities, receive: SpinLock::new(receive), transmit: SpinLock::new(transmit) })
    }
}

impl device::Frames for Net {
    fn address(&self) -> [u8; 6] {
        self.address
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn receive(&self, take: &mut dyn FnMut(&mut [u8], bool)) -> bool {
        self.receive.lock().receive(take)
    }

    fn room(&self) -> bool {
        self.transmit.lock().room()
    }

    fn transmit(&self, length: usize, fill: &mut dyn FnMut(&mut [u8]) -> Option<Offload>) -> bool {
        self.transmit.lock().transmit(length, fill)
    }

    fn flush(&self) {
        self.transmit.lock().queue.kick();
        self.receive.lock().give_back();
    }

    fn arm(&self, room: bool) -> bool {
        let frame = self.receive.lock().queue.arm();
        let room = room && self.transmit.lock().arm();
        frame | room
    }
}

struct Receive {
    queue: Queue,
    memory: Block,
    /// Buffers posted since the device was last told.
    unsaid: usize,
}

impl Receive {
    fn new(mut queue: Queue, count: usize) -> Option<Self> {
        queue.disarm();
        let memory = Block::new(count.min(queue.size()), BUFFER)?;
        let mut receive = Self { queue, memory, unsaid: 0 };
        for buffer in 0..receive.memory.count() {
            receive.post(buffer);
        }
        receive.give_back();
        Some(receive)
    }

    fn post(&mut self, buffer: usize) {
        let chain = [Buffer::writable(self.memory.bus(buffer), BUFFER as u32)];
        self.queue.add(buffer as u16, &chain);
        self.unsaid += 1;
    }

    /// Lets the device have the buffers. It asks for a kick (`avail_event`) only when it had run out of them.
    fn give_back(&mut self) {
        if core::mem::take(&mut self.unsaid) > 0 {
            self.queue.offer();
        }
    }

    fn receive(&mut self, take: &mut dyn FnMut(&mut [u8], bool)) -> bool {
        let Some((buffer, written)) = self.queue.take() else {
            self.queue.disarm();
            return false;
        };
        let buffer = usize::from(buffer);
        if written > HEADER {
            let bytes = &mut self.memory.bytes(buffer)[..written];
            let checked = bytes[0] & (NEEDS_CSUM | DATA_VALID) != 0;
            take(&mut bytes[HEADER..], checked);
        }
        self.post(buffer);
        if self.unsaid >= RECEIVE_BATCH {
            self.give_back();
        }
        true
    }
}

struct Transmit {
    queue: Queue,
    memory: Block,
    free: Vec<u16>,
}

impl Transmit {
    fn new(mut queue: Queue, count: usize) -> Option<Self> {
        queue.disarm();
        let memory = Block::new(count.min(queue.size()), BUFFER)?;
        let free = (0..memory.count() as u16).rev().collect();
        Some(Self { queue, memory, free })
    }

    fn room(&mut self) -> bool {
        if self.free.is_empty() {
            while let Some((buffer, _)) = self.queue.take() {
                self.free.push(buffer);
            }
        }
        !self.free.is_empty()
    }

    fn transmit(&mut self, length: usize, fill: &mut dyn FnMut(&mut [u8]) -> Option<Offload>) -> bool {
        if length > FRAME_MAX || !self.room() {
            return false;
        }
        let Some(buffer) = self.free.pop() else { return false };
        let bytes = &mut self.memory.bytes(usize::from(buffer))[..HEADER + length];
        let (header, frame) = bytes.split_at_mut(HEADER);
        let checksum = fill(frame);
        header.fill(0);
        if let Some(Offload { start, offset, .. }) = checksum {
            header[0] = NEEDS_CSUM;
            header[6..8].copy_from_slice(&start.to_le_bytes());
            header[8..10].copy_from_slice(&offset.to_le_bytes());
        }
        let chain = [Buffer::readable(self.memory.bus(usize::from(buffer)), (HEADER + length) as u32)];
        // There is a descriptor for every buffer.
        self.queue.add(buffer, &chain);
        true
    }

    fn arm(&mut self) -> bool {
        self.room() || self.queue.arm()
    }
}
