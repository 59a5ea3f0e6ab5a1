//! The entropy device (VIRTIO 1.2 §5.4): one queue of buffers that the device fills.
//!
//! A buffer is always with the device or full, so that the next reseeding finds fresh bytes without waiting.

use crate::memory::Block;
use crate::platform;
use crate::queue::Queue;
use crate::transport::{Opened, Wanted, open};
use abi::boot::Device;
use abi::ring::Buffer;
use sync::SpinLock;

/// Bytes asked for at a time.
const BYTES: usize = 64;
/// How often, and for how many ns each, a reader waits for the device.
const PAUSES: (usize, u64) = (20, 500_000);

/// The driver.
pub(crate) struct Entropy(SpinLock<State>);

struct State {
    queue: Queue,
    memory: Block,
    /// Bytes of the buffer that were not handed out yet; they are its first.
    left: usize,
}

impl Entropy {
    /// Opens device number `index`.
    pub(crate) fn open(index: usize, device: &Device) -> Option<Self> {
        Self::new(open(index, device, &Wanted { name: "entropy", features: 0, together: 0, queue_sizes: &[1] })?)
    }

    /// On an opened device.
    pub(crate) fn new(opened: Opened) -> Option<Self> {
        let mut queue = opened.queues.into_iter().next()?;
        queue.disarm();
        let mut state = State { queue, memory: Block::new(1, BYTES)?, left: 0 };
        state.ask();
        Some(Self(SpinLock::new(state)))
    }
}

impl State {
    fn ask(&mut self) {
        let chain = [Buffer::writable(self.memory.bus(0), BYTES as u32)];
        self.queue.add(0, &chain);
        self.queue.kick();
    }

    /// Hands out bytes; how many.
    fn take(&mut self, into: &mut [u8]) -> usize {
        if self.left == 0
            && let Some((_, length)) = self.queue.take()
        {
            self.left = length.min(BYTES);
        }
        let part = self.left.min(into.len());
        let from = self.left - part;
        let bytes = self.memory.bytes(0);
        into[..part].copy_from_slice(&bytes[from..from + part]);
        bytes[from..from + part].fill(0);
        self.left = from;
        if part > 0 && self.left == 0 {
            self.ask();
        }
        part
    }
}

impl device::Entropy for Entropy {
    fn fill(&self, buffer: &mut [u8]) -> bool {
        let mut got = 0;
        let mut pauses = PAUSES.0;
        while got < buffer.len() {
            let part = self.0.lock().take(&mut buffer[got..]);
            got += part;
            if part > 0 {
                continue;
            }
            if pauses == 0 {
                // As it was: a caller that mixes must not take zeros for entropy.
                return false;
            }
            pauses -= 1;
            platform::pause(PAUSES.1);
        }
        true
    }
}
