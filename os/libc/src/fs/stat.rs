//! `stat`, `access` and their kin.

use super::{AT_CWD, AT_EMPTY_PATH, AT_NO_FOLLOW, check_directory, names};
use crate::argument::{done, door, give_int, put, text};
use crate::time::Timespec;
use core::ffi::{c_char, c_int, c_uint};
use posix::errno::{Errno, Result};
use posix::stat::{Attributes, attributes};
use posix::table::table;

/// `AT_EACCESS`
const AT_EFFECTIVE: c_int = 0x200;

/// `struct stat`, 144 bytes.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(crate) struct CStat {
    device: u64,
    inode: u64,
    links: u64,
    mode: u32,
    user: u32,
    group: u32,
    padding: u32,
    special_device: u64,
    size: i64,
    block_size: i64,
    blocks: i64,
    access: Timespec,
    change: Timespec,
    status: Timespec,
    reserved: [i64; 3],
}

/// `struct statx_timestamp`.
#[repr(C)]
#[derive(Clone, Copy)]
struct StatxTime {
    seconds: i64,
    nanoseconds: u32,
    reserved: i32,
}

/// `struct statx`, 256 bytes.
#[repr(C)]
pub(crate) struct CStatx {
    mask: u32,
    block_size: u32,
    attributes: u64,
    links: u32,
    user: u32,
    group: u32,
    mode: u16,
    padding: u16,
    inode: u64,
    size: u64,
    blocks: u64,
    attributes_mask: u64,
    access: StatxTime,
    birth: StatxTime,
    status: StatxTime,
    change: StatxTime,
    special_major: u32,
    special_minor: u32,
    major: u32,
    minor: u32,
    mount: u64,
    reserved: [u64; 13],
}

fn time(time: posix::stat::Time) -> Timespec {
    Timespec { seconds: time.seconds, nanoseconds: time.nanoseconds.into() }
}

fn statx_time(time: posix::stat::Time) -> StatxTime {
    StatxTime { seconds: time.seconds, nanoseconds: time.nanoseconds, reserved: 0 }
}

fn c_stat(stat: &Attributes) -> CStat {
    CStat {
        device: stat.device,
        inode: stat.inode,
        links: stat.links.into(),
        mode: stat.mode,
        user: stat.user,
        group: stat.group,
        special_device: stat.special,
        size: stat.size as i64,
        block_size: 4096,
        blocks: stat.allocated.div_ceil(512) as i64,
        access: time(stat.times.access),
        change: time(stat.times.change),
        status: time(stat.times.status),
        ..CStat::default()
    }
}

fn c_statx(stat: &Attributes) -> CStatx {
    CStatx {
        // STATX_BASIC_STATS, STATX_BTIME
        mask: 0xfff,
        block_size: 4096,
        attributes: 0,
        links: stat.links,
        user: stat.user,
        group: stat.group,
        mode: stat.mode as u16,
        padding: 0,
        inode: stat.inode,
        size: stat.size,
        blocks: stat.allocated.div_ceil(512),
        attributes_mask: 0,
        access: statx_time(stat.times.access),
        birth: statx_time(stat.times.birth),
        status: statx_time(stat.times.status),
        change: statx_time(stat.times.change),
        special_major: (stat.special >> 8) as u32,
        special_minor: stat.special as u32 & 0xff,
        major: 0,
        minor: stat.device as u32,
        mount: 0,
        reserved: [0; 13],
    }
}

/// The attributes that `fstatat` and `statx` ask for.
unsafe fn status_at(directory: c_int, path: *const c_char, flags: c_int) -> Result<Attributes> {
    // SAFETY: the caller's contract; Linux takes null for the empty path.
    let path = if path.is_null() && flags & AT_EMPTY_PATH != 0 { b"" } else { unsafe { text(path) }? };
    if path.is_empty() && flags & AT_EMPTY_PATH != 0 {
        return match directory {
            AT_CWD => status(AT_CWD, b".", 0),
            fd => Ok(attributes(table().get(fd)?.file())),
        };
    }
    status(directory, path, flags)
}

fn status(directory: c_int, path: &[u8], flags: c_int) -> Result<Attributes> {
    match names() {
        Some(names) => names.status(directory, path, flags & AT_NO_FOLLOW == 0),
        None => check_directory(directory, path).and_then(|()| posix::path::status(path)).map(Attributes::from),
    }
}

