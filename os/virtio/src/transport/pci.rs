//! virtio over PCI (VIRTIO 1.2 §4.1): QEMU's q35, clouds. The exokernel found the structures and set up MSI-X.

use super::Config;
use super::registers::{Placed, Registers};
use crate::queue::Doorbell;
use abi::boot::Device;

/// Offsets in the common configuration structure (§4.1.4.3).
const DEVICE_FEATURE_SELECT: usize = 0x00;
const DEVICE_FEATURE: usize = 0x04;
const DRIVER_FEATURE_SELECT: usize = 0x08;
const DRIVER_FEATURE: usize = 0x0c;
const DEVICE_STATUS: usize = 0x14;
const QUEUE_SELECT: usize = 0x16;
const QUEUE_SIZE: usize = 0x18;
const QUEUE_MSIX_VECTOR: usize = 0x1a;
const QUEUE_ENABLE: usize = 0x1c;
const QUEUE_NOTIFY_OFF: usize = 0x1e;
const QUEUE_DESCRIPTORS: usize = 0x20;
const QUEUE_DRIVER: usize = 0x28;
const QUEUE_DEVICE: usize = 0x30;

/// The structures of one device, mapped for this machine.
pub(super) struct Pci {
    common: *mut u8,
    notify: *mut u8,
    notify_multiplier: usize,
    config: *const u8,
    msix_vector: u16,
}

impl Pci {
    pub(super) fn new(device: &Device) -> Self {
        Self {
            common: device.registers.0 as *mut u8,
            notify: device.notify.0 as *mut u8,
            notify_multiplier: device.notify_multiplier as usize,
            config: device.device_config.0 as *const u8,
            msix_vector: device.msix_vector as u16,
        }
    }

    fn read<T: Copy>(&self, offset: usize) -> T {
        // SAFETY: the boot information gives a mapped common configuration structure, and `offset` is one of its fields
        // of this width.
        unsafe { self.common.add(offset).cast::<T>().read_volatile() }
    }

    fn write<T: Copy>(&mut self, offset: usize, value: T) {
        // SAFETY: as `read`; writing these fields affects the device alone.
        unsafe { self.common.add(offset).cast::<T>().write_volatile(value) }
    }

    fn write_address(&mut self, offset: usize, address: u64) {
        // §4.1.3.1: a 64-bit field is written as two of 32 bits.
        self.write(offset, address as u32);
        self.write(offset + 4, (address >> 32) as u32);
    }
}

impl Registers for Pci {
    fn status(&self) -> u8 {
        self.read(DEVICE_STATUS)
    }

    fn set_status(&mut self, status: u8) {
        self.write(DEVICE_STATUS, status);
    }

    fn offered(&mut self, word: u32) -> u32 {
        self.write(DEVICE_FEATURE_SELECT, word);
        self.read(DEVICE_FEATURE)
    }

    fn accept(&mut self, word: u32, features: u32) {
        self.write(DRIVER_FEATURE_SELECT, word);
        self.write(DRIVER_FEATURE, features);
    }

    fn select(&mut self, queue: u16) -> u16 {
        self.write(QUEUE_SELECT, queue);
        self.read(QUEUE_SIZE)
    }

    fn enable(&mut self, _queue: u16, placed: &Placed) -> Doorbell {
        self.write(QUEUE_SIZE, placed.size);
        self.write(QUEUE_MSIX_VECTOR, self.msix_vector);
        self.write_address(QUEUE_DESCRIPTORS, placed.descriptors.0);
        self.write_address(QUEUE_DRIVER, placed.available.0);
        self.write_address(QUEUE_DEVICE, placed.used.0);
        let offset = usize::from(self.read::<u16>(QUEUE_NOTIFY_OFF)) * self.notify_multiplier;
        self.write(QUEUE_ENABLE, 1u16);
        // SAFETY: the device's own offset into the notification structure, which is mapped whole (§4.1.4.4).
        Doorbell::Store { address: unsafe { self.notify.add(offset) }, wide: false }
    }

    fn config(&self) -> Config {
        if self.config.is_null() {
            return Config::default();
        }
        // SAFETY: the boot information gives a mapped device configuration; it may be read by bytes, and bytes beyond a
        // short one belong to the same mapped BAR.
        Config::read(|i| unsafe { self.config.add(i).read_volatile() })
    }
}
