//! As a process the machine shares its address space with the tender: its one `syscall` instruction can be found and
//! called. What the filter does not allow must not happen all the same.

use crate::places;
use machine::boot;
use std::arch::asm;

/// The end of the tender's stub (`host/device/src/system.rs`): `mov r9, [rsp + 8]; syscall; ret`.
const STUB: [u8; 8] = [0x4c, 0x8b, 0x4c, 0x24, 0x08, 0x0f, 0x05, 0xc3];

/// Calls the kernel from there.
pub(crate) fn call(arguments: &[String]) {
    let number: u64 = arguments.first().and_then(|n| n.parse().ok()).expect("a number");
    let stub = find().expect("the tender's stub");
    places::say_target(stub + 5);
    let answer: i64;
    // SAFETY: none; the call is meant to be refused.
    unsafe {
        asm!("call {}", in(reg) stub + 5, inlateout("rax") number => answer,
             in("rdi") 0, in("rsi") 4096, in("rdx") 7, out("rcx") _, out("r11") _);
    }
    println!("the kernel says {answer}");
}

/// Looks through the tender's text, page after page from where the gate lies.
fn find() -> Option<usize> {
    let gate = boot().gate.0 as usize;
    let mut page = gate & !4095;
    // SAFETY: the tender's file lies in one piece, from its ELF header on.
    while unsafe { (page as *const [u8; 4]).read() } != *b"\x7fELF" {
        page -= 4096;
    }
    let headers = machine_code(page)?;
    // SAFETY: a segment that the header names, readable and executable.
    let text = unsafe { std::slice::from_raw_parts(headers.0 as *const u8, headers.1) };
    text.windows(STUB.len()).position(|bytes| bytes == STUB).map(|at| headers.0 + at)
}

/// Address and length of the executable segment of the ELF file at `base`.
fn machine_code(base: usize) -> Option<(usize, usize)> {
    // SAFETY: an ELF file's header, with e_phoff at 32 and e_phnum at 56, and its table behind it.
    let headers = unsafe {
        let offset = ((base + 32) as *const u64).read() as usize;
        let count = ((base + 56) as *const u16).read_unaligned() as usize;
        std::slice::from_raw_parts((base + offset) as *const machine::elf::ProgramHeader, count)
    };
    let code = headers.iter().find(|h| h.kind == machine::elf::PT_LOAD && h.flags & 1 != 0)?;
    Some((base + code.address as usize, code.memory_length as usize))
}
