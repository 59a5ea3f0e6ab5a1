//! Making, moving and removing names.

use super::{AT_CWD, AT_EMPTY_PATH, AT_FOLLOW, ampoule_may_make_files, masked};
use crate::argument::{done, door, give_int, text};
use core::ffi::{c_char, c_int, c_uint};
use posix::errno::{Errno, Result};
use posix::names::{Change, Move};

/// `AT_REMOVEDIR`
const AT_DIRECTORY: c_int = 0x200;
/// `S_IFMT`, `S_IFREG`, `S_IFIFO`, `S_IFSOCK`
const TYPE: u32 = 0o170000;
const REGULAR: u32 = 0o100000;
const FIFO: u32 = 0o010000;
const SOCKET: u32 = 0o140000;

/// A change to one name.
pub(super) unsafe fn change(directory: c_int, path: *const c_char, change: Change<'_>) -> Result<i64> {
    // SAFETY: the caller's contract.
    let path = unsafe { text(path) }?;
    let creates = !matches!(change, Change::RemoveFile | Change::RemoveDirectory | Change::Set(..));
    match ampoule_may_make_files() {
        Some(names) => done(names.change(directory, path, change)),
        None => Err(posix::path::change(path, creates)),
    }
}

pub(crate) unsafe fn do_mkdirat(directory: c_int, path: *const c_char, mode: c_uint) -> Result<i64> {
    // SAFETY: the caller's contract.
    unsafe { change(directory, path, Change::MakeDirectory(masked(mode))) }
}

/// `mknodat`: files, pipes, and names of sockets that nobody has. Devices there are none to choose from.
pub(crate) unsafe fn do_mknodat(directory: c_int, path: *const c_char, mode: c_uint) -> Result<i64> {
    match mode & TYPE {
        // SAFETY: the caller's contract.
        0 | REGULAR => unsafe { change(directory, path, Change::MakeFile(masked(mode))) },
        // SAFETY: the caller's contract.
        FIFO => unsafe { change(directory, path, Change::MakeFifo(masked(mode))) },
        // SAFETY: the caller's contract.
        SOCKET => unsafe { change(directory, path, Change::MakeSocket(masked(mode))) },
        _ => Err(Errno::PERM),
    }
}

pub(crate) unsafe fn do_symlinkat(target: *const c_char, directory: c_int, path: *const c_char) -> Result<i64> {
    // SAFETY: the caller's contract.
    let target = unsafe { text(target) }?;
    // SAFETY: the caller's contract.
    unsafe { change(directory, path, Change::MakeLink(target)) }
}

pub(crate) unsafe fn do_unlinkat(directory: c_int, path: *const c_char, flags: c_int) -> Result<i64> {
    let what = match flags {
        0 => Change::RemoveFile,
        AT_DIRECTORY => Change::RemoveDirectory,
        _ => return Err(Errno::INVAL),
    };
    // SAFETY: the caller's contract.
    unsafe { change(directory, path, what) }
}

pub(crate) unsafe fn do_linkat(
    from: c_int,
    old: *const c_char,
    to: c_int,
    new: *const c_char,
    flags: c_int,
) -> Result<i64> {
    if flags & !(AT_FOLLOW | AT_EMPTY_PATH) != 0 {
        return Err(Errno::INVAL);
    }
    // SAFETY: the caller's contract.
    let (old, new) = unsafe { (text(old)?, text(new)?) };
    let Some(names) = ampoule_may_make_files() else { return Err(posix::path::change(new, true)) };
    if old.is_empty() && flags & AT_EMPTY_PATH != 0 {
        return done(names.link(from, None, false, to, new));
    }
    // How a file without a name gets one (open(2), O_TMPFILE): by its descriptor's link below /proc.
    if let Some(fd) = descriptor_link(old).filter(|_| flags & AT_FOLLOW != 0) {
        return done(names.link(fd, None, false, to, new));
    }
    done(names.link(from, Some(old), flags & AT_FOLLOW != 0, to, new))
}

/// The number in `/proc/self/fd/3`.
fn descriptor_link(path: &[u8]) -> Option<c_int> {
    let digits = [&b"/proc/self/fd/"[..], b"/dev/fd/"].into_iter().find_map(|prefix| path.strip_prefix(prefix))?;
    core::str::from_utf8(digits).ok()?.parse().ok()
}

