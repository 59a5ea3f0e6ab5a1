//! Faults: a system-call instruction is carried out, everything else ends the machine with a report.
//!
//! # The `syscall` instruction
//! Crates that bypass libc (rustix) emit it. It cannot do anything in ring 3 of a machine, so it faults: the sealer
//! rewrites `0f 05` to `0f 04`, which no CPU decodes (and which differs from `ud2`, so that a real trap stays one), and
//! an unrewritten one faults by itself. The upcall then continues in `ampoule_trap` *on the thread's own stack*, below
//! the red zone, like a function that the instruction had called: it keeps every register but `rax`, `rcx` and `r11`,
//! the vector state too, as the kernel would.
//!
//! The function behind it is `ampoule_syscall` (nr and six arguments in, result or negated errno out). It reaches every
//! service there is, so an image without such instructions must not contain it: the reference here is the *weak* symbol
//! `ampoule_syscall_entry`, which no crate defines. The builder links with
//! `-Wl,--defsym=ampoule_syscall_entry=ampoule_syscall` where the program has the instruction in it; without that the
//! answer is `-ENOSYS`.

use super::vectors::VECTOR_STATE;
use crate::fault::{Fault, report};
use abi::vcpu::{Frame, Vcpu};
use core::arch::global_asm;
use core::mem::offset_of;
use core::sync::atomic::Ordering;

/// Every fault but a system call, on the CPU's fault stack. The frame stays taken: a second fault in here makes the
/// far side end the machine.
pub(super) extern "C" fn fault(registers: &[u64; 15]) -> ! {
    let frame = &super::vcpu().frame;
    report(&Fault {
        vector: frame.vector.load(Ordering::Relaxed),
        error: frame.error.load(Ordering::Relaxed),
        address: frame.address.load(Ordering::Relaxed),
        instruction: frame.rip.load(Ordering::Relaxed),
        stack_pointer: frame.rsp.load(Ordering::Relaxed),
        frame_pointer: registers[6],
    })
}

const FRAME: usize = offset_of!(Vcpu, frame);
const SCRATCH: usize = offset_of!(Vcpu, scratch);

global_asm!(
    ".weak ampoule_syscall_entry",
    ".section .text.ampoule_trap,\"ax\",@progbits",
    ".globl ampoule_trap",
    ".hidden ampoule_trap",
    // rbx: the instruction's address; rax and rbx are in the scratch words.
    "ampoule_trap:",
    "mov rax, gs:[{RSP}]",
    "lea rax, [rax - 144]",
    "add rbx, 2",
    "mov [rax + 8], rbx",
    "mov rbx, gs:[{RFLAGS}]",
    "mov [rax], rbx",
    "mov rbx, gs:[{RBX}]",
    "mov rsp, rax",
    "mov rax, gs:[{RAX}]",
    "mov qword ptr gs:[{KIND}], 0",
    "mov dword ptr gs:[{MASK}], 0",
    // An ordinary function from here on: upcalls may come.
    "cld",
    "push rbp",
    "push rdi",
    "push rsi",
    "push rdx",
    "push r8",
    "push r9",
    "push r10",
    "push rbx",
    "mov rbp, rsp",
    "mov rbx, rax",
    "mov r11d, dword ptr [rip + {VECTORS} + 12]",
    "sub rsp, r11",
    "and rsp, -64",
    // xsave wants its header zero (SDM 1 §13.7).
    "xor eax, eax",
    "cmp r11d, 576",
    "jb 2f",
    "lea rcx, [rsp + 512]",
    "mov r11d, 8",
    "1: mov [rcx + r11 * 8 - 8], rax",
    "dec r11d",
    "jnz 1b",
    "2:",
    "mov rcx, rsp",
    "mov r11, rdx",
    "call ampoule_vectors_save",
    "mov rdx, r11",
    "push r9",
    "push r9",
    "mov r9, r8",
    "mov r8, r10",
    "mov rcx, rdx",
    "mov rdx, rsi",
    "mov rsi, rdi",
    "mov rdi, rbx",
    "mov rax, [rip + ampoule_syscall_entry@GOTPCREL]",
    "test rax, rax",
    "jz 3f",
    "call rax",
    "jmp 4f",
    "3: mov rax, -38",
    "4: add rsp, 16",
    "mov rbx, rax",
    "mov rcx, rsp",
    "call ampoule_vectors_restore",
    "mov rax, rbx",
    "mov rsp, rbp",
    "pop rbx",
    "pop r10",
    "pop r9",
    "pop r8",
    "pop rdx",
    "pop rsi",
    "pop rdi",
    "pop rbp",
    "popfq",
    "ret 128",
    ".text",
    RAX = const SCRATCH,
    RBX = const SCRATCH + 24,
    MASK = const offset_of!(Vcpu, mask),
    KIND = const FRAME + offset_of!(Frame, kind),
    RFLAGS = const FRAME + offset_of!(Frame, rflags),
    RSP = const FRAME + offset_of!(Frame, rsp),
    VECTORS = sym VECTOR_STATE,
);
