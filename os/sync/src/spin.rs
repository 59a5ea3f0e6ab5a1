//! The spin lock.
//!
//! Invariant: the value is touched only through a [`Guard`], and there is at most one, except at the machine's very end:
//! a lock that the dying thread holds is then taken from it, so that the console can still be flushed.

use core::cell::UnsafeCell;
use core::marker::PhantomData;
use core::mem::ManuallyDrop;
use core::ops::{Deref, DerefMut};
use core::sync::atomic::{AtomicBool, Ordering};

/// A value behind a lock that masks upcalls while it is held.
#[derive(Debug, Default)]
pub struct SpinLock<T: ?Sized> {
    held: AtomicBool,
    value: UnsafeCell<T>,
}

// SAFETY: one guard at a time hands the value out, so sharing the lock moves the value between threads at most.
unsafe impl<T: ?Sized + Send> Sync for SpinLock<T> {}
// SAFETY: the lock owns the value.
unsafe impl<T: ?Sized + Send> Send for SpinLock<T> {}

/// Access to the value; the lock is free again when it is dropped. It stays on the CPU that took it.
#[derive(Debug)]
pub struct Guard<'a, T: ?Sized> {
    lock: &'a SpinLock<T>,
    not_send: PhantomData<*mut ()>,
}

/// A locked value that is never dropped; said to the compiler, so that what it would be dropped with is in no image.
pub type Lasting<T> = ManuallyDrop<SpinLock<T>>;

/// A free lock around `value`, which stays for ever.
pub const fn lasting<T>(value: T) -> Lasting<T> {
    ManuallyDrop::new(SpinLock::new(value))
}

impl<T> SpinLock<T> {
    /// A free lock around `value`.
    pub const fn new(value: T) -> Self {
        SpinLock { held: AtomicBool::new(false), value: UnsafeCell::new(value) }
    }

    /// The value itself, once nobody shares the lock.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> SpinLock<T> {
    /// Takes the lock. Taking it twice ends the machine, where it has one CPU: nobody else could give the lock free.
    #[inline]
    pub fn lock(&self) -> Guard<'_, T> {
        machine::cpu::mask();
        if self.take() {
            self.contended();
        }
        Guard { lock: self, not_send: PhantomData }
    }

    /// Takes the lock if it is free.
    #[inline]
    pub fn try_lock(&self) -> Option<Guard<'_, T>> {
        machine::cpu::mask();
        if self.take() {
            machine::cpu::unmask();
            return None;
        }
        Some(Guard { lock: self, not_send: PhantomData })
    }

    /// Marks the lock as held; true if it was. Upcalls are masked, so on an only CPU nobody comes between load and store.
    #[inline(always)]
    fn take(&self) -> bool {
        if !machine::cpu::alone() {
            return self.held.swap(true, Ordering::Acquire);
        }
        let held = self.held.load(Ordering::Relaxed);
        self.held.store(true, Ordering::Relaxed);
        held
    }

    /// The value, by a borrow that proves nobody else has it.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }

    #[cold]
    fn contended(&self) {
        if machine::cpu::alone() {
            return machine::end::locked_twice();
        }
        while self.held.swap(true, Ordering::Acquire) {
            if machine::end::ending() {
                return;
            }
            while self.held.load(Ordering::Relaxed) && !machine::end::ending() {
                core::hint::spin_loop();
            }
        }
    }
}

impl<T: ?Sized> Deref for Guard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: this guard is the only one.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T: ?Sized> DerefMut for Guard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: this guard is the only one.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T: ?Sized> Drop for Guard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.lock.held.store(false, Ordering::Release);
        machine::cpu::unmask();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time() {
        let lock = SpinLock::new(0u64);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..10_000).for_each(|_| *lock.lock() += 1));
            }
        });
        let held = lock.lock();
        assert!(lock.try_lock().is_none());
        drop(held);
        assert_eq!(lock.into_inner(), 40_000);
    }
}
