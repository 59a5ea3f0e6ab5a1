//! The report that a machine leaves when it dies of a fault.

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
pub fn report(fault: &Fault) -> ! {
    let who = ampoule_thread_describe();
    crate::end::run_hooks();
    let mut line = Line::default();
    let _ = describe(&mut line, fault, &who, crate::boot().image_base.0);
    crate::gate::log(line.as_bytes());
    let mut frames = [0u64; 64];
    frames[0] = fault.instruction;
    let mut count = 1;
    crate::backtrace::walk(fault.frame_pointer as usize, who.stack, |address| {
        frames[count] = address as u64;
        count += 1;
        count < frames.len()
    });
    crate::gate::backtrace(&frames[..count]);
    crate::gate::exit(abi::vcpu::STATUS_FAULT)
}

fn describe(out: &mut Line, fault: &Fault, who: &Description, image_base: u64) -> core::fmt::Result {
    let name = name_text(&who.name);
    let page_fault = fault.vector == abi::vcpu::VECTOR_PAGE_FAULT;
    if page_fault && who.guard.contains(&(fault.address as usize)) {
        let size = who.stack.len() >> 10;
        write!(out, "\nthread '{name}' has overflowed its stack of {size} KiB: ")?;
        write!(out, "touched {:#x} in the guard page at {:#x}, ", fault.address, who.guard.start)?;
    } else if page_fault {
        let what = match fault.error {
            e if e & abi::vcpu::PAGE_FAULT_FETCH != 0 => "execute",
            e if e & abi::vcpu::PAGE_FAULT_WRITE != 0 => "write to",
            _ => "read",
        };
        let hint = if fault.address < abi::PAGE_SIZE { " (a null pointer)" } else { "" };
        write!(out, "\nthread '{name}' tried to {what} address {:#x}{hint}, ", fault.address)?;
    } else {
        let what = match fault.vector {
            abi::vcpu::VECTOR_DIVIDE => "divided by zero",
            abi::vcpu::VECTOR_INVALID_OPCODE => "executed an invalid instruction",
            abi::vcpu::VECTOR_GENERAL_PROTECTION => "broke a protection rule",
            abi::vcpu::VECTOR_ALIGNMENT => "made an unaligned access",
            _ => "was stopped by an exception",
        };
        write!(out, "\nthread '{name}' {what} (vector {}, error {:#x}), ", fault.vector, fault.error)?;
    }
    let rip = fault.instruction;
    writeln!(out, "at image+{:#x}, stack pointer {:#x}", rip.wrapping_sub(image_base), fault.stack_pointer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(fault: Fault) -> String {
        let who = Description { name: *b"worker\0\0\0\0\0\0\0\0\0\0", stack: 0x9000..0xb000, guard: 0x8000..0x9000 };
        let mut line = Line::default();
        describe(&mut line, &fault, &who, 0x1000).expect("a line never fails");
        String::from_utf8(line.as_bytes().to_vec()).expect("text")
    }

    #[test]
    fn names_the_thread_and_the_place() {
        let overflow = text(Fault { vector: 14, address: 0x8ff8, instruction: 0x1234, ..Fault::default() });
        assert!(overflow.contains("thread 'worker' has overflowed its stack of 8 KiB"), "{overflow}");
        assert!(overflow.contains("guard page at 0x8000") && overflow.contains("image+0x234"), "{overflow}");
        let null = text(Fault { vector: 14, error: 6, ..Fault::default() });
        assert!(null.contains("tried to write to address 0x0 (a null pointer)"), "{null}");
        let other = text(Fault { vector: 13, ..Fault::default() });
        assert!(other.contains("broke a protection rule (vector 13"), "{other}");
    }
}
