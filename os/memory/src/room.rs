//! Asking before taking: for calls that owe their caller an error when there is no memory.
//!
//! Rust's own `Box::new` ends the program then, which is right for a program and wrong for a call that POSIX
//! gives an errno.

use crate::{heap, pages};
use alloc::boxed::Box;
use core::alloc::Layout;

/// What is thought to be enough for one call's small pieces together, in bytes: a socket with its first buffers takes less.
const SPARE: usize = 16 << 10;
/// With so much in whole pages nobody needs to look closer, in bytes.
const PLENTY: usize = 64 << 10;

/// Is there room for what one call makes?
pub fn has_spare() -> bool {
    pages::free_bytes() >= PLENTY || fits(Layout::new::<[u8; SPARE]>())
}

fn fits(layout: Layout) -> bool {
    let pointer = heap::allocate(layout);
    if pointer.is_null() {
        return false;
    }
    // SAFETY: taken just now.
    unsafe { heap::free(pointer) };
    true
}

/// [`Box::new`], or `None` where it would end the machine.
pub fn try_box<T>(value: T) -> Option<Box<T>> {
    const { assert!(size_of::<T>() != 0) };
    // SAFETY: not of size 0.
    let pointer = unsafe { alloc::alloc::alloc(Layout::new::<T>()) }.cast::<T>();
    // SAFETY: of the global allocator, with the type's layout, and written before it counts as a value.
    (!pointer.is_null()).then(|| unsafe {
        pointer.write(value);
        Box::from_raw(pointer)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_is_made_and_what_does_not_is_refused() {
        assert!(has_spare());
        assert_eq!(try_box(5).as_deref(), Some(&5));
        assert!(!fits(Layout::new::<[u8; 1 << 40]>()));
    }
}
