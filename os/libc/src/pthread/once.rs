//! One-time set-up.

use core::ffi::c_int;
use core::sync::atomic::{AtomicU32, Ordering};
use thread::futex;

const RUNNING: u32 = 1;
const DONE: u32 = 2;

/// POSIX pthread_once.
///
/// # Safety
/// `once` was initialised to 0.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn pthread_once(once: *const AtomicU32, routine: unsafe extern "C" fn()) -> c_int {
    // SAFETY: the caller's word.
    let once = unsafe { &*once };
    loop {
        match once.compare_exchange(0, RUNNING, Ordering::Acquire, Ordering::Acquire) {
            Ok(_) => {
                // SAFETY: the caller vouches for the routine.
                unsafe { routine() };
                once.store(DONE, Ordering::Release);
                futex::wake(once, u32::MAX);
                return 0;
            }
            Err(DONE) => return 0,
            Err(_) => {
                futex::wait(once, RUNNING, None);
            }
        }
    }
}
