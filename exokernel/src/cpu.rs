//! The CPU's privileged instructions as functions, and what CPUID offers.
//!
//! They are safe to call in the sense that ring 0 with one CPU and interrupts off gives them a defined effect; what the
//! effect means is the caller's business.

use core::arch::asm;
use core::arch::x86_64::__cpuid_count;

/// Writes a byte to a port.
pub fn out8(port: u16, value: u8) {
    // SAFETY: see the module.
    unsafe { asm!("out dx, al", in("dx") port, in("al") value, options(nomem, nostack, preserves_flags)) }
}

/// Writes 16 bits to a port.
pub fn out16(port: u16, value: u16) {
    // SAFETY: see the module.
    unsafe { asm!("out dx, ax", in("dx") port, in("ax") value, options(nomem, nostack, preserves_flags)) }
}

/// Writes 32 bits to a port.
pub fn out32(port: u16, value: u32) {
    // SAFETY: see the module.
    unsafe { asm!("out dx, eax", in("dx") port, in("eax") value, options(nomem, nostack, preserves_flags)) }
}

/// Reads a byte from a port.
pub fn in8(port: u16) -> u8 {
    let value;
    // SAFETY: see the module.
    unsafe { asm!("in al, dx", in("dx") port, out("al") value, options(nomem, nostack, preserves_flags)) }
    value
}

/// Reads 32 bits from a port.
pub fn in32(port: u16) -> u32 {
    let value;
    // SAFETY: see the module.
    unsafe { asm!("in eax, dx", in("dx") port, out("eax") value, options(nomem, nostack, preserves_flags)) }
    value
}

/// Reads a model-specific register that exists.
pub fn read_msr(number: u32) -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: see the module.
    unsafe { asm!("rdmsr", in("ecx") number, out("eax") low, out("edx") high, options(nostack, preserves_flags)) }
    u64::from(high) << 32 | u64::from(low)
}

/// Writes a model-specific register that exists.
pub fn write_msr(number: u32, value: u64) {
    let (low, high) = (value as u32, (value >> 32) as u32);
    // SAFETY: see the module.
    unsafe { asm!("wrmsr", in("ecx") number, in("eax") low, in("edx") high, options(nostack, preserves_flags)) }
}

/// The time-stamp counter, read after everything before it is done.
pub fn tsc() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: reads a counter.
    unsafe { asm!("lfence", "rdtsc", out("eax") low, out("edx") high, options(nomem, nostack, preserves_flags)) }
    u64::from(high) << 32 | u64::from(low)
}

/// A random number of the CPU's, if it has a generator and that answers.
pub fn random() -> Option<u64> {
    if cpuid(1, 0).ecx & 1 << 30 == 0 {
        return None;
    }
    (0..16).find_map(|_| {
        let (value, ok): (u64, u8);
        // SAFETY: CPUID offers the instruction.
        unsafe { asm!("rdrand {}", "setc {}", out(reg) value, out(reg_byte) ok, options(nomem, nostack)) }
        (ok != 0).then_some(value)
    })
}

/// The four registers of a CPUID leaf; zeros above the highest leaf.
#[inline(never)] // it has a dozen callers
pub fn cpuid(leaf: u32, part: u32) -> core::arch::x86_64::CpuidResult {
    let highest = __cpuid_count(leaf & 0xf000_0000, 0).eax;
    if leaf > highest {
        return core::arch::x86_64::CpuidResult { eax: 0, ebx: 0, ecx: 0, edx: 0 };
    }
    __cpuid_count(leaf, part)
}

/// Page fault: the address that was touched.
pub fn fault_address() -> u64 {
    let value;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, cr2", out(reg) value, options(nomem, nostack, preserves_flags)) }
    value
}

/// Forgets one page's translation.
pub fn flush_page(address: u64) {
    // SAFETY: dropping a cached translation is always allowed.
    unsafe { asm!("invlpg [{}]", in(reg) address, options(nostack, preserves_flags)) }
}

