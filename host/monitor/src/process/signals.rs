//! Faults and slices: the kernel's signals, turned into upcalls.
//!
//! The handler runs on its own stack with the guest's thread pointer, so it uses no thread-local storage. It changes
//! nothing of the interrupted guest but its instruction pointer; what was interrupted goes to the vCPU block, as
//! [`abi::vcpu`] says. If the tender itself was interrupted, a slice waits and a fault ends the machine.

use super::tender;
use crate::Error;
use abi::vcpu::{
    STATUS_ABORT, STATUS_FAULT, UPCALL_FAULT, UPCALL_SLICE, VECTOR_INVALID_OPCODE, VECTOR_PAGE_FAULT, Vcpu,
    page_fault_access,
};
use core::arch::global_asm;
use core::sync::atomic::Ordering;
use libc::{c_int, siginfo_t, ucontext_t};

/// The signal of a slice: the timer's own.
pub(crate) const SLICE: c_int = libc::SIGVTALRM;
/// The signal by which the parent asks for a slice.
pub(crate) const NUDGE: c_int = libc::SIGUSR1;

const FAULTS: [c_int; 6] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGTRAP, libc::SIGSYS];
/// What a terminal or an operator sends to the whole group: the parent passes it on.
const IGNORED: [c_int; 5] = [libc::SIGINT, libc::SIGTERM, libc::SIGQUIT, libc::SIGHUP, libc::SIGPIPE];

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

/// Installs the handlers, on a stack of `length` bytes at `stack`.
///
/// # Errors
/// [`Error::System`].
///
/// # Safety
/// The stack is mapped for the process's life and used for nothing else.
pub(crate) unsafe fn install(stack: u64, length: usize) -> Result<(), Error> {
    let stack = libc::stack_t { ss_sp: stack as *mut _, ss_flags: 0, ss_size: length };
    // SAFETY: the stack is good by this function's contract.
    if unsafe { libc::sigaltstack(&raw const stack, core::ptr::null_mut()) } != 0 {
        return Err(Error::last("set up the signal stack"));
    }
    const SA_RESTORER: u64 = 0x0400_0000;
    let flags = (libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESTART) as u64 | SA_RESTORER;
    let restorer = ampoule_tender_restorer as *const () as usize;
    // One at a time: while one is handled the others wait.
    let mask = [SLICE, NUDGE].iter().fold(0, |mask, signal| mask | 1 << (signal - 1));
    for signal in FAULTS {
        set(signal, &Action { handler: fault as *const () as usize, flags, restorer, mask })?;
    }
    // Without SA_RESTART: a sleep ends, and the guest gets its slice.
    let flags = flags & !(libc::SA_RESTART as u64);
    for signal in [SLICE, NUDGE] {
        set(signal, &Action { handler: slice as *const () as usize, flags, restorer, mask })?;
    }
    for signal in IGNORED {
        set(signal, &Action { handler: libc::SIG_IGN, flags: 0, restorer: 0, mask: 0 })?;
    }
    // SAFETY: an empty set; signals are let through from here on.
    unsafe {
        let mut none = core::mem::zeroed::<libc::sigset_t>();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, core::ptr::null_mut());
    }
    Ok(())
}

fn set(signal: c_int, action: &Action) -> Result<(), Error> {
    // SAFETY: the action is the kernel's structure, the handlers are functions of the right kind.
    let result = unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, core::ptr::from_ref(action), 0, 8) };
    if result == 0 { Ok(()) } else { Err(Error::last("install a signal handler")) }
}

fn register(context: &ucontext_t, register: c_int) -> u64 {
    context.uc_mcontext.gregs[register as usize] as u64
}

/// Enters the guest at its upcall entry when the handler returns.
fn deliver(context: &mut ucontext_t, vcpu: &Vcpu, kind: u64, entry: u64, rip: u64) {
    let selectors = register(context, libc::REG_CSGSFS);
    let frame = &vcpu.frame;
    frame.rip.store(rip, Ordering::Relaxed);
    frame.rflags.store(register(context, libc::REG_EFL), Ordering::Relaxed);
    frame.rsp.store(register(context, libc::REG_RSP), Ordering::Relaxed);
    frame.cs.store(selectors & 0xffff, Ordering::Relaxed);
    frame.ss.store(selectors >> 48, Ordering::Relaxed);
    frame.kind.store(kind, Ordering::Relaxed);
    vcpu.mask.store(1, Ordering::Relaxed);
    context.uc_mcontext.gregs[libc::REG_RIP as usize] = entry as i64;
}

