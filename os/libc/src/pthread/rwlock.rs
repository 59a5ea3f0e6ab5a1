//! Read-write locks: one word counts readers, or says that a writer has it.

use crate::errno;
use core::ffi::c_int;
use core::sync::atomic::{AtomicU32, Ordering};
use thread::futex;

const WRITER: u32 = u32::MAX;

/// `pthread_rwlock_t` (56 bytes in glibc, zero initially).
#[repr(C)]
#[derive(Debug, Default)]
pub struct RwLock {
    /// Readers, or [`WRITER`].
    word: AtomicU32,
    /// Writers that wait: new readers stand back for them.
    writers: AtomicU32,
    tail: [u64; 6],
}

impl RwLock {
    fn try_read(&self) -> bool {
        let more = |n: u32| (n < WRITER - 1 && self.writers.load(Ordering::Relaxed) == 0).then(|| n + 1);
        self.word.fetch_update(Ordering::Acquire, Ordering::Relaxed, more).is_ok()
    }

    fn try_write(&self) -> bool {
        self.word.compare_exchange(0, WRITER, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }
}

/// POSIX pthread_rwlock_init.
///
/// # Safety
/// `lock` may be written.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn pthread_rwlock_init(lock: *mut RwLock, _attributes: *const u8) -> c_int {
    // SAFETY: the caller's pointer.
    unsafe { lock.write(RwLock::default()) };
    0
}

/// POSIX pthread_rwlock_destroy.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub extern "C" fn pthread_rwlock_destroy(_lock: *mut RwLock) -> c_int {
    0
}

/// POSIX pthread_rwlock_rdlock.
///
/// # Safety
/// `lock` is initialised.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn pthread_rwlock_rdlock(lock: *const RwLock) -> c_int {
    // SAFETY: the caller's lock.
    let lock = unsafe { &*lock };
    while !lock.try_read() {
        let seen = lock.word.load(Ordering::Relaxed);
        if seen == 0 || lock.writers.load(Ordering::Relaxed) == 0 && seen != WRITER {
            thread::yield_now();
        } else {
            futex::wait(&lock.word, seen, None);
        }
    }
    0
}

/// POSIX pthread_rwlock_tryrdlock.
///
/// # Safety
/// `lock` is initialised.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn pthread_rwlock_tryrdlock(lock: *const RwLock) -> c_int {
    // SAFETY: the caller's lock.
    if unsafe { (*lock).try_read() } { 0 } else { errno::EBUSY }
}

/// POSIX pthread_rwlock_wrlock.
///
/// # Safety
/// `lock` is initialised.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn pthread_rwlock_wrlock(lock: *const RwLock) -> c_int {
    // SAFETY: the caller's lock.
    let lock = unsafe { &*lock };
    lock.writers.fetch_add(1, Ordering::Relaxed);
    while !lock.try_write() {
        let seen = lock.word.load(Ordering::Relaxed);
        if seen != 0 {
            futex::wait(&lock.word, seen, None);
        }
    }
    lock.writers.fetch_sub(1, Ordering::Relaxed);
    0
}

/// POSIX pthread_rwlock_trywrlock.
///
/// # Safety
/// `lock` is initialised.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn pthread_rwlock_trywrlock(lock: *const RwLock) -> c_int {
    // SAFETY: the caller's lock.
    if unsafe { (*lock).try_write() } { 0 } else { errno::EBUSY }
}

/// POSIX pthread_rwlock_unlock.
///
/// # Safety
/// `lock` is initialised and this thread's.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn pthread_rwlock_unlock(lock: *const RwLock) -> c_int {
    // SAFETY: the caller's lock.
    let lock = unsafe { &*lock };
    if lock.word.load(Ordering::Relaxed) == WRITER {
        lock.word.store(0, Ordering::Release);
    } else {
        lock.word.fetch_sub(1, Ordering::Release);
    }
    // Whoever sleeps saw an older value and looks again.
    futex::wake(&lock.word, u32::MAX);
    0
}
