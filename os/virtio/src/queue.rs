//! One virtqueue with its doorbell, as every driver holds it.

use crate::platform;
use abi::ring::{Buffer, Driver, Used};

/// How the device is told of new buffers.
#[derive(Clone, Copy)]
pub(crate) enum Doorbell {
    /// Through the gate: shared transport.
    Gate {
        /// The device's number in the boot information.
        device: usize,
    },
    /// A store of the queue's number (VIRTIO 1.2 §4.1.5.2, §4.2.3.3).
    Store {
        /// Where to.
        address: *mut u8,
        /// 32 bits wide (MMIO) instead of 16 (PCI).
        wide: bool,
    },
}

// SAFETY: the address is a device register, valid for the machine's life, and a store to it is good from any CPU.
unsafe impl Send for Doorbell {}

/// A queue.
pub(crate) struct Queue {
    ring: Driver,
    doorbell: Doorbell,
    index: u16,
    device: &'static str,
    /// By head: the driver's own number of the buffer that was added there.
    tokens: alloc::vec::Vec<u16>,
    /// Something was added since the last kick.
    unsaid: bool,
}

impl Queue {
    /// A queue of `device` (its kind, for reports).
    pub(crate) fn new(ring: Driver, doorbell: Doorbell, index: u16, device: &'static str) -> Self {
        let tokens = alloc::vec![0; usize::from(ring.size())];
        Self { ring, doorbell, index, device, tokens, unsaid: false }
    }

    /// Entries.
    pub(crate) fn size(&self) -> usize {
        usize::from(self.ring.size())
    }

    /// Adds a chain under the driver's own number; false if there is no room.
    pub(crate) fn add(&mut self, token: u16, chain: &[Buffer]) -> bool {
        match self.ring.add(chain) {
            Some(head) => {
                self.tokens[usize::from(head)] = token;
                self.unsaid = true;
                true
            }
            None => false,
        }
    }

    /// Lets the device see what was added.
    pub(crate) fn publish(&mut self) {
        self.ring.publish();
    }

    /// Publishes, and tells the device. Through the gate whenever there is anything to tell: that call serves the queue, and
    /// who makes it wants it served. Through a register only if the device wants to be told.
    pub(crate) fn kick(&mut self) {
        self.ring.publish();
        let wanted = self.ring.kick_needed();
        let unsaid = core::mem::take(&mut self.unsaid);
        match self.doorbell {
            Doorbell::Gate { device } if unsaid => platform::kick(device, usize::from(self.index)),
            Doorbell::Gate { .. } => {}
            Doorbell::Store { .. } if !wanted => {}
            // SAFETY: a device register of this width (`Doorbell`'s contract with the transports that make it).
            Doorbell::Store { address, wide: true } => unsafe {
                address.cast::<u32>().write_volatile(u32::from(self.index))
            },
            // SAFETY: as above.
            Doorbell::Store { address, wide: false } => unsafe { address.cast::<u16>().write_volatile(self.index) },
        }
    }

    /// Publishes buffers for the device to fill. It is told only where it would not look by itself: a far side of our own
    /// finds them in the gate's `wait`.
    pub(crate) fn offer(&mut self) {
        match self.doorbell {
            Doorbell::Gate { .. } => self.ring.publish(),
            Doorbell::Store { .. } => self.kick(),
        }
    }

    /// The next buffer that came back: the driver's own number, and the bytes that the device wrote.
    pub(crate) fn take(&mut self) -> Option<(u16, usize)> {
        match self.ring.take_used() {
            Ok(used) => used.map(|Used { head, length }| (self.tokens[usize::from(head)], length as usize)),
            Err(error) => platform::broken(self.device, error),
        }
    }

    /// Has a buffer come back?
    pub(crate) fn has_used(&self) -> bool {
        self.ring.has_used()
    }

    /// Asks for no events: the queue is looked at anyway.
    pub(crate) fn disarm(&mut self) {
        self.ring.disable_events();
    }

    /// Asks for an event; true if a buffer has come back already.
    pub(crate) fn arm(&mut self) -> bool {
        self.ring.enable_events()
    }
}
