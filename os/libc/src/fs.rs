//! Files by name: a read-only, nearly empty root ([`posix::path`]), in C's words.
#![cfg_attr(not(ampoule_image), allow(dead_code, reason = "only an image has the C names"))]

use super::fd::{done, door, give, give_int, put, room, set_errno, text};
use core::ffi::{c_char, c_int, c_uint, c_void};
use posix::errno::{Errno, Result};
use posix::file::{CLOSE_ON_EXEC, Kind};
use posix::stat::Stat;
use posix::table::table;

/// `AT_FDCWD`
const AT_CWD: c_int = -100;
/// `AT_EMPTY_PATH`
const AT_EMPTY_PATH: c_int = 0x1000;

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
    times: [i64; 6],
    reserved: [i64; 3],
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
    times: [[i64; 2]; 4],
    special_major: u32,
    special_minor: u32,
    major: u32,
    minor: u32,
    reserved: [u64; 14],
}

fn c_stat(stat: Stat) -> CStat {
    CStat {
        device: 1,
        inode: stat.inode,
        links: 1,
        mode: stat.mode,
        special_device: stat.device,
        size: stat.size as i64,
        block_size: 4096,
        blocks: stat.size.div_ceil(512) as i64,
        ..CStat::default()
    }
}

fn c_statx(stat: Stat) -> CStatx {
    CStatx {
        // STATX_BASIC_STATS
        mask: 0x7ff,
        block_size: 4096,
        attributes: 0,
        links: 1,
        user: 0,
        group: 0,
        mode: stat.mode as u16,
        padding: 0,
        inode: stat.inode,
        size: stat.size,
        blocks: stat.size.div_ceil(512),
        attributes_mask: 0,
        times: [[0; 2]; 4],
        special_major: (stat.device >> 8) as u32,
        special_minor: stat.device as u32 & 0xff,
        major: 0,
        minor: 1,
        reserved: [0; 14],
    }
}

pub(crate) unsafe fn do_open(path: *const c_char, flags: c_int) -> Result<i64> {
    // SAFETY: the caller's contract.
    let file = posix::path::open(unsafe { text(path) }?, flags as u32, crate::random::fill)?;
    table().insert(file, flags as u32 & CLOSE_ON_EXEC != 0).map(i64::from)
}

