//! Instructions that ring 3 must not execute.

use crate::places;
use std::arch::asm;

/// A port that no device has.
const PORT: u16 = 0x80;

/// Executes one by its name.
pub(crate) fn execute(arguments: &[String]) {
    let name = arguments.first().expect("an instruction");
    // SAFETY: none of this block; each instruction is meant to fault, and nothing follows.
    unsafe {
        match name.as_str() {
            "cli" => asm!("cli"),
            "sti" => asm!("sti"),
            "hlt" => asm!("hlt"),
            "read-cr0" => asm!("mov {}, cr0", out(reg) _),
            "read-cr3" => asm!("mov {}, cr3", out(reg) _),
            "write-cr3" => asm!("mov cr3, {}", in(reg) 0x1000usize),
            "write-cr4" => asm!("mov cr4, {}", in(reg) 0usize),
            "write-dr7" => asm!("mov dr7, {}", in(reg) 0usize),
            // LSTAR, where `syscall` goes.
            "rdmsr" => asm!("rdmsr", in("ecx") 0xc000_0082u32, out("eax") _, out("edx") _),
            "wrmsr" => asm!("wrmsr", in("ecx") 0xc000_0082u32, in("eax") 0, in("edx") 0),
            "out" => asm!("out dx, al", in("dx") PORT, in("al") 0u8),
            "in" => asm!("in al, dx", in("dx") PORT, out("al") _),
            "lgdt" => asm!("lgdt [{}]", in(reg) &[0u64; 2]),
            "lidt" => asm!("lidt [{}]", in(reg) &[0u64; 2]),
            "ltr" => asm!("ltr {:x}", in(reg) 0x40usize),
            "lmsw" => asm!("lmsw {:x}", in(reg) 0usize),
            "clts" => asm!("clts"),
            "invlpg" => asm!("invlpg [{}]", in(reg) 0x1000usize),
            "wbinvd" => asm!("wbinvd"),
            "swapgs" => asm!("swapgs"),
            "xsetbv" => asm!("xsetbv", in("ecx") 0, in("eax") 1, in("edx") 0),
            "sysret" => asm!("sysretq"),
            "sysexit" => asm!("sysexit"),
            "int-13" => asm!("int 13"),
            "int-80" => asm!("int 0x80", in("eax") 20),
            "ud2" => asm!("ud2"),
            // A frame that asks for ring 0, with the exokernel's own selectors.
            "iretq-to-ring-0" => asm!(
                "mov rax, rsp",
                "push 0x18",
                "push rax",
                "push 0x202",
                "push 0x10",
                "lea rax, [rip]",
                "push rax",
                "iretq"
            ),
            "far-return-to-ring-0" => asm!("push 0x10", "lea rax, [rip]", "push rax", "retfq"),
            other => panic!("no instruction {other}"),
        }
    }
}

/// Where the far side keeps its descriptor tables, and then a write to the first of them.
pub(crate) fn tables(_: &[String]) {
    let mut pointer = [0u8; 16];
    // SAFETY: writes ten bytes of an array that has them, or faults.
    unsafe { asm!("sgdt [{}]", in(reg) pointer.as_mut_ptr()) };
    let address = u64::from_le_bytes(std::array::from_fn(|n| pointer[n + 2]));
    places::say_target(address as usize);
    // SAFETY: none; it is meant to fault.
    unsafe { (address as *mut u64).write_volatile(0) };
}

/// A `syscall` inside another instruction, where nobody rewrote it. It must not reach the host: the library OS answers,
/// as it answers every other one.
pub(crate) fn system_call(_: &[String]) {
    let answer: i64;
    // SAFETY: jumps behind the first byte of an instruction, whose other bytes are `syscall; ret; nop`.
    unsafe {
        asm!(
            "lea r8, [rip + 2f]",
            "call r8",
            "jmp 3f",
            ".byte 0xb8",
            "2: .byte 0x0f, 0x05, 0xc3, 0x90",
            "3:",
            inlateout("rax") 57i64 => answer, // fork(2)
            out("rcx") _, out("r11") _, out("r8") _,
        );
    }
    crate::refused(format_args!("fork is {answer}, page {:#x}", places::place("text") & !4095));
}
