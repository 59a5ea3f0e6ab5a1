//! Condition variables: a sequence number to sleep on.

use super::mutex::{Mutex, pthread_mutex_lock, pthread_mutex_unlock};
use crate::errno;
use crate::time::{CLOCK_REALTIME, Timespec};
use core::ffi::c_int;
use core::sync::atomic::{AtomicU32, Ordering};
use thread::futex;

/// `pthread_cond_t` (48 bytes in glibc, zero initially).
#[repr(C)]
#[derive(Debug, Default)]
pub struct Condition {
    sequence: AtomicU32,
    clock: c_int,
    tail: [u64; 5],
}

/// POSIX pthread_cond_init; `clock` points to a `pthread_condattr_t`.
///
/// # Safety
/// `condition` may be written, `clock` is null or initialised.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn pthread_cond_init(condition: *mut Condition, clock: *const c_int) -> c_int {
    // SAFETY: the caller's pointers.
    unsafe {
        let clock = if clock.is_null() { CLOCK_REALTIME } else { *clock };
        condition.write(Condition { clock, ..Default::default() });
    }
    0
}

/// POSIX pthread_cond_destroy.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub extern "C" fn pthread_cond_destroy(_condition: *mut Condition) -> c_int {
    0
}

/// # Safety
/// As [`pthread_cond_wait`].
unsafe fn wait(condition: *const Condition, mutex: *const Mutex, deadline_ns: Option<u64>) -> c_int {
    // SAFETY: the caller's condition and mutex.
    unsafe {
        let seen = (*condition).sequence.load(Ordering::Relaxed);
        pthread_mutex_unlock(mutex);
        let outcome = futex::wait(&(*condition).sequence, seen, deadline_ns);
        pthread_mutex_lock(mutex);
        if outcome == futex::Outcome::TimedOut { errno::ETIMEDOUT } else { 0 }
    }
}

/// POSIX pthread_cond_wait.
///
/// # Safety
/// Both are initialised, and the mutex is this thread's.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn pthread_cond_wait(condition: *const Condition, mutex: *const Mutex) -> c_int {
    // SAFETY: passed on.
    unsafe { wait(condition, mutex, None) }
}

/// POSIX pthread_cond_timedwait.
///
/// # Safety
/// As [`pthread_cond_wait`]; `until` is a time on the condition's clock.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn pthread_cond_timedwait(
    condition: *const Condition,
    mutex: *const Mutex,
    until: *const Timespec,
) -> c_int {
    // SAFETY: passed on.
    unsafe { wait(condition, mutex, Some((*until).deadline((*condition).clock))) }
}

/// POSIX pthread_cond_signal.
///
/// # Safety
/// `condition` is initialised.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn pthread_cond_signal(condition: *const Condition) -> c_int {
    // SAFETY: the caller's condition.
    unsafe {
        (*condition).sequence.fetch_add(1, Ordering::Relaxed);
        futex::wake(&(*condition).sequence, 1);
    }
    0
}

/// POSIX pthread_cond_broadcast.
///
/// # Safety
/// `condition` is initialised.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn pthread_cond_broadcast(condition: *const Condition) -> c_int {
    // SAFETY: the caller's condition.
    unsafe {
        (*condition).sequence.fetch_add(1, Ordering::Relaxed);
        futex::wake(&(*condition).sequence, u32::MAX);
    }
    0
}

/// POSIX pthread_condattr_init.
///
/// # Safety
/// `clock` may be written.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn pthread_condattr_init(clock: *mut c_int) -> c_int {
    // SAFETY: the caller's pointer.
    unsafe { clock.write(CLOCK_REALTIME) };
    0
}

/// POSIX pthread_condattr_setclock.
///
/// # Safety
/// `out` is initialised.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn pthread_condattr_setclock(out: *mut c_int, clock: c_int) -> c_int {
    // SAFETY: the caller's pointer.
    unsafe { out.write(clock) };
    0
}

/// POSIX pthread_condattr_destroy.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub extern "C" fn pthread_condattr_destroy(_clock: *mut c_int) -> c_int {
    0
}
