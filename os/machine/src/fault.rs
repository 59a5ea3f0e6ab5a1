//! The report that a machine leaves when it dies of a fault.

mod instruction;

use abi::boot::{BootInfo, SEGMENT_EXECUTE};
use core::fmt::Write;
use core::ops::Range;

/// What faulted, architecture-neutral enough for a report.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fault {
    /// The exception's vector.
    pub vector: u64,
    /// Its error code.
    pub error: u64,
    /// The address that was touched, for a page fault.
    pub address: u64,
    /// The instruction's address.
    pub instruction: u64,
    /// The stack pointer.
    pub stack_pointer: u64,
    /// The frame pointer.
    pub frame_pointer: u64,
}

/// Who was running, for the report. The scheduler gives it.
#[derive(Clone, Debug)]
pub struct Description {
    /// The thread's name.
    pub name: [u8; 16],
    /// Its stack, without the guard.
    pub stack: Range<usize>,
    /// The pages below the stack that may not be touched.
    pub guard: Range<usize>,
}

#[cfg(ampoule_image)]
unsafe extern "Rust" {
    /// Describes the running thread; touches only memory that is always there. Defined by `ampoule-thread`.
    safe fn ampoule_thread_describe() -> Description;
}

#[cfg(not(ampoule_image))]
fn ampoule_thread_describe() -> Description {
    Description { name: *b"hosted\0\0\0\0\0\0\0\0\0\0", stack: 0..0, guard: 0..0 }
}

/// The stack on which faults are looked at; never a thread's own, which may be what overflowed.
pub fn stack() -> Range<usize> {
    crate::arch::fault_stack()
}

/// A line of text of bounded length, for places without a heap.
pub struct Line {
    bytes: [u8; 256],
    length: usize,
}

impl Default for Line {
    fn default() -> Self {
        Line { bytes: [0; 256], length: 0 }
    }
}

impl Line {
    /// The text so far.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    #[inline(never)]
    fn push(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.length) {
            *place = byte;
            self.length += 1;
        }
    }

    // The report goes into every image, and these take a fraction of the room that `write!` does.

    #[cold]
    #[inline(never)]
    fn text(&mut self, text: &str) {
        text.bytes().for_each(|byte| self.push(byte));
    }

    /// At least this many digits of a number, without a prefix.
    #[cold]
    #[inline(never)]
    fn digits(&mut self, value: u64, base: u64, least: u32) {
        if value >= base || least > 1 {
            self.digits(value / base, base, least.saturating_sub(1));
        }
        self.push(b"0123456789abcdef"[(value % base) as usize & 15]);
    }

    #[cold]
    #[inline(never)]
    fn subject(&mut self, who: &Description) {
        self.text("\nthread '");
        self.text(name_text(&who.name));
        self.text("' ");
    }

    #[cold]
    #[inline(never)]
    fn hex(&mut self, value: u64) {
        self.text("0x");
        self.digits(value, 16, 1);
    }
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        let room = self.bytes.len() - self.length;
        let taken = text.len().min(room);
        self.bytes[self.length..self.length + taken].copy_from_slice(&text.as_bytes()[..taken]);
        self.length += taken;
        Ok(())
    }
}

/// A name in a fixed array as text.
pub fn name_text(name: &[u8; 16]) -> &str {
    let length = name.iter().position(|b| *b == 0).unwrap_or(name.len());
    core::str::from_utf8(&name[..length]).unwrap_or("?")
}

/// Reports and ends the machine with [`abi::vcpu::STATUS_FAULT`].
#[cold]
pub fn report(fault: &Fault) -> ! {
    let who = ampoule_thread_describe();
    crate::end::run_hooks();
    let mut line = Line::default();
    let boot = crate::boot();
    let text = text(boot, fault.instruction);
    describe(&mut line, fault, &who, text);
    line.text(if text.is_empty() { ", outside its code, at " } else { ", at image+" });
    line.hex(fault.instruction - if text.is_empty() { 0 } else { boot.image_base.0 });
    line.text(", stack pointer ");
    line.hex(fault.stack_pointer);
    line.text("\n");
    crate::gate::log(line.as_bytes());
    let caller = if text.is_empty() { top_of(&who.stack, fault.stack_pointer) } else { 0 };
    crate::backtrace::show([fault.instruction.wrapping_add(1), caller], fault.frame_pointer as usize, who.stack);
    crate::gate::exit(abi::vcpu::STATUS_FAULT)
}

