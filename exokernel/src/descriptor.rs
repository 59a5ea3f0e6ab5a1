//! Segment and interrupt descriptors (SDM 3A §3.4.5, §6.14), in Linux's layout: kernel code 0x10, user data 0x2b, user
//! code 0x33, the task state at 0x40.
//!
//! The task state's I/O bitmap lies beyond its limit, so ring 3 reaches no port. Only vector 3 may be raised by ring 3
//! itself (the gate); a double fault, an NMI and a machine check have a stack of their own.

use crate::trap;
use core::arch::asm;
use core::cell::UnsafeCell;

/// The code selector in ring 3.
pub const USER_CODE: u64 = 0x33;
/// The data selector in ring 3.
pub const USER_DATA: u64 = 0x2b;
/// The gate's vector.
pub const GATE_VECTOR: usize = 3;

/// Tables that the CPU reads and this module alone writes, once.
#[repr(C, align(16))]
struct Tables {
    segments: [u64; 10],
    task: [u32; 26],
    interrupts: [[u64; 2]; trap::VECTORS],
    emergency_stack: [u64; 256],
}

struct Shared(UnsafeCell<Tables>);

// SAFETY: one CPU, and only `load` writes, once.
unsafe impl Sync for Shared {}

static TABLES: Shared = Shared(UnsafeCell::new(Tables {
    segments: [0; 10],
    task: [0; 26],
    interrupts: [[0; 2]; trap::VECTORS],
    emergency_stack: [0; 256],
}));

/// Fills the tables and loads them. `stack` is the top of the stack for traps from ring 3; `handler` gives each vector's
/// entry.
pub fn load(stack: u64, handler: impl Fn(usize) -> u64) {
    // SAFETY: called once, before interrupts are on; nothing else refers to the tables.
    let tables = unsafe { &mut *TABLES.0.get() };
    let task = (&raw const tables.task) as u64;
    let emergency = (&raw const tables.emergency_stack) as u64 + 256 * 8;
    put64(&mut tables.task, 1, stack); // RSP0
    put64(&mut tables.task, 9, emergency); // IST1
    tables.task[25] = 0x68 << 16; // the I/O bitmap begins where the segment ends
    let low = 0x67 | (task & 0xff_ffff) << 16 | 0x89 << 40 | (task >> 24 & 0xff) << 56;
    tables.segments = [
        0,
        0,
        0x00af_9b00_0000_ffff,
        0x00cf_9300_0000_ffff,
        0,
        0x00cf_f300_0000_ffff,
        0x00af_fb00_0000_ffff,
        0,
        low,
        task >> 32,
    ];
    for (vector, gate) in tables.interrupts.iter_mut().enumerate() {
        let entry = handler(vector);
        let stack = u64::from(matches!(vector, 2 | 8 | 18));
        let privilege = if vector == GATE_VECTOR { 3 } else { 0 };
        let attributes = 0x8e | privilege << 5; // present, interrupt gate
        gate[0] = entry & 0xffff | 0x10 << 16 | stack << 32 | attributes << 40 | (entry >> 16 & 0xffff) << 48;
        gate[1] = entry >> 32;
    }
    let segments =
        Pointer { limit: size_of_val(&tables.segments) as u16 - 1, base: (&raw const tables.segments) as u64 };
    let interrupts = Pointer { limit: (trap::VECTORS * 16) as u16 - 1, base: (&raw const tables.interrupts) as u64 };
    // SAFETY: the tables are complete and live for ever; the code segment keeps its selector 0x10 and its meaning.
    unsafe {
        asm!("lgdt [{}]", "lidt [{}]", "ltr {:x}", in(reg) &segments, in(reg) &interrupts, in(reg) 0x40u64,
             options(nostack, preserves_flags));
    }
}

/// What `lgdt` and `lidt` read.
#[repr(C, packed)]
struct Pointer {
    limit: u16,
    base: u64,
}

fn put64(words: &mut [u32; 26], at: usize, value: u64) {
    words[at] = value as u32;
    words[at + 1] = (value >> 32) as u32;
}
