//! Names of things that a machine has not, for programs that ask and go on without: each says so by the errno that Linux
//! gives where a kernel or a file system lacks the thing.
#![cfg_attr(not(ampoule_image), allow(dead_code, reason = "only an image has the C names"))]

use crate::argument::give;
use core::ffi::{c_char, c_int, c_uint, c_void};
use posix::errno::Errno;

macro_rules! absent {
    ($errno:ident: $($(#[$meta:meta])* $name:ident($($type:ty),*) -> $ret:ty;)*) => {$(
        $(#[$meta])*
        /// Looks at none of what it is given.
        #[cfg_attr(ampoule_image, unsafe(no_mangle))]
        pub(crate) extern "C" fn $name($(_: $type),*) -> $ret {
            give(Err(Errno::$errno)) as $ret
        }
    )*};
}

// Extended attributes: no file here has any.
absent! { OPNOTSUPP:
    /// Linux `setxattr`.
    setxattr(*const c_char, *const c_char, *const c_void, usize, c_int) -> c_int;
    /// Linux `lsetxattr`.
    lsetxattr(*const c_char, *const c_char, *const c_void, usize, c_int) -> c_int;
    /// Linux `fsetxattr`.
    fsetxattr(c_int, *const c_char, *const c_void, usize, c_int) -> c_int;
    /// Linux `getxattr`.
    getxattr(*const c_char, *const c_char, *mut c_void, usize) -> isize;
    /// Linux `lgetxattr`.
    lgetxattr(*const c_char, *const c_char, *mut c_void, usize) -> isize;
    /// Linux `fgetxattr`.
    fgetxattr(c_int, *const c_char, *mut c_void, usize) -> isize;
    /// Linux `listxattr`.
    listxattr(*const c_char, *mut c_char, usize) -> isize;
    /// Linux `llistxattr`.
    llistxattr(*const c_char, *mut c_char, usize) -> isize;
    /// Linux `flistxattr`.
    flistxattr(c_int, *mut c_char, usize) -> isize;
    /// Linux `removexattr`.
    removexattr(*const c_char, *const c_char) -> c_int;
    /// Linux `lremovexattr`.
    lremovexattr(*const c_char, *const c_char) -> c_int;
    /// Linux `fremovexattr`.
    fremovexattr(c_int, *const c_char) -> c_int;
}

// News of changed files, and files that are memory alone (a file below `/tmp` opened by `O_TMPFILE` is one, too).
absent! { NOSYS:
    /// Linux `inotify_init`.
    inotify_init() -> c_int;
    /// Linux `inotify_init1`.
    inotify_init1(c_int) -> c_int;
    /// Linux `inotify_add_watch`.
    inotify_add_watch(c_int, *const c_char, c_uint) -> c_int;
    /// Linux `inotify_rm_watch`.
    inotify_rm_watch(c_int, c_int) -> c_int;
    /// Linux `memfd_create`.
    memfd_create(*const c_char, c_uint) -> c_int;
}
