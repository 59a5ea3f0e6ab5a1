//! Small blocks that were freed lately, by size: what most allocations get, in a few instructions.
//!
//! The lists hold at most [`HELD_MAX`] bytes together, so that what a program once needed much of comes back to the heap
//! and can be joined into larger pieces; when the heap runs dry it gets the rest too ([`Cache::empty`]).

use core::ptr::{NonNull, null_mut};

/// Sizes are multiples of this many bytes up to [`FINE_MAX`], ...
const GRAIN: usize = 16;
/// ... which is as large as most blocks are, ...
const FINE_MAX: usize = 2048;
/// ... and multiples of this many above.
const COARSE: usize = 512;
/// The largest block that is kept, in bytes: what a buffer of 16 KiB takes.
const LARGEST: usize = (16 << 10) + COARSE;
const FINE: usize = FINE_MAX / GRAIN;
const LISTS: usize = FINE + (LARGEST - FINE_MAX) / COARSE;
/// Bytes that all lists hold together at most.
const HELD_MAX: usize = 128 << 10;

/// How large a block for `bytes` bytes is made, so that it fits others later.
#[inline]
pub(crate) const fn round(bytes: usize) -> usize {
    bytes.next_multiple_of(if bytes <= FINE_MAX || bytes > LARGEST { GRAIN } else { COARSE })
}

/// The list of blocks of `bytes` bytes, a size that [`round`] gives and not 0; beyond the last for large ones.
#[inline]
const fn list(bytes: usize) -> usize {
    if bytes <= FINE_MAX { bytes / GRAIN - 1 } else { FINE + (bytes - FINE_MAX - 1) / COARSE }
}

const fn size(list: usize) -> usize {
    if list < FINE { (list + 1) * GRAIN } else { FINE_MAX + (list - FINE + 1) * COARSE }
}

/// A free block's first words.
struct Free {
    next: *mut Free,
}

/// The lists.
pub(crate) struct Cache {
    /// By size; see [`list`].
    lists: [*mut Free; LISTS],
    /// Bytes in all lists.
    held: usize,
}

impl Cache {
    /// Nothing.
    pub(crate) const fn new() -> Self {
        Cache { lists: [null_mut(); LISTS], held: 0 }
    }

    /// A block of exactly `bytes` bytes (as [`round`] gives them, not 0), if one is kept.
    #[inline]
    pub(crate) fn take(&mut self, bytes: usize) -> Option<NonNull<u8>> {
        let list = self.lists.get_mut(list(bytes))?;
        let block = NonNull::new(*list)?;
        // SAFETY: `keep` wrote the block, and it was ours alone since.
        *list = unsafe { block.as_ref().next };
        self.held -= bytes;
        Some(block.cast())
    }

    /// Keeps a block of `bytes` bytes (as [`round`] gives them, not 0); false if it is too large, or enough are kept.
    ///
    /// # Safety
    /// The block is writable, aligned to [`GRAIN`], and nobody else's from now on, if this is true.
    #[inline]
    pub(crate) unsafe fn keep(&mut self, block: *mut u8, bytes: usize) -> bool {
        let Some(list) = self.lists.get_mut(list(bytes)) else { return false };
        if self.held + bytes > HELD_MAX {
            return false;
        }
        // SAFETY: this function's contract; a block has room for a pointer.
        unsafe { block.cast::<Free>().write(Free { next: *list }) };
        *list = block.cast();
        self.held += bytes;
        true
    }

    /// Gives every block back, with its size; true if there was one.
    #[cold]
    pub(crate) fn empty(&mut self, mut give: impl FnMut(NonNull<u8>, usize)) -> bool {
        let some = self.held != 0;
        for bytes in (0..LISTS).map(size) {
            while let Some(block) = self.take(bytes) {
                give(block, bytes);
            }
        }
        some
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_lists_agree() {
        for bytes in 1..=LARGEST {
            let rounded = round(bytes);
            assert!(rounded >= bytes && rounded == round(rounded) && size(list(rounded)) == rounded, "{bytes}");
        }
        assert!(list(LARGEST) == LISTS - 1 && list(round(LARGEST + 1)) >= LISTS);
    }

    #[test]
    fn gives_back_what_it_keeps_and_no_more() {
        #[repr(align(16))]
        struct Block([u8; 4096]);
        let mut blocks: Vec<Box<Block>> = (0..80).map(|_| Box::new(Block([0; 4096]))).collect();
        let mut cache = Cache::new();
        assert!(cache.take(32).is_none());
        // SAFETY: blocks of at least that size, which the test does not touch meanwhile.
        unsafe {
            assert!(!cache.keep(blocks[0].0.as_mut_ptr(), round(LARGEST + 1)), "too large");
            let kept = blocks.iter_mut().map(|b| cache.keep(b.0.as_mut_ptr(), 4096)).filter(|kept| *kept).count();
            assert_eq!(kept, HELD_MAX / 4096);
        }
        assert!(cache.take(32).is_none() && cache.take(4096).is_some());
        let mut given = 0;
        assert!(cache.empty(|_, bytes| given += bytes));
        assert_eq!(given, HELD_MAX - 4096);
        assert!(!cache.empty(|_, _| unreachable!("it is empty")));
    }
}
