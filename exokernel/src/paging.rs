//! Page tables (SDM 3A §4.5): built once from the image, and changed afterwards only inside the arena.
//!
//! Entries of the guest's leaves always keep their physical address, present or not, so that a page can come back.
//! Bit 9, which the CPU ignores, says that an arena page is the guest's ([`OWNED`]): a guard page is owned and not
//! present, an unmapped page is neither.

use crate::{cpu, frames, ram};
use abi::PAGE_SIZE;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Entry bit: present.
pub const PRESENT: u64 = 1;
/// Entry bit: writable.
pub const WRITE: u64 = 1 << 1;
/// Entry bit: ring 3 may use it.
pub const USER: u64 = 1 << 2;
/// Entry bits: not cached (device registers).
pub const UNCACHED: u64 = 3 << 3;
/// Entry bit: never executable.
pub const NO_EXECUTE: u64 = 1 << 63;
/// Entry bit of ours: the page is mapped as far as the guest is concerned.
pub const OWNED: u64 = 1 << 9;
/// Accessed and dirty, set beforehand so that the CPU need not write them.
const TOUCHED: u64 = 3 << 5;
/// In a directory entry: maps 2 MiB itself.
const LARGE: u64 = 1 << 7;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
/// What a large page maps.
pub const LARGE_SIZE: u64 = 2 << 20;

/// Why the tables could not be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PagingError {
    /// no page is left for a table
    NoFrames,
    /// the closure refused the entry
    Refused,
}

fn entry(table: u64, index: u64) -> &'static AtomicU64 {
    // SAFETY: `table` is one of our page tables, which are RAM that only this module and the CPU's walker touch.
    unsafe { ram::word((table & ADDRESS) + (index & 511) * 8) }
}

fn top() -> u64 {
    let value: u64;
    // SAFETY: reads a register.
    unsafe { core::arch::asm!("mov {}, cr3", out(reg) value, options(nomem, nostack, preserves_flags)) }
    value & ADDRESS
}

/// The table below an entry, made if it is not there.
fn below(slot: &AtomicU64, flags: u64) -> Result<u64, PagingError> {
    let value = slot.load(Relaxed);
    if value & PRESENT != 0 {
        return Ok(value & ADDRESS);
    }
    let table = frames::take(1).ok_or(PagingError::NoFrames)?;
    slot.store(table | PRESENT | WRITE | TOUCHED & !(1 << 6) | flags, Relaxed);
    Ok(table)
}

/// The directory entry that covers a guest address.
fn directory(address: u64) -> Result<&'static AtomicU64, PagingError> {
    let pointers = below(entry(top(), address >> 39), USER)?;
    let directory = below(entry(pointers, address >> 30), USER)?;
    Ok(entry(directory, address >> 21))
}

/// Maps fresh guest pages: `length` bytes at `address` become the physical memory at `physical`. Uses large pages where
/// both addresses allow it.
pub fn map(address: u64, physical: u64, length: u64, flags: u64) -> Result<(), PagingError> {
    let mut done = 0;
    while done < length {
        let (at, from) = (address + done, physical + done);
        let slot = directory(at)?;
        if (at | from).is_multiple_of(LARGE_SIZE) && length - done >= LARGE_SIZE {
            slot.store(from | flags | USER | LARGE | TOUCHED, Relaxed);
            done += LARGE_SIZE;
        } else {
            entry(below(slot, USER)?, at >> 12).store(from | flags | USER | TOUCHED, Relaxed);
            done += PAGE_SIZE;
        }
    }
    Ok(())
}

/// Replaces a large page by 512 small ones that mean the same.
fn split(slot: &AtomicU64) -> Result<u64, PagingError> {
    let value = slot.load(Relaxed);
    let table = frames::take(1).ok_or(PagingError::NoFrames)?;
    for index in 0..512 {
        entry(table, index).store((value & !LARGE) + index * PAGE_SIZE, Relaxed);
    }
    slot.store(table | PRESENT | WRITE | (1 << 5) | (value & USER), Relaxed);
    Ok(table)
}