pub(crate) unsafe fn do_renameat2(
    from: c_int,
    old: *const c_char,
    to: c_int,
    new: *const c_char,
    flags: c_uint,
) -> Result<i64> {
    // SAFETY: the caller's contract.
    let (old, new) = unsafe { (text(old)?, text(new)?) };
    let how = match flags {
        0 => Move::Replace,
        1 => Move::Keep,
        2 => Move::Exchange,
        _ => return Err(Errno::INVAL),
    };
    match ampoule_may_make_files() {
        Some(names) => done(names.rename(from, old, to, new, how)),
        None => Err(posix::path::change(old, false)),
    }
}

door! {
    /// POSIX `mkdir`.
    fn mkdir(path: *const c_char, mode: c_uint) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { do_mkdirat(AT_CWD, path, mode) })
    }
    /// POSIX `mkdirat`.
    fn mkdirat(directory: c_int, path: *const c_char, mode: c_uint) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { do_mkdirat(directory, path, mode) })
    }
    /// POSIX `mknod`, of files.
    fn mknod(path: *const c_char, mode: c_uint, _device: u64) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { do_mknodat(AT_CWD, path, mode) })
    }
    /// POSIX `mknodat`, of files.
    fn mknodat(directory: c_int, path: *const c_char, mode: c_uint, _device: u64) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { do_mknodat(directory, path, mode) })
    }
    /// POSIX `mkfifo`.
    fn mkfifo(path: *const c_char, mode: c_uint) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { do_mknodat(AT_CWD, path, mode & !TYPE | FIFO) })
    }
    /// POSIX `mkfifoat`.
    fn mkfifoat(directory: c_int, path: *const c_char, mode: c_uint) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { do_mknodat(directory, path, mode & !TYPE | FIFO) })
    }
    /// POSIX `symlink`.
    fn symlink(target: *const c_char, path: *const c_char) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { do_symlinkat(target, AT_CWD, path) })
    }
    /// POSIX `symlinkat`.
    fn symlinkat(target: *const c_char, directory: c_int, path: *const c_char) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { do_symlinkat(target, directory, path) })
    }
    /// POSIX `link`.
    fn link(old: *const c_char, path: *const c_char) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { do_linkat(AT_CWD, old, AT_CWD, path, 0) })
    }
    /// POSIX `linkat`.
    fn linkat(from: c_int, old: *const c_char, to: c_int, path: *const c_char, flags: c_int) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { do_linkat(from, old, to, path, flags) })
    }
    /// POSIX `unlink`.
    fn unlink(path: *const c_char) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { do_unlinkat(AT_CWD, path, 0) })
    }
    /// POSIX `unlinkat`.
    fn unlinkat(directory: c_int, path: *const c_char, flags: c_int) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { do_unlinkat(directory, path, flags) })
    }
    /// POSIX `rmdir`.
    fn rmdir(path: *const c_char) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { do_unlinkat(AT_CWD, path, AT_DIRECTORY) })
    }
    /// C `remove`: a file or an empty directory.
    fn remove(path: *const c_char) -> c_int {
        // SAFETY: the caller's contract.
        match unsafe { do_unlinkat(AT_CWD, path, 0) } {
            // SAFETY: the caller's contract.
            Err(Errno::ISDIR) => give_int(unsafe { do_unlinkat(AT_CWD, path, AT_DIRECTORY) }),
            result => give_int(result),
        }
    }
    /// POSIX `rename`.
    fn rename(old: *const c_char, new: *const c_char) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { do_renameat2(AT_CWD, old, AT_CWD, new, 0) })
    }
    /// POSIX `renameat`.
    fn renameat(from: c_int, old: *const c_char, to: c_int, new: *const c_char) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { do_renameat2(from, old, to, new, 0) })
    }
    /// Linux `renameat2`.
    fn renameat2(from: c_int, old: *const c_char, to: c_int, new: *const c_char, flags: c_uint) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { do_renameat2(from, old, to, new, flags) })
    }
}
