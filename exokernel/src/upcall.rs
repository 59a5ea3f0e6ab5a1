//! Handing things up: faults, time slices and events, through the vCPU block ([`abi::vcpu`]).
//!
//! The block is reached by its physical alias. Nothing is read from it but the mask, the last frame (for a report) and
//! the events, and no value in it is used as an address.

use crate::trap::Registers;
use crate::{boot, descriptor, gate, serial};
use abi::vcpu::{STATUS_FAULT, UPCALL_FAULT, UPCALL_SLICE, VECTOR_PAGE_FAULT, Vcpu, page_fault_access};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Physical address of the block.
static BLOCK: AtomicU64 = AtomicU64::new(0);
static ENTRY: AtomicU64 = AtomicU64::new(0);
static CRITICAL: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];

/// Flags that an upcall enters with cleared: trap (single step), direction is the guest's own business.
const TRAP_FLAG: u64 = 1 << 8;

/// Sets the block.
///
/// # Safety
/// A zeroed page of RAM lies there, which the guest and this module alone use, as a [`Vcpu`].
pub unsafe fn set_block(physical: u64) {
    BLOCK.store(physical, Relaxed);
}

fn block() -> &'static Vcpu {
    // SAFETY: promised to `set_block`; a `Vcpu` is atomics throughout but for `this`, which nobody reads here.
    unsafe { &*(BLOCK.load(Relaxed) as *const Vcpu) }
}

/// Where upcalls enter; the gate has checked the addresses.
pub fn set_entry(entry: u64, critical_start: u64, critical_end: u64) {
    ENTRY.store(entry, Relaxed);
    CRITICAL[0].store(critical_start, Relaxed);
    CRITICAL[1].store(critical_end, Relaxed);
}

/// Adds event bits.
pub fn set_events(bits: u64) {
    if BLOCK.load(Relaxed) != 0 {
        block().events.fetch_or(bits, Relaxed);
    }
}

/// Says how many bytes the console's input has in all.
pub fn set_input_end(bytes: u64) {
    if BLOCK.load(Relaxed) != 0 {
        block().input_end.store(bytes.wrapping_add(1), Relaxed);
    }
}

/// The event bits that the guest has not taken.
pub fn events() -> u64 {
    block().events.load(Relaxed)
}

/// A slice is over: enters the guest's scheduler, or leaves a note if it does not want that now.
pub fn slice(registers: &mut Registers) {
    let (block, entry) = (block(), ENTRY.load(Relaxed));
    let critical = CRITICAL[0].load(Relaxed)..CRITICAL[1].load(Relaxed);
    if entry == 0 || block.mask.load(Relaxed) != 0 || critical.contains(&registers.rip) {
        block.pending.store(1, Relaxed);
        return;
    }
    deliver(block, entry, registers, UPCALL_SLICE);
}

/// An exception: the guest's fault handler, or the end of the machine.
pub fn fault(registers: &mut Registers, address: u64) {
    let (block, entry) = (block(), ENTRY.load(Relaxed));
    if entry == 0 || block.frame.kind.load(Relaxed) == UPCALL_FAULT {
        report(registers, address);
        gate::exit(STATUS_FAULT);
    }
    block.frame.vector.store(registers.vector, Relaxed);
    block.frame.error.store(registers.error, Relaxed);
    block.frame.address.store(address, Relaxed);
    deliver(block, entry, registers, UPCALL_FAULT);
}

fn deliver(block: &Vcpu, entry: u64, registers: &mut Registers, kind: u64) {
    let frame = &block.frame;
    frame.rip.store(registers.rip, Relaxed);
    frame.rflags.store(registers.rflags, Relaxed);
    frame.rsp.store(registers.rsp, Relaxed);
    frame.cs.store(descriptor::USER_CODE, Relaxed);
    frame.ss.store(descriptor::USER_DATA, Relaxed);
    frame.kind.store(kind, Relaxed);
    block.mask.store(1, Relaxed);
    registers.rip = entry;
    registers.rflags &= !TRAP_FLAG;
}

/// The report of a machine that cannot handle its own fault: what it did, where, and what it was busy with.
fn report(registers: &Registers, address: u64) {
    serial::print("ampoule: the program ");
    if registers.vector == VECTOR_PAGE_FAULT {
        serial::print("tried to ");
        serial::print(page_fault_access(registers.error));
        serial::print(" address ");
        serial::hex(address);
    } else {
        serial::print("raised exception ");
        serial::decimal(registers.vector);
        serial::print(", error ");
        serial::hex(registers.error);
    }
    serial::print(", at ");
    boot::print_address(registers.rip);
    if ENTRY.load(Relaxed) == 0 {
        serial::print(", before it could take a fault\n");
        return;
    }
    let frame = &block().frame;
    serial::print(", while it handled its fault at ");
    boot::print_address(frame.rip.load(Relaxed));
    if frame.vector.load(Relaxed) == VECTOR_PAGE_FAULT {
        serial::print(" (address ");
        serial::hex(frame.address.load(Relaxed));
        serial::print(")");
    }
    serial::print("\n");
}
