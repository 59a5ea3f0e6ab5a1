//! Physical pages for the exokernel's own use: page tables, the boot information, the vCPU block.
//!
//! They come from low memory (below 640 KiB, which nobody else wants), and for large machines also from the top of RAM.
//! Pages are handed out and never come back: a split large page stays split.

use crate::ram;
use abi::PAGE_SIZE;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Two stretches, (next free byte, end) each.
static FREE: [[AtomicU64; 2]; 2] = [const { [const { AtomicU64::new(0) }; 2] }; 2];

/// Gives a stretch of RAM to the pool.
///
/// # Safety
/// It is RAM below [`ram::MAPPED_END`] that nothing else uses from now on, and at most two stretches are given.
pub unsafe fn give(start: u64, end: u64) {
    for stretch in &FREE {
        if stretch[1].load(Relaxed) == 0 {
            stretch[0].store(start.next_multiple_of(PAGE_SIZE), Relaxed);
            stretch[1].store(end & !(PAGE_SIZE - 1), Relaxed);
            return;
        }
    }
}

/// How many pages are left.
pub fn left() -> u64 {
    FREE.iter().map(|s| s[1].load(Relaxed).saturating_sub(s[0].load(Relaxed)) / PAGE_SIZE).sum()
}

/// `pages` zeroed pages in a row; their physical address.
pub fn take(pages: u64) -> Option<u64> {
    for stretch in &FREE {
        let start = stretch[0].load(Relaxed);
        let end = start + pages * PAGE_SIZE;
        if end <= stretch[1].load(Relaxed) {
            stretch[0].store(end, Relaxed);
            // SAFETY: `give` promised the stretch, and this part of it is handed out for the first time.
            unsafe { ram::clear(start, end - start) };
            return Some(start);
        }
    }
    None
}
