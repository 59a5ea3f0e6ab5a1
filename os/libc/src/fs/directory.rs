//! Directories: reading them, the current one, and links that say where something is.

use super::{AT_CWD, check_directory, do_open, names};
use crate::argument::{done, door, give, give_int, room, set_errno, text};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ffi::{c_char, c_int, c_long, c_void};
use core::ptr::null_mut;
use posix::errno::{Errno, Result};
use posix::file::Kind;
use posix::table::table;

pub(crate) unsafe fn do_readlinkat(
    directory: c_int,
    path: *const c_char,
    to: *mut c_char,
    count: usize,
) -> Result<i64> {
    // SAFETY: the caller's contract.
    let (path, room) = unsafe { (text(path)?, room(to.cast(), count)?) };
    if room.is_empty() {
        return Err(Errno::INVAL);
    }
    let length = match names() {
        Some(names) => names.read_link(directory, path, room),
        None => check_directory(directory, path).and_then(|()| posix::path::read_link(path, room)),
    };
    length.map(|n| n as i64)
}

/// Gives the length with the NUL, as the system call does.
pub(crate) unsafe fn do_getcwd(to: *mut c_char, count: usize) -> Result<i64> {
    if count == 0 {
        return Err(Errno::INVAL);
    }
    if let Some(names) = names() {
        // SAFETY: the caller's contract.
        return names.current(unsafe { room(to.cast(), count) }?).map(|n| n as i64);
    }
    if count < 2 {
        return Err(Errno::RANGE);
    }
    // SAFETY: the caller's contract.
    unsafe { room(to.cast(), 2) }?.copy_from_slice(b"/\0");
    Ok(2)
}

pub(crate) unsafe fn do_chdir(path: *const c_char) -> Result<i64> {
    // SAFETY: the caller's contract.
    let path = unsafe { text(path) }?;
    if let Some(names) = names() {
        return done(names.enter(AT_CWD, Some(path)));
    }
    match path {
        b"/" | b"." | b"/." => Ok(0),
        path => match posix::path::status(path)?.mode & posix::stat::TYPE_MASK {
            // There is nothing below that a relative path could mean.
            posix::stat::DIRECTORY => Err(Errno::ACCES),
            _ => Err(Errno::NOTDIR),
        },
    }
}

pub(crate) fn do_fchdir(fd: c_int) -> Result<i64> {
    match names() {
        Some(names) if fd >= 0 => done(names.enter(fd, None)),
        _ => done(check_directory(fd, b".")),
    }
}

/// `getdents64`. Without files, directories look empty.
pub(crate) unsafe fn do_getdents(fd: c_int, to: *mut c_void, count: usize) -> Result<i64> {
    match table().get(fd)?.file().kind() {
        Kind::Directory => Ok(0),
        // SAFETY: the caller's contract.
        Kind::Node(node) => node.entries(unsafe { room(to, count) }?).map(|n| n as i64),
        _ => Err(Errno::NOTDIR),
    }
}

/// A directory stream (`DIR`).
struct Stream {
    fd: c_int,
    /// Entries that were read, each a `struct dirent64`; they stay where they are until the next reading.
    entries: Box<[u64; 256]>,
    length: usize,
    at: usize,
    /// What `telldir` says.
    place: i64,
}

/// Where a `struct dirent64` has `d_off` and `d_reclen`.
const OFFSET_AT: usize = 8;
const LENGTH_AT: usize = 16;

impl Stream {
    fn open(fd: c_int) -> *mut Stream {
        Box::into_raw(Box::new(Stream { fd, entries: Box::new([0; 256]), length: 0, at: 0, place: 0 }))
    }

    /// The next entry, or null at the end.
    fn next(&mut self) -> Result<*mut c_void> {
        if self.at == self.length {
            let room = size_of_val(&*self.entries);
            // SAFETY: our own buffer.
            self.length = unsafe { do_getdents(self.fd, self.entries.as_mut_ptr().cast(), room) }? as usize;
            self.at = 0;
            if self.length == 0 {
                return Ok(null_mut());
            }
        }
        // SAFETY: whole entries lie in the first `length` bytes.
        unsafe {
            let entry = self.entries.as_mut_ptr().cast::<u8>().add(self.at);
            self.place = entry.add(OFFSET_AT).cast::<i64>().read_unaligned();
            self.at += usize::from(entry.add(LENGTH_AT).cast::<u16>().read_unaligned());
            Ok(entry.cast())
        }
    }

    fn seek(&mut self, place: i64) {
        // A stream's descriptor is a directory's, for which every place is possible.
        _ = crate::fd::do_lseek(self.fd, place, 0);
        (self.at, self.length, self.place) = (0, 0, place);
    }
}

/// An absolute path in memory of the caller's, or in its own if he has none.
unsafe fn give_path(path: &[u8], to: *mut c_char) -> *mut c_char {
    let to = if to.is_null() { crate::heap::malloc(path.len() + 1).cast() } else { to };
    // SAFETY: the caller's buffer is long enough for any path, and ours for this one.
    match unsafe { room(to.cast(), path.len() + 1) } {
        Ok(room) => {
            room[..path.len()].copy_from_slice(path);
            room[path.len()] = 0;
            to
        }
        Err(_) => {
            set_errno(Errno::NOMEM);
            null_mut()
        }
    }
}

