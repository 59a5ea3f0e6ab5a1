//! The databases of users and groups: there are none, so nobody is found in them.

use core::ffi::{c_char, c_int, c_void};

use crate::errno;

macro_rules! nobody {
    ($($name:ident($key:ty))*) => { $(
        /// POSIX: 0 and no entry, where the database has none.
        ///
        /// # Safety
        /// `result` may be written.
        #[cfg_attr(ampoule_image, unsafe(no_mangle))]
        pub unsafe extern "C" fn $name(
            _key: $key,
            _entry: *mut c_void,
            _buffer: *mut c_char,
            _length: usize,
            result: *mut *mut c_void,
        ) -> c_int {
            // SAFETY: the caller's pointer.
            unsafe { result.write(core::ptr::null_mut()) };
            0
        }
    )* };
}

nobody! { getpwuid_r(u32) getgrgid_r(u32) getpwnam_r(*const c_char) getgrnam_r(*const c_char) }

/// POSIX getgroups: the one user is in its own group alone, which needs no mention.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub extern "C" fn getgroups(count: c_int, _groups: *mut u32) -> c_int {
    if count < 0 { errno::fail(errno::EINVAL) } else { 0 }
}
