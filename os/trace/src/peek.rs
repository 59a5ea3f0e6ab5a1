//! The program's memory.
//!
//! Invariant: what is read lies in a part of the machine that can be read: the image, the boot information, a stack, the
//! arena. A pointer to elsewhere, which the library OS has most likely refused too, is not followed. Pages of the arena that
//! the program has made inaccessible cannot be told from others; to follow a pointer there is the fault that it is for the
//! library OS. Bytes are copied one moment and shown the next, for another thread may write them.

use abi::boot::{BootInfo, Bytes, SEGMENT_READ};
use abi::image::IMAGE_ALIGN;

/// Can `length` bytes be read there?
fn is_readable(address: usize, length: usize) -> bool {
    if cfg!(not(ampoule_image)) {
        return address >= abi::PAGE_SIZE as usize; // a test, which has a host's addresses
    }
    let boot = machine::boot();
    let (from, Some(to)) = (address as u64, (address as u64).checked_add(length as u64)) else { return false };
    let within = |start: u64, length: u64| from >= start && to <= start.saturating_add(length);
    let mut segments = boot.segments.iter().take(boot.segment_count as usize);
    let own = core::ptr::from_ref::<BootInfo>(boot) as u64;
    segments.any(|s| s.access & SEGMENT_READ != 0 && within(s.address.0, s.length))
        || within(boot.stack.address.0, boot.stack.length)
        || within(boot.arena.address.0, boot.arena.length)
        || within(own, size_of::<BootInfo>() as u64)
        || within(boot.strings.address.0, boot.strings.length)
}

/// A value at an address of the program's; `None` if it cannot be read.
pub(crate) fn value<T: Plain>(address: usize) -> Option<T> {
    // SAFETY: readable, and any bytes are a value.
    is_readable(address, size_of::<T>()).then(|| unsafe { (address as *const T).read_unaligned() })
}

/// As many bytes from an address on as fit into `to`; false if they cannot be read.
pub(crate) fn copy(address: usize, to: &mut [u8]) -> bool {
    let is_there = is_readable(address, to.len());
    if is_there {
        // SAFETY: readable.
        unsafe { core::ptr::copy(address as *const u8, to.as_mut_ptr(), to.len()) };
    }
    is_there
}

/// The bytes of a C string, `to.len()` of them at most; how many, and whether it goes on. `None` if it cannot be read.
pub(crate) fn text(address: usize, to: &mut [u8]) -> Option<(usize, bool)> {
    for (at, place) in to.iter_mut().enumerate() {
        match value::<u8>(address.checked_add(at)?)? {
            0 => return Some((at, false)),
            byte => *place = byte,
        }
    }
    Some((to.len(), value::<u8>(address.checked_add(to.len())?)? != 0))
}

/// The strings of the boot information.
pub(crate) fn strings(bytes: Bytes, count: usize) -> impl Iterator<Item = &'static [u8]> {
    let length = if count == 0 || bytes.address.0 < IMAGE_ALIGN { 0 } else { bytes.length as usize };
    let all: &'static [u8] = match length {
        0 => &[],
        // SAFETY: the boot information's own bytes, which never change.
        _ => unsafe { core::slice::from_raw_parts(bytes.address.0 as *const u8, length) },
    };
    all.split(|byte| *byte == 0).take(count)
}

/// What any bytes are a value of.
///
/// # Safety
/// No byte pattern is invalid, and there is no reference in it.
pub(crate) unsafe trait Plain: Copy {}

macro_rules! plain {
    ($($type:ty),*) => {$(
        // SAFETY: integers, or a `repr(C)` structure of integers.
        unsafe impl $crate::peek::Plain for $type {}
    )*};
}
pub(crate) use plain;

plain!(u8, u16, u32, u64, usize, i32, i64);
// SAFETY: of what has no invalid bytes.
unsafe impl<T: Plain, const N: usize> Plain for [T; N] {}
