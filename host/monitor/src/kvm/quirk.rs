//! A bug of QEMU's SVM, worked around for the test `cargo xtask nested`, and nowhere else.
//!
//! A CPU's loaded task state is busy, type 11 (SDM 3A §7.2.3, §7.3; a VMX guest cannot be entered with another, 3C
//! §27.3.1.2). When QEMU without KVM emulates `out` in ring 3, it demands type 9, available, before it looks at the I/O
//! bitmap: its own `ltr` keeps the type from before. KVM with SVM under such a QEMU loads what we ask for, so the guest's
//! first call at the gate is a general-protection fault, and so is the `out` in that fault's stub, without end.
//!
//! The variable alone changes nothing on another computer: the CPU has to say that QEMU emulates it.

use core::arch::x86_64::__cpuid;

/// A busy 64-bit task state.
pub(super) const TASK_BUSY: u8 = 11;
/// An available one.
const TASK_AVAILABLE: u8 = 9;

/// The variable that asks for it; its value is to be 1.
const SWITCH: &str = "AMPOULE_TEST_ON_EMULATED_SVM";
/// Whether there is a hypervisor (AMD's and Intel's CPUID leaf 1, ECX).
const HYPERVISOR: u32 = 1 << 31;
/// The leaf in which a hypervisor gives its name, in EBX, ECX, EDX.
const NAME_LEAF: u32 = 0x4000_0000;
/// The name of QEMU's emulated CPUs.
const EMULATED: [u8; 12] = *b"TCGTCGTCGTCG";

/// The type of the task state that the vCPU is given. To be asked before the lock-down.
pub(super) fn task_type() -> u8 {
    let is_asked_for = std::env::var_os(SWITCH).is_some_and(|value| value == "1");
    if is_asked_for && is_emulated() { TASK_AVAILABLE } else { TASK_BUSY }
}

/// Is this computer's CPU one that QEMU emulates?
fn is_emulated() -> bool {
    if __cpuid(1).ecx & HYPERVISOR == 0 {
        return false;
    }
    let leaf = __cpuid(NAME_LEAF);
    [leaf.ebx, leaf.ecx, leaf.edx].map(u32::to_le_bytes).concat() == EMULATED
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_the_variable_the_task_state_is_busy() {
        assert!(std::env::var_os(SWITCH).is_none() || !is_emulated());
        assert_eq!(task_type(), TASK_BUSY);
    }
}
