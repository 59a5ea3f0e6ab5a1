//! Every exception and interrupt ends here, on the exokernel's own stack.
//!
//! The stubs save all general registers and, because compiled Rust uses SSE, the 512 bytes of `fxsave` (the upper parts
//! of wider vector registers are untouched by SSE code, so they need no saving). The gate's stub saves nothing: a gate
//! call may clobber what a function call may.

use crate::{apic, cpu, device, gate, serial, timer, upcall};
use abi::vcpu::STATUS_FAULT;

/// How many vectors have stubs: exceptions, devices, timer, spurious.
pub const VECTORS: usize = 48;
/// The timer's vector.
pub const TIMER: usize = 0x20;
/// The serial port's vector.
pub const SERIAL: usize = 0x21;
/// The first device's vector; device *n* has the *n*th after it.
pub const DEVICE: usize = 0x22;
/// The vector for interrupts that went away (SDM 3A §10.9); its low four bits are ones.
pub const SPURIOUS: usize = 0x2f;

/// What a stub pushes, lowest address first.
#[repr(C)]
#[derive(Debug)]
pub struct Registers {
    general: [u64; 15],
    /// The vector.
    pub vector: u64,
    /// The error code, or 0.
    pub error: u64,
    /// The interrupted instruction.
    pub rip: u64,
    /// Its code selector; the low two bits are the ring.
    pub cs: u64,
    /// Its flags.
    pub rflags: u64,
    /// Its stack pointer.
    pub rsp: u64,
    /// Its stack selector.
    pub ss: u64,
}

impl Registers {
    /// Was the guest interrupted, and not the exokernel?
    pub fn from_guest(&self) -> bool {
        self.cs & 3 == 3
    }
}

/// Handles a trap; `registers` are what the interrupted code gets back.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub extern "C" fn exokernel_trap(registers: &mut Registers) {
    let vector = registers.vector as usize;
    match vector {
        TIMER => {
            apic::end_of_interrupt();
            timer::rang(!registers.from_guest());
            // A deadline that a wait has outlived is no slice.
            if registers.from_guest() && timer::slices_run() {
                upcall::slice(registers);
            }
        }
        SERIAL => {
            apic::end_of_interrupt();
            event(serial::events(), registers);
        }
        DEVICE..SPURIOUS => {
            let bit = device::acknowledge(vector - DEVICE);
            apic::end_of_interrupt();
            event(bit, registers);
        }
        0..32 if registers.from_guest() => {
            let address = if vector == 14 { cpu::fault_address() } else { 0 };
            upcall::fault(registers, address);
        }
        0..32 => own_fault(registers),
        _ => {}
    }
}

/// Tells the guest; a running guest's scheduler looks at once.
fn event(bits: u64, registers: &mut Registers) {
    if bits != 0 {
        upcall::set_events(bits);
        if registers.from_guest() {
            upcall::slice(registers);
        }
    }
}

/// A fault in ring 0 is a mistake in the exokernel.
fn own_fault(registers: &Registers) -> ! {
    serial::print("ampoule: the exokernel faulted: vector ");
    serial::decimal(registers.vector);
    for (name, value) in [(" error ", registers.error), (" rip ", registers.rip), (" address ", cpu::fault_address())] {
        serial::print(name);
        serial::hex(value);
    }
    serial::print("\n");
    gate::exit(STATUS_FAULT)
}

/// The entry of a vector's stub.
pub fn handler(vector: usize) -> u64 {
    unsafe extern "C" {
        static exokernel_stubs: [[u8; 16]; VECTORS];
        static exokernel_gate: u8;
    }
    if vector == crate::descriptor::GATE_VECTOR {
        return (&raw const exokernel_gate) as u64;
    }
    (&raw const exokernel_stubs) as u64 + vector as u64 * 16
}

#[cfg(not(test))]
core::arch::global_asm!(
    r#"
.section .text.exokernel_trap, "ax", @progbits
.balign 16
.globl exokernel_stubs
exokernel_stubs:
.set vector, 0
.rept {vectors}
    .balign 16
    .if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21 || vector == 29 || vector == 30)
    push 0
    .endif
    push vector
    jmp exokernel_common
    .set vector, vector + 1
.endr

exokernel_common:
    push r15
    push r14
    push r13
    push r12
    push r11
    push r10
    push r9
    push r8
    push rdi
    push rsi
    push rbp
    push rdx
    push rcx
    push rbx
    push rax
    cld
    sub rsp, 512
    fxsave64 [rsp]
    lea rdi, [rsp + 512]
    call exokernel_trap
    fxrstor64 [rsp]
    add rsp, 512
    pop rax
    pop rbx
    pop rcx
    pop rdx
    pop rbp
    pop rsi
    pop rdi
    pop r8
    pop r9
    pop r10
    pop r11
    pop r12
    pop r13
    pop r14
    pop r15
    add rsp, 16
    iretq

# int3: a call if it comes from the gate's page, otherwise a fault like any other.
.balign 16
.globl exokernel_gate
exokernel_gate:
    push rax
    mov rax, [rsp + 8]
    cmp rax, [rip + EXOKERNEL_GATE_RETURN]
    pop rax
    jne 1f
    cld
    sub rsp, 8
    call exokernel_call
    add rsp, 8
    xor ecx, ecx
    xor edx, edx
    xor esi, esi
    xor edi, edi
    xor r8d, r8d
    xor r9d, r9d
    xor r10d, r10d
    xor r11d, r11d
    iretq
1:  push 0
    push 3
    jmp exokernel_common
"#,
    vectors = const VECTORS,
);