/// Forgets all translations.
pub fn flush_all() {
    // SAFETY: writes back the value that was read.
    unsafe { asm!("mov {0}, cr3", "mov cr3, {0}", out(reg) _, options(nostack, preserves_flags)) }
}

/// Sleeps until an interrupt has been handled. If one is pending already it is handled and this returns: `sti` holds
/// interrupts off until the `hlt` has begun (SDM 2B, STI).
pub fn idle() {
    unsafe extern "C" {
        safe fn exokernel_idle();
    }
    exokernel_idle();
}

#[cfg(not(test))]
core::arch::global_asm!(
    ".section .text.exokernel_idle, \"ax\", @progbits",
    ".globl exokernel_idle",
    "exokernel_idle:",
    "sti",
    "hlt",
    "cli",
    "ret",
);

/// Stops for good.
pub fn halt() -> ! {
    loop {
        // SAFETY: nothing runs after it.
        unsafe { asm!("cli", "hlt", options(nomem, nostack)) }
    }
}

/// The start of QEMU's own hypervisor signature, "TCGT".
pub const HYPERVISOR_TCG: u32 = u32::from_le_bytes(*b"TCGT");
/// The start of KVM's, "KVMK".
pub const HYPERVISOR_KVM: u32 = u32::from_le_bytes(*b"KVMK");

/// The start of the hypervisor's signature, 0 without one.
pub fn hypervisor() -> u32 {
    if cpuid(1, 0).ecx & 1 << 31 == 0 { 0 } else { cpuid(0x4000_0000, 0).ebx }
}

/// Turns on every protection the CPU has, and the extended register state it offers; gives what a guest must know to
/// save that state (SDM 1 §13).
pub fn configure() -> abi::boot::Cpu {
    let (basic, extended) = (cpuid(1, 0), cpuid(7, 0));
    let has_xsave = basic.ecx & 1 << 26 != 0;
    // QEMU's emulation before 9.1 reads the frame of a ring-3 iretq as the supervisor, and SMAP makes that a fault.
    let is_emulated = hypervisor() == HYPERVISOR_TCG;
    let mut cr4: u64 = 0x620; // PAE, OSFXSR, OSXMMEXCPT
    for (offered, bit) in [
        (extended.ecx & 1 << 2 != 0, 11), // UMIP: sgdt and the like fault in ring 3
        (extended.ebx & 1 != 0, 16),      // FSGSBASE
        (has_xsave, 18),                  // OSXSAVE
        (extended.ebx & 1 << 7 != 0, 20), // SMEP
        (extended.ebx & 1 << 20 != 0 && !is_emulated, 21), // SMAP
    ] {
        cr4 |= u64::from(offered) << bit;
    }
    // SAFETY: only bits that CPUID offers, and none that changes how this code runs.
    unsafe { asm!("mov cr4, {}", in(reg) cr4, options(nostack, preserves_flags)) }
    if !has_xsave {
        return abi::boot::Cpu { xsave_mask: 0, xsave_size: 512, xsavec: 0 };
    }
    // x87, SSE, AVX and the three AVX-512 components, as far as offered. The rest needs permissions or an owner.
    let mask = cpuid(13, 0).eax & 0xe7;
    let mask = if mask & 4 == 0 { mask & 3 } else { mask };
    // SAFETY: OSXSAVE is on and the bits are a valid combination of what leaf 13 offers.
    unsafe { asm!("xsetbv", in("ecx") 0, in("eax") mask, in("edx") 0, options(nomem, nostack, preserves_flags)) }
    abi::boot::Cpu {
        xsave_mask: mask.into(),
        xsave_size: cpuid(13, 0).ebx.max(512).into(),
        xsavec: (cpuid(13, 1).eax >> 1 & 1).into(),
    }
}

/// Can a guest set its thread pointer? Without FSGSBASE it cannot, and nothing starts.
pub fn has_fsgsbase() -> bool {
    cpuid(7, 0).ebx & 1 != 0
}
