//! The guest's page tables (SDM 3A §4.5), written from outside: once from the image, afterwards only for the arena.
//!
//! They lie at the beginning of guest-physical memory and are mapped nowhere in the guest. Every entry has its accessed
//! and dirty bits set beforehand, so that the CPU need not write to them.
//!
//! # Changing tables that the CPU has seen
//! Nobody tells KVM that we write to a table. Where it shadows tables instead of having hardware walk them, it looks at
//! one again only when a fault makes it. Two rules make changes safe on every kind of KVM:
//!
//! * A **leaf** is changed in place, after the child's own mapping of the same page was (`mprotect(2)`, `madvise(2)`).
//!   That makes KVM forget all that it had derived for the page, translations cached by the CPU included.
//! * A **directory** entry that becomes a table, because a large page has to be split, is never changed in place: the path
//!   from the top is copied, and the vCPU gets the new top ([`Tables::renewed`]). The old path is not used again.

use crate::machine::layout::{Layout, Span};
use abi::PAGE_SIZE;
use abi::boot::{SEGMENT_EXECUTE, SEGMENT_READ, SEGMENT_WRITE};
use abi::gate::{ACCESS_NONE, ACCESS_READ, ACCESS_READ_WRITE};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Entry bit: present.
const PRESENT: u64 = 1;
/// Entry bit: writable.
const WRITE: u64 = 1 << 1;
/// Entry bit: ring 3 may use it.
const USER: u64 = 1 << 2;
/// Accessed and dirty.
const TOUCHED: u64 = 3 << 5;
/// In a directory entry: maps 2 MiB itself.
const LARGE: u64 = 1 << 7;
/// Entry bit: never executable.
const NO_EXECUTE: u64 = 1 << 63;
/// What leads to another table: the leaf alone decides.
const TABLE: u64 = PRESENT | WRITE | USER | 1 << 5;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
/// What a large page maps, and what guest-physical and guest-virtual addresses agree in.
pub(super) const LARGE_SIZE: u64 = 2 << 20;

/// What a page allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flags(u64);

impl Flags {
    /// A page of the far side's tables: the CPU reads it, the guest cannot.
    pub(super) const SYSTEM: Self = Self(PRESENT | NO_EXECUTE);
    pub(super) const CODE: Self = Self(PRESENT | USER);
    pub(super) const DATA: Self = Self(PRESENT | USER | WRITE | NO_EXECUTE);
    pub(super) const READ_ONLY: Self = Self(PRESENT | USER | NO_EXECUTE);
    const NOTHING: Self = Self(NO_EXECUTE);

    /// What a segment's access means. Writable wins over executable; the loader refuses both at once.
    pub(super) fn of_segment(access: u64) -> Self {
        match access {
            _ if access & SEGMENT_WRITE != 0 => Self::DATA,
            _ if access & SEGMENT_EXECUTE != 0 => Self::CODE,
            _ if access & SEGMENT_READ != 0 => Self::READ_ONLY,
            _ => Self::NOTHING,
        }
    }

    /// What the gate's access means: never execution.
    pub(super) fn of_access(access: u64) -> Self {
        match access {
            ACCESS_READ => Self::READ_ONLY,
            ACCESS_READ_WRITE => Self::DATA,
            ACCESS_NONE.. => Self::NOTHING,
        }
    }
}

/// No room is left for a table: the plan was wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

/// The tables.
#[derive(Debug)]
pub(super) struct Tables {
    /// Where the child sees guest-physical address 0.
    memory: *mut u8,
    /// Bytes for tables, from guest-physical address 0 on. The machine's memory begins behind them.
    length: u64,
    /// The guest address of the machine's first byte.
    base: u64,
    /// The next free page.
    next: u64,
    top: u64,
    /// Tables from here on are new since the vCPU was last given a top.
    seen: u64,
}

impl Tables {
    /// Bytes of tables that a machine can come to need, in large pages' sizes.
    pub(super) fn room(layout: &Layout) -> u64 {
        let large = |bytes: u64| bytes.div_ceil(LARGE_SIZE) + 1;
        let tables = large(layout.arena.end - layout.image.start);
        // Each large page of the arena can be split once: a table, and a path of three.
        let pages = tables + tables.div_ceil(512) + 8 + 4 * large(layout.arena.length());
        (pages * PAGE_SIZE).next_multiple_of(LARGE_SIZE)
    }

    /// No tables yet, for `length` bytes at `memory`.
    ///
    /// # Safety
    /// The bytes stay mapped and zeroed, and are nobody else's.
    pub(super) unsafe fn new(memory: *mut u8, length: u64, base: u64) -> Self {
        // The first page stays empty, so that no table has address 0.
        Self { memory, length, base, next: 2 * PAGE_SIZE, top: PAGE_SIZE, seen: 0 }
    }

