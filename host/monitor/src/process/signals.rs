//! Faults and slices: the kernel's signals, turned into upcalls.
//!
//! The handler runs on its own stack with the guest's thread pointer, so it uses no thread-local storage. It changes
//! nothing of the interrupted guest but its instruction pointer. If the tender itself was interrupted, a slice waits and
//! a fault ends the machine.

use super::tender;
use crate::Error;
use crate::machine::signals::{self, NUDGE, register};
use crate::machine::upcall::{Exception, Interrupted, Upcall};
use abi::vcpu::VECTOR_INVALID_OPCODE;
use libc::{c_int, siginfo_t, ucontext_t};

/// The signal of a slice: the timer's own.
const SLICE: c_int = libc::SIGVTALRM;

const FAULTS: [c_int; 6] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGTRAP, libc::SIGSYS];

/// Installs the handlers, on a stack of `length` bytes at `stack`.
///
/// # Errors
/// [`Error::System`].
///
/// # Safety
/// The stack is mapped for the process's life and used for nothing else.
pub(super) unsafe fn install(stack: u64, length: usize) -> Result<(), Error> {
    // SAFETY: this function's contract.
    unsafe { signals::prepare(stack, length)? };
    // One at a time: while one is handled the others wait.
    for signal in FAULTS {
        signals::handle(signal, fault, &[SLICE, NUDGE], true)?;
    }
    // Those end a sleep, and the guest gets its slice.
    for signal in [SLICE, NUDGE] {
        signals::handle(signal, slice, &[SLICE, NUDGE], false)?;
    }
    signals::unblock();
    Ok(())
}

fn interrupted(context: &ucontext_t) -> Interrupted {
    let selectors = register(context, libc::REG_CSGSFS);
    Interrupted {
        rip: register(context, libc::REG_RIP),
        rflags: register(context, libc::REG_EFL),
        rsp: register(context, libc::REG_RSP),
        cs: selectors & 0xffff,
        ss: selectors >> 48,
    }
}

/// The time slice is over, or the parent has something.
extern "C" fn slice(signal: c_int, _: *mut siginfo_t, context: *mut ucontext_t) {
    // SAFETY: the kernel passes a context for the handler's duration.
    let context = unsafe { &mut *context };
    let at = interrupted(context);
    if tender::runs(at.rip) {
        if signal == NUDGE {
            tender::note_nudge();
        }
        return;
    }
    let Some((upcall, vcpu)) = tender::upcall() else { return };
    let nudged = tender::take_nudge() || signal == NUDGE;
    if nudged {
        // SAFETY: the tender does not run, so the guest does.
        unsafe { tender::hear_parent() };
    }
    if (nudged || upcall.slices) && upcall.slice(vcpu, &at) {
        enter(context, &upcall);
    }
}

/// An exception, or a system call from where none may come.
extern "C" fn fault(signal: c_int, info: *mut siginfo_t, context: *mut ucontext_t) {
    // SAFETY: the kernel passes both for the handler's duration.
    let (info, context) = unsafe { (&*info, &mut *context) };
    let mut at = interrupted(context);
    let vector = register(context, libc::REG_TRAPNO);
    let mut exception =
        Exception { vector, error: register(context, libc::REG_ERR), address: register(context, libc::REG_CR2) };
    if info.si_code <= 0 {
        return; // somebody sent it; it is no exception
    }
    if tender::runs(at.rip) {
        signals::own_fault(signal, at.rip, exception.address, tender::is_guest(exception.address));
    }
    if signal == libc::SIGSYS {
        // Behind the `syscall` instruction; the upcall wants to see it, as a CPU without it would fault there.
        exception = Exception { vector: VECTOR_INVALID_OPCODE, error: 0, ..exception };
        at.rip = at.rip.wrapping_sub(2);
    }
    // There is a tender from before the guest's first instruction on.
    let Some((upcall, vcpu)) = tender::upcall() else { signals::own_fault(signal, at.rip, exception.address, false) };
    upcall.fault(vcpu, &at, &exception);
    enter(context, &upcall);
}

/// Enters the guest at its upcall entry when the handler returns.
fn enter(context: &mut ucontext_t, upcall: &Upcall) {
    context.uc_mcontext.gregs[libc::REG_RIP as usize] = upcall.entry as i64;
}
