//! `open` and its kin.

use super::{AT_CWD, ampoule_opens_files, check_directory};
use crate::argument::{door, give_int, text};
use core::ffi::{c_char, c_int, c_uint};
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use posix::errno::Result;
use posix::file::CLOSE_ON_EXEC;
use posix::table::{spare, table};

/// The permissions that new files do not get (`umask`).
static MASK: AtomicU32 = AtomicU32::new(0o022);

/// Permissions that a new file is asked for, as far as it gets them.
pub(crate) fn masked(mode: c_uint) -> u32 {
    mode & !MASK.load(Relaxed)
}

pub(crate) unsafe fn do_open(path: *const c_char, flags: c_int, mode: c_uint) -> Result<i64> {
    // SAFETY: the caller's contract.
    unsafe { do_openat(AT_CWD, path, flags, mode) }
}

pub(crate) unsafe fn do_openat(directory: c_int, path: *const c_char, flags: c_int, mode: c_uint) -> Result<i64> {
    // SAFETY: the caller's contract.
    let path = unsafe { text(path) }?;
    spare()?;
    let flags = flags as u32;
    let file = match ampoule_opens_files() {
        Some(names) => names.open(directory, path, flags, masked(mode), crate::random::fill)?,
        None => check_directory(directory, path).and_then(|()| posix::path::open(path, flags, crate::random::fill))?,
    };
    table().insert(file, flags & CLOSE_ON_EXEC != 0).map(i64::from)
}

/// Opens `/dev/null`.
fn open_null(flags: c_int) -> c_int {
    let file = spare().and_then(|()| posix::path::null(flags as u32));
    give_int(file.and_then(|file| table().insert(file, flags as u32 & CLOSE_ON_EXEC != 0)).map(i64::from))
}

/// Is it "/dev/null" to the letter?
///
/// # Safety
/// `path` points to a NUL-terminated string.
#[inline(always)]
unsafe fn is_null_device(path: *const c_char) -> bool {
    // Each byte is read only if the one before it was the right one, so none lies behind the NUL.
    // SAFETY: the caller's contract.
    let is = |at: usize, byte: u8| unsafe { *path.add(at) as u8 == byte };
    is(0, b'/')
        && is(1, b'd')
        && is(2, b'e')
        && is(3, b'v')
        && is(4, b'/')
        && is(5, b'n')
        && is(6, b'u')
        && is(7, b'l')
        && is(8, b'l')
        && is(9, 0)
}

door! {
    /// POSIX `open`, its variadic argument fixed.
    fn open(path: *const c_char, flags: c_int, mode: c_uint) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { do_open(path, flags, mode) })
    }
    /// POSIX `open`.
    ///
    /// When std starts, its code for missing descriptors names `/dev/null`. Hence the detour, always inlined: in a program
    /// that opens nothing else, link-time optimisation then finds that nobody looks names up.
    #[inline(always)]
    fn open64(path: *const c_char, flags: c_int, mode: c_uint) -> c_int {
        // SAFETY: the caller's contract.
        if !path.is_null() && unsafe { is_null_device(path) } {
            return open_null(flags);
        }
        // SAFETY: the caller's contract.
        give_int(unsafe { do_open(path, flags, mode) })
    }
    /// POSIX `openat`.
    fn openat(directory: c_int, path: *const c_char, flags: c_int, mode: c_uint) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { do_openat(directory, path, flags, mode) })
    }
    /// POSIX `openat`.
    fn openat64(directory: c_int, path: *const c_char, flags: c_int, mode: c_uint) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { do_openat(directory, path, flags, mode) })
    }
    /// POSIX `creat`.
    fn creat(path: *const c_char, mode: c_uint) -> c_int {
        // O_WRONLY | O_CREAT | O_TRUNC
        // SAFETY: the caller's contract.
        give_int(unsafe { do_open(path, 0o1101, mode) })
    }
    /// POSIX `creat`.
    fn creat64(path: *const c_char, mode: c_uint) -> c_int {
        // SAFETY: the caller's contract.
        unsafe { creat(path, mode) }
    }
    /// POSIX `umask`.
    fn umask(mask: c_uint) -> c_uint {
        MASK.swap(mask & 0o777, Relaxed)
    }
}
