//! Thread attributes: stack size, detached.

use crate::errno;
use core::ffi::{c_int, c_void};

/// What std asks for when its user asked for nothing; read as "the default".
pub(super) const DEFAULT_STACK: usize = 2 << 20;

/// `pthread_attr_t` (56 bytes in glibc).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Attributes {
    stack_size: usize,
    stack_start: usize,
    detached: c_int,
    reserved: [usize; 4],
}

impl Attributes {
    pub(super) fn of_thread(start: usize, length: usize) -> Self {
        Attributes { stack_size: length, stack_start: start, ..Default::default() }
    }

    /// The stack size that was asked for, if one was.
    pub(super) fn stack(&self) -> Option<usize> {
        (self.stack_size != 0 && self.stack_size != DEFAULT_STACK).then_some(self.stack_size)
    }

    pub(super) fn detached(&self) -> bool {
        self.detached != 0
    }
}

/// POSIX pthread_attr_init.
///
/// # Safety
/// `attributes` may be written.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn pthread_attr_init(attributes: *mut Attributes) -> c_int {
    // SAFETY: the caller's pointer.
    unsafe { attributes.write(Attributes::default()) };
    0
}

/// POSIX pthread_attr_destroy.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub extern "C" fn pthread_attr_destroy(_attributes: *mut Attributes) -> c_int {
    0
}

/// POSIX pthread_attr_setstacksize.
///
/// # Safety
/// `attributes` is initialised.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn pthread_attr_setstacksize(attributes: *mut Attributes, size: usize) -> c_int {
    const PTHREAD_STACK_MIN: usize = 16384;
    if size < PTHREAD_STACK_MIN {
        return errno::EINVAL;
    }
    // SAFETY: the caller's attributes.
    unsafe { (*attributes).stack_size = size };
    0
}

/// POSIX pthread_attr_getstacksize.
///
/// # Safety
/// `attributes` is initialised, `out` may be written.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn pthread_attr_getstacksize(attributes: *const Attributes, out: *mut usize) -> c_int {
    // SAFETY: the caller's pointers.
    unsafe { out.write(if (*attributes).stack_size == 0 { DEFAULT_STACK } else { (*attributes).stack_size }) };
    0
}

/// POSIX pthread_attr_getstack.
///
/// # Safety
/// `attributes` is initialised, the others may be written.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn pthread_attr_getstack(
    attributes: *const Attributes,
    start: *mut *mut c_void,
    size: *mut usize,
) -> c_int {
    // SAFETY: the caller's pointers.
    unsafe {
        start.write((*attributes).stack_start as *mut c_void);
        size.write((*attributes).stack_size);
    }
    0
}

/// POSIX pthread_attr_getguardsize: one page, always.
///
/// # Safety
/// `out` may be written.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn pthread_attr_getguardsize(_attributes: *const Attributes, out: *mut usize) -> c_int {
    // SAFETY: the caller's pointer.
    unsafe { out.write(abi::PAGE_SIZE as usize) };
    0
}

/// POSIX pthread_attr_setguardsize: one page, always.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub extern "C" fn pthread_attr_setguardsize(_attributes: *mut Attributes, _size: usize) -> c_int {
    0
}

/// POSIX pthread_attr_setdetachstate.
///
/// # Safety
/// `attributes` is initialised.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn pthread_attr_setdetachstate(attributes: *mut Attributes, detached: c_int) -> c_int {
    // SAFETY: the caller's attributes.
    unsafe { (*attributes).detached = detached };
    0
}
