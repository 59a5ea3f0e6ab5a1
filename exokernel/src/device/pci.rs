//! virtio over PCI (VIRTIO 1.2 §4.1), as q35 has it: modern devices on bus 0, one MSI-X message each.
//!
//! Firmware has placed the base addresses. Configuration space is reached through the old ports, which every PC has.

use super::{Window, kind};
use crate::cpu::{in32, out32};
use crate::ram::{MAPPED_END, Registers};
use crate::{apic, trap};
use abi::PAGE_SIZE;
use abi::address::GuestAddr;
use abi::boot::{Device, MAX_DEVICES, TRANSPORT_PCI};

const VIRTIO_VENDOR: u32 = 0x1af4;
/// Capability numbers (PCI 3.0 appendix H).
const CAPABILITY_VENDOR: u32 = 0x09;
const CAPABILITY_MSIX: u32 = 0x11;

/// One function's configuration space.
#[derive(Clone, Copy)]
pub(super) struct Function(u32);

impl Function {
    #[inline(never)] // as `write`: many callers
    fn read(self, offset: u32) -> u32 {
        out32(0xcf8, 0x8000_0000 | self.0 | offset & 0xfc);
        in32(0xcfc)
    }

    #[inline(never)]
    fn write(self, offset: u32, value: u32) {
        out32(0xcf8, 0x8000_0000 | self.0 | offset & 0xfc);
        out32(0xcfc, value);
    }

    /// A memory base address, if it is set and reachable.
    fn base(self, number: u32) -> Option<u64> {
        if number > 5 {
            return None;
        }
        let low = self.read(0x10 + number * 4);
        let high = if low & 6 == 4 && number < 5 { self.read(0x14 + number * 4) } else { 0 };
        let base = u64::from(high) << 32 | u64::from(low & !15);
        (low & 1 == 0 && base != 0 && base < MAPPED_END - 0x10_0000).then_some(base)
    }

    /// The capabilities: (offset, number).
    fn capabilities(self) -> impl Iterator<Item = (u32, u32)> {
        let mut at = if self.read(4) >> 16 & 16 != 0 { self.read(0x34) & 0xfc } else { 0 };
        // 48 is all that configuration space has room for; a circular list ends there too.
        core::iter::from_fn(move || {
            (at != 0).then(|| {
                let word = self.read(at);
                let here = (at, word & 0xff);
                at = word >> 8 & 0xfc;
                here
            })
        })
        .take(48)
    }
}

/// Is there a PCI host bridge?
pub(super) fn is_there() -> bool {
    out32(0xcf8, 0x8000_0000);
    in32(0xcf8) == 0x8000_0000 && Function(0).read(0) != u32::MAX
}

/// Shows every function on bus 0 to `visit`.
pub(super) fn scan(mut visit: impl FnMut(Function)) {
    for device in 0..32 {
        for function in 0..8 {
            let at = Function(device << 11 | function << 8);
            if at.read(0) != u32::MAX {
                visit(at);
            }
            // Bit 7 of the header type of function 0: there are others.
            if function == 0 && at.read(0x0c) >> 16 & 0x80 == 0 {
                break;
            }
        }
    }
}

/// The virtio device behind a function, with its message set up and its registers mapped for the guest.
pub(super) fn probe(function: Function, index: usize, window: &mut Window) -> Option<Device> {
    let identity = function.read(0);
    if index >= MAX_DEVICES || identity & 0xffff != VIRTIO_VENDOR {
        return None;
    }
    let device_type = match identity >> 16 {
        modern @ 0x1040..0x1080 => modern - 0x1040,
        0x1000..0x1040 => function.read(0x2c) >> 16, // transitional: the subsystem says
        _ => return None,
    };
    let (kind, name) = kind(device_type)?;
    let mut device = Device { kind, name, transport: TRANSPORT_PCI, ..Device::default() };
    function.write(4, function.read(4) & 0xffff | 0x406); // memory, bus master, no INTx
    for (at, number) in function.capabilities() {
        if number == CAPABILITY_VENDOR {
            structure(function, at, &mut device, window)?;
        } else if number == CAPABILITY_MSIX {
            message(function, at, trap::DEVICE + index)?;
        }
    }
    (device.registers != GuestAddr(0) && device.notify != GuestAddr(0)).then_some(device)
}

/// One of the virtio structures (§4.1.4): mapped, if it is one that a driver needs.
fn structure(function: Function, at: u32, device: &mut Device, window: &mut Window) -> Option<()> {
    let which = function.read(at) >> 24;
    if !matches!(which, 1 | 2 | 4) {
        return Some(()); // ISR (MSI-X replaces it), access through configuration space, and what is yet to come
    }
    let base = function.base(function.read(at + 4) & 0xff)?;
    let (offset, length) = (u64::from(function.read(at + 8)), u64::from(function.read(at + 12)));
    if offset + length > 0x10_0000 || length == 0 {
        return None;
    }
    let address = window.map(base + offset, length.min(16 * PAGE_SIZE))?;
    match which {
        1 => device.registers = address,
        2 => {
            device.notify = address;
            device.notify_multiplier = function.read(at + 16).into();
        }
        _ => device.device_config = address,
    }
    Some(())
}

/// Points the first MSI-X message at `vector` and turns MSI-X on. The table stays out of the guest's reach: whoever
/// writes it can raise any vector.
fn message(function: Function, at: u32, vector: usize) -> Option<()> {
    let place = function.read(at + 4);
    let base = function.base(place & 7)? + u64::from(place & !7);
    // SAFETY: the MSI-X table of a device that firmware placed here.
    let entry = unsafe { Registers::new(base) };
    let (address, data) = apic::message(vector);
    entry.write(0, address);
    entry.write(4, 0);
    entry.write(8, data);
    entry.write(12, 0);
    function.write(at, function.read(at) & !(1 << 30) | 1 << 31);
    Some(())
}
