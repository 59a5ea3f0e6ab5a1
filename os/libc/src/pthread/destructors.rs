//! Destructors of thread-local values, run when their thread ends.

use super::key::run_key_destructors;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ffi::{c_int, c_void};
use core::sync::atomic::Ordering;

const SLOT: usize = 1;

type Destructor = unsafe extern "C" fn(*mut c_void);
type Registered = Vec<(Destructor, *mut c_void)>;

/// glibc's hook behind `thread_local!` and C++'s `thread_local` (Itanium C++ ABI §3.3.6.1 in spirit): `destructor(object)`
/// runs when this thread ends, last registered first.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub extern "C" fn __cxa_thread_atexit_impl(destructor: Destructor, object: *mut c_void, _dso: *mut c_void) -> c_int {
    let slot = thread::slot(SLOT);
    let mut list = slot.load(Ordering::Relaxed) as *mut Registered;
    if list.is_null() {
        list = Box::into_raw(Box::default());
        slot.store(list as usize, Ordering::Relaxed);
    }
    // SAFETY: this thread's own list.
    unsafe { (*list).push((destructor, object)) };
    0
}

/// Runs all of this thread's: thread-local values first, then keys; what they register meanwhile runs too.
pub(crate) fn run_destructors() {
    loop {
        let list = thread::slot(SLOT).load(Ordering::Relaxed) as *mut Registered;
        if list.is_null() {
            break;
        }
        // SAFETY: this thread's own list; no borrow of it lasts while a destructor runs.
        while let Some((destructor, object)) = unsafe { (*list).pop() } {
            // SAFETY: whoever registered the pair vouched for it.
            unsafe { destructor(object) };
        }
        thread::slot(SLOT).store(0, Ordering::Relaxed);
        // SAFETY: made by `__cxa_thread_atexit_impl`, and nobody refers to it now.
        drop(unsafe { Box::from_raw(list) });
    }
    run_key_destructors();
}
