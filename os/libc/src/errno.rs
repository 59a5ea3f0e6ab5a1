//! `errno`: the running thread's, in its first door word.

use core::ffi::c_int;

pub(crate) const EPERM: c_int = 1;
pub(crate) const ENOENT: c_int = 2;
pub(crate) const EAGAIN: c_int = 11;
pub(crate) const ENOMEM: c_int = 12;
pub(crate) const EACCES: c_int = 13;
pub(crate) const EFAULT: c_int = 14;
pub(crate) const EBUSY: c_int = 16;
pub(crate) const EINVAL: c_int = 22;
pub(crate) const ERANGE: c_int = 34;
pub(crate) const EDEADLK: c_int = 35;
pub(crate) const ETIMEDOUT: c_int = 110;

/// Where `errno` lies (LSB).
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub extern "C" fn __errno_location() -> *mut c_int {
    core::ptr::from_ref(thread::slot(0)).cast_mut().cast()
}

/// Sets `errno`.
pub(crate) fn set(code: c_int) {
    // SAFETY: the running thread's own word, which nobody else writes.
    unsafe { __errno_location().write(code) };
}

/// Sets `errno` and gives -1, the way C reports errors.
pub(crate) fn fail(code: c_int) -> c_int {
    set(code);
    -1
}
