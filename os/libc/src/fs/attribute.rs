//! Permissions, owners, times, lengths, locks: what is changed of a file without touching its name.

use super::{AT_CWD, AT_EMPTY_PATH, AT_NO_FOLLOW, name};
use crate::argument::{done, door, give_int, value};
use crate::time::{Timespec, Timeval};
use core::ffi::{c_char, c_int, c_uint};
use posix::errno::{Errno, Result};
use posix::file::{ACCESS_MODE, Kind, Open, READ_ONLY};
use posix::names::{Allocation, Attribute, Change, Lock, NewTime, Node};
use posix::stat::{DIRECTORY, REGULAR, TYPE_MASK, Time};
use posix::table::table;

/// `UTIME_NOW`, `UTIME_OMIT`
const TIME_NOW: i64 = (1 << 30) - 1;
const TIME_OMIT: i64 = (1 << 30) - 2;
/// `FALLOC_FL_*`
const KEEP_SIZE: c_int = 1;
const PUNCH_HOLE: c_int = 2;
const ZERO_RANGE: c_int = 0x10;

/// The open file of the tree; `other` is the error where it is something else.
fn node(file: &Open, other: Errno) -> Result<&dyn Node> {
    match file.file().kind() {
        Kind::Node(node) => Ok(node),
        _ => Err(other),
    }
}

fn is_writable(file: &Open) -> bool {
    file.flags() & ACCESS_MODE != READ_ONLY
}

/// Changes an open file: the devices are what they are.
fn set_open(fd: c_int, attribute: Attribute) -> Result<i64> {
    let file = table().get(fd)?;
    done(node(&file, Errno::ROFS)?.set(attribute))
}

unsafe fn set(directory: c_int, path: *const c_char, attribute: Attribute, flags: c_int) -> Result<i64> {
    if flags & AT_EMPTY_PATH != 0 && directory != AT_CWD {
        // SAFETY: the caller's contract.
        let is_empty = path.is_null() || unsafe { crate::argument::text(path) }?.is_empty();
        if is_empty {
            return set_open(directory, attribute);
        }
    }
    // SAFETY: the caller's contract.
    unsafe { name::change(directory, path, Change::Set(attribute, flags & AT_NO_FOLLOW == 0)) }
}

pub(crate) unsafe fn do_fchmodat(directory: c_int, path: *const c_char, mode: c_uint, flags: c_int) -> Result<i64> {
    // SAFETY: the caller's contract.
    unsafe { set(directory, path, Attribute::Mode(mode), flags) }
}

pub(crate) fn do_fchmod(fd: c_int, mode: c_uint) -> Result<i64> {
    set_open(fd, Attribute::Mode(mode))
}

pub(crate) unsafe fn do_fchownat(
    directory: c_int,
    path: *const c_char,
    (user, group): (c_uint, c_uint),
    flags: c_int,
) -> Result<i64> {
    // SAFETY: the caller's contract.
    unsafe { set(directory, path, Attribute::Owner(user, group), flags) }
}

pub(crate) fn do_fchown(fd: c_int, user: c_uint, group: c_uint) -> Result<i64> {
    set_open(fd, Attribute::Owner(user, group))
}

/// The two times of `utimensat`; null is the present.
unsafe fn new_times(times: *const [Timespec; 2]) -> Result<Attribute> {
    let new = |time: Timespec| match time.nanoseconds {
        TIME_NOW => Ok(NewTime::Now),
        TIME_OMIT => Ok(NewTime::Same),
        ns @ 0..1_000_000_000 => Ok(NewTime::At(Time { seconds: time.seconds, nanoseconds: ns as u32 })),
        _ => Err(Errno::INVAL),
    };
    if times.is_null() {
        return Ok(Attribute::Times(NewTime::Now, NewTime::Now));
    }
    // SAFETY: the caller's contract.
    let [access, change] = unsafe { value(times) }?;
    Ok(Attribute::Times(new(access)?, new(change)?))
}

/// The same of `utimes`, in microseconds.
unsafe fn old_times(times: *const [Timeval; 2]) -> Result<Attribute> {
    let new = |time: Timeval| match time.microseconds {
        us @ 0..1_000_000 => Ok(NewTime::At(Time { seconds: time.seconds, nanoseconds: us as u32 * 1000 })),
        _ => Err(Errno::INVAL),
    };
    if times.is_null() {
        return Ok(Attribute::Times(NewTime::Now, NewTime::Now));
    }
    // SAFETY: the caller's contract.
    let [access, change] = unsafe { value(times) }?;
    Ok(Attribute::Times(new(access)?, new(change)?))
}

