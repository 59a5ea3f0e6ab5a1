//! Signals of the child: what is common to both backends.
//!
//! Handlers are installed by the system call itself and come back through a restorer of our own, because the filter knows
//! the one instruction that `rt_sigreturn` may come from.

use super::tender::end;
use crate::Error;
use abi::vcpu::STATUS_ABORT;
use core::arch::global_asm;
use libc::{c_int, siginfo_t, ucontext_t};

/// The signal by which the parent asks for a slice.
pub(crate) const NUDGE: c_int = libc::SIGUSR1;

/// What a terminal or an operator sends to the whole group: the parent passes it on.
const IGNORED: [c_int; 5] = [libc::SIGINT, libc::SIGTERM, libc::SIGQUIT, libc::SIGHUP, libc::SIGPIPE];

/// A handler, as `SA_SIGINFO` wants it.
pub(crate) type Handler = extern "C" fn(c_int, *mut siginfo_t, *mut ucontext_t);

global_asm!(
    ".pushsection .text.ampoule_tender_restorer,\"ax\",@progbits",
    ".globl ampoule_tender_restorer",
    ".type ampoule_tender_restorer,@function",
    "ampoule_tender_restorer:",
    "mov eax, 15",
    "syscall",
    ".globl ampoule_tender_restorer_site",
    "ampoule_tender_restorer_site:",
    "ud2",
    ".popsection",
);

unsafe extern "C" {
    fn ampoule_tender_restorer();
    static ampoule_tender_restorer_site: u8;
}

/// Where the kernel sees `rt_sigreturn` come from.
pub(crate) fn restorer_site() -> u64 {
    &raw const ampoule_tender_restorer_site as u64
}

/// `struct kernel_sigaction` (rt_sigaction's own, not the C library's).
#[repr(C)]
struct Action {
    handler: usize,
    flags: u64,
    restorer: usize,
    mask: u64,
}

/// Gives the handlers `length` bytes at `stack`, and takes note of nothing that is meant for the parent.
///
/// # Errors
/// [`Error::System`].
///
/// # Safety
/// The stack is mapped for the process's life and used for nothing else.
pub(crate) unsafe fn prepare(stack: u64, length: usize) -> Result<(), Error> {
    let stack = libc::stack_t { ss_sp: stack as *mut _, ss_flags: 0, ss_size: length };
    // SAFETY: the stack is good by this function's contract.
    if unsafe { libc::sigaltstack(&raw const stack, core::ptr::null_mut()) } != 0 {
        return Err(Error::last("set up the signal stack"));
    }
    for signal in IGNORED {
        set(signal, &Action { handler: libc::SIG_IGN, flags: 0, restorer: 0, mask: 0 })?;
    }
    Ok(())
}

/// Installs a handler. While it runs, the signals of `mask` wait. With `restart` it does not end a system call.
pub(crate) fn handle(signal: c_int, handler: Handler, mask: &[c_int], restart: bool) -> Result<(), Error> {
    const SA_RESTORER: u64 = 0x0400_0000;
    let restart = if restart { libc::SA_RESTART } else { 0 };
    let flags = (libc::SA_SIGINFO | libc::SA_ONSTACK | restart) as u64 | SA_RESTORER;
    let restorer = ampoule_tender_restorer as *const () as usize;
    let mask = mask.iter().fold(0, |mask, signal| mask | 1 << (signal - 1));
    set(signal, &Action { handler: handler as *const () as usize, flags, restorer, mask })
}

/// Lets signals through from here on.
pub(crate) fn unblock() {
    // SAFETY: an empty set.
    unsafe {
        let mut none = core::mem::zeroed::<libc::sigset_t>();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, core::ptr::null_mut());
    }
}

fn set(signal: c_int, action: &Action) -> Result<(), Error> {
    // SAFETY: the action is the kernel's structure, the handlers are functions of the right kind.
    let result = unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, core::ptr::from_ref(action), 0, 8) };
    if result == 0 { Ok(()) } else { Err(Error::last("install a signal handler")) }
}

/// A register of the interrupted code.
pub(crate) fn register(context: &ucontext_t, register: c_int) -> u64 {
    context.uc_mcontext.gregs[register as usize] as u64
}

/// The child's own code faulted: at memory that the guest has made inaccessible (`is_guest`), or by a mistake of ours.
pub(crate) fn own_fault(signal: c_int, rip: u64, address: u64, is_guest: bool) -> ! {
    if matches!(signal, libc::SIGSEGV | libc::SIGBUS) && is_guest {
        end(
            STATUS_ABORT,
            format_args!("the program gave a device memory at {address:#x} that it had made inaccessible"),
        );
    }
    end(
        STATUS_ABORT,
        format_args!(
            "signal {signal} in the tender itself, at {rip:#x} (address {address:#x}): the program has overwritten it, or \
             this is a bug in Ampoule"
        ),
    );
}
