//! Thread-specific data (POSIX keys).

use crate::errno;
use alloc::boxed::Box;
use core::ffi::{c_int, c_void};
use core::ptr::null_mut;
use core::sync::atomic::Ordering;
use sync::SpinLock;

const SLOT: usize = 2;
const KEYS_MAX: usize = 128;
/// POSIX `PTHREAD_DESTRUCTOR_ITERATIONS`.
const ROUNDS: usize = 4;

type Destructor = unsafe extern "C" fn(*mut c_void);
type Values = [*mut c_void; KEYS_MAX];

#[derive(Clone, Copy)]
struct Key {
    used: bool,
    destructor: Option<Destructor>,
}

// Key 0 is never handed out: std takes it for "none".
static KEYS: SpinLock<[Key; KEYS_MAX]> = SpinLock::new([Key { used: false, destructor: None }; KEYS_MAX]);

/// POSIX pthread_key_create.
///
/// # Safety
/// `out` may be written.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn pthread_key_create(out: *mut u32, destructor: Option<Destructor>) -> c_int {
    let mut keys = KEYS.lock();
    match keys.iter().skip(1).position(|key| !key.used) {
        Some(free) => {
            keys[free + 1] = Key { used: true, destructor };
            // SAFETY: the caller's pointer.
            unsafe { out.write(free as u32 + 1) };
            0
        }
        None => errno::EAGAIN,
    }
}

/// POSIX pthread_key_delete. Values that threads still have are not destroyed.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub extern "C" fn pthread_key_delete(key: u32) -> c_int {
    match KEYS.lock().get_mut(key as usize) {
        Some(slot) if slot.used => {
            *slot = Key { used: false, destructor: None };
            0
        }
        _ => errno::EINVAL,
    }
}

fn values(make: bool) -> *mut Values {
    let slot = thread::slot(SLOT);
    let mut values = slot.load(Ordering::Relaxed) as *mut Values;
    if values.is_null() && make {
        values = Box::into_raw(Box::new([null_mut(); KEYS_MAX]));
        slot.store(values as usize, Ordering::Relaxed);
    }
    values
}

/// POSIX pthread_getspecific.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub extern "C" fn pthread_getspecific(key: u32) -> *mut c_void {
    let values = values(false);
    if values.is_null() || key as usize >= KEYS_MAX {
        return null_mut();
    }
    // SAFETY: this thread's own array.
    unsafe { (*values)[key as usize] }
}

/// POSIX pthread_setspecific.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub extern "C" fn pthread_setspecific(key: u32, value: *const c_void) -> c_int {
    if key as usize >= KEYS_MAX {
        return errno::EINVAL;
    }
    // SAFETY: this thread's own array.
    unsafe { (*values(true))[key as usize] = value.cast_mut() };
    0
}

pub(super) fn run_key_destructors() {
    let values = values(false);
    if values.is_null() {
        return;
    }
    for _ in 0..ROUNDS {
        let mut ran = false;
        for key in 1..KEYS_MAX {
            // SAFETY: this thread's own array.
            let value = unsafe { core::mem::replace(&mut (*values)[key], null_mut()) };
            let destructor = KEYS.lock()[key].destructor;
            if let Some(destructor) = destructor.filter(|_| !value.is_null()) {
                // SAFETY: whoever made the key vouched for it.
                unsafe { destructor(value) };
                ran = true;
            }
        }
        if !ran {
            break;
        }
    }
    thread::slot(SLOT).store(0, Ordering::Relaxed);
    // SAFETY: made by `values`; nobody refers to it now.
    drop(unsafe { Box::from_raw(values) });
}
