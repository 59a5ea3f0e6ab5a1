//! The way in: PVH's 32-bit protected mode to 64-bit Rust, and from there to ring 3.
//!
//! PVH (Xen's public/arch-x86/hvm/start_info.h) enters with flat segments, paging off, and the start information's
//! physical address in `ebx`. The code below maps the first 4 GiB one to one with 2 MiB pages, turns on long mode and
//! SSE, and calls [`crate::boot::exokernel_main`]. [`crate::paging`] narrows that map later.

/// Bytes of the exokernel's stack; gate calls and traps use it too. The page below it is a guard.
pub const STACK_BYTES: usize = 12 << 10;

#[cfg(not(test))]
core::arch::global_asm!(
    r#"
.section .text.entry, "ax", @progbits
.globl pvh_entry
.code32
pvh_entry:
    cld
    cli
    mov edi, ebx
    mov esp, offset exokernel_stack_top
    # Directory: 2048 entries of 2 MiB.
    mov eax, 0x83
    mov ecx, offset exokernel_directories
2:  mov [ecx], eax
    add ecx, 8
    add eax, 0x200000
    cmp ecx, offset exokernel_directories + 0x4000
    jne 2b
    # Directory pointers, then the top.
    mov eax, offset exokernel_directories + 3
    mov ecx, offset exokernel_pointers
    mov edx, 4
3:  mov [ecx], eax
    add ecx, 8
    add eax, 0x1000
    dec edx
    jnz 3b
    mov eax, offset exokernel_pointers + 3
    mov [exokernel_top], eax
    mov eax, offset exokernel_top
    mov cr3, eax
    mov eax, 0x620              # PAE, OSFXSR, OSXMMEXCPT
    mov cr4, eax
    mov ecx, 0xc0000080         # EFER
    mov eax, 0x900              # LME, NXE; SCE stays 0, so that `syscall` is an invalid opcode
    xor edx, edx
    wrmsr
    mov eax, 0x80050033         # PG, AM, WP, NE, ET, MP, PE
    mov cr0, eax
    lgdt [exokernel_boot_gdt_pointer]
    jmp 0x10, offset pvh_long
.code64
pvh_long:
    mov eax, 0x18
    mov ds, eax
    mov es, eax
    mov ss, eax
    xor eax, eax
    mov fs, eax
    mov gs, eax
    lea rsp, [rip + exokernel_stack_top]
    mov edi, edi
    xor ebp, ebp
    call exokernel_main
    ud2

.globl exokernel_enter
exokernel_enter:                # (rip, rsp, boot information) -> !
    mov ecx, 0x2b
    mov ds, ecx
    mov es, ecx
    push 0x2b
    push rsi
    push 0x202
    push 0x33
    push rdi
    mov rdi, rdx
    xor eax, eax
    xor ebx, ebx
    xor ecx, ecx
    xor edx, edx
    xor esi, esi
    xor ebp, ebp
    xor r8d, r8d
    xor r9d, r9d
    xor r10d, r10d
    xor r11d, r11d
    xor r12d, r12d
    xor r13d, r13d
    xor r14d, r14d
    xor r15d, r15d
    iretq

.section .rodata.boot_gdt, "a", @progbits
.balign 8
exokernel_boot_gdt:
    .quad 0, 0, 0x00209a0000000000, 0x0000920000000000
exokernel_boot_gdt_pointer:
    .word 31
    .quad exokernel_boot_gdt

.section .bss.entry, "aw", @nobits
.balign 4096
.globl exokernel_top
exokernel_top:         .skip 4096
exokernel_pointers:    .skip 4096
.globl exokernel_directories
exokernel_directories: .skip 16384
.globl exokernel_stack_guard
exokernel_stack_guard: .skip 4096
                       .skip {stack}
.globl exokernel_stack_top
exokernel_stack_top:
"#,
    stack = const STACK_BYTES,
);

unsafe extern "C" {
    fn exokernel_enter(rip: u64, rsp: u64, boot: u64) -> !;
}

/// Enters the guest in ring 3 with interrupts on, `boot` in `rdi` and all other registers zero.
pub fn enter(rip: u64, rsp: u64, boot: u64) -> ! {
    // SAFETY: an iretq to ring 3; whatever the addresses are, the guest faults at worst, and the trap is handled.
    unsafe { exokernel_enter(rip, rsp, boot) }
}