    /// The guest-physical address of a guest address of the machine.
    fn physical(&self, address: u64) -> u64 {
        address - self.base + self.length
    }

    fn entry(&self, table: u64, index: u64) -> &AtomicU64 {
        let offset = (table & ADDRESS) + (index & 511) * 8;
        debug_assert!(offset + 8 <= self.length);
        // SAFETY: tables lie in the bytes promised to `new`; their addresses come from `take` alone.
        unsafe { AtomicU64::from_ptr(self.memory.add(offset as usize).cast()) }
    }

    fn take(&mut self) -> Result<u64, Full> {
        let page = self.next;
        self.next += PAGE_SIZE;
        if self.next <= self.length { Ok(page) } else { Err(Full) }
    }

    /// The table below an entry, made if it is not there.
    fn below(&mut self, table: u64, index: u64) -> Result<u64, Full> {
        let value = self.entry(table, index).load(Relaxed);
        if value & PRESENT != 0 {
            return Ok(value & ADDRESS);
        }
        let below = self.take()?;
        self.entry(table, index).store(below | TABLE, Relaxed);
        Ok(below)
    }

    /// The directory (of 2 MiB entries) that covers an address.
    fn directory(&mut self, address: u64) -> Result<u64, Full> {
        let pointers = self.below(self.top, address >> 39)?;
        self.below(pointers, address >> 30)
    }

    /// Maps a span of the machine, with large pages where it has whole ones and `large` says so.
    pub(super) fn map(&mut self, span: Span, flags: Flags, large: bool) -> Result<(), Full> {
        let mut at = span.start;
        while at < span.end {
            let directory = self.directory(at)?;
            let physical = self.physical(at);
            if large && at.is_multiple_of(LARGE_SIZE) && span.end - at >= LARGE_SIZE {
                self.entry(directory, at >> 21).store(physical | flags.0 | LARGE | TOUCHED, Relaxed);
                at += LARGE_SIZE;
            } else {
                let table = self.below(directory, at >> 21)?;
                self.entry(table, at >> 12).store(physical | flags.0 | TOUCHED, Relaxed);
                at += PAGE_SIZE;
            }
        }
        Ok(())
    }

    /// Changes what pages of the arena allow. The caller has changed the child's mapping of them.
    pub(super) fn change(&mut self, span: Span, flags: Flags) -> Result<(), Full> {
        let mut at = span.start;
        while at < span.end {
            let mut directory = self.directory(at)?;
            let value = self.entry(directory, at >> 21).load(Relaxed);
            let whole = at.is_multiple_of(LARGE_SIZE) && span.end - at >= LARGE_SIZE;
            if value & LARGE != 0 && whole {
                self.entry(directory, at >> 21).store(self.physical(at) | flags.0 | LARGE | TOUCHED, Relaxed);
                at += LARGE_SIZE;
                continue;
            }
            if value & LARGE != 0 {
                directory = self.split(at, value)?;
            }
            let table = self.entry(directory, at >> 21).load(Relaxed);
            self.entry(table, at >> 12).store(self.physical(at) | flags.0 | TOUCHED, Relaxed);
            at += PAGE_SIZE;
        }
        Ok(())
    }

    /// Puts 512 small pages in a large one's place, on a new path from the top; gives the new directory.
    fn split(&mut self, address: u64, value: u64) -> Result<u64, Full> {
        let table = self.take()?;
        for index in 0..512 {
            self.entry(table, index).store((value & !LARGE) + index * PAGE_SIZE, Relaxed);
        }
        self.top = self.fresh(self.top)?;
        let pointers = self.renew(self.top, address >> 39)?;
        let directory = self.renew(pointers, address >> 30)?;
        self.entry(directory, address >> 21).store(table | TABLE, Relaxed);
        Ok(directory)
    }

    fn renew(&mut self, table: u64, index: u64) -> Result<u64, Full> {
        let old = self.entry(table, index).load(Relaxed) & ADDRESS;
        let new = self.fresh(old)?;
        self.entry(table, index).store(new | TABLE, Relaxed);
        Ok(new)
    }

    /// A copy of a table, or the table itself if the vCPU has not seen it.
    fn fresh(&mut self, table: u64) -> Result<u64, Full> {
        if table >= self.seen {
            return Ok(table);
        }
        let copy = self.take()?;
        for index in 0..512 {
            self.entry(copy, index).store(self.entry(table, index).load(Relaxed), Relaxed);
        }
        Ok(copy)
    }