pub(crate) unsafe fn do_utimensat(
    directory: c_int,
    path: *const c_char,
    times: *const [Timespec; 2],
    flags: c_int,
) -> Result<i64> {
    // SAFETY: the caller's contract.
    let attribute = unsafe { new_times(times) }?;
    // Linux takes no path for the open file itself (utimensat(2), "C library/kernel ABI differences").
    match path.is_null() {
        true if directory == AT_CWD => Err(Errno::FAULT),
        true => set_open(directory, attribute),
        // SAFETY: the caller's contract.
        false => unsafe { set(directory, path, attribute, flags) },
    }
}

pub(crate) unsafe fn do_utimes(path: *const c_char, times: *const [Timeval; 2], flags: c_int) -> Result<i64> {
    // SAFETY: the caller's contract.
    unsafe { set(AT_CWD, path, old_times(times)?, flags) }
}

pub(crate) unsafe fn do_truncate(path: *const c_char, length: i64) -> Result<i64> {
    let length = u64::try_from(length).map_err(|_| Errno::INVAL)?;
    // SAFETY: the caller's contract.
    unsafe { set(AT_CWD, path, Attribute::Length(length), 0) }
}

pub(crate) fn do_ftruncate(fd: c_int, length: i64) -> Result<i64> {
    let length = u64::try_from(length).map_err(|_| Errno::INVAL)?;
    let file = table().get(fd)?;
    let node = node(&file, Errno::INVAL)?;
    if !is_writable(&file) {
        return Err(Errno::INVAL);
    }
    done(node.set(Attribute::Length(length)))
}

pub(crate) fn do_fallocate(fd: c_int, mode: c_int, offset: i64, length: i64) -> Result<i64> {
    let file = table().get(fd)?;
    let (Ok(offset), Ok(length)) = (u64::try_from(offset), u64::try_from(length)) else { return Err(Errno::INVAL) };
    if length == 0 {
        return Err(Errno::INVAL);
    }
    let how = match mode {
        0 => Allocation::Extend,
        KEEP_SIZE => Allocation::KeepLength,
        m if m == PUNCH_HOLE | KEEP_SIZE => Allocation::Punch,
        ZERO_RANGE => Allocation::Zero,
        _ => return Err(Errno::OPNOTSUPP),
    };
    if !is_writable(&file) {
        return Err(Errno::BADF);
    }
    match file.file().stat().mode & TYPE_MASK {
        REGULAR => done(node(&file, Errno::ROFS)?.allocate(how, offset, length)),
        DIRECTORY => Err(Errno::ISDIR),
        posix::stat::FIFO => Err(Errno::SPIPE),
        _ => Err(Errno::NODEV),
    }
}

/// `fsync` and its like: files are in memory, and that is as far as they go. `EINVAL` for what has no contents.
pub(crate) fn do_sync(fd: c_int) -> Result<i64> {
    match table().get(fd)?.file().observers() {
        None => Ok(0),
        Some(_) => Err(Errno::INVAL),
    }
}

pub(crate) fn do_flock(fd: c_int, operation: c_int) -> Result<i64> {
    let file = table().get(fd)?;
    let wants = match operation & !4 {
        1 => Lock::Shared,
        2 => Lock::Exclusive,
        8 => Lock::None,
        _ => return Err(Errno::INVAL),
    };
    match file.file().kind() {
        Kind::Node(node) => done(node.lock(wants, operation & 4 == 0)),
        // Nobody else has it open.
        _ => Ok(0),
    }
}

