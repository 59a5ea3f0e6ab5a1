//! virtio over MMIO (VIRTIO 1.2 §4.2), as microvm has it.

use super::{ACKNOWLEDGE, Window, kind};
use crate::ram::{MAPPED_END, Registers};
use crate::{apic, trap};
use abi::boot::{Device, MAX_DEVICES, TRANSPORT_MMIO};
use core::sync::atomic::Ordering::Relaxed;

const MAGIC: u64 = 0x00;
const VERSION: u64 = 0x04;
const DEVICE_ID: u64 = 0x08;
const INTERRUPT_STATUS: u64 = 0x60;
const INTERRUPT_ACK: u64 = 0x64;
/// Bytes of one register block.
const BLOCK: u64 = 0x200;

/// The device at `address`, its interrupt connected, its registers mapped for the guest.
pub(super) fn probe(address: u64, line: u32, index: usize, window: &mut Window) -> Option<Device> {
    // Registers of a PC lie above all RAM that is below 4 GiB; an address elsewhere is a mistake in the command line.
    if index >= MAX_DEVICES || !address.is_multiple_of(BLOCK) || !(0xc000_0000..MAPPED_END - BLOCK).contains(&address) {
        return None;
    }
    // SAFETY: the hypervisor's command line names the device, in the range where devices lie.
    let registers = unsafe { Registers::new(address) };
    // Version 1 is the legacy interface: QEMU wants `-global virtio-mmio.force-legacy=off`.
    if registers.read(MAGIC) != 0x7472_6976 || registers.read(VERSION) != 2 {
        return None;
    }
    let (kind, name) = kind(registers.read(DEVICE_ID))?;
    let mapped = window.map(address, BLOCK)?;
    ACKNOWLEDGE[index].store(address, Relaxed);
    if !apic::connect(line, trap::DEVICE + index) {
        return None;
    }
    Some(Device { kind, name, transport: TRANSPORT_MMIO, registers: mapped, ..Device::default() })
}

/// Quiets the device.
pub(super) fn acknowledge(registers: Registers) {
    registers.write(INTERRUPT_ACK, registers.read(INTERRUPT_STATUS));
}
