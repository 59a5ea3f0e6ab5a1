//! Physical memory as Rust sees it: everything the exokernel itself maps, one to one.

use core::sync::atomic::AtomicU64;

/// The end of what is mapped one to one.
pub const MAPPED_END: u64 = 4 << 30;

/// Eight bytes of physical memory that the exokernel shares with nobody but the CPU's page walker, or with the guest as
/// plain atomics.
///
/// # Safety
/// `address` is RAM below [`MAPPED_END`], a multiple of 8, and nothing holds a reference of another type to it.
pub unsafe fn word(address: u64) -> &'static AtomicU64 {
    // SAFETY: the caller's promise; the mapping lasts for ever.
    unsafe { &*(address as *const AtomicU64) }
}

/// Bytes of physical memory.
///
/// # Safety
/// As for [`word`]; and nobody writes to them while the slice lives.
pub unsafe fn bytes(address: u64, length: u64) -> &'static [u8] {
    // SAFETY: the caller's promise.
    unsafe { core::slice::from_raw_parts(address as *const u8, length as usize) }
}

/// Sets whole pages to zero. Words that are zero already are only read, so that a host that backs memory lazily does
/// not have to find a page for them.
///
/// # Safety
/// The pages are RAM below [`MAPPED_END`] that nothing else refers to.
pub unsafe fn clear(address: u64, length: u64) {
    // Integer words, four at a time: emulators are slow at vector registers and at short loops.
    let mut at = address as *mut u64;
    // SAFETY: stays within the caller's pages.
    let end = unsafe { at.byte_add(length as usize) };
    while at < end {
        // SAFETY: inside the pages, whose length is a multiple of 32.
        unsafe {
            if at.read() | at.add(1).read() | at.add(2).read() | at.add(3).read() != 0 {
                at.write(0);
                at.add(1).write(0);
                at.add(2).write(0);
                at.add(3).write(0);
            }
            at = at.add(4);
        }
    }
}

/// A block of device registers.
#[derive(Clone, Copy)]
pub struct Registers(u64);

impl Registers {
    /// The registers at a physical address.
    ///
    /// # Safety
    /// A device's registers lie there, below [`MAPPED_END`], in all offsets that are used.
    pub const unsafe fn new(address: u64) -> Self {
        Registers(address)
    }

    /// Reads the 32-bit register at a byte offset.
    pub fn read(self, offset: u64) -> u32 {
        // SAFETY: promised to `new`.
        unsafe { ((self.0 + offset) as *const u32).read_volatile() }
    }

    /// Writes the 32-bit register at a byte offset.
    pub fn write(self, offset: u64, value: u32) {
        // SAFETY: promised to `new`.
        unsafe { ((self.0 + offset) as *mut u32).write_volatile(value) }
    }
}
