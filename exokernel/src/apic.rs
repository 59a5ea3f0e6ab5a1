//! Interrupt controllers: the CPU's own APIC with its timer (SDM 3A §10), and the I/O APICs (82093AA).

use crate::ram::Registers;
use crate::{cpu, trap};

// SAFETY: the architectural address, which firmware leaves alone on every PC that a hypervisor makes.
const LOCAL: Registers = unsafe { Registers::new(0xfee0_0000) };
/// Where I/O APICs lie on QEMU's machines; the second, for lines 24 and up, is microvm's.
// SAFETY: as above; the second is touched only for lines that exist nowhere else.
const IO: [Registers; 2] = unsafe { [Registers::new(0xfec0_0000), Registers::new(0xfec1_0000)] };
/// Lines of one I/O APIC.
const IO_LINES: u32 = 24;

const ID: u64 = 0x20;
const TASK_PRIORITY: u64 = 0x80;
const END: u64 = 0xb0;
const SPURIOUS: u64 = 0xf0;
const TIMER: u64 = 0x320;
const LINT0: u64 = 0x350;
const INITIAL: u64 = 0x380;
const CURRENT: u64 = 0x390;
const DIVIDE: u64 = 0x3e0;
const MASKED: u32 = 1 << 16;
const PERIODIC: u32 = 1 << 17;

/// Turns the CPU's APIC on and the old controllers off. The timer counts from its highest value, silently.
pub fn start() {
    cpu::out8(0x21, 0xff);
    cpu::out8(0xa1, 0xff);
    cpu::write_msr(0x1b, cpu::read_msr(0x1b) & !(1 << 10) | 1 << 11); // IA32_APIC_BASE: on, not x2APIC
    LOCAL.write(TASK_PRIORITY, 0);
    LOCAL.write(LINT0, MASKED);
    LOCAL.write(SPURIOUS, 0x100 | trap::SPURIOUS as u32);
    LOCAL.write(DIVIDE, 0b1011); // by 1
    LOCAL.write(TIMER, MASKED | trap::TIMER as u32);
    LOCAL.write(INITIAL, u32::MAX);
}

/// How far the timer has counted since [`start`].
pub fn counted() -> u32 {
    u32::MAX - LOCAL.read(CURRENT)
}

/// The interrupt in service is done.
pub fn end_of_interrupt() {
    LOCAL.write(END, 0);
}

/// One timer interrupt after this many ticks (at most 2³²−1 of them; then it comes early).
pub fn once(ticks: u64) {
    LOCAL.write(TIMER, trap::TIMER as u32);
    LOCAL.write(INITIAL, ticks.clamp(1, u32::MAX.into()) as u32);
}

/// A timer interrupt every this many ticks from now on; 0 stops the timer.
pub fn repeat(ticks: u64) {
    LOCAL.write(TIMER, PERIODIC | trap::TIMER as u32);
    LOCAL.write(INITIAL, ticks.min(u32::MAX.into()) as u32);
}

/// The address and data by which a device's message raises `vector` here (SDM 3A §10.11).
pub fn message(vector: usize) -> (u32, u32) {
    (0xfee0_0000 | (LOCAL.read(ID) >> 24) << 12, vector as u32)
}

/// Lets an interrupt line raise `vector`, once for every rising edge; false if there is no such line.
pub fn connect(line: u32, vector: usize) -> bool {
    let Some(io) = IO.get((line / IO_LINES) as usize) else { return false };
    let register = 0x10 + line % IO_LINES * 2;
    for (number, value) in [(register + 1, LOCAL.read(ID) & 0xff00_0000), (register, vector as u32)] {
        io.write(0, number);
        io.write(0x10, value);
    }
    true
}
