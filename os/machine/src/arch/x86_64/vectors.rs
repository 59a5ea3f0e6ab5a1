//! The vector state that a pre-emption saves, and what saves it.
//!
//! The far side says what the CPU has, and the CPU is asked all the same. A KVM that emulates ring 0 may offer its monitor no
//! XSAVE while ring 3 has it, and runs CPUID without anybody's help: a program finds AVX-512 there and uses it.

use core::arch::asm;
use core::arch::x86_64::{__cpuid, __cpuid_count};
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// What `xsave` is told: low and high half of the mask, and which instruction (0 fxsave, 1 xsave, 2 xsavec); the area's bytes.
pub(super) static VECTOR_STATE: [AtomicU32; 4] = [const { AtomicU32::new(0) }; 4];

/// x87, SSE, AVX and the three components of AVX-512 (SDM 1 §13.1). The rest needs permissions, or has an owner.
const WANTED: u32 = 0xe7;
/// CPUID leaf 1, ECX: ring 3 may use XSAVE, and read what it saves.
const OSXSAVE: u32 = 1 << 27;

/// Finds out. Before the first thread stands: its room depends on it.
pub(super) fn find() {
    let told = &super::boot().cpu;
    let (mut mask, mut size) = (told.xsave_mask as u32, told.xsave_size as u32);
    if __cpuid(1).ecx & OSXSAVE != 0 {
        let enabled: u32;
        // SAFETY: OSXSAVE says that the instruction is there. What is wanted is all in the lower half.
        unsafe {
            asm!("xgetbv", in("ecx") 0, out("eax") enabled, out("edx") _, options(nomem, nostack, preserves_flags));
        }
        if enabled & WANTED & !mask != 0 {
            mask = enabled & WANTED;
            // What all that is enabled takes in the standard format; the compact one takes no more.
            size = __cpuid_count(13, 0).ebx;
        }
    }
    VECTOR_STATE[0].store(mask, Relaxed);
    VECTOR_STATE[2].store(if mask == 0 { 0 } else { 1 + (told.xsavec as u32 & 1) }, Relaxed);
    VECTOR_STATE[3].store(size.max(512).next_multiple_of(64), Relaxed);
}

/// Bytes of a thread's save area.
pub(crate) fn vector_area() -> usize {
    VECTOR_STATE[3].load(Relaxed) as usize
}
