//! The first instructions.
//!
//! `_start` gets the boot information in `rdi` on the first thread's stack. There is no thread pointer yet, so nothing
//! here may touch thread-local storage; the library OS above (`ampoule_main`) sets the first thread up.

use super::upcall;
use abi::boot::{BOOT_MAGIC, BootInfo};
use core::arch::{asm, global_asm};
use core::sync::atomic::{AtomicPtr, Ordering};

static BOOT: AtomicPtr<BootInfo> = AtomicPtr::new(core::ptr::null_mut());

global_asm!(
    ".section .text._start,\"ax\",@progbits",
    ".globl _start",
    ".type _start,@function",
    "_start:",
    "xor ebp, ebp",
    "and rsp, -16",
    "call {start}",
    "ud2",
    ".size _start, . - _start",
    ".text",
    start = sym start,
);

unsafe extern "Rust" {
    /// What runs above: sets the first thread up, calls `main`, exits. Defined by `ampoule-libc`.
    safe fn ampoule_main() -> !;
}

/// The boot information.
#[inline(always)]
pub fn boot() -> &'static BootInfo {
    // SAFETY: `start` stored it before anything else ran; the page is read-only and stays.
    unsafe { &*BOOT.load(Ordering::Relaxed) }
}

extern "C" fn start(boot: *mut BootInfo) -> ! {
    BOOT.store(boot, Ordering::Relaxed);
    // SAFETY: the far side gives a valid boot page and a valid vCPU block; gs is the guest's own to set.
    unsafe {
        let vcpu = (*boot).vcpu.0 as *mut abi::vcpu::Vcpu;
        (*vcpu).this = vcpu as u64;
        // Masked until the first thread stands.
        (*vcpu).mask.store(1, Ordering::Relaxed);
        asm!("wrgsbase {}", in(reg) vcpu, options(nostack, preserves_flags));
        (*vcpu).marks[0].store(super::ticks(), Ordering::Relaxed);
        if (*boot).magic != BOOT_MAGIC {
            crate::gate::exit(abi::vcpu::STATUS_ABORT);
        }
    }
    upcall::register();
    ampoule_main()
}
