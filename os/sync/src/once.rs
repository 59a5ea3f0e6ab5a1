//! A value made on first use.
//!
//! Invariant: `value` is written once, under the lock, before `ready` says so; afterwards it is only shared.

use crate::SpinLock;
use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicBool, Ordering};

/// A cell that its first user fills.
#[derive(Debug)]
pub struct Once<T> {
    ready: AtomicBool,
    making: SpinLock<()>,
    value: UnsafeCell<MaybeUninit<T>>,
}

// SAFETY: the value is shared once it is ready (Sync) and may have been made by another thread (Send).
unsafe impl<T: Send + Sync> Sync for Once<T> {}

impl<T> Once<T> {
    /// An empty cell.
    pub const fn new() -> Self {
        Once { ready: AtomicBool::new(false), making: SpinLock::new(()), value: UnsafeCell::new(MaybeUninit::uninit()) }
    }

    /// The value; `make` makes it if this is the first call, with upcalls masked. `make` must not use the cell itself.
    #[inline]
    pub fn get_or_init(&self, make: impl FnOnce() -> T) -> &T {
        if !self.ready.load(Ordering::Acquire) {
            self.fill(make);
        }
        // SAFETY: ready, so it was written and is never written again.
        unsafe { (*self.value.get()).assume_init_ref() }
    }

    /// The value, if somebody has made it.
    #[inline]
    pub fn get(&self) -> Option<&T> {
        // SAFETY: as in `get_or_init`.
        self.ready.load(Ordering::Acquire).then(|| unsafe { (*self.value.get()).assume_init_ref() })
    }

    #[cold]
    fn fill(&self, make: impl FnOnce() -> T) {
        let _making = self.making.lock();
        if !self.ready.load(Ordering::Acquire) {
            let value = make();
            // SAFETY: not ready, and only the holder of `making` writes.
            unsafe { (*self.value.get()).write(value) };
            self.ready.store(true, Ordering::Release);
        }
    }
}

impl<T> Default for Once<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Drop for Once<T> {
    fn drop(&mut self) {
        if *self.ready.get_mut() {
            // SAFETY: ready, and nobody shares it any more.
            unsafe { self.value.get_mut().assume_init_drop() }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    #[test]
    fn made_once() {
        let made = AtomicUsize::new(0);
        let cell = Once::new();
        assert!(cell.get().is_none());
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| assert_eq!(*cell.get_or_init(|| made.fetch_add(1, Ordering::Relaxed) + 7), 7));
            }
        });
        assert_eq!(cell.get(), Some(&7));
    }
}
