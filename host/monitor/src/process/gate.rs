//! The gate's entry: a plain call by the guest, which comes out on the tender's own stack and thread pointer.
//!
//! The stub saves what the System V ABI makes the callee keep, remembers the guest's stack and fs base in two of those
//! registers, and switches; on the way back it undoes that. While [`inside`] says so, no upcall is delivered. The few
//! instructions before and after count as inside too, by their address ([`is_stub`]).
//!
//! None of this keeps a hostile guest out: guest and tender share an address space. The kernel's filter does
//! ([`crate::machine::filter`]).

use core::arch::global_asm;
use core::sync::atomic::{AtomicU64, Ordering};

/// Not 0 while the tender runs.
static INSIDE: AtomicU64 = AtomicU64::new(0);
/// The tender's stack pointer and fs base.
static STACK: AtomicU64 = AtomicU64::new(0);
static THREAD: AtomicU64 = AtomicU64::new(0);

global_asm!(
    ".pushsection .text.ampoule_tender_gate,\"ax\",@progbits",
    ".globl ampoule_tender_gate",
    ".type ampoule_tender_gate,@function",
    "ampoule_tender_gate:",
    "push rbp",
    "push rbx",
    "mov rbp, rsp",
    "rdfsbase rbx",
    "mov qword ptr [rip + {inside}], 1",
    "mov rax, [rip + {thread}]",
    "wrfsbase rax",
    "mov rsp, [rip + {stack}]",
    "call {dispatch}",
    "wrfsbase rbx",
    "mov rsp, rbp",
    "mov qword ptr [rip + {inside}], 0",
    "pop rbx",
    "pop rbp",
    "ret",
    ".globl ampoule_tender_gate_end",
    "ampoule_tender_gate_end:",
    ".size ampoule_tender_gate, . - ampoule_tender_gate",
    // (stack, function, argument): calls a function that does not return on another stack.
    ".globl ampoule_tender_move",
    ".type ampoule_tender_move,@function",
    "ampoule_tender_move:",
    "mov rsp, rdi",
    "xor ebp, ebp",
    "mov rdi, rdx",
    "call rsi",
    "ud2",
    // (entry, stack, boot information): the guest's first instruction.
    ".globl ampoule_tender_enter",
    ".type ampoule_tender_enter,@function",
    "ampoule_tender_enter:",
    "mov rax, rdi",
    "mov rsp, rsi",
    "mov rdi, rdx",
    "mov qword ptr [rip + {inside}], 0",
    "xor edx, edx",
    "xor ecx, ecx",
    "xor esi, esi",
    "xor ebx, ebx",
    "xor ebp, ebp",
    "xor r8d, r8d",
    "xor r9d, r9d",
    "xor r10d, r10d",
    "xor r11d, r11d",
    "xor r12d, r12d",
    "xor r13d, r13d",
    "xor r14d, r14d",
    "xor r15d, r15d",
    "jmp rax",
    ".popsection",
    inside = sym INSIDE,
    stack = sym STACK,
    thread = sym THREAD,
    dispatch = sym super::tender::dispatch,
);

unsafe extern "sysv64" {
    fn ampoule_tender_gate(call: u64, a: u64, b: u64, c: u64) -> i64;
    static ampoule_tender_gate_end: u8;
    fn ampoule_tender_move(stack: u64, function: extern "sysv64" fn(*mut u8) -> !, argument: *mut u8) -> !;
    fn ampoule_tender_enter(entry: u64, stack: u64, boot: u64) -> !;
}

/// What [`abi::boot::BootInfo::gate`] says.
pub(crate) fn entry() -> u64 {
    ampoule_tender_gate as *const () as u64
}

/// Does the tender run, rather than the guest?
pub(crate) fn inside() -> bool {
    INSIDE.load(Ordering::Relaxed) != 0
}

/// Is this the gate's own code?
pub(crate) fn is_stub(pointer: u64) -> bool {
    (entry()..&raw const ampoule_tender_gate_end as u64).contains(&pointer)
}

/// Goes on with `function` on the tender's stack, which from now on is where gate calls come out.
///
/// # Safety
/// `stack` is the end of a stack that nobody uses, 16-byte aligned, and the current one is never returned to.
pub(crate) unsafe fn move_to(stack: u64, function: extern "sysv64" fn(*mut u8) -> !, argument: *mut u8) -> ! {
    let thread: u64;
    // SAFETY: reads the fs base; whoever runs this supports the instruction, as the guest needs it too.
    unsafe { core::arch::asm!("rdfsbase {}", out(reg) thread, options(nomem, nostack, preserves_flags)) };
    THREAD.store(thread, Ordering::Relaxed);
    INSIDE.store(1, Ordering::Relaxed);
    // Gate calls start further down, so that what `function` leaves on the stack stays whole.
    STACK.store(stack - (16 << 10), Ordering::Relaxed);
    // SAFETY: this function's contract.
    unsafe { ampoule_tender_move(stack, function, argument) }
}

/// Enters the guest.
///
/// # Safety
/// The machine is loaded, and the tender is set up for calls through the gate.
pub(crate) unsafe fn enter(entry: u64, stack: u64, boot: u64) -> ! {
    // SAFETY: this function's contract.
    unsafe { ampoule_tender_enter(entry, stack, boot) }
}