/// Opens `/dev/null`.
fn open_null(flags: c_int) -> c_int {
    let file = posix::path::null(flags as u32);
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

/// A relative path counts from a directory; the root is the only one with anything in it.
fn check_directory(directory: c_int, path: &[u8]) -> Result<()> {
    if directory == AT_CWD || path.starts_with(b"/") {
        return Ok(());
    }
    match table().get(directory)?.file().kind() {
        Kind::Directory => Ok(()),
        _ => Err(Errno::NOTDIR),
    }
}

pub(crate) unsafe fn do_openat(directory: c_int, path: *const c_char, flags: c_int) -> Result<i64> {
    // SAFETY: the caller's contract.
    check_directory(directory, unsafe { text(path) }?)?;
    // SAFETY: the caller's contract.
    unsafe { do_open(path, flags) }
}

/// The attributes that `fstatat` and `statx` ask for.
unsafe fn status_at(directory: c_int, path: *const c_char, flags: c_int) -> Result<Stat> {
    // SAFETY: the caller's contract; Linux takes null for the empty path.
    let path = if path.is_null() && flags & AT_EMPTY_PATH != 0 { b"" } else { unsafe { text(path) }? };
    if path.is_empty() && flags & AT_EMPTY_PATH != 0 {
        return if directory == AT_CWD { posix::path::status(b"/") } else { Ok(table().get(directory)?.file().stat()) };
    }
    check_directory(directory, path)?;
    posix::path::status(path)
}

pub(crate) unsafe fn do_stat(path: *const c_char, to: *mut CStat) -> Result<i64> {
    // SAFETY: the caller's contract.
    unsafe { do_fstatat(AT_CWD, path, to, 0) }
}

pub(crate) unsafe fn do_fstat(fd: c_int, to: *mut CStat) -> Result<i64> {
    let stat = table().get(fd)?.file().stat();
    // SAFETY: the caller's contract.
    done(unsafe { put(to, c_stat(stat)) })
}

pub(crate) unsafe fn do_fstatat(directory: c_int, path: *const c_char, to: *mut CStat, flags: c_int) -> Result<i64> {
    // SAFETY: the caller's contract.
    let stat = unsafe { status_at(directory, path, flags) }?;
    // SAFETY: the caller's contract.
    done(unsafe { put(to, c_stat(stat)) })
}

pub(crate) unsafe fn do_statx(directory: c_int, path: *const c_char, flags: c_int, to: *mut CStatx) -> Result<i64> {
    if to.is_null() {
        return Err(Errno::FAULT);
    }
    // SAFETY: the caller's contract.
    let stat = unsafe { status_at(directory, path, flags) }?;
    // SAFETY: the caller's contract.
    done(unsafe { put(to, c_statx(stat)) })
}

pub(crate) unsafe fn do_access(path: *const c_char, mode: c_int) -> Result<i64> {
    // SAFETY: the caller's contract.
    done(posix::path::access(unsafe { text(path) }?, mode as u32))
}

pub(crate) unsafe fn do_readlink(path: *const c_char, to: *mut c_char, count: usize) -> Result<i64> {
    // SAFETY: the caller's contract.
    let (path, room) = unsafe { (text(path)?, room(to.cast(), count)?) };
    posix::path::read_link(path, room).map(|n| n as i64)
}

/// Gives the length with the NUL, as the system call does.
pub(crate) unsafe fn do_getcwd(to: *mut c_char, count: usize) -> Result<i64> {
    if count < 2 {
        return Err(if count == 0 { Errno::INVAL } else { Errno::RANGE });
    }
    // SAFETY: the caller's contract.
    unsafe { room(to.cast(), 2) }?.copy_from_slice(b"/\0");
    Ok(2)
}

pub(crate) unsafe fn do_chdir(path: *const c_char) -> Result<i64> {
    // SAFETY: the caller's contract.
    match unsafe { text(path) }? {
        b"/" | b"." | b"/." => Ok(0),
        path => match posix::path::status(path)?.mode & posix::stat::TYPE_MASK {
            // There is nothing below that a relative path could mean.
            posix::stat::DIRECTORY => Err(Errno::ACCES),
            _ => Err(Errno::NOTDIR),
        },
    }
}

/// A call that would create a name.
pub(crate) unsafe fn create(path: *const c_char) -> Result<i64> {
    // SAFETY: the caller's contract.
    Err(posix::path::change(unsafe { text(path) }?, true))
}

/// A call that would change or remove a name.
pub(crate) unsafe fn change(path: *const c_char) -> Result<i64> {
    // SAFETY: the caller's contract.
    Err(posix::path::change(unsafe { text(path) }?, false))
}

/// A call that would change an open file.
pub(crate) fn change_open(fd: c_int) -> Result<i64> {
    table().get(fd)?;
    Err(Errno::ROFS)
}

/// `fsync` and its like: `EINVAL` for what has nothing to bring to a disk.
pub(crate) fn do_sync(fd: c_int) -> Result<i64> {
    match table().get(fd)?.file().observers() {
        None => Ok(0),
        Some(_) => Err(Errno::INVAL),
    }
}

/// `getdents64`: directories look empty.
pub(crate) fn do_getdents(fd: c_int) -> Result<i64> {
    match table().get(fd)?.file().kind() {
        Kind::Directory => Ok(0),
        _ => Err(Errno::NOTDIR),
    }
}

/// A directory stream is its descriptor plus 1, as a pointer that is never followed.
fn stream(fd: c_int) -> *mut c_void {
    core::ptr::without_provenance_mut(fd as usize + 1)
}

fn descriptor(stream: *mut c_void) -> c_int {
    (stream.addr() as c_int) - 1
}

door! {
    /// POSIX `open`, its variadic argument fixed (and unused: nothing can be created).
    fn open(path: *const c_char, flags: c_int, _mode: c_uint) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { do_open(path, flags) })
    }
    /// POSIX `open`.
    ///
    /// When std starts, its code for missing descriptors names `/dev/null`. Hence the detour, always inlined: in a program
    /// that opens nothing else, link-time optimisation then finds that nobody looks names up.
    #[inline(always)]
    fn open64(path: *const c_char, flags: c_int, _mode: c_uint) -> c_int {
        // SAFETY: the caller's contract.
        if !path.is_null() && unsafe { is_null_device(path) } {
            return open_null(flags);
        }
        // SAFETY: the caller's contract.
        give_int(unsafe { do_open(path, flags) })
    }
    /// POSIX `openat`.
    fn openat(directory: c_int, path: *const c_char, flags: c_int, _mode: c_uint) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { do_openat(directory, path, flags) })
    }
    /// POSIX `openat`.
    fn openat64(directory: c_int, path: *const c_char, flags: c_int, _mode: c_uint) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { do_openat(directory, path, flags) })
    }
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
        give_int(unsafe { do_stat(path, to) })
    }
    /// POSIX `lstat`.
    fn lstat64(path: *const c_char, to: *mut CStat) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { do_stat(path, to) })
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
        give_int(unsafe { do_access(path, mode) })
    }
    /// POSIX `faccessat`.
    fn faccessat(_directory: c_int, path: *const c_char, mode: c_int, _flags: c_int) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { do_access(path, mode) })
    }
    /// POSIX `readlink`.
    fn readlink(path: *const c_char, to: *mut c_char, count: usize) -> isize {
        // SAFETY: the caller's contract.
        give(unsafe { do_readlink(path, to, count) }) as isize
    }
    /// POSIX `readlinkat`.
    fn readlinkat(_directory: c_int, path: *const c_char, to: *mut c_char, count: usize) -> isize {
        // SAFETY: the caller's contract.
        give(unsafe { do_readlink(path, to, count) }) as isize
    }
    /// POSIX `realpath`: names that are there are their own real paths.
    fn realpath(path: *const c_char, to: *mut c_char) -> *mut c_char {
        // SAFETY: the caller's contract.
        let found = unsafe { text(path) }.and_then(|path| posix::path::status(path).map(|_| path));
        let path = match found {
            Ok(path) => path,
            Err(error) => {
                set_errno(error);
                return core::ptr::null_mut();
            }
        };
        // Without a buffer of the caller's the result is his to free.
        let to = if to.is_null() { crate::heap::malloc(path.len() + 2).cast() } else { to };
        let slash = usize::from(!path.starts_with(b"/"));
        // SAFETY: the caller's buffer has PATH_MAX bytes, and ours is as long as needed.
        if let Ok(room) = unsafe { room(to.cast(), path.len() + slash + 1) } {
            room[0] = b'/';
            room[slash..slash + path.len()].copy_from_slice(path);
            room[slash + path.len()] = 0;
        }
        to
    }
    /// POSIX `getcwd`: `/`, always.
    fn getcwd(to: *mut c_char, count: usize) -> *mut c_char {
        let (to, count) = if to.is_null() { (crate::heap::malloc(2).cast(), 2) } else { (to, count) };
        // SAFETY: the caller's contract, or two bytes of our own.
        match unsafe { do_getcwd(to, count) } {
            Ok(_) => to,
            Err(error) => {
                set_errno(error);
                core::ptr::null_mut()
            }
        }
    }
    /// POSIX `chdir`.
    fn chdir(path: *const c_char) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { do_chdir(path) })
    }
    /// POSIX `chroot`.
    fn chroot(_path: *const c_char) -> c_int {
        give_int(Err(Errno::PERM))
    }
    /// POSIX `mkdir`.
    fn mkdir(path: *const c_char, _mode: c_uint) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { create(path) })
    }
    /// POSIX `mkdirat`.
    fn mkdirat(_directory: c_int, path: *const c_char, _mode: c_uint) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { create(path) })
    }
    /// POSIX `symlink`.
    fn symlink(_target: *const c_char, path: *const c_char) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { create(path) })
    }
    /// POSIX `link`.
    fn link(_old: *const c_char, path: *const c_char) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { create(path) })
    }
    /// POSIX `linkat`.
    fn linkat(_u1: c_int, _old: *const c_char, _u2: c_int, path: *const c_char, _flags: c_int) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { create(path) })
    }
    /// POSIX `mkfifo`.
    fn mkfifo(path: *const c_char, _mode: c_uint) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { create(path) })
    }
    /// POSIX `rmdir`.
    fn rmdir(path: *const c_char) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { change(path) })
    }
    /// POSIX `unlink`.
    fn unlink(path: *const c_char) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { change(path) })
    }
    /// POSIX `unlinkat`.
    fn unlinkat(_directory: c_int, path: *const c_char, _flags: c_int) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { change(path) })
    }
    /// POSIX `rename`.
    fn rename(old: *const c_char, _new: *const c_char) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { change(old) })
    }
    /// POSIX `renameat`.
    fn renameat(_u1: c_int, old: *const c_char, _u2: c_int, _new: *const c_char) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { change(old) })
    }
    /// POSIX `chmod`.
    fn chmod(path: *const c_char, _mode: c_uint) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { change(path) })
    }
    /// POSIX `fchmodat`.
    fn fchmodat(_directory: c_int, path: *const c_char, _mode: c_uint, _flags: c_int) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { change(path) })
    }
    /// POSIX `chown`.
    fn chown(path: *const c_char, _user: c_uint, _group: c_uint) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { change(path) })
    }
    /// POSIX `lchown`.
    fn lchown(path: *const c_char, _user: c_uint, _group: c_uint) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { change(path) })
    }
    /// POSIX `truncate`.
    fn truncate64(path: *const c_char, _length: i64) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { change(path) })
    }
    /// POSIX `utimes`.
    fn utimes(path: *const c_char, _times: *const c_void) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { change(path) })
    }
    /// POSIX `utimensat`.
    fn utimensat(_directory: c_int, path: *const c_char, _times: *const c_void, _flags: c_int) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { change(path) })
    }
    /// POSIX `futimens`.
    fn futimens(fd: c_int, _times: *const c_void) -> c_int {
        give_int(change_open(fd))
    }
    /// POSIX `fchmod`.
    fn fchmod(fd: c_int, _mode: c_uint) -> c_int {
        give_int(change_open(fd))
    }
    /// POSIX `fchown`.
    fn fchown(fd: c_int, _user: c_uint, _group: c_uint) -> c_int {
        give_int(change_open(fd))
    }
    /// POSIX `ftruncate`.
    fn ftruncate(fd: c_int, _length: i64) -> c_int {
        give_int(table().get(fd).and(Err(Errno::INVAL)))
    }
    /// POSIX `ftruncate`.
    fn ftruncate64(fd: c_int, _length: i64) -> c_int {
        give_int(table().get(fd).and(Err(Errno::INVAL)))
    }
    /// POSIX `posix_fallocate`: gives the error itself.
    fn posix_fallocate64(_fd: c_int, _offset: i64, _length: i64) -> c_int {
        Errno::ROFS.0
    }
    /// POSIX `posix_fadvise`.
    fn posix_fadvise64(_fd: c_int, _offset: i64, _length: i64, _advice: c_int) -> c_int {
        0
    }
    /// POSIX `fsync`.
    fn fsync(fd: c_int) -> c_int {
        give_int(do_sync(fd))
    }
    /// POSIX `fdatasync`.
    fn fdatasync(fd: c_int) -> c_int {
        give_int(do_sync(fd))
    }
    /// BSD `flock`: nobody else holds locks.
    fn flock(fd: c_int, _operation: c_int) -> c_int {
        give_int(table().get(fd).map(|_| 0))
    }
    /// POSIX `umask`.
    fn umask(_mask: c_uint) -> c_uint {
        0o022
    }
    /// POSIX `opendir`.
    fn opendir(path: *const c_char) -> *mut c_void {
        // O_RDONLY | O_DIRECTORY | O_CLOEXEC
        // SAFETY: the caller's contract.
        match unsafe { do_open(path, 0o2200000) } {
            Ok(fd) => stream(fd as c_int),
            Err(error) => {
                set_errno(error);
                core::ptr::null_mut()
            }
        }
    }
    /// POSIX `fdopendir`.
    fn fdopendir(fd: c_int) -> *mut c_void {
        match do_getdents(fd) {
            Ok(_) => stream(fd),
            Err(error) => {
                set_errno(error);
                core::ptr::null_mut()
            }
        }
    }
    /// POSIX `readdir`: directories look empty.
    fn readdir64(_stream: *mut c_void) -> *mut c_void {
        core::ptr::null_mut()
    }
    /// POSIX `closedir`.
    fn closedir(stream: *mut c_void) -> c_int {
        give_int(super::fd::do_close(descriptor(stream)))
    }
    /// POSIX `dirfd`.
    fn dirfd(stream: *mut c_void) -> c_int {
        descriptor(stream)
    }
    /// POSIX `statvfs`: no file system here has room.
    fn statvfs64(path: *const c_char, _to: *mut c_void) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { text(path) }.and(Err(Errno::NOSYS)))
    }
    /// Linux `memfd_create`.
    fn memfd_create(_name: *const c_char, _flags: c_uint) -> c_int {
        give_int(Err(Errno::NOSYS))
    }
    /// Linux `inotify_init1`: nothing ever changes.
    fn inotify_init1(_flags: c_int) -> c_int {
        give_int(Err(Errno::NOSYS))
    }
}

const _: () = {
    assert!(size_of::<CStat>() == 144);
    assert!(size_of::<CStatx>() == 256);
};
