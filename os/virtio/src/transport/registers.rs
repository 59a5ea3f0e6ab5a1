//! What MMIO and PCI have in common: the order in which a device is initialised (VIRTIO 1.2 §3.1.1).

use super::{Config, FEATURE_EVENT_IDX, FEATURE_VERSION_1, Opened, Wanted, ring_memory};
use crate::platform;
use crate::queue::{Doorbell, Queue};
use abi::address::BusAddr;
use abi::ring::{Areas, Driver, Layout};

/// Device status bits (§2.1).
const ACKNOWLEDGE: u8 = 1;
const DRIVER: u8 = 2;
const DRIVER_OK: u8 = 4;
const FEATURES_OK: u8 = 8;
const FAILED: u8 = 128;

/// Where a queue lies, for the device.
pub(crate) struct Placed {
    pub(crate) size: u16,
    pub(crate) descriptors: BusAddr,
    pub(crate) available: BusAddr,
    pub(crate) used: BusAddr,
}

/// A device's registers.
pub(crate) trait Registers {
    fn status(&self) -> u8;
    fn set_status(&mut self, status: u8);
    /// 32 of the features that the device offers: bits 32 × `word` and up.
    fn offered(&mut self, word: u32) -> u32;
    fn accept(&mut self, word: u32, features: u32);
    /// Selects a queue and gives the largest size the device takes, 0 if it has no such queue.
    fn select(&mut self, queue: u16) -> u16;
    /// Places the selected queue, enables it, and says how it is notified.
    fn enable(&mut self, queue: u16, placed: &Placed) -> Doorbell;
    fn config(&self) -> Config;
}

impl Config {
    /// A configuration space read byte by byte.
    pub(crate) fn read(mut byte: impl FnMut(usize) -> u8) -> Self {
        Self { bytes: core::array::from_fn(&mut byte) }
    }
}

pub(crate) fn open<R: Registers>(mut device: R, wanted: &Wanted) -> Option<Opened> {
    device.set_status(0);
    // §4.1.4.3.2: a reset is done when the status reads 0.
    while device.status() != 0 {
        core::hint::spin_loop();
    }
    device.set_status(ACKNOWLEDGE);
    device.set_status(ACKNOWLEDGE | DRIVER);
    let offered = u64::from(device.offered(0)) | u64::from(device.offered(1)) << 32;
    let mut features = offered & (wanted.features | FEATURE_VERSION_1 | FEATURE_EVENT_IDX);
    if features & wanted.together != wanted.together {
        features &= !wanted.together;
    }
    device.accept(0, features as u32);
    device.accept(1, (features >> 32) as u32);
    device.set_status(ACKNOWLEDGE | DRIVER | FEATURES_OK);
    if features & FEATURE_VERSION_1 == 0 || device.status() & FEATURES_OK == 0 {
        device.set_status(FAILED);
        return None;
    }
    let mut queues = alloc::vec::Vec::with_capacity(wanted.queue_sizes.len());
    for (number, size) in wanted.queue_sizes.iter().enumerate() {
        match queue(&mut device, number as u16, *size, features & FEATURE_EVENT_IDX != 0, wanted.name) {
            Some(queue) => queues.push(queue),
            None => {
                device.set_status(FAILED);
                return None;
            }
        }
    }
    let config = device.config();
    device.set_status(ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
    Some(Opened { features, config, queues })
}

fn queue(device: &mut impl Registers, number: u16, size: u16, event_idx: bool, name: &'static str) -> Option<Queue> {
    let max = device.select(number);
    // The largest power of two that both sides take.
    let size = size.min(1 << max.checked_ilog2()?);
    let memory = ring_memory(size)?;
    let layout = Layout::of(size);
    let base = platform::bus_address(memory.start());
    // SAFETY: the block has the layout's length, is page-aligned, and nobody else has it: it lives as long as the machine.
    let areas = unsafe { Areas::in_block(size, memory.start()) }.ok()?;
    let ring = Driver::new(areas, event_idx);
    let placed = Placed {
        size,
        descriptors: base,
        available: BusAddr(base.0 + layout.available as u64),
        used: BusAddr(base.0 + layout.used as u64),
    };
    let doorbell = device.enable(number, &placed);
    Some(Queue::new(ring, doorbell, number, name))
}