/// The time slice is over, or the parent has something.
extern "C" fn slice(signal: c_int, _: *mut siginfo_t, context: *mut ucontext_t) {
    // SAFETY: the kernel passes a context for the handler's duration.
    let context = unsafe { &mut *context };
    let rip = register(context, libc::REG_RIP);
    if tender::runs(rip) {
        return; // it looks at everything before it goes back
    }
    let Some((upcall, vcpu)) = tender::upcall() else { return };
    if upcall.entry == 0 || (signal == SLICE && !upcall.slices) {
        return;
    }
    let critical = (upcall.critical_start..upcall.critical_end).contains(&rip);
    if vcpu.mask.load(Ordering::Relaxed) != 0 || critical {
        vcpu.pending.store(1, Ordering::Relaxed);
        return;
    }
    deliver(context, vcpu, UPCALL_SLICE, upcall.entry, rip);
}

/// An exception, or a system call from where none may come.
extern "C" fn fault(signal: c_int, info: *mut siginfo_t, context: *mut ucontext_t) {
    // SAFETY: the kernel passes both for the handler's duration.
    let (info, context) = unsafe { (&*info, &mut *context) };
    let rip = register(context, libc::REG_RIP);
    let (vector, address) = (register(context, libc::REG_TRAPNO), register(context, libc::REG_CR2));
    if info.si_code <= 0 {
        return; // somebody sent it; it is no exception
    }
    if tender::runs(rip) {
        in_tender(signal, rip, address);
    }
    // Behind the `syscall` instruction; the upcall wants to see it, as a CPU without it would fault there.
    let (vector, error, rip) = match signal {
        libc::SIGSYS => (VECTOR_INVALID_OPCODE, 0, rip.wrapping_sub(2)),
        _ => (vector, register(context, libc::REG_ERR), rip),
    };
    let Some((upcall, vcpu)) = tender::upcall().filter(|(upcall, _)| upcall.entry != 0) else {
        tender::end(
            STATUS_FAULT,
            format_args!("it {}, at {rip:#x}, before it could take a fault", Did { vector, error, address }),
        );
    };
    if vcpu.frame.kind.load(Ordering::Relaxed) == UPCALL_FAULT {
        let first = vcpu.frame.rip.load(Ordering::Relaxed);
        tender::end(
            STATUS_FAULT,
            format_args!(
                "it {}, at {rip:#x}, while it handled its fault at {first:#x}",
                Did { vector, error, address }
            ),
        );
    }
    vcpu.frame.vector.store(vector, Ordering::Relaxed);
    vcpu.frame.error.store(error, Ordering::Relaxed);
    vcpu.frame.address.store(if vector == VECTOR_PAGE_FAULT { address } else { 0 }, Ordering::Relaxed);
    deliver(context, vcpu, UPCALL_FAULT, upcall.entry, rip);
}

/// What a program did, in a report's words.
struct Did {
    vector: u64,
    error: u64,
    address: u64,
}

impl core::fmt::Display for Did {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self { vector, error, address } = self;
        match *vector {
            VECTOR_PAGE_FAULT => write!(f, "tried to {} address {address:#x}", page_fault_access(*error)),
            _ => write!(f, "raised exception {vector}, error {error:#x}"),
        }
    }
}

/// The tender itself faulted: at guest memory that the guest has made inaccessible, because
/// the guest has overwritten the tender, or by a mistake of ours.
fn in_tender(signal: c_int, rip: u64, address: u64) -> ! {
    if matches!(signal, libc::SIGSEGV | libc::SIGBUS) && tender::is_guest(address) {
        tender::end(
            STATUS_ABORT,
            format_args!("the program gave a device memory at {address:#x} that it had made inaccessible"),
        );
    }
    tender::end(
        STATUS_ABORT,
        format_args!(
            "signal {signal} in the tender itself, at {rip:#x} (address {address:#x}): the program has overwritten it, or \
             this is a bug in Ampoule"
        ),
    );
}
