//! Pages that the library OS keeps data in and that a program may have mapped: files in memory.
//!
//! Invariant: `start` and `bytes` are a run of the page allocator's that only this value gives back. The bytes are only
//! ever copied, by pointers: a program that has them mapped may write to them at any moment.

use crate::pages;
use core::ptr::NonNull;

/// A run of zeroed pages, given back when it is dropped.
#[derive(Debug)]
pub struct Shared {
    start: NonNull<u8>,
    bytes: usize,
}

// SAFETY: plain memory, which nothing refers to but by copying.
unsafe impl Send for Shared {}
// SAFETY: as above; two copies at once are a race of the program's own, as on any mapped file.
unsafe impl Sync for Shared {}

impl Shared {
    /// `bytes`, rounded up to pages, in one piece; `None` if there is no such piece.
    pub fn new(bytes: usize) -> Option<Shared> {
        let bytes = bytes.max(1).checked_next_multiple_of(abi::PAGE_SIZE as usize)?;
        Some(Shared { start: pages::allocate(bytes)?, bytes })
    }

    /// Bytes, a multiple of the page size.
    #[allow(clippy::len_without_is_empty)] // it never is
    pub fn len(&self) -> usize {
        self.bytes
    }

    /// Where it lies.
    pub fn address(&self) -> usize {
        self.start.as_ptr() as usize
    }

    /// The part of `at..at + length` that is inside.
    fn inside(&self, at: usize, length: usize) -> (*mut u8, usize) {
        let at = at.min(self.bytes);
        // SAFETY: at most one past the run's end.
        (unsafe { self.start.as_ptr().add(at) }, length.min(self.bytes - at))
    }

    /// Copies from `at` on; gives how much there was.
    pub fn read(&self, at: usize, to: &mut [u8]) -> usize {
        let (from, count) = self.inside(at, to.len());
        // SAFETY: inside the run and inside the buffer, which may be a mapping of this run.
        unsafe { from.copy_to(to.as_mut_ptr(), count) };
        count
    }

    /// Copies to `at` and on; gives how much fitted.
    pub fn write(&self, at: usize, from: &[u8]) -> usize {
        let (to, count) = self.inside(at, from.len());
        // SAFETY: as in `read`.
        unsafe { to.copy_from(from.as_ptr(), count) };
        count
    }

    /// Makes `length` bytes from `at` on zero, as far as there are so many.
    pub fn clear(&self, at: usize, length: usize) {
        let (to, count) = self.inside(at, length);
        // SAFETY: inside the run.
        unsafe { to.write_bytes(0, count) };
    }

    /// Copies `length` bytes of another run.
    pub fn copy(&self, at: usize, from: &Shared, from_at: usize, length: usize) {
        let (source, count) = from.inside(from_at, length);
        let (to, count) = self.inside(at, count);
        // SAFETY: inside both runs.
        unsafe { to.copy_from(source, count) };
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: ours; whoever mapped the pages holds this value too.
        unsafe { pages::free(self.start, self.bytes) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_outside_is_left_alone() {
        let run = Shared::new(10).expect("room");
        assert_eq!(run.len(), 4096);
        assert_eq!(run.write(4090, b"0123456789"), 6);
        assert_eq!(run.write(5000, b"x"), 0);
        let mut buffer = [9; 8];
        assert_eq!(run.read(4091, &mut buffer), 5);
        assert_eq!(&buffer, b"12345\x09\x09\x09");
        run.clear(4092, 100);
        assert_eq!(run.read(4090, &mut buffer), 6);
        assert_eq!(&buffer[..6], b"01\0\0\0\0");
        let other = Shared::new(1).expect("room");
        other.copy(0, &run, 4090, 100);
        assert_eq!(other.read(0, &mut buffer), 8);
        assert_eq!(&buffer, b"01\0\0\0\0\0\0");
    }
}
