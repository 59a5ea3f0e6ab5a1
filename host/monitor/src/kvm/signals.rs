//! What ends a stretch of running: the slice timer's signal, and the parent's.
//!
//! A signal that arrives while the guest runs ends `KVM_RUN` with EINTR. One that arrives just before would be lost; so the
//! handler also sets `immediate_exit`, at which the next `KVM_RUN` comes back at once. The run loop clears it first and
//! looks for what is wanted afterwards.
//!
//! A fault here is the monitor's own: at guest memory that the guest has made inaccessible, or by a mistake of ours.

use crate::Error;
use crate::machine::child::Stacks;
use crate::machine::layout::Span;
use crate::machine::signals::{self, NUDGE, register};
use core::sync::atomic::{AtomicPtr, AtomicU8, AtomicU64, Ordering};
use libc::{c_int, siginfo_t, ucontext_t};

/// The slice timer. It counts the CPU time of this process, the guest's included, so a machine that sleeps is not woken.
pub(super) const TIMER: i32 = libc::ITIMER_PROF;
const SLICE: c_int = libc::SIGPROF;
const FAULTS: [c_int; 6] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGTRAP, libc::SIGSYS];

/// A bit of [`take`]: the slice timer expired.
pub(super) const TICK: u8 = 1;
/// A bit of [`take`]: the parent has something.
pub(super) const LOOK: u8 = 2;

static WANTED: AtomicU8 = AtomicU8::new(0);
/// The vCPU's `immediate_exit`.
static EXIT: AtomicPtr<AtomicU8> = AtomicPtr::new(core::ptr::null_mut());
/// The machine's memory, as this process sees it.
static GUEST: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];

/// Installs the handlers.
///
/// # Safety
/// `exit` is the vCPU's `immediate_exit`, mapped for the process's life.
pub(super) unsafe fn install(stacks: &Stacks, exit: *mut u8, guest: Span) -> Result<(), Error> {
    EXIT.store(exit.cast(), Ordering::Relaxed);
    GUEST[0].store(guest.start, Ordering::Relaxed);
    GUEST[1].store(guest.end, Ordering::Relaxed);
    // SAFETY: they were mapped for this.
    unsafe { signals::prepare(stacks.signals, stacks.signals_length)? };
    for signal in FAULTS {
        signals::handle(signal, fault, &[SLICE, NUDGE], true)?;
    }
    for signal in [SLICE, NUDGE] {
        signals::handle(signal, look, &[SLICE, NUDGE], false)?;
    }
    signals::unblock();
    Ok(())
}

/// What has been wanted since the last time.
pub(super) fn take() -> u8 {
    WANTED.swap(0, Ordering::Relaxed)
}

extern "C" fn look(signal: c_int, _: *mut siginfo_t, _: *mut ucontext_t) {
    WANTED.fetch_or(if signal == SLICE { TICK } else { LOOK }, Ordering::Relaxed);
    // SAFETY: null, or as promised to `install`.
    if let Some(exit) = unsafe { EXIT.load(Ordering::Relaxed).as_ref() } {
        exit.store(1, Ordering::Relaxed);
    }
}

extern "C" fn fault(signal: c_int, info: *mut siginfo_t, context: *mut ucontext_t) {
    // SAFETY: the kernel passes both for the handler's duration.
    let (info, context) = unsafe { (&*info, &*context) };
    if info.si_code <= 0 {
        return; // somebody sent it; it is no exception
    }
    let address = register(context, libc::REG_CR2);
    let guest = GUEST[0].load(Ordering::Relaxed)..GUEST[1].load(Ordering::Relaxed);
    signals::own_fault(signal, register(context, libc::REG_RIP), address, guest.contains(&address));
}
