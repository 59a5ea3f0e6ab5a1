//! The three pages of the far side in the guest: code of a few bytes, tables for the CPU, and a stack of 48 bytes.
//!
//! | page | guest's access | what is in it |
//! |---|---|---|
//! | code | read, execute | the gate, and a stub for each exception |
//! | tables | none (the CPU reads it as the supervisor) | GDT, task state with its I/O bitmap, IDT |
//! | stack | read, write | what the CPU pushes at an exception |
//!
//! The selectors are Linux's, so that a frame for `iretq` is the same everywhere: user data 0x2b, user code 0x33, the
//! task state at 0x40. Accessed and busy bits are set beforehand, because the page is read-only for the CPU too.
//!
//! # Exceptions
//! Their gates lead to code of ring 3, on the stack page (IST, SDM 3A §6.14.5), whatever the guest's own stack is worth.
//! They are trap gates: an interrupt gate would clear the interrupt flag, which ring 3 cannot set again. All but vectors 3
//! and 4 have privilege level 0, so that an `int` of the guest's own is a general-protection fault and forges nothing. A
//! stub is one `out` to a port of its own: it changes no register, and the monitor takes everything else from the stack
//! page. The guest can write to that page, so it can lie to itself there; the monitor believes nothing in it.

use crate::machine::layout::Span;
use abi::PAGE_SIZE;

/// Bytes of the three pages.
pub(super) const LENGTH: u64 = 3 * PAGE_SIZE;
/// The code selector of the guest.
pub(super) const USER_CODE: u16 = 0x33;
/// The data selector of the guest.
pub(super) const USER_DATA: u16 = 0x2b;
/// The task state's selector.
pub(super) const TASK: u16 = 0x40;

/// A gate call: `out` to this port.
pub(super) const PORT_GATE: u16 = 0xe0;
/// Where a KVM that ignores EFER.SCE enters the guest at a `syscall` instruction.
pub(super) const PORT_SYSCALL: u16 = 0xe1;
/// Exception *n*: `out` to this port and *n*.
pub(super) const PORT_EXCEPTION: u16 = 0xc0;
/// How many exceptions there are (SDM 3A §6.3.1).
pub(super) const EXCEPTIONS: u16 = 32;

// In the code page.
const CODE_GATE: usize = 0;
const CODE_STUBS: usize = 0x100;
const CODE_SYSCALL: usize = CODE_STUBS + 16 * EXCEPTIONS as usize;
const CODE_STUBS_END: usize = CODE_SYSCALL + 16;

// In the tables page.
const GDT: usize = 0;
const GDT_LENGTH: usize = 0x50;
const TASK_STATE: usize = 0x100;
const IDT: usize = 0x800;
const IDT_LENGTH: usize = 16 * EXCEPTIONS as usize;
/// Where in the task state the I/O bitmap begins (SDM 1 §19.5.2).
const BITMAP: usize = 0x68;
/// Ports 0 to 0xff have a bit; a last byte of ones ends the map.
const BITMAP_LENGTH: usize = 32 + 1;

/// Where the three pages lie in the guest.
#[derive(Clone, Copy, Debug)]
pub(super) struct Far {
    pub(super) code: Span,
    pub(super) tables: Span,
    pub(super) stack: Span,
}

/// A descriptor table's base and limit.
pub(super) type Table = (u64, u16);

impl Far {
    /// The pages of this span.
    pub(super) fn of(span: Span) -> Self {
        let page = |n: u64| Span { start: span.start + n * PAGE_SIZE, end: span.start + (n + 1) * PAGE_SIZE };
        // The tables below the stack: it has nowhere to overflow to.
        Self { code: page(0), tables: page(1), stack: page(2) }
    }

    /// What the boot information calls the gate.
    pub(super) fn gate(&self) -> u64 {
        self.code.start + CODE_GATE as u64
    }

    /// Where `syscall` goes, if it goes anywhere.
    pub(super) fn syscall(&self) -> u64 {
        self.code.start + CODE_SYSCALL as u64
    }

    /// Is this address in an exception's stub? There the guest is between two states, and is left alone.
    pub(super) fn is_stub(&self, address: u64) -> bool {
        let start = self.code.start;
        (start + CODE_STUBS as u64..start + CODE_STUBS_END as u64).contains(&address)
    }

    pub(super) fn gdt(&self) -> Table {
        (self.tables.start + GDT as u64, GDT_LENGTH as u16 - 1)
    }

    pub(super) fn idt(&self) -> Table {
        (self.tables.start + IDT as u64, IDT_LENGTH as u16 - 1)
    }

    pub(super) fn task(&self) -> Table {
        (self.tables.start + TASK_STATE as u64, (BITMAP + BITMAP_LENGTH - 1) as u16)
    }

