//! What the hypervisor says at the start: PVH's start information, copied before its memory is used for anything else.
//!
//! Source: Xen's public/arch-x86/hvm/start_info.h.

use crate::ram;

/// `XEN_HVM_START_MAGIC_VALUE`.
const MAGIC: u32 = 0x336e_c578;
/// The longest command line that is kept.
pub const COMMAND_LINE_MAX: usize = 4096;
/// The most RAM ranges that are kept.
const RANGES_MAX: usize = 16;

/// A copy of the parts that matter.
pub struct Start {
    ranges: [(u64, u64); RANGES_MAX],
    range_count: usize,
    command_line: [u8; COMMAND_LINE_MAX],
    command_line_length: usize,
}

impl Start {
    /// Nothing yet.
    pub const EMPTY: Start = Start {
        ranges: [(0, 0); RANGES_MAX],
        range_count: 0,
        command_line: [0; COMMAND_LINE_MAX],
        command_line_length: 0,
    };

    /// Copies the start information at a physical address; false if there is none.
    ///
    /// # Safety
    /// Called once, with what the hypervisor handed over, before any memory but this program's own is written.
    pub unsafe fn read(&mut self, address: u64) -> bool {
        if address == 0 || address >= ram::MAPPED_END - 4096 {
            return false;
        }
        // SAFETY: the hypervisor keeps the structure in RAM; it is read unaligned, as plain bytes.
        let information: Information = unsafe { (address as *const Information).read_unaligned() };
        if information.magic != MAGIC || information.version < 1 {
            return false;
        }
        if information.command_line != 0 {
            // SAFETY: a NUL-terminated string in RAM, below 4 GiB like everything the hypervisor loads.
            let line = unsafe { core::slice::from_raw_parts(information.command_line as *const u8, COMMAND_LINE_MAX) };
            let length = line.iter().position(|b| *b == 0).unwrap_or(COMMAND_LINE_MAX);
            self.command_line[..length].copy_from_slice(&line[..length]);
            self.command_line_length = length;
        }
        for index in 0..u64::from(information.map_entries) {
            // SAFETY: the table has that many entries of this layout.
            let entry: Entry = unsafe { ((information.map + index * 24) as *const Entry).read_unaligned() };
            if entry.kind == 1 && self.range_count < RANGES_MAX {
                self.ranges[self.range_count] = (entry.address, entry.address.saturating_add(entry.length));
                self.range_count += 1;
            }
        }
        true
    }

    /// RAM, as (first byte, one past the last).
    pub fn ranges(&self) -> &[(u64, u64)] {
        &self.ranges[..self.range_count]
    }

    /// The kernel command line.
    pub fn command_line(&self) -> &[u8] {
        &self.command_line[..self.command_line_length]
    }
}

/// `struct hvm_start_info`, version 1.
#[repr(C)]
#[derive(Clone, Copy)]
struct Information {
    magic: u32,
    version: u32,
    flags: u32,
    module_count: u32,
    modules: u64,
    command_line: u64,
    rsdp: u64,
    map: u64,
    map_entries: u32,
    reserved: u32,
}

/// `struct hvm_memmap_table_entry`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Entry {
    address: u64,
    length: u64,
    kind: u32,
    reserved: u32,
}