door! {
    /// POSIX `chmod`.
    fn chmod(path: *const c_char, mode: c_uint) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { do_fchmodat(AT_CWD, path, mode, 0) })
    }
    /// POSIX `fchmod`.
    fn fchmod(fd: c_int, mode: c_uint) -> c_int {
        give_int(do_fchmod(fd, mode))
    }
    /// POSIX `fchmodat`.
    fn fchmodat(directory: c_int, path: *const c_char, mode: c_uint, flags: c_int) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { do_fchmodat(directory, path, mode, flags) })
    }
    /// POSIX `chown`.
    fn chown(path: *const c_char, user: c_uint, group: c_uint) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { do_fchownat(AT_CWD, path, (user, group), 0) })
    }
    /// POSIX `lchown`.
    fn lchown(path: *const c_char, user: c_uint, group: c_uint) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { do_fchownat(AT_CWD, path, (user, group), AT_NO_FOLLOW) })
    }
    /// POSIX `fchown`.
    fn fchown(fd: c_int, user: c_uint, group: c_uint) -> c_int {
        give_int(do_fchown(fd, user, group))
    }
    /// POSIX `fchownat`.
    fn fchownat(directory: c_int, path: *const c_char, user: c_uint, group: c_uint, flags: c_int) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { do_fchownat(directory, path, (user, group), flags) })
    }
    /// POSIX `truncate`.
    fn truncate(path: *const c_char, length: i64) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { do_truncate(path, length) })
    }
    /// POSIX `truncate`.
    fn truncate64(path: *const c_char, length: i64) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { do_truncate(path, length) })
    }
    /// POSIX `ftruncate`.
    fn ftruncate(fd: c_int, length: i64) -> c_int {
        give_int(do_ftruncate(fd, length))
    }
    /// POSIX `ftruncate`.
    fn ftruncate64(fd: c_int, length: i64) -> c_int {
        give_int(do_ftruncate(fd, length))
    }
    /// POSIX `utimes`.
    fn utimes(path: *const c_char, times: *const [Timeval; 2]) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { do_utimes(path, times, 0) })
    }
    /// BSD `lutimes`.
    fn lutimes(path: *const c_char, times: *const [Timeval; 2]) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { do_utimes(path, times, AT_NO_FOLLOW) })
    }
    /// BSD `futimes`.
    fn futimes(fd: c_int, times: *const [Timeval; 2]) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { old_times(times) }.and_then(|times| set_open(fd, times)))
    }
    /// POSIX `utimensat`.
    fn utimensat(directory: c_int, path: *const c_char, times: *const [Timespec; 2], flags: c_int) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { do_utimensat(directory, path, times, flags) })
    }
    /// POSIX `futimens`.
    fn futimens(fd: c_int, times: *const [Timespec; 2]) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { new_times(times) }.and_then(|times| set_open(fd, times)))
    }
    /// Linux `fallocate`.
    fn fallocate(fd: c_int, mode: c_int, offset: i64, length: i64) -> c_int {
        give_int(do_fallocate(fd, mode, offset, length))
    }
    /// Linux `fallocate`.
    fn fallocate64(fd: c_int, mode: c_int, offset: i64, length: i64) -> c_int {
        give_int(do_fallocate(fd, mode, offset, length))
    }
    /// POSIX `posix_fallocate`: gives the error itself.
    fn posix_fallocate(fd: c_int, offset: i64, length: i64) -> c_int {
        do_fallocate(fd, 0, offset, length).map_or_else(|error| error.0, |_| 0)
    }
    /// POSIX `posix_fallocate`.
    fn posix_fallocate64(fd: c_int, offset: i64, length: i64) -> c_int {
        do_fallocate(fd, 0, offset, length).map_or_else(|error| error.0, |_| 0)
    }
    /// POSIX `posix_fadvise`: everything is in memory as it is.
    fn posix_fadvise(fd: c_int, _offset: i64, _length: i64, _advice: c_int) -> c_int {
        table().get(fd).map_or_else(|error| error.0, |_| 0)
    }
    /// POSIX `posix_fadvise`.
    fn posix_fadvise64(fd: c_int, _offset: i64, _length: i64, _advice: c_int) -> c_int {
        table().get(fd).map_or_else(|error| error.0, |_| 0)
    }
    /// POSIX `fsync`.
    fn fsync(fd: c_int) -> c_int {
        give_int(do_sync(fd))
    }
    /// POSIX `fdatasync`.
    fn fdatasync(fd: c_int) -> c_int {
        give_int(do_sync(fd))
    }
    /// Linux `syncfs`.
    fn syncfs(fd: c_int) -> c_int {
        give_int(table().get(fd).map(|_| 0))
    }
    /// Linux `sync_file_range`.
    fn sync_file_range(fd: c_int, _offset: i64, _length: i64, _flags: c_uint) -> c_int {
        give_int(do_sync(fd))
    }
    /// POSIX `sync`.
    fn sync() {}
    /// BSD `flock`.
    fn flock(fd: c_int, operation: c_int) -> c_int {
        give_int(do_flock(fd, operation))
    }
}
