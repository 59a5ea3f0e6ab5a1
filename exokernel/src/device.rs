//! Finding virtio devices, and taking their interrupts.
//!
//! The guest drives the devices itself; what stays here is what ring 3 must not have: interrupt routing, PCI
//! configuration space and MSI-X tables.

mod mmio;
mod pci;

use crate::ram::Registers;
use crate::{command_line, paging};
use abi::PAGE_SIZE;
use abi::address::GuestAddr;
use abi::boot::{DEVICE_BLOCK, DEVICE_CONSOLE, DEVICE_ENTROPY, DEVICE_NET, Device, MAX_DEVICES};
use abi::vcpu::event_bit;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Registers of devices whose interrupts must be acknowledged, or 0.
static ACKNOWLEDGE: [AtomicU64; MAX_DEVICES] = [const { AtomicU64::new(0) }; MAX_DEVICES];

/// Device *index* interrupted: quiets it and gives its event bit.
///
/// Interrupt lines are taken on their edge, so a device that is acknowledged first and looked at later loses nothing.
pub fn acknowledge(index: usize) -> u64 {
    let address = ACKNOWLEDGE.get(index).map_or(0, |a| a.load(Relaxed));
    if address != 0 {
        // SAFETY: `found_mmio` stored the address of a device's registers.
        mmio::acknowledge(unsafe { Registers::new(address) });
    }
    event_bit(index)
}

/// The guest's side of device registers: pages mapped one after the other.
pub struct Window {
    next: u64,
}

impl Window {
    /// A window whose first page will lie at `start`.
    pub fn new(start: GuestAddr) -> Window {
        Window { next: start.0 }
    }

    /// Maps the pages around `length` bytes of registers for the guest; gives the address of the first byte.
    fn map(&mut self, physical: u64, length: u64) -> Option<GuestAddr> {
        let first = physical & !(PAGE_SIZE - 1);
        let pages = (physical + length).next_multiple_of(PAGE_SIZE) - first;
        let flags = paging::PRESENT | paging::WRITE | paging::UNCACHED | paging::NO_EXECUTE;
        paging::map(self.next, first, pages, flags).ok()?;
        let address = GuestAddr(self.next + (physical - first));
        self.next += pages + PAGE_SIZE;
        Some(address)
    }
}

/// The devices that were found.
pub struct Found {
    /// For the boot information.
    pub devices: [Device; MAX_DEVICES],
    /// How many count.
    pub count: usize,
}

/// Does this machine have PC firmware, which leaves traces in RAM? (Machines without a PCI bus have a minimal one, which
/// does not.)
pub fn has_firmware() -> bool {
    pci::is_there()
}

/// Finds the devices that the command line names, and those on the PCI bus if there is one.
pub fn find(line: &[u8], window: &mut Window) -> Found {
    let mut found = Found { devices: [Device::default(); MAX_DEVICES], count: 0 };
    for (address, interrupt) in command_line::devices(line) {
        found.add(mmio::probe(address, interrupt, found.count, window));
    }
    if pci::is_there() {
        pci::scan(|function| found.add(pci::probe(function, found.count, window)));
    }
    found
}

impl Found {
    fn add(&mut self, device: Option<Device>) {
        if let (Some(device), Some(slot)) = (device, self.devices.get_mut(self.count)) {
            *slot = device;
            self.count += 1;
        }
    }
}

/// Kind and name of a virtio device type (VIRTIO 1.2 §5) that images know.
fn kind(device_type: u32) -> Option<(u64, [u8; 16])> {
    let (kind, name): (u64, &[u8]) = match device_type {
        1 => (DEVICE_NET, b"net"),
        2 => (DEVICE_BLOCK, b"block"),
        3 => (DEVICE_CONSOLE, b"console"),
        4 => (DEVICE_ENTROPY, b"entropy"),
        _ => return None,
    };
    let mut padded = [0; 16];
    padded[..name.len()].copy_from_slice(name);
    Some((kind, padded))
}
