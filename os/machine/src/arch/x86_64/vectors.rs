//! The vector state that a pre-emption saves, and what saves it.
//!
//! The far side says what the CPU has, and the CPU is asked all the same. A KVM that emulates ring 0 may offer its monitor no
//! XSAVE while ring 3 has it, and runs CPUID without anybody's help: a program finds AVX-512 there and uses it.

use abi::boot::Cpu;
use core::arch::asm;
use core::arch::x86_64::{__cpuid, __cpuid_count};
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// What `xsave` is told: low and high half of the mask, and which instruction (0 fxsave, 1 xsave, 2 xsavec); the area's bytes.
pub(super) static VECTOR_STATE: [AtomicU32; 4] = [const { AtomicU32::new(0) }; 4];

/// x87, SSE, AVX and the three components of AVX-512 (SDM 1 §13.1). The rest needs permissions, or has an owner.
const WANTED: u64 = 0xe7;
/// CPUID leaf 1, ECX: ring 3 may use XSAVE, and read what it saves.
const OSXSAVE: u32 = 1 << 27;

/// Finds out. Before the first thread stands: its room depends on it.
pub(super) fn find() {
    let cpu = seen(super::boot().cpu);
    let instruction = if cpu.xsave_mask == 0 { 0 } else { 1 + cpu.xsavec.min(1) as u32 };
    let area = (cpu.xsave_size as u32).max(512).next_multiple_of(64);
    let state = [cpu.xsave_mask as u32, (cpu.xsave_mask >> 32) as u32, instruction, area];
    VECTOR_STATE.iter().zip(state).for_each(|(place, value)| place.store(value, Relaxed));
}

/// Bytes of a thread's save area.
pub(crate) fn vector_area() -> usize {
    VECTOR_STATE[3].load(Relaxed) as usize
}

/// What was told, unless the CPU has more.
fn seen(told: Cpu) -> Cpu {
    if __cpuid(1).ecx & OSXSAVE == 0 {
        return told;
    }
    let (low, high): (u32, u32);
    // SAFETY: OSXSAVE says that the instruction is there.
    unsafe { asm!("xgetbv", in("ecx") 0, out("eax") low, out("edx") high, options(nomem, nostack, preserves_flags)) };
    let enabled = (u64::from(high) << 32 | u64::from(low)) & WANTED;
    if enabled & !told.xsave_mask == 0 {
        return told;
    }
    // EBX is what all that is enabled takes in the standard format; the compact one takes no more.
    let size = __cpuid_count(13, 0).ebx;
    Cpu { xsave_mask: enabled, xsave_size: size.into(), xsavec: (__cpuid_count(13, 1).eax >> 1 & 1).into() }
}
