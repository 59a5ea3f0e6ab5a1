//! The least that a guest needs: entry, gate, upcalls, and accesses that are allowed to fault.

use abi::boot::BootInfo;
use abi::gate::{Call, GateFn};
use abi::vcpu::Vcpu;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

static BOOT: AtomicU64 = AtomicU64::new(0);
/// How many slice upcalls arrived.
pub static SLICES: AtomicU64 = AtomicU64::new(0);

pub fn set_boot(boot: &'static BootInfo) {
    BOOT.store(boot as *const BootInfo as u64, Relaxed);
}

pub fn boot() -> &'static BootInfo {
    // SAFETY: set from a reference before anything else runs.
    unsafe { &*(BOOT.load(Relaxed) as *const BootInfo) }
}

pub fn vcpu() -> &'static Vcpu {
    // SAFETY: the boot information says so.
    unsafe { &*(boot().vcpu.0 as *const Vcpu) }
}

pub fn call(call: Call, a: u64, b: u64, c: u64) -> i64 {
    // SAFETY: the boot information's gate is a `GateFn`.
    let gate: GateFn = unsafe { core::mem::transmute(boot().gate.0) };
    // SAFETY: a gate call harms nobody but the caller.
    unsafe { gate(call as u64, a, b, c) }
}

pub fn print(text: &str) {
    call(Call::Log, 0, text.as_ptr() as u64, text.len() as u64);
}

pub fn exit(status: u64) -> ! {
    call(Call::Exit, status, 0, 0);
    loop {}
}

fn strings() -> impl Iterator<Item = &'static str> {
    let strings = boot().strings;
    // SAFETY: the boot information's strings.
    let bytes = unsafe { core::slice::from_raw_parts(strings.address.0 as *const u8, strings.length as usize) };
    bytes.split(|b| *b == 0).map(|s| core::str::from_utf8(s).unwrap_or("?"))
}

pub fn arguments() -> impl Iterator<Item = &'static str> {
    strings().take(boot().argument_count as usize)
}

pub fn environment() -> impl Iterator<Item = &'static str> {
    strings().skip(boot().argument_count as usize).take(boot().environment_count as usize)
}

unsafe extern "C" {
    fn probe_upcall();
    fn probe_critical_start();
    fn probe_critical_end();
    /// Calls `function(a)`; if that faults, gives `vector + 1`, and otherwise 0.
    fn probe_try(function: u64, a: u64) -> u64;
}

/// Registers the upcall entry.
pub fn catch() -> i64 {
    call(
        Call::Upcall,
        probe_upcall as *const () as u64,
        probe_critical_start as *const () as u64,
        probe_critical_end as *const () as u64,
    )
}

/// The vector of the fault that `function(argument)` raises, if it does.
pub fn fault_of(function: u64, argument: u64) -> Option<u64> {
    vcpu().mask.store(0, Relaxed);
    // SAFETY: the functions given are those of this module, which do one thing each.
    unsafe { probe_try(function, argument) }.checked_sub(1)
}

macro_rules! act {
    ($name:ident, $($code:literal),*) => {
        pub fn $name(argument: u64) -> Option<u64> {
            #[unsafe(naked)]
            extern "C" fn body(_: u64) {
                core::arch::naked_asm!($($code,)* "ret")
            }
            fault_of(body as *const () as u64, argument)
        }
    };
}

act!(load, "mov al, [rdi]");
act!(store, "mov byte ptr [rdi], 1");
act!(jump, "call rdi");
act!(halt, "hlt");
act!(disable, "cli");
act!(port, "mov edx, 0x3f8", "in al, dx");
act!(system_call, "syscall");
act!(interrupt, "int 0x40");
act!(breakpoint, "int3");
act!(descriptor, "sgdt [rsp - 16]");
act!(overflow, "push rax", "mov rax, rsp", "3: sub rax, 4096", "mov [rax], al", "jmp 3b", "pop rax");

core::arch::global_asm!(
    r#"
.section .text._start, "ax", @progbits
.globl _start
_start:
    xor ebp, ebp
    call probe_main
    ud2

# frame.kind is at gs:64 (the block is aligned to 64, and so is nothing before the frame larger than that)
.globl probe_upcall
probe_upcall:
    mov gs:[{scratch}], rax
    mov rax, gs:[{kind}]
    cmp rax, 2
    je 1f
    # A slice: count it and go on with what was interrupted, without touching the interrupted stack.
    mov gs:[{scratch} + 8], rsp
    lea rsp, [rip + probe_frame]
    pushfq
    lock inc qword ptr [rip + {slices}]
    popfq
    mov rax, gs:[{ss}]
    mov [rip + probe_frame + 32], rax
    mov rax, gs:[{rsp}]
    mov [rip + probe_frame + 24], rax
    mov rax, gs:[{rflags}]
    mov [rip + probe_frame + 16], rax
    mov rax, gs:[{cs}]
    mov [rip + probe_frame + 8], rax
    mov rax, gs:[{rip}]
    mov [rip + probe_frame], rax
    mov rax, gs:[{scratch}]
    mov qword ptr gs:[{kind}], 0
.globl probe_critical_start
probe_critical_start:
    mov dword ptr gs:[{mask}], 0
    iretq
.globl probe_critical_end
probe_critical_end:
    nop
1:  mov rax, gs:[{vector}]
    inc rax
    mov qword ptr gs:[{kind}], 0
    mov dword ptr gs:[{mask}], 0
    mov rsp, [rip + probe_saved]
    pop rbp
    pop rbx
    ret

.globl probe_try
probe_try:
    push rbx
    push rbp
    mov [rip + probe_saved], rsp
    mov rax, rdi
    mov rdi, rsi
    call rax
    xor eax, eax
    pop rbp
    pop rbx
    ret

.section .bss.probe, "aw", @nobits
.balign 16
probe_stack: .skip 256
probe_frame: .skip 40
probe_saved: .skip 8
"#,
    scratch = const core::mem::offset_of!(Vcpu, scratch),
    mask = const core::mem::offset_of!(Vcpu, mask),
    kind = const core::mem::offset_of!(Vcpu, frame) + core::mem::offset_of!(abi::vcpu::Frame, kind),
    vector = const core::mem::offset_of!(Vcpu, frame) + core::mem::offset_of!(abi::vcpu::Frame, vector),
    rip = const core::mem::offset_of!(Vcpu, frame) + core::mem::offset_of!(abi::vcpu::Frame, rip),
    rflags = const core::mem::offset_of!(Vcpu, frame) + core::mem::offset_of!(abi::vcpu::Frame, rflags),
    rsp = const core::mem::offset_of!(Vcpu, frame) + core::mem::offset_of!(abi::vcpu::Frame, rsp),
    cs = const core::mem::offset_of!(Vcpu, frame) + core::mem::offset_of!(abi::vcpu::Frame, cs),
    ss = const core::mem::offset_of!(Vcpu, frame) + core::mem::offset_of!(abi::vcpu::Frame, ss),
    slices = sym SLICES,
);

// The prebuilt `core` expects these from a C library.
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
function memmove
    ud2
function rust_eh_personality
    ud2
function _Unwind_Resume
    ud2
"#
);