    /// The top, if the vCPU must be given a new one.
    pub(super) fn renewed(&mut self) -> Option<u64> {
        (self.top >= self.seen).then(|| {
            self.seen = self.next;
            self.top
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: u64 = 0x7f_c000_0000; // its arena crosses into another top entry
    const ROOM: u64 = 4 << 20;

    struct Machine {
        memory: Vec<u64>,
        tables: Tables,
    }

    fn machine() -> Machine {
        let mut memory = vec![0u64; ROOM as usize / 8];
        // SAFETY: the bytes are zeroed, and live as long as the tables do.
        let tables = unsafe { Tables::new(memory.as_mut_ptr().cast(), ROOM, BASE) };
        Machine { memory, tables }
    }

    impl Machine {
        /// Walks like the CPU, from `top`: the physical address and the leaf's flags.
        fn walk(&self, top: u64, address: u64) -> Option<(u64, u64)> {
            let mut table = top;
            for level in (0..4).rev() {
                let shift = 12 + 9 * level;
                let value = self.memory[(table + (address >> shift & 511) * 8) as usize / 8];
                if value & PRESENT == 0 {
                    return None;
                }
                if level == 0 || value & LARGE != 0 {
                    let size = 1u64 << shift;
                    return Some(((value & ADDRESS & !(size - 1)) + address % size, value & !ADDRESS));
                }
                assert!(value & (WRITE | USER) == WRITE | USER, "a table restrains what is below it");
                table = value & ADDRESS;
            }
            None
        }
    }

    fn span(start: u64, length: u64) -> Span {
        Span { start: BASE + start, end: BASE + start + length }
    }

    #[test]
    fn pages_lead_where_the_machine_lies() {
        let mut m = machine();
        m.tables.map(span(0, 0x3000), Flags::CODE, false).expect("room");
        m.tables.map(span(0x4000, 0x1000), Flags::READ_ONLY, false).expect("room");
        m.tables.map(span(2 << 20, 1200 << 20), Flags::DATA, true).expect("room");
        let top = m.tables.renewed().expect("a first top");
        assert_eq!(m.tables.renewed(), None);
        for (offset, large) in [(0x2abc, false), (0x4001, false), (2 << 20, true), ((1100 << 20) + 5, true)] {
            let (physical, flags) = m.walk(top, BASE + offset).expect("mapped");
            assert_eq!(physical, ROOM + offset);
            assert_eq!(flags & LARGE != 0, large);
            let (write, code) = (flags & WRITE != 0, flags & NO_EXECUTE == 0);
            assert!(!(write && code) && (write == large) && (code == (offset < 0x4000)));
        }
        for offset in [0x3000, 0x5000, 1202 << 20] {
            assert_eq!(m.walk(top, BASE + offset), None, "{offset:#x}");
        }
        assert_eq!(m.walk(top, 0), None);
    }

    #[test]
    fn a_large_page_is_split_beside_what_the_cpu_has_seen() {
        let mut m = machine();
        m.tables.map(span(0, 8 << 20), Flags::DATA, true).expect("room");
        let old = m.tables.renewed().expect("a first top");
        let before = m.memory[..m.tables.next as usize / 8].to_vec();
        m.tables.change(span((2 << 20) + 0x5000, 0x1000), Flags::of_access(ACCESS_NONE)).expect("room");
        let new = m.tables.renewed().expect("a new top");
        assert_eq!(before, m.memory[..before.len()], "what the CPU has seen was changed");
        assert!(m.walk(old, BASE + (2 << 20) + 0x5000).is_some());
        assert_eq!(m.walk(new, BASE + (2 << 20) + 0x5fff), None);
        for offset in [(2 << 20) + 0x4000, (2 << 20) + 0x6000, 0, 4 << 20] {
            let (physical, flags) = m.walk(new, BASE + offset).expect("mapped");
            assert!(physical == ROOM + offset && flags & WRITE != 0 && flags & NO_EXECUTE != 0);
        }
        // Small pages, and large ones as a whole, are changed in place.
        m.tables.change(span((2 << 20) + 0x5000, 0x2000), Flags::of_access(ACCESS_READ)).expect("room");
        m.tables.change(span(4 << 20, 2 << 20), Flags::of_access(ACCESS_READ)).expect("room");
        assert_eq!(m.tables.renewed(), None);
        for offset in [(2 << 20) + 0x5000, (2 << 20) + 0x6000, 4 << 20, (6 << 20) - 1] {
            assert_eq!(m.walk(new, BASE + offset).expect("mapped").1 & (WRITE | USER), USER, "{offset:#x}");
        }
    }

    #[test]
    fn there_is_room_for_every_split() {
        let mut m = machine();
        m.tables.map(span(0, 64 << 20), Flags::DATA, true).expect("room");
        m.tables.renewed();
        for large in 0..32 {
            m.tables.change(span(large * LARGE_SIZE, PAGE_SIZE), Flags::of_access(ACCESS_NONE)).expect("room");
            assert!(m.tables.renewed().is_some());
        }
        // What `Tables::room` counts for that arena.
        assert!(m.tables.next <= (34 + 1 + 8 + 4 * 33) * PAGE_SIZE);
    }
}
