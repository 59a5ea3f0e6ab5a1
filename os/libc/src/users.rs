//! The databases of users and groups: there are none, so nobody is found in them by number. By name the one user of a
//! machine, root, is found by those that give a pointer to an entry, which is how programs that give up rights ask.

use core::ffi::{CStr, c_char, c_int, c_void};

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

/// `struct passwd`.
#[repr(C)]
pub struct User {
    name: *const c_char,
    password: *const c_char,
    user: u32,
    group: u32,
    comment: *const c_char,
    home: *const c_char,
    shell: *const c_char,
}

/// `struct group`.
#[repr(C)]
pub struct Group {
    name: *const c_char,
    password: *const c_char,
    group: u32,
    members: *const *const c_char,
}

/// What programs may only read, though C has no word for that.
struct Constant<T>(T);

// SAFETY: nothing here is ever written.
unsafe impl<T> Sync for Constant<T> {}

static NO_MEMBERS: Constant<[*const c_char; 1]> = Constant([core::ptr::null()]);
static ROOT: Constant<User> = Constant(User {
    name: c"root".as_ptr(),
    password: c"x".as_ptr(),
    user: 0,
    group: 0,
    comment: c"".as_ptr(),
    home: c"/".as_ptr(),
    shell: c"".as_ptr(),
});
static ROOTS: Constant<Group> = Constant(Group {
    name: c"root".as_ptr(),
    password: c"x".as_ptr(),
    group: 0,
    members: (&raw const NO_MEMBERS).cast(),
});

unsafe fn is_root(name: *const c_char) -> bool {
    // SAFETY: the caller's contract: null or a C string.
    !name.is_null() && unsafe { CStr::from_ptr(name) } == c"root"
}

/// POSIX getpwnam: root, or null.
///
/// # Safety
/// `name` is null or a C string.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn getpwnam(name: *const c_char) -> *const User {
    // SAFETY: the caller's contract.
    if unsafe { is_root(name) } { &raw const ROOT.0 } else { core::ptr::null() }
}

/// POSIX getgrnam: root, or null.
///
/// # Safety
/// `name` is null or a C string.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn getgrnam(name: *const c_char) -> *const Group {
    // SAFETY: the caller's contract.
    if unsafe { is_root(name) } { &raw const ROOTS.0 } else { core::ptr::null() }
}

/// POSIX getgroups: the one user is in its own group alone, which needs no mention.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub extern "C" fn getgroups(count: c_int, _groups: *mut u32) -> c_int {
    if count < 0 { errno::fail(errno::EINVAL) } else { 0 }
}
