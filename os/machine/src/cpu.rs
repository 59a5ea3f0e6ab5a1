//! This CPU: masking upcalls, and the events that the far side reports.

use crate::arch;
use core::sync::atomic::Ordering;

/// Is this the machine's only CPU? Then masking alone keeps everybody else out, and no lock needs a locked instruction.
/// Every far side refuses [`abi::gate::Call::StartCpu`] today; once one does not, this is a question to it.
#[inline(always)]
pub const fn alone() -> bool {
    arch::ALONE
}

/// No slice upcall from here on, until as many [`unmask`] calls.
#[inline(always)]
pub fn mask() {
    arch::mask();
}

/// Takes one [`mask`] back. When none is left and a slice came meanwhile, the scheduler runs before this returns.
#[inline(always)]
pub fn unmask() {
    if arch::unmask() {
        slice_pending();
    }
}

/// The events that are pending (bits of [`abi::vcpu`]), without taking them.
pub fn events() -> u64 {
    arch::vcpu().events.load(Ordering::Acquire)
}

/// Takes those pending events that are among `bits`, and returns them.
pub fn take_events(bits: u64) -> u64 {
    arch::vcpu().events.fetch_and(!bits, Ordering::AcqRel) & bits
}

/// How many bytes the console's input has in all, once the far side has said so.
pub fn input_end() -> Option<u64> {
    arch::vcpu().input_end.load(Ordering::Relaxed).checked_sub(1)
}

/// Did a slice end while upcalls were masked? Clears it.
pub fn take_pending() -> bool {
    let pending = &arch::vcpu().pending;
    pending.load(Ordering::Relaxed) != 0 && pending.swap(0, Ordering::Relaxed) != 0
}

/// Has the scheduler run as at a slice's end, as soon as upcalls are unmasked; they are masked now.
pub fn interrupt() {
    arch::vcpu().pending.store(1, Ordering::Relaxed);
}

/// Notes, for the start-up figures, that `main` is called now.
pub fn mark_main() {
    arch::vcpu().marks[1].store(arch::ticks(), Ordering::Relaxed);
}

/// The address of the running thread's [`crate::context::Context`], 0 before there is one.
pub fn current_context() -> usize {
    arch::vcpu().current.load(Ordering::Relaxed) as usize
}

#[cold]
#[inline(never)]
fn slice_pending() {
    arch::vcpu().pending.store(0, Ordering::Relaxed);
    arch::slice_hook();
}