pub(crate) unsafe fn do_fstat(fd: c_int, to: *mut CStat) -> Result<i64> {
    let stat = attributes(table().get(fd)?.file());
    // SAFETY: the caller's contract.
    done(unsafe { put(to, c_stat(&stat)) })
}

pub(crate) unsafe fn do_fstatat(directory: c_int, path: *const c_char, to: *mut CStat, flags: c_int) -> Result<i64> {
    // SAFETY: the caller's contract.
    let stat = unsafe { status_at(directory, path, flags) }?;
    // SAFETY: the caller's contract.
    done(unsafe { put(to, c_stat(&stat)) })
}

pub(crate) unsafe fn do_stat(path: *const c_char, to: *mut CStat) -> Result<i64> {
    // SAFETY: the caller's contract.
    unsafe { do_fstatat(AT_CWD, path, to, 0) }
}

pub(crate) unsafe fn do_lstat(path: *const c_char, to: *mut CStat) -> Result<i64> {
    // SAFETY: the caller's contract.
    unsafe { do_fstatat(AT_CWD, path, to, AT_NO_FOLLOW) }
}

pub(crate) unsafe fn do_statx(directory: c_int, path: *const c_char, flags: c_int, to: *mut CStatx) -> Result<i64> {
    if to.is_null() {
        return Err(Errno::FAULT);
    }
    // SAFETY: the caller's contract.
    let stat = unsafe { status_at(directory, path, flags) }?;
    // SAFETY: the caller's contract.
    done(unsafe { put(to, c_statx(&stat)) })
}

pub(crate) unsafe fn do_faccessat(directory: c_int, path: *const c_char, mode: c_int, flags: c_int) -> Result<i64> {
    if flags & !(AT_NO_FOLLOW | AT_EFFECTIVE | AT_EMPTY_PATH) != 0 {
        return Err(Errno::INVAL);
    }
    // SAFETY: the caller's contract.
    let path = unsafe { text(path) }?;
    done(match names() {
        Some(names) => names.access(directory, path, mode as u32, flags & AT_NO_FOLLOW == 0),
        None => check_directory(directory, path).and_then(|()| posix::path::access(path, mode as u32)),
    })
}

door! {
    /// POSIX `stat`.
    fn stat(path: *const c_char, to: *mut CStat) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { do_stat(path, to) })
    }
    /// POSIX `stat`.
    fn stat64(path: *const c_char, to: *mut CStat) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { do_stat(path, to) })
    }
    /// POSIX `lstat`.
    fn lstat(path: *const c_char, to: *mut CStat) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { do_lstat(path, to) })
    }
    /// POSIX `lstat`.
    fn lstat64(path: *const c_char, to: *mut CStat) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { do_lstat(path, to) })
    }
    /// POSIX `fstat`.
    fn fstat(fd: c_int, to: *mut CStat) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { do_fstat(fd, to) })
    }
    /// POSIX `fstat`.
    fn fstat64(fd: c_int, to: *mut CStat) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { do_fstat(fd, to) })
    }
    /// POSIX `fstatat`.
    fn fstatat(directory: c_int, path: *const c_char, to: *mut CStat, flags: c_int) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { do_fstatat(directory, path, to, flags) })
    }
    /// POSIX `fstatat`.
    fn fstatat64(directory: c_int, path: *const c_char, to: *mut CStat, flags: c_int) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { do_fstatat(directory, path, to, flags) })
    }
    /// Linux `statx`.
    fn statx(directory: c_int, path: *const c_char, flags: c_int, _mask: c_uint, to: *mut CStatx) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { do_statx(directory, path, flags, to) })
    }
    /// POSIX `access`.
    fn access(path: *const c_char, mode: c_int) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { do_faccessat(AT_CWD, path, mode, 0) })
    }
    /// POSIX `faccessat`.
    fn faccessat(directory: c_int, path: *const c_char, mode: c_int, flags: c_int) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { do_faccessat(directory, path, mode, flags) })
    }
    /// glibc `eaccess`: who runs here has one identity.
    fn eaccess(path: *const c_char, mode: c_int) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { do_faccessat(AT_CWD, path, mode, 0) })
    }
}

const _: () = {
    assert!(size_of::<CStat>() == 144);
    assert!(size_of::<CStatx>() == 256);
};