/// What lies on top of a stack: where code that cannot be run was called, that is its return address.
fn top_of(stack: &Range<usize>, pointer: u64) -> u64 {
    let pointer = pointer as usize;
    let is_inside = pointer >= stack.start && pointer.is_multiple_of(8) && pointer + 8 <= stack.end;
    // SAFETY: an aligned word inside the thread's own stack, which is mapped.
    if is_inside { unsafe { (pointer as *const u64).read() } } else { 0 }
}

/// Ends the machine as SIGABRT would. Says which thread gave up, and where; not where a backtrace was shown before, as std
/// does for a panic that asks for one.
#[cold]
pub fn abort() -> ! {
    crate::cpu::mask();
    crate::end::run_hooks();
    if !crate::backtrace::is_shown() {
        let who = ampoule_thread_describe();
        let mut line = Line::default();
        line.subject(&who);
        line.text("aborted\n");
        crate::gate::log(line.as_bytes());
        crate::backtrace::show([0; 2], crate::backtrace::frame_pointer(), who.stack);
    }
    crate::gate::exit(abi::vcpu::STATUS_ABORT)
}

/// The image's code from an address on; nothing where there is none.
fn text(boot: &'static BootInfo, address: u64) -> &'static [u8] {
    let segments = boot.segments.iter().take(boot.segment_count as usize);
    let left = |s: &abi::boot::Segment| s.length.checked_sub(address.checked_sub(s.address.0)?);
    match segments.filter(|s| s.access & SEGMENT_EXECUTE != 0).find_map(left) {
        // SAFETY: the rest of a sealed segment, which can be read and never changes.
        Some(length) => unsafe { core::slice::from_raw_parts(address as *const u8, length as usize) },
        None => &[],
    }
}

#[cold]
fn describe(out: &mut Line, fault: &Fault, who: &Description, text: &[u8]) {
    out.subject(who);
    if fault.vector == abi::vcpu::VECTOR_PAGE_FAULT {
        let guarded = who.guard.contains(&(fault.address as usize));
        if guarded && fault.error & abi::vcpu::PAGE_FAULT_FETCH == 0 {
            out.text("has overflowed its stack of ");
            out.digits(who.stack.len() as u64 >> 10, 10, 1);
            out.text(" KiB: it ");
        }
        out.text("tried to ");
        out.text(abi::vcpu::page_fault_access(fault.error));
        out.text(" address ");
        out.hex(fault.address);
        if guarded {
            out.text(" in the guard page at ");
            out.hex(who.guard.start as u64);
        } else if fault.address < abi::PAGE_SIZE {
            out.text(" (a null pointer)");
        }
        return;
    }
    out.text(match fault.vector {
        abi::vcpu::VECTOR_DIVIDE => "divided by zero",
        abi::vcpu::VECTOR_INVALID_OPCODE => "executed an invalid instruction",
        abi::vcpu::VECTOR_GENERAL_PROTECTION => "broke a protection rule",
        abi::vcpu::VECTOR_ALIGNMENT => "made an unaligned access",
        _ => "was stopped by an exception",
    });
    instruction::describe(out, text);
    out.text(" (vector ");
    out.digits(fault.vector, 10, 1);
    out.text(", error ");
    out.hex(fault.error);
    out.text(")");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(fault: Fault) -> String {
        let who = Description { name: *b"worker\0\0\0\0\0\0\0\0\0\0", stack: 0x9000..0xb000, guard: 0x8000..0x9000 };
        let mut line = Line::default();
        describe(&mut line, &fault, &who, &[0xf4]);
        String::from_utf8(line.as_bytes().to_vec()).expect("text")
    }

    #[test]
    fn names_the_thread_the_access_and_the_address() {
        let overflow = text(Fault { vector: 14, error: 6, address: 0x8ff8, ..Fault::default() });
        assert!(
            overflow.contains("thread 'worker' has overflowed its stack of 8 KiB: it tried to write to"),
            "{overflow}"
        );
        assert!(overflow.contains("address 0x8ff8 in the guard page at 0x8000"), "{overflow}");
        let fetch = text(Fault { vector: 14, error: 20, address: 0x8ff8, ..Fault::default() });
        assert!(fetch.contains("tried to execute address 0x8ff8 in the guard page") && !fetch.contains("overflowed"));
        let null = text(Fault { vector: 14, error: 6, ..Fault::default() });
        assert!(null.contains("tried to write to address 0x0 (a null pointer)"), "{null}");
        let other = text(Fault { vector: 13, ..Fault::default() });
        assert!(other.contains("broke a protection rule by hlt (bytes f4) (vector 13"), "{other}");
    }
}
