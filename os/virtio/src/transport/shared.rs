//! Queues that the far side laid out beforehand: nothing to negotiate, nothing to trap on.

use super::{Config, FEATURE_EVENT_IDX, Opened, Wanted};
use crate::queue::{Doorbell, Queue};
use abi::address::GuestAddr;
use abi::boot::Device;
use abi::ring::{Areas, Driver};

pub(super) fn open(index: usize, device: &Device, wanted: &Wanted) -> Option<Opened> {
    let count = wanted.queue_sizes.len();
    if device.queue_count < count as u64 {
        return None;
    }
    let event_idx = device.features & FEATURE_EVENT_IDX != 0;
    let mut queues = alloc::vec::Vec::with_capacity(count);
    for (number, queue) in device.queues.iter().take(count).enumerate() {
        let at = |address: GuestAddr| address.0 as *mut u8;
        let size = u16::try_from(queue.size).ok()?;
        // SAFETY: the boot information gives the three areas of a queue of this size, for this machine alone.
        let areas = unsafe { Areas::new(size, at(queue.descriptors), at(queue.available), at(queue.used)) }.ok()?;
        let ring = Driver::new(areas, event_idx);
        queues.push(Queue::new(ring, Doorbell::Gate { device: index }, number as u16, wanted.name));
    }
    Some(Opened { features: device.features, config: config(device), queues })
}

fn config(device: &Device) -> Config {
    let mut config = Config::default();
    let length = (device.config.length as usize).min(Config::LENGTH);
    if device.config.address.0 != 0 {
        // SAFETY: the boot information gives a readable range of at least `length` bytes.
        let source = unsafe { core::slice::from_raw_parts(device.config.address.0 as *const u8, length) };
        config.bytes[..length].copy_from_slice(source);
    }
    config
}
