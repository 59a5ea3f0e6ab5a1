//! Unnamed semaphores.

use crate::errno;
use core::ffi::{c_int, c_uint};
use core::sync::atomic::{AtomicU32, Ordering};
use thread::futex;

fn take(word: &AtomicU32) -> bool {
    word.fetch_update(Ordering::Acquire, Ordering::Relaxed, |n| n.checked_sub(1)).is_ok()
}

/// POSIX sem_init.
///
/// # Safety
/// `word` (a `sem_t`, 32 bytes) may be written.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn sem_init(word: *mut AtomicU32, _shared: c_int, value: c_uint) -> c_int {
    // SAFETY: the caller's pointer.
    unsafe { word.write(AtomicU32::new(value)) };
    0
}

/// POSIX sem_destroy.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub extern "C" fn sem_destroy(_word: *mut AtomicU32) -> c_int {
    0
}

/// POSIX sem_post.
///
/// # Safety
/// `word` is initialised.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn sem_post(word: *const AtomicU32) -> c_int {
    // SAFETY: the caller's semaphore.
    let word = unsafe { &*word };
    word.fetch_add(1, Ordering::Release);
    futex::wake_one(word);
    0
}

/// POSIX sem_wait.
///
/// # Safety
/// `word` is initialised.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn sem_wait(word: *const AtomicU32) -> c_int {
    // SAFETY: the caller's semaphore.
    let word = unsafe { &*word };
    while !take(word) {
        futex::wait(word, 0, None);
    }
    0
}

/// POSIX sem_trywait.
///
/// # Safety
/// `word` is initialised.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn sem_trywait(word: *const AtomicU32) -> c_int {
    // SAFETY: the caller's semaphore.
    if take(unsafe { &*word }) { 0 } else { errno::fail(errno::EAGAIN) }
}

/// POSIX sem_timedwait.
///
/// # Safety
/// `word` is initialised, `until` a time on CLOCK_REALTIME.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn sem_timedwait(word: *const AtomicU32, until: *const crate::time::Timespec) -> c_int {
    // SAFETY: the caller's arguments.
    let (word, deadline) = unsafe { (&*word, (*until).deadline(crate::time::CLOCK_REALTIME)) };
    loop {
        if take(word) {
            return 0;
        }
        if futex::wait(word, 0, Some(deadline)) == futex::Outcome::TimedOut {
            return if take(word) { 0 } else { errno::fail(errno::ETIMEDOUT) };
        }
    }
}
