//! `statfs` and `statvfs`: how much room a file system has. What is sealed has none, and neither have devices.

use super::{AT_CWD, names};
use crate::argument::{done, door, give_int, put, text};
use core::ffi::{c_char, c_int};
use posix::errno::Result;
use posix::names::SpaceReport;
use posix::table::table;

/// Bytes of a block.
const BLOCK: u64 = 4096;
/// `TMPFS_MAGIC`, and for all else `ROMFS_MAGIC`.
const TMP_MAGIC: i64 = 0x0102_1994;
const SEALED_MAGIC: i64 = 0x7275;
/// `ST_RDONLY`
const READ_ONLY: u64 = 1;

/// `struct statfs`, 120 bytes.
#[repr(C)]
pub(crate) struct CStatfs {
    magic: i64,
    block_size: i64,
    blocks: u64,
    free: u64,
    available: u64,
    files: u64,
    files_free: u64,
    id: u64,
    name_max: i64,
    fragment_size: i64,
    flags: u64,
    reserved: [i64; 4],
}

/// `struct statvfs`, 112 bytes.
#[repr(C)]
pub(crate) struct CStatvfs {
    block_size: u64,
    fragment_size: u64,
    blocks: u64,
    free: u64,
    available: u64,
    files: u64,
    files_free: u64,
    files_available: u64,
    id: u64,
    flags: u64,
    name_max: u64,
    reserved: [i32; 6],
}

const NOTHING: SpaceReport = SpaceReport { total: 0, free: 0, nodes: 0, nodes_free: 0 };

fn c_statfs(space: Option<SpaceReport>) -> CStatfs {
    let (magic, flags) = if space.is_some() { (TMP_MAGIC, 0) } else { (SEALED_MAGIC, READ_ONLY) };
    let SpaceReport { total, free, nodes, nodes_free } = space.unwrap_or(NOTHING);
    CStatfs {
        magic,
        block_size: BLOCK as i64,
        blocks: total / BLOCK,
        free: free / BLOCK,
        available: free / BLOCK,
        files: nodes,
        files_free: nodes_free,
        id: 0,
        name_max: abi::files::NAME_MAX as i64,
        fragment_size: BLOCK as i64,
        flags,
        reserved: [0; 4],
    }
}

fn c_statvfs(space: Option<SpaceReport>) -> CStatvfs {
    let all = c_statfs(space);
    CStatvfs {
        block_size: BLOCK,
        fragment_size: BLOCK,
        blocks: all.blocks,
        free: all.free,
        available: all.available,
        files: all.files,
        files_free: all.files_free,
        files_available: all.files_free,
        id: 0,
        flags: all.flags,
        name_max: all.name_max as u64,
        reserved: [0; 6],
    }
}

unsafe fn by_path(path: *const c_char) -> Result<Option<SpaceReport>> {
    // SAFETY: the caller's contract.
    let path = unsafe { text(path) }?;
    match names() {
        Some(names) => names.space(AT_CWD, Some(path)),
        None => posix::path::status(path).map(|_| None),
    }
}

fn by_descriptor(fd: c_int) -> Result<Option<SpaceReport>> {
    table().get(fd)?;
    names().map_or(Ok(None), |names| names.space(fd, None))
}

pub(crate) unsafe fn do_statfs(path: *const c_char, to: *mut CStatfs) -> Result<i64> {
    // SAFETY: the caller's contract.
    unsafe { done(put(to, c_statfs(by_path(path)?))) }
}

pub(crate) unsafe fn do_fstatfs(fd: c_int, to: *mut CStatfs) -> Result<i64> {
    // SAFETY: the caller's contract.
    done(unsafe { put(to, c_statfs(by_descriptor(fd)?)) })
}

door! {
    /// Linux `statfs`.
    fn statfs(path: *const c_char, to: *mut CStatfs) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { do_statfs(path, to) })
    }
    /// Linux `statfs`.
    fn statfs64(path: *const c_char, to: *mut CStatfs) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { do_statfs(path, to) })
    }
    /// Linux `fstatfs`.
    fn fstatfs(fd: c_int, to: *mut CStatfs) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { do_fstatfs(fd, to) })
    }
    /// Linux `fstatfs`.
    fn fstatfs64(fd: c_int, to: *mut CStatfs) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { do_fstatfs(fd, to) })
    }
    /// POSIX `statvfs`.
    fn statvfs(path: *const c_char, to: *mut CStatvfs) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { by_path(path).and_then(|space| done(put(to, c_statvfs(space)))) })
    }
    /// POSIX `statvfs`.
    fn statvfs64(path: *const c_char, to: *mut CStatvfs) -> c_int {
        // SAFETY: the caller's contract.
        unsafe { statvfs(path, to) }
    }
    /// POSIX `fstatvfs`.
    fn fstatvfs(fd: c_int, to: *mut CStatvfs) -> c_int {
        // SAFETY: the caller's contract.
        give_int(by_descriptor(fd).and_then(|space| done(unsafe { put(to, c_statvfs(space)) })))
    }
    /// POSIX `fstatvfs`.
    fn fstatvfs64(fd: c_int, to: *mut CStatvfs) -> c_int {
        // SAFETY: the caller's contract.
        unsafe { fstatvfs(fd, to) }
    }
}

const _: () = {
    assert!(size_of::<CStatfs>() == 120);
    assert!(size_of::<CStatvfs>() == 112);
};
