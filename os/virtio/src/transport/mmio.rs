//! virtio over MMIO (VIRTIO 1.2 §4.2): QEMU's microvm, Firecracker.

use super::Config;
use super::registers::{Placed, Registers};
use crate::queue::Doorbell;
use abi::boot::Device;

/// `"virt"` (§4.2.2).
const MAGIC: u32 = 0x7472_6976;
const MAGIC_VALUE: usize = 0x000;
const VERSION: usize = 0x004;
const DEVICE_FEATURES: usize = 0x010;
const DEVICE_FEATURES_SELECT: usize = 0x014;
const DRIVER_FEATURES: usize = 0x020;
const DRIVER_FEATURES_SELECT: usize = 0x024;
const QUEUE_SELECT: usize = 0x030;
const QUEUE_SIZE_MAX: usize = 0x034;
const QUEUE_SIZE: usize = 0x038;
const QUEUE_READY: usize = 0x044;
const QUEUE_NOTIFY: usize = 0x050;
const STATUS: usize = 0x070;
const QUEUE_DESCRIPTORS: usize = 0x080;
const QUEUE_DRIVER: usize = 0x090;
const QUEUE_DEVICE: usize = 0x0a0;
const CONFIG: usize = 0x100;

/// A register block of 0x200 bytes, mapped for this machine.
pub(super) struct Mmio {
    base: *mut u8,
}

impl Mmio {
    /// The device, unless it is a legacy one or none.
    pub(super) fn new(device: &Device) -> Option<Self> {
        let registers = Self { base: device.registers.0 as *mut u8 };
        (registers.read(MAGIC_VALUE) == MAGIC && registers.read(VERSION) == 2).then_some(registers)
    }

    fn read(&self, offset: usize) -> u32 {
        // SAFETY: the boot information gives a mapped register block, and `offset` is one of its 32-bit registers.
        unsafe { self.base.add(offset).cast::<u32>().read_volatile() }
    }

    fn write(&mut self, offset: usize, value: u32) {
        // SAFETY: as `read`; writing these registers affects the device alone.
        unsafe { self.base.add(offset).cast::<u32>().write_volatile(value) }
    }

    fn write_address(&mut self, offset: usize, address: u64) {
        self.write(offset, address as u32);
        self.write(offset + 4, (address >> 32) as u32);
    }
}

impl Registers for Mmio {
    fn status(&self) -> u8 {
        self.read(STATUS) as u8
    }

    fn set_status(&mut self, status: u8) {
        self.write(STATUS, u32::from(status));
    }

    fn offered(&mut self, word: u32) -> u32 {
        self.write(DEVICE_FEATURES_SELECT, word);
        self.read(DEVICE_FEATURES)
    }

    fn accept(&mut self, word: u32, features: u32) {
        self.write(DRIVER_FEATURES_SELECT, word);
        self.write(DRIVER_FEATURES, features);
    }

    fn select(&mut self, queue: u16) -> u16 {
        self.write(QUEUE_SELECT, u32::from(queue));
        self.read(QUEUE_SIZE_MAX).min(1 << 15) as u16
    }

    fn enable(&mut self, _queue: u16, placed: &Placed) -> Doorbell {
        self.write(QUEUE_SIZE, u32::from(placed.size));
        self.write_address(QUEUE_DESCRIPTORS, placed.descriptors.0);
        self.write_address(QUEUE_DRIVER, placed.available.0);
        self.write_address(QUEUE_DEVICE, placed.used.0);
        self.write(QUEUE_READY, 1);
        // SAFETY: the register is within the block.
        Doorbell::Store { address: unsafe { self.base.add(QUEUE_NOTIFY) }, wide: true }
    }

    fn config(&self) -> Config {
        // SAFETY: the configuration space starts here, and the block is 0x200 bytes long; it may be read by bytes (§4.2.2.2).
        Config::read(|i| unsafe { self.base.add(CONFIG + i).read_volatile() })
    }
}