unsafe fn absolute(path: *const c_char) -> Result<Vec<u8>> {
    // SAFETY: the caller's contract.
    let path = unsafe { text(path) }?;
    match names() {
        Some(names) => names.absolute(AT_CWD, path),
        // Names that are there are their own real paths.
        None => posix::path::status(path).map(|_| {
            let slash: &[u8] = if path.starts_with(b"/") { b"" } else { b"/" };
            [slash, path].concat()
        }),
    }
}

fn fail<T>(error: Errno) -> *mut T {
    set_errno(error);
    null_mut()
}

door! {
    /// POSIX `readlink`.
    fn readlink(path: *const c_char, to: *mut c_char, count: usize) -> isize {
        // SAFETY: the caller's contract.
        give(unsafe { do_readlinkat(AT_CWD, path, to, count) }) as isize
    }
    /// POSIX `readlinkat`.
    fn readlinkat(directory: c_int, path: *const c_char, to: *mut c_char, count: usize) -> isize {
        // SAFETY: the caller's contract.
        give(unsafe { do_readlinkat(directory, path, to, count) }) as isize
    }
    /// POSIX `realpath`.
    fn realpath(path: *const c_char, to: *mut c_char) -> *mut c_char {
        // SAFETY: the caller's contract.
        match unsafe { absolute(path) } {
            // SAFETY: the caller's contract.
            Ok(path) => unsafe { give_path(&path, to) },
            Err(error) => fail(error),
        }
    }
    /// POSIX `getcwd`; without a buffer the result is the caller's to free.
    fn getcwd(to: *mut c_char, count: usize) -> *mut c_char {
        let own = to.is_null();
        let count = if own && count == 0 { posix::path::PATH_MAX } else { count };
        let to = if own { crate::heap::malloc(count).cast() } else { to };
        // SAFETY: the caller's contract, or bytes of our own.
        match unsafe { do_getcwd(to, count) } {
            Ok(_) => to,
            Err(error) => {
                if own {
                    // SAFETY: taken above, and nobody has seen it.
                    unsafe { crate::heap::free(to.cast()) };
                }
                fail(error)
            }
        }
    }
    /// POSIX `chdir`.
    fn chdir(path: *const c_char) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { do_chdir(path) })
    }
    /// POSIX `fchdir`.
    fn fchdir(fd: c_int) -> c_int {
        give_int(do_fchdir(fd))
    }
    /// Linux `chroot`: not permitted.
    fn chroot(_path: *const c_char) -> c_int {
        give_int(Err(Errno::PERM))
    }
    /// Linux `getdents64`.
    fn getdents64(fd: c_int, to: *mut c_void, count: usize) -> isize {
        // SAFETY: the caller's contract.
        give(unsafe { do_getdents(fd, to, count) }) as isize
    }
    /// POSIX `opendir`.
    fn opendir(path: *const c_char) -> *mut c_void {
        // O_RDONLY | O_DIRECTORY | O_CLOEXEC
        // SAFETY: the caller's contract.
        match unsafe { do_open(path, 0o2200000, 0) } {
            Ok(fd) => Stream::open(fd as c_int).cast(),
            Err(error) => fail(error),
        }
    }
    /// POSIX `fdopendir`.
    fn fdopendir(fd: c_int) -> *mut c_void {
        match table().get(fd).map(|file| file.file().stat().mode & posix::stat::TYPE_MASK) {
            Ok(posix::stat::DIRECTORY) => Stream::open(fd).cast(),
            Ok(_) => fail(Errno::NOTDIR),
            Err(error) => fail(error),
        }
    }
    /// POSIX `readdir`.
    fn readdir64(stream: *mut c_void) -> *mut c_void {
        // SAFETY: the caller's stream, which no other thread uses meanwhile.
        match unsafe { (*stream.cast::<Stream>()).next() } {
            Ok(entry) => entry,
            Err(error) => fail(error),
        }
    }
    /// POSIX `readdir`.
    fn readdir(stream: *mut c_void) -> *mut c_void {
        // SAFETY: the caller's contract.
        unsafe { readdir64(stream) }
    }
    /// POSIX `closedir`.
    fn closedir(stream: *mut c_void) -> c_int {
        // SAFETY: the caller's stream, which he gives up.
        let stream = unsafe { Box::from_raw(stream.cast::<Stream>()) };
        give_int(crate::fd::do_close(stream.fd))
    }
    /// POSIX `dirfd`.
    fn dirfd(stream: *mut c_void) -> c_int {
        // SAFETY: the caller's stream.
        unsafe { (*stream.cast::<Stream>()).fd }
    }
    /// POSIX `rewinddir`.
    fn rewinddir(stream: *mut c_void) {
        // SAFETY: the caller's stream, which no other thread uses meanwhile.
        unsafe { (*stream.cast::<Stream>()).seek(0) };
    }
    /// POSIX `telldir`.
    fn telldir(stream: *mut c_void) -> c_long {
        // SAFETY: the caller's stream.
        unsafe { (*stream.cast::<Stream>()).place }
    }
    /// POSIX `seekdir`.
    fn seekdir(stream: *mut c_void, place: c_long) {
        // SAFETY: the caller's stream, which no other thread uses meanwhile.
        unsafe { (*stream.cast::<Stream>()).seek(place) };
    }
}
