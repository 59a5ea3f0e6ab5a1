//! Mutexes: a futex word with three states (Drepper, "Futexes Are Tricky", mutex 2), and an owner where the kind wants one.

use crate::errno;
use core::ffi::c_int;
use core::sync::atomic::{AtomicU32, Ordering};
use thread::futex;

/// `pthread_mutex_t` (40 bytes in glibc, whose static initialisers put the kind at 16).
#[repr(C)]
#[derive(Debug, Default)]
pub struct Mutex {
    /// 0 free, 1 held, 2 held and waited for.
    word: AtomicU32,
    depth: AtomicU32,
    owner: AtomicU32,
    reserved: u32,
    kind: AtomicU32,
    tail: [u32; 5],
}

const RECURSIVE: u32 = 1;
const ERROR_CHECK: u32 = 2;

impl Mutex {
    fn try_lock(&self) -> bool {
        self.word.compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    fn lock_until(&self, deadline_ns: Option<u64>) -> bool {
        if self.try_lock() {
            return true;
        }
        while self.word.swap(2, Ordering::Acquire) != 0 {
            if futex::wait(&self.word, 2, deadline_ns) == futex::Outcome::TimedOut {
                return false;
            }
        }
        true
    }

    fn unlock(&self) {
        if self.word.swap(0, Ordering::Release) == 2 {
            futex::wake_one(&self.word);
        }
    }

    /// `Some` if the kind already decides.
    fn owned(&self, me: u32, busy: c_int) -> Option<c_int> {
        if self.owner.load(Ordering::Relaxed) != me {
            return None;
        }
        if self.kind.load(Ordering::Relaxed) & 3 == RECURSIVE {
            self.depth.fetch_add(1, Ordering::Relaxed);
            return Some(0);
        }
        Some(busy)
    }

    fn tracks(&self) -> bool {
        matches!(self.kind.load(Ordering::Relaxed) & 3, RECURSIVE | ERROR_CHECK)
    }

    fn acquire(&self, deadline_ns: Option<u64>) -> c_int {
        if !self.tracks() {
            return if self.lock_until(deadline_ns) { 0 } else { errno::ETIMEDOUT };
        }
        let me = thread::current().id();
        if let Some(result) = self.owned(me, errno::EDEADLK) {
            return result;
        }
        if !self.lock_until(deadline_ns) {
            return errno::ETIMEDOUT;
        }
        self.owner.store(me, Ordering::Relaxed);
        0
    }

    fn release(&self) -> c_int {
        if self.tracks() {
            if self.owner.load(Ordering::Relaxed) != thread::current().id() {
                return errno::EPERM;
            }
            if self.depth.load(Ordering::Relaxed) > 0 {
                self.depth.fetch_sub(1, Ordering::Relaxed);
                return 0;
            }
            self.owner.store(0, Ordering::Relaxed);
        }
        self.unlock();
        0
    }
}

/// POSIX pthread_mutex_init; `kind` points to a `pthread_mutexattr_t`.
///
/// # Safety
/// `mutex` may be written, `kind` is null or initialised.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn pthread_mutex_init(mutex: *mut Mutex, kind: *const u32) -> c_int {
    // SAFETY: the caller's pointers.
    unsafe {
        mutex.write(Mutex::default());
        if !kind.is_null() {
            (*mutex).kind.store(*kind, Ordering::Relaxed);
        }
    }
    0
}

/// POSIX pthread_mutex_destroy.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub extern "C" fn pthread_mutex_destroy(_mutex: *mut Mutex) -> c_int {
    0
}

/// POSIX pthread_mutex_lock.
///
/// # Safety
/// `mutex` is initialised.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn pthread_mutex_lock(mutex: *const Mutex) -> c_int {
    // SAFETY: the caller's mutex.
    unsafe { (*mutex).acquire(None) }
}

/// POSIX pthread_mutex_timedlock.
///
/// # Safety
/// `mutex` is initialised, `until` a time on CLOCK_REALTIME.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn pthread_mutex_timedlock(mutex: *const Mutex, until: *const crate::time::Timespec) -> c_int {
    // SAFETY: the caller's arguments.
    unsafe { (*mutex).acquire(Some((*until).deadline(crate::time::CLOCK_REALTIME))) }
}

/// POSIX pthread_mutex_trylock.
///
/// # Safety
/// `mutex` is initialised.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn pthread_mutex_trylock(mutex: *const Mutex) -> c_int {
    // SAFETY: the caller's mutex.
    let mutex = unsafe { &*mutex };
    let tracks = mutex.tracks();
    let me = if tracks { thread::current().id() } else { 0 };
    if tracks && let Some(result) = mutex.owned(me, errno::EBUSY) {
        return result;
    }
    if !mutex.try_lock() {
        return errno::EBUSY;
    }
    if tracks {
        mutex.owner.store(me, Ordering::Relaxed);
    }
    0
}

/// POSIX pthread_mutex_unlock.
///
/// # Safety
/// `mutex` is initialised and this thread's.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn pthread_mutex_unlock(mutex: *const Mutex) -> c_int {
    // SAFETY: the caller's mutex.
    unsafe { (*mutex).release() }
}

/// POSIX pthread_mutexattr_init.
///
/// # Safety
/// `kind` may be written.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn pthread_mutexattr_init(kind: *mut u32) -> c_int {
    // SAFETY: the caller's pointer.
    unsafe { kind.write(0) };
    0
}

/// POSIX pthread_mutexattr_settype.
///
/// # Safety
/// `out` is initialised.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn pthread_mutexattr_settype(out: *mut u32, kind: c_int) -> c_int {
    if !(0..=3).contains(&kind) {
        return errno::EINVAL;
    }
    // SAFETY: the caller's pointer.
    unsafe { out.write(kind as u32) };
    0
}

/// POSIX pthread_mutexattr_destroy.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub extern "C" fn pthread_mutexattr_destroy(_kind: *mut u32) -> c_int {
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds() {
        let mutex = Mutex::default();
        // SAFETY: initialised.
        unsafe {
            assert_eq!(pthread_mutex_lock(&mutex), 0);
            assert_eq!(pthread_mutex_trylock(&mutex), errno::EBUSY);
            assert_eq!(pthread_mutex_unlock(&mutex), 0);
            mutex.kind.store(RECURSIVE, Ordering::Relaxed);
            assert_eq!([pthread_mutex_lock(&mutex), pthread_mutex_lock(&mutex)], [0, 0]);
            assert_eq!([pthread_mutex_unlock(&mutex), pthread_mutex_unlock(&mutex)], [0, 0]);
            assert_eq!(pthread_mutex_unlock(&mutex), errno::EPERM);
            mutex.kind.store(ERROR_CHECK, Ordering::Relaxed);
            assert_eq!([pthread_mutex_lock(&mutex), pthread_mutex_lock(&mutex)], [0, errno::EDEADLK]);
            assert_eq!(pthread_mutex_unlock(&mutex), 0);
        }
        assert_eq!(size_of::<Mutex>(), 40);
    }
}
