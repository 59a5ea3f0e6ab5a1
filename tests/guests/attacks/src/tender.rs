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
    println!("the kernel says {}", system_call(stub, number, [0, 4096, 7]));
}

/// The tender's end of its socket pair to the parent (`host/monitor/src/process/tender.rs`), and `write(2)`.
const CONTROL: u64 = 3;
const WRITE: u64 = 1;
/// The kind of a message that carries a request for the host's sockets.
const REQUEST: u32 = 3;

/// Says to the parent what only the tender should, and worse: every kind of message, of every length, with nonsense in it.
pub(crate) fn messages(_: &[String]) {
    let stub = find().expect("the tender's stub");
    let mut random = 0x5eed_u64;
    let mut next = || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as u32
    };
    let mut count = 0;
    for round in 0..2000u32 {
        let mut words = [0u32; 64];
        words.iter_mut().for_each(|word| *word = if next() % 3 == 0 { next() } else { next() % 12 });
        // Text and backtraces would only fill the terminal, so they are few.
        words[0] = if round % 100 == 0 { next() % 24 } else { REQUEST + next() % 3 };
        let length = u64::from(next()) % (size_of_val(&words) as u64 + 1);
        let answer = system_call(stub, WRITE, [CONTROL, words.as_ptr() as u64, length]);
        assert!(answer == length as i64, "the parent's socket says {answer}");
        count += 1;
    }
    crate::refused(format_args!("{count} messages, and the parent still listens"));
}

fn system_call(stub: usize, number: u64, [a, b, c]: [u64; 3]) -> i64 {
    let answer: i64;
    // SAFETY: the instruction and a `ret`; what the call does to memory is the callers' business.
    unsafe {
        asm!("call {}", in(reg) stub + 5, inlateout("rax") number => answer,
             in("rdi") a, in("rsi") b, in("rdx") c, out("rcx") _, out("r11") _);
    }
    answer
}

/// Overwrites all of the tender that can be written, and then has it do something. This harms nobody but the machine.
pub(crate) fn overwrite(_: &[String]) {
    let base = base();
    let headers = headers(base);
    let data = headers.iter().rfind(|h| h.kind == machine::elf::PT_LOAD && h.flags & 2 != 0).expect("data");
    let sealed = headers.iter().find(|h| h.kind == PT_GNU_RELRO).map_or(0, |h| h.address + h.memory_length);
    let start = base as u64 + data.address.max(sealed).next_multiple_of(4096);
    let end = base as u64 + data.address + data.memory_length;
    crate::places::say_target(start as usize);
    // SAFETY: none; the tender's own memory.
    unsafe { (start as *mut u8).write_bytes(0xff, (end - start) as usize) };
    machine::gate::wait(0);
}

/// `p_type` of what a loader makes read-only after relocation.
const PT_GNU_RELRO: u32 = 0x6474_e552;

/// Looks through the tender's text.
fn find() -> Option<usize> {
    let base = base();
    let code = headers(base).iter().find(|h| h.kind == machine::elf::PT_LOAD && h.flags & 1 != 0)?;
    let start = base + code.address as usize;
    // SAFETY: a segment that the header names, readable and executable.
    let text = unsafe { std::slice::from_raw_parts(start as *const u8, code.memory_length as usize) };
    text.windows(STUB.len()).position(|bytes| bytes == STUB).map(|at| start + at)
}

/// Where the tender's file lies: in one piece, from its ELF header on, some pages before the gate.
fn base() -> usize {
    let mut page = boot().gate.0 as usize & !4095;
    // SAFETY: pages of that file.
    while unsafe { (page as *const [u8; 4]).read() } != *b"\x7fELF" {
        page -= 4096;
    }
    page
}

/// Its program headers.
fn headers(base: usize) -> &'static [machine::elf::ProgramHeader] {
    // SAFETY: an ELF file's header, with e_phoff at 32 and e_phnum at 56, and its table behind it.
    unsafe {
        let offset = ((base + 32) as *const u64).read() as usize;
        let count = ((base + 56) as *const u16).read_unaligned() as usize;
        std::slice::from_raw_parts((base + offset) as *const machine::elf::ProgramHeader, count)
    }
}
