//! x86-64, ring 3 of an Ampoule machine.

mod entry;
mod switch;
mod trap;
mod upcall;
mod vectors;

pub use entry::boot;
pub(crate) use switch::{adopt, prepare_stack, switch};
pub(crate) use upcall::fault_stack;
pub(crate) use vectors::vector_area;

use abi::boot::CLOCK_TSC;
use abi::gate::GateFn;
use abi::vcpu::Vcpu;
use core::arch::asm;
use core::mem::offset_of;

unsafe extern "Rust" {
    /// The scheduler's end-of-slice work, in the context of the running thread. Defined by `ampoule-thread`.
    safe fn ampoule_thread_slice();
}

/// See [`crate::cpu::alone`].
pub(crate) const ALONE: bool = true;

pub(crate) fn slice_hook() {
    ampoule_thread_slice();
}

#[inline(always)]
pub(crate) fn vcpu() -> &'static Vcpu {
    let this: *const Vcpu;
    // SAFETY: gs:0 is the block's own address (abi::vcpu), set before any Rust code ran, and the page is never unmapped.
    unsafe {
        asm!("mov {}, gs:[0]", out(reg) this, options(nostack, preserves_flags, readonly, pure));
        &*this
    }
}

#[inline(always)]
pub(crate) fn mask() {
    // SAFETY: one instruction on this CPU's own counter; an upcall comes before or after it. Not `nomem`: what follows
    // must not move in front of it.
    unsafe { asm!("inc dword ptr gs:[{}]", const offset_of!(Vcpu, mask), options(nostack)) }
}

/// True if the count reached 0 and a slice is pending.
#[inline(always)]
pub(crate) fn unmask() -> bool {
    let unmasked: u8;
    // SAFETY: as in `mask`.
    unsafe {
        asm!("dec dword ptr gs:[{}]", "setz {}", const offset_of!(Vcpu, mask), out(reg_byte) unmasked, options(nostack));
    }
    unmasked != 0 && vcpu().pending.load(core::sync::atomic::Ordering::Relaxed) != 0
}

#[inline(always)]
pub(crate) fn thread_pointer() -> *mut u8 {
    let pointer;
    // SAFETY: fs:0 is the thread pointer itself (psABI); set up before the first thread runs.
    unsafe { asm!("mov {}, fs:[0]", out(reg) pointer, options(nostack, preserves_flags, readonly, pure)) };
    pointer
}

#[inline(always)]
pub(crate) fn frame_pointer() -> usize {
    let pointer;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, rbp", out(reg) pointer, options(nostack, preserves_flags, nomem)) };
    pointer
}

pub(crate) fn gate(call: u64, a: u64, b: u64, c: u64) -> i64 {
    // SAFETY: the boot information gives the gate's address, with this type.
    unsafe {
        let gate = core::mem::transmute::<usize, GateFn>(boot().gate.0 as usize);
        gate(call, a, b, c)
    }
}

#[inline(always)]
pub(crate) fn ticks() -> u64 {
    // SAFETY: every far side lets ring 3 read the time-stamp counter.
    unsafe { core::arch::x86_64::_rdtsc() }
}

pub(crate) fn monotonic_ns() -> u64 {
    let clock = &boot().clock;
    if clock.kind == CLOCK_TSC {
        let ticks = ticks().saturating_sub(clock.tsc_base);
        return ((u128::from(ticks) * u128::from(clock.multiplier)) >> 32) as u64;
    }
    const MONOTONIC: i32 = 1;
    ask(clock.function.0, MONOTONIC).saturating_sub(clock.monotonic_base_ns)
}

pub(crate) fn wall_ns() -> u64 {
    let clock = &boot().clock;
    if clock.kind == CLOCK_TSC {
        let told = vcpu().wall_base_ns.load(core::sync::atomic::Ordering::Relaxed);
        return monotonic_ns().wrapping_add(if told != 0 { told } else { clock.wall_base_ns });
    }
    const REALTIME: i32 = 0;
    ask(clock.function.0, REALTIME)
}

/// What the far side's function says that a clock shows, in ns.
fn ask(function: u64, clock: i32) -> u64 {
    let mut time = [0i64; 2];
    // SAFETY: abi::boot::Clock::function has this type.
    unsafe {
        let function =
            core::mem::transmute::<usize, unsafe extern "C" fn(i32, *mut [i64; 2]) -> i32>(function as usize);
        function(clock, &mut time);
    }
    (time[0] as u64).wrapping_mul(1_000_000_000).wrapping_add(time[1] as u64)
}

pub(crate) fn write_port(port: u16, value: u32) {
    // SAFETY: a store to a device's doorbell; a port that is not open faults, which ends the machine with a report.
    unsafe { asm!("out dx, eax", in("dx") port, in("eax") value, options(nostack, preserves_flags)) }
}

/// The ELF header at the image's first linked address.
pub(crate) fn elf_header() -> *const u8 {
    unsafe extern "C" {
        static __ehdr_start: u8;
    }
    &raw const __ehdr_start
}
