//! The context switch.
//!
//! A switch is a function call, so only what the psABI makes callee-saved has to survive it: six registers, the control
//! bits of MXCSR, and the mask depth. (The x87 control word is callee-saved too; no code that rustc or a C compiler
//! emits on this target changes it, and saving it would double the cost. It does survive pre-emption.)

use crate::context::Context;
use abi::vcpu::Vcpu;
use core::arch::{asm, global_asm};
use core::mem::offset_of;
use core::sync::atomic::Ordering;

global_asm!(
    ".section .text.ampoule_switch,\"ax\",@progbits",
    // rdi: the running context, rsi: the next.
    ".globl ampoule_switch",
    ".hidden ampoule_switch",
    "ampoule_switch:",
    "push rbp",
    "push rbx",
    "push r12",
    "push r13",
    "push r14",
    "push r15",
    "sub rsp, 8",
    "stmxcsr [rsp]",
    "mov eax, gs:[{MASK}]",
    "mov [rdi + {CTX_MASK}], eax",
    "mov qword ptr [rdi + {CTX_FULL}], 0",
    "mov [rdi + {CTX_RSP}], rsp",
    // From here on only rdi and rsi count; the end of a slice upcall joins in.
    ".globl ampoule_switch_in",
    ".hidden ampoule_switch_in",
    "ampoule_switch_in:",
    "mov gs:[{CURRENT}], rsi",
    "mov eax, [rsi + {CTX_MASK}]",
    "mov gs:[{MASK}], eax",
    "mov rax, [rsi + {CTX_FS}]",
    "wrfsbase rax",
    "cmp qword ptr [rsi + {CTX_FULL}], 0",
    "jne ampoule_resume_full",
    "mov rsp, [rsi + {CTX_RSP}]",
    // The old stack is left: another CPU may go on with it.
    "mov dword ptr [rdi + {CTX_ON_CPU}], 0",
    "mov dword ptr [rsi + {CTX_ON_CPU}], 1",
    "ldmxcsr [rsp]",
    "add rsp, 8",
    "pop r15",
    "pop r14",
    "pop r13",
    "pop r12",
    "pop rbx",
    "pop rbp",
    "ret",
    // Where a new thread's first switch returns to: entry in r12, argument in r13, rsp a multiple of 16.
    "ampoule_thread_start:",
    "xor ebp, ebp",
    "mov rdi, r13",
    "call r12",
    "ud2",
    ".text",
    MASK = const offset_of!(Vcpu, mask),
    CURRENT = const offset_of!(Vcpu, current),
    CTX_RSP = const offset_of!(Context, stack_pointer),
    CTX_FS = const offset_of!(Context, thread_pointer),
    CTX_MASK = const offset_of!(Context, mask),
    CTX_FULL = const offset_of!(Context, full),
    CTX_ON_CPU = const offset_of!(Context, on_cpu),
);

unsafe extern "C" {
    fn ampoule_switch(old: *mut Context, new: *mut Context);
    fn ampoule_thread_start();
}

/// # Safety
/// As [`crate::context::switch`].
#[inline(always)]
pub(crate) unsafe fn switch(old: *mut Context, new: *mut Context) {
    // SAFETY: the caller keeps the contract.
    unsafe { ampoule_switch(old, new) }
}

/// Lays the frame that the first switch to a new thread pops.
///
/// # Safety
/// At least 128 bytes below `end`, which is 16-byte aligned, are writable and unused.
pub(crate) unsafe fn prepare_stack(end: usize, entry: extern "C" fn(usize) -> !, argument: usize) -> u64 {
    const MXCSR_DEFAULT: u64 = 0x1f80;
    // mxcsr, r15, r14, r13, r12, rbx, rbp, return address, and one word so that rsp is aligned at the start.
    let frame = [
        MXCSR_DEFAULT,
        0,
        0,
        argument as u64,
        entry as usize as u64,
        0,
        0,
        ampoule_thread_start as *const () as usize as u64,
    ];
    let pointer = (end - size_of_val(&frame)) as *mut [u64; 8];
    // SAFETY: the caller gives the stack.
    unsafe { pointer.write(frame) };
    pointer as u64
}

/// # Safety
/// As [`crate::context::adopt`].
pub(crate) unsafe fn adopt(context: *mut Context) {
    super::vcpu().current.store(context as u64, Ordering::Relaxed);
    // SAFETY: the caller vouches for the context and its thread pointer.
    unsafe { asm!("wrfsbase {}", in(reg) (*context).thread_pointer, options(nostack, preserves_flags)) };
}