    /// The code page. What is no stub is `int3`.
    pub(super) fn code_page(&self) -> [u8; PAGE_SIZE as usize] {
        const OUT: u8 = 0xe6; // out imm8, al
        const RET: u8 = 0xc3;
        let mut page = [0xcc; PAGE_SIZE as usize];
        let mut put = |at: usize, bytes: &[u8]| page[at..at + bytes.len()].copy_from_slice(bytes);
        put(CODE_GATE, &[OUT, PORT_GATE as u8, RET]);
        put(CODE_SYSCALL, &[OUT, PORT_SYSCALL as u8]);
        for vector in 0..EXCEPTIONS {
            put(CODE_STUBS + 16 * usize::from(vector), &[OUT, (PORT_EXCEPTION + vector) as u8]);
        }
        page
    }

    /// The tables page.
    pub(super) fn tables_page(&self) -> [u8; PAGE_SIZE as usize] {
        let mut page = [0; PAGE_SIZE as usize];
        let mut put = |at: usize, bytes: &[u8]| page[at..at + bytes.len()].copy_from_slice(bytes);
        let (task, limit) = self.task();
        let low = u64::from(limit) | (task & 0xff_ffff) << 16 | 0x8b << 40 | (task >> 24 & 0xff) << 56;
        let gdt = [
            0,
            0,
            0x00af_9b00_0000_ffff, // 0x10: a supervisor's, for CPUs that want to see one
            0x00cf_9300_0000_ffff,
            0,
            0x00cf_f300_0000_ffff, // 0x2b
            0x00af_fb00_0000_ffff, // 0x33
            0,
            low, // 0x40: present, busy
            task >> 32,
        ];
        for (index, entry) in gdt.iter().enumerate() {
            put(GDT + 8 * index, &u64::to_le_bytes(*entry));
        }
        put(TASK_STATE + 36, &self.stack.end.to_le_bytes()); // IST1
        put(TASK_STATE + 0x66, &(BITMAP as u16).to_le_bytes());
        put(TASK_STATE + BITMAP, &bitmap());
        for vector in 0..EXCEPTIONS {
            let at = IDT + 16 * usize::from(vector);
            put(at, &self.interrupt_gate(vector).map(u64::to_le_bytes).concat());
        }
        page
    }

    fn interrupt_gate(&self, vector: u16) -> [u64; 2] {
        let entry = self.code.start + CODE_STUBS as u64 + 16 * u64::from(vector);
        let privilege: u64 = if matches!(vector, 3 | 4) { 3 } else { 0 };
        let attributes = 0x8f | privilege << 5; // present, trap gate
        let low = entry & 0xffff | u64::from(USER_CODE) << 16 | 1 << 32 | attributes << 40;
        [low | (entry >> 16 & 0xffff) << 48, entry >> 32]
    }
}

/// The I/O bitmap: a zero for each port that the guest may write to.
fn bitmap() -> [u8; BITMAP_LENGTH] {
    let mut map = [0xff; BITMAP_LENGTH];
    for port in (PORT_EXCEPTION..PORT_EXCEPTION + EXCEPTIONS).chain([PORT_GATE, PORT_SYSCALL]) {
        map[usize::from(port / 8)] &= !(1 << (port % 8));
    }
    map
}

/// Does the CPU push an error code for this exception?
pub(super) fn has_error_code(vector: u16) -> bool {
    matches!(vector, 8 | 10..=14 | 17 | 21 | 29 | 30)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_declared_ports_are_open() {
        let map = bitmap();
        let is_open = |port: u16| map.get(usize::from(port / 8)).is_some_and(|byte| byte >> (port % 8) & 1 == 0);
        for port in 0..0x200 {
            assert_eq!(is_open(port), (0xc0..=0xe1).contains(&port), "{port:#x}");
        }
        // A port's bits are read as two bytes (SDM 1 §19.5.2), the second one within the limit.
        assert!(map[usize::from(PORT_SYSCALL / 8) + 1] == 0xff && map[BITMAP_LENGTH - 1] == 0xff);
    }

    #[test]
    fn gates_lead_to_ring_3_and_cannot_be_called() {
        let far = Far::of(Span { start: 0x1234_5678_9000, end: 0x1234_5678_9000 + LENGTH });
        for vector in 0..EXCEPTIONS {
            let [low, high] = far.interrupt_gate(vector);
            let entry = low & 0xffff | (low >> 48) << 16 | high << 32;
            assert!(far.is_stub(entry) && far.is_stub(entry + 2), "{vector}");
            assert_eq!(low >> 16 & 0xffff, u64::from(USER_CODE));
            assert_eq!(low >> 45 & 3, if vector == 3 || vector == 4 { 3 } else { 0 });
        }
        assert!(!far.is_stub(far.gate()) && !far.is_stub(far.gate() + 2) && far.is_stub(far.syscall()));
    }
}
