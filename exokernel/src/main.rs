//! The freestanding program: the library, a panic handler, and the memory functions that compilers call.
#![no_std]
#![no_main]

use ampoule_exokernel::{gate, serial};

/// A panic is a mistake in the exokernel; nothing can go on.
#[panic_handler]
fn panic(information: &core::panic::PanicInfo<'_>) -> ! {
    serial::print("ampoule: exokernel panic at line ");
    serial::decimal(information.location().map_or(0, |l| l.line().into()));
    serial::print(" of ");
    serial::print(information.location().map_or("?", |l| l.file()));
    serial::print("\n");
    gate::exit(abi::vcpu::STATUS_ABORT)
}

/// There is no heap. `abi` names `alloc` for the manifest, which nobody reads here, and then the language asks for one.
struct NoHeap;

// SAFETY: null is always an allowed answer, and so nothing ever comes to `dealloc`.
unsafe impl core::alloc::GlobalAlloc for NoHeap {
    unsafe fn alloc(&self, _: core::alloc::Layout) -> *mut u8 {
        core::ptr::null_mut()
    }

    unsafe fn dealloc(&self, _: *mut u8, _: core::alloc::Layout) {}
}

#[global_allocator]
static HEAP: NoHeap = NoHeap;

// The prebuilt `core` of this target expects these from a C library. `rep movsb` is quick on hardware; copies here are
// small, and clearing memory has its own loop in `ram`.
core::arch::global_asm!(
    r#"
.macro function name
.section .text.\name, "ax", @progbits
.globl \name
.type \name, @function
\name:
.endm
function memcpy
    mov rax, rdi
    mov rcx, rdx
    rep movsb
    ret
function memmove
    mov rax, rdi
    mov rcx, rdx
    mov r8, rdi
    sub r8, rsi
    cmp r8, rdx
    jb 1f
    rep movsb
    ret
1:  lea rdi, [rdi + rdx - 1]
    lea rsi, [rsi + rdx - 1]
    std
    rep movsb
    cld
    ret
function memset
    mov r8, rdi
    mov eax, esi
    mov rcx, rdx
    rep stosb
    mov rax, r8
    ret
function memcmp
.globl bcmp
bcmp:
    xor eax, eax
    xor ecx, ecx
1:  cmp rcx, rdx
    je 2f
    movzx eax, byte ptr [rdi + rcx]
    movzx r8d, byte ptr [rsi + rcx]
    inc rcx
    sub eax, r8d
    je 1b
2:  ret
"#
);