/// Shows every leaf of a mapped range to `change`, which gives the entry's new flags, or `None` to refuse. With `dry`
/// nothing is stored. Large pages that the range covers only in part are split.
fn visit(address: u64, length: u64, dry: bool, change: &mut impl FnMut(u64) -> Option<u64>) -> Result<(), PagingError> {
    const KEPT: u64 = ADDRESS | LARGE;
    let end = address + length;
    let mut at = address;
    while at < end {
        let slot = directory(at)?;
        let value = slot.load(Relaxed);
        let whole = at.is_multiple_of(LARGE_SIZE) && end - at >= LARGE_SIZE;
        let (leaf, size) = if value & LARGE == 0 {
            (entry(below(slot, USER)?, at >> 12), PAGE_SIZE)
        } else if whole || dry {
            (slot, LARGE_SIZE - at % LARGE_SIZE)
        } else {
            (entry(split(slot)?, at >> 12), PAGE_SIZE)
        };
        let value = leaf.load(Relaxed);
        let flags = change(value).ok_or(PagingError::Refused)?;
        if !dry {
            leaf.store(value & KEPT | flags | USER | TOUCHED | NO_EXECUTE, Relaxed);
        }
        at += size;
    }
    Ok(())
}

/// Changes the flags of a range that is mapped already: first asks `allowed` about every entry, then stores `flags`.
pub fn change(address: u64, length: u64, allowed: impl Fn(u64) -> bool, flags: u64) -> Result<(), PagingError> {
    visit(address, length, true, &mut |value| allowed(value).then_some(0))?;
    visit(address, length, false, &mut |_| Some(flags))?;
    if length > 32 * PAGE_SIZE {
        cpu::flush_all();
    } else {
        (0..length / PAGE_SIZE).for_each(|page| cpu::flush_page(address + page * PAGE_SIZE));
    }
    Ok(())
}

/// The physical address behind a guest address that ring 3 may read.
pub fn translate(address: u64) -> Option<u64> {
    if address >> 47 != 0 || address >> 39 == 0 {
        return None;
    }
    let step = |table: u64, shift: u32| {
        let value = entry(table, address >> shift).load(Relaxed);
        (value & (PRESENT | USER) == PRESENT | USER).then_some(value)
    };
    let directory = step(step(top(), 39)?, 30)?;
    let large = step(directory, 21)?;
    if large & LARGE != 0 {
        return Some((large & ADDRESS & !(LARGE_SIZE - 1)) + address % LARGE_SIZE);
    }
    Some((step(large, 12)? & ADDRESS) + address % PAGE_SIZE)
}

/// What the linker script says about this program: ends and starts of its parts.
#[derive(Clone, Copy, Debug)]
pub struct Own {
    /// Read and execute up to here.
    pub text_end: u64,
    /// Read only from here...
    pub rodata_start: u64,
    /// ...to here, where writable data begins.
    pub data_start: u64,
    /// A page that must fault.
    pub guard: u64,
    /// The four directories that map the first 4 GiB.
    pub directories: u64,
}

/// Narrows the boot code's map of the first 4 GiB: nothing is executable but this program's text, nothing of it is
/// writable but its data, and what is not RAM is not cached.
pub fn narrow(own: &Own, ranges: &[(u64, u64)]) -> Result<(), PagingError> {
    let table = frames::take(1).ok_or(PagingError::NoFrames)?;
    for page in 0..512 {
        let at = page * PAGE_SIZE;
        let flags = match at {
            0 => 0,
            _ if at == own.guard => 0,
            _ if (0x10_0000..own.text_end).contains(&at) => PRESENT,
            _ if (own.rodata_start & ADDRESS..own.data_start & ADDRESS).contains(&at) => PRESENT | NO_EXECUTE,
            _ => PRESENT | WRITE | NO_EXECUTE,
        };
        entry(table, page).store(at | flags | TOUCHED, Relaxed);
    }
    for large in 0..2048 {
        let at = large * LARGE_SIZE;
        let is_ram = ranges.iter().any(|r| r.0 < at + LARGE_SIZE && at < r.1);
        let cache = if is_ram { 0 } else { UNCACHED };
        entry(own.directories + large / 512 * PAGE_SIZE, large)
            .store(at | PRESENT | WRITE | LARGE | TOUCHED | NO_EXECUTE | cache, Relaxed);
    }
    entry(own.directories, 0).store(table | PRESENT | WRITE, Relaxed);
    cpu::flush_all();
    Ok(())
}
