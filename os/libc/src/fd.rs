//! Descriptors: `read`, `write` and their kin, `dup`, `fcntl`, `ioctl`, pipes.
//!
//! The helpers that all doors of this crate use for pointers and results stand here too. Each call is a Rust function
//! that returns [`Result`]; the C symbol turns that into `errno`, the system-call table into a negative number.
#![cfg_attr(not(ampoule_image), allow(dead_code, reason = "only an image has the C names"))]

use alloc::vec::Vec;
use core::ffi::{c_char, c_int, c_uint, c_ulong, c_void};
use posix::errno::{Errno, Result};
use posix::file::{self, Description, Open};
use posix::table::table;

/// Defines C functions: names that the linker sees in an image, and the contract they share.
macro_rules! door {
    ($($(#[$meta:meta])* fn $name:ident($($arg:ident: $type:ty),* $(,)?) $(-> $ret:ty)? $body:block)*) => {$(
        $(#[$meta])*
        ///
        /// # Safety
        /// Pointers are null or valid for what the C function of this name does with them.
        #[cfg_attr(ampoule_image, unsafe(no_mangle))]
        pub(crate) unsafe extern "C" fn $name($($arg: $type),*) $(-> $ret)? $body
    )*};
}
pub(crate) use door;

/// Sets `errno`.
pub(crate) fn set_errno(error: Errno) {
    crate::errno::set(error.0);
}

/// A result as C functions give it: the value, or −1 and `errno`.
#[inline]
pub(crate) fn give(result: Result<i64>) -> i64 {
    result.unwrap_or_else(|error| {
        set_errno(error);
        -1
    })
}

/// [`give`] for functions that return `int`.
#[inline]
pub(crate) fn give_int(result: Result<i64>) -> c_int {
    give(result) as c_int
}

/// A result without a value.
#[inline]
pub(crate) fn done(result: Result<()>) -> Result<i64> {
    result.map(|()| 0)
}

/// The bytes that a caller gives.
///
/// # Safety
/// `pointer` is null or valid for reading `count` bytes that nobody writes meanwhile.
#[inline]
pub(crate) unsafe fn bytes<'a>(pointer: *const c_void, count: usize) -> Result<&'a [u8]> {
    match count {
        0 => Ok(&[]),
        _ if pointer.is_null() || count > isize::MAX as usize => Err(Errno::FAULT),
        // SAFETY: passed on to the caller; not null, and not larger than a slice may be.
        _ => Ok(unsafe { core::slice::from_raw_parts(pointer.cast(), count) }),
    }
}

/// The room that a caller gives.
///
/// # Safety
/// `pointer` is null or valid for writing `count` bytes that nobody else touches meanwhile.
#[inline]
pub(crate) unsafe fn room<'a>(pointer: *mut c_void, count: usize) -> Result<&'a mut [u8]> {
    match count {
        0 => Ok(&mut []),
        _ if pointer.is_null() || count > isize::MAX as usize => Err(Errno::FAULT),
        // SAFETY: passed on to the caller; not null, and not larger than a slice may be.
        _ => Ok(unsafe { core::slice::from_raw_parts_mut(pointer.cast(), count) }),
    }
}

/// A value that a caller gives by pointer.
///
/// # Safety
/// `pointer` is null or valid for reading a `T`, for which any bytes are a value.
pub(crate) unsafe fn value<T: Copy>(pointer: *const T) -> Result<T> {
    if pointer.is_null() {
        return Err(Errno::FAULT);
    }
    // SAFETY: passed on to the caller.
    Ok(unsafe { pointer.read_unaligned() })
}

/// Gives a caller a value by pointer.
///
/// # Safety
/// `pointer` is null or valid for writing a `T`.
pub(crate) unsafe fn put<T>(pointer: *mut T, value: T) -> Result<()> {
    if pointer.is_null() {
        return Err(Errno::FAULT);
    }
    // SAFETY: passed on to the caller.
    unsafe { pointer.write_unaligned(value) };
    Ok(())
}

/// A NUL-terminated string of at most `PATH_MAX` bytes.
///
/// # Safety
/// `pointer` is null or points to a NUL-terminated string that nobody writes meanwhile.
pub(crate) unsafe fn text<'a>(pointer: *const c_char) -> Result<&'a [u8]> {
    if pointer.is_null() {
        return Err(Errno::FAULT);
    }
    let mut length = 0;
    // SAFETY: every byte up to the first NUL is readable.
    while unsafe { *pointer.add(length) } != 0 {
        length += 1;
        if length > posix::path::PATH_MAX {
            return Err(Errno::NAMETOOLONG);
        }
    }
    // SAFETY: these bytes were just read.
    Ok(unsafe { core::slice::from_raw_parts(pointer.cast(), length) })
}

/// One piece of a scattered buffer (`struct iovec`).
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Piece {
    pub(crate) base: *mut c_void,
    pub(crate) length: usize,
}

/// Pieces that a call takes at most (`IOV_MAX`).
const PIECES_MAX: usize = 1024;

/// The pieces that a caller gives.
///
/// # Safety
/// As for [`bytes`], for `count` pieces.
pub(crate) unsafe fn pieces<'a>(pointer: *const Piece, count: usize) -> Result<&'a [Piece]> {
    match count {
        0 => Ok(&[]),
        _ if count > PIECES_MAX => Err(Errno::INVAL),
        _ if pointer.is_null() => Err(Errno::FAULT),
        // SAFETY: passed on to the caller.
        _ => Ok(unsafe { core::slice::from_raw_parts(pointer, count) }),
    }
}

/// All pieces in one.
///
/// # Safety
/// As for [`bytes`], for each piece.
pub(crate) unsafe fn gather(pieces: &[Piece]) -> Result<Vec<u8>> {
    let mut all = Vec::new();
    for piece in pieces {
        // SAFETY: passed on to the caller.
        let part = unsafe { bytes(piece.base, piece.length) }?;
        all.try_reserve(part.len()).map_err(|_| Errno::NOMEM)?;
        all.extend_from_slice(part);
    }
    Ok(all)
}

/// Copies `from` into the pieces; gives what fitted.
///
/// # Safety
/// As for [`room`], for each piece.
pub(crate) unsafe fn scatter(pieces: &[Piece], mut from: &[u8]) -> Result<usize> {
    let mut total = 0;
    for piece in pieces {
        // SAFETY: passed on to the caller.
        let room = unsafe { room(piece.base, piece.length) }?;
        let count = room.len().min(from.len());
        room[..count].copy_from_slice(&from[..count]);
        from = &from[count..];
        total += count;
    }
    Ok(total)
}

/// A gathered write up to this size goes out in one piece.
const GATHER_MAX: usize = 64 << 10;

/// May the descriptor be read?
fn readable(file: &Open) -> Result<()> {
    if file.flags() & file::ACCESS_MODE == file::WRITE_ONLY { Err(Errno::BADF) } else { Ok(()) }
}

fn writable(file: &Open) -> Result<()> {
    if file.flags() & file::ACCESS_MODE == file::READ_ONLY { Err(Errno::BADF) } else { Ok(()) }
}

#[inline]
pub(crate) unsafe fn do_read(fd: c_int, buffer: *mut c_void, count: usize) -> Result<i64> {
    // SAFETY: the caller's contract.
    let room = unsafe { room(buffer, count) }?;
    let first = table().with(fd, |file| {
        readable(file)?;
        file.file().read(room)
    });
    match first {
        // From the start once more, now with a reference that lasts while it waits.
        Err(Errno::AGAIN) => table().get(fd)?.read(room).map(|n| n as i64),
        done => done.map(|n| n as i64),
    }
}

#[inline]
pub(crate) unsafe fn do_write(fd: c_int, buffer: *const c_void, count: usize) -> Result<i64> {
    // SAFETY: the caller's contract.
    let bytes = unsafe { bytes(buffer, count) }?;
    let first = table().with(fd, |file| {
        writable(file)?;
        file.file().write(bytes).map(|taken| (taken, (taken < bytes.len()).then(|| file.clone())))
    });
    match first {
        Ok((taken, None)) => Ok(taken as i64),
        Ok((taken, Some(file))) => file.write_on(bytes, taken).map(|n| n as i64),
        Err(Errno::AGAIN) => table().get(fd)?.write(bytes).map(|n| n as i64),
        Err(error) => Err(error),
    }
}

pub(crate) unsafe fn do_readv(fd: c_int, vector: *const Piece, count: c_int) -> Result<i64> {
    let file = table().get(fd)?;
    readable(&file)?;
    // SAFETY: the caller's contract.
    let pieces = unsafe { pieces(vector, usize::try_from(count).map_err(|_| Errno::INVAL)?) }?;
    if file.socket().is_ok_and(|s| s.family_and_type().1 != posix::socket::STREAM) {
        // SAFETY: the caller's contract.
        return unsafe { super::message::receive_pieces(&file, pieces, 0) }.map(|r| r.length as i64);
    }
    let mut total = 0;
    for piece in pieces.iter().filter(|p| p.length > 0) {
        // SAFETY: the caller's contract.
        let room = unsafe { room(piece.base, piece.length) }?;
        // Only the first piece may block.
        let got = if total == 0 { file.read(room) } else { file.file().read(room) };
        match got {
            Ok(got) => {
                total += got;
                if got < piece.length {
                    break;
                }
            }
            Err(error) if total == 0 => return Err(error),
            Err(_) => break,
        }
    }
    Ok(total as i64)
}

pub(crate) unsafe fn do_writev(fd: c_int, vector: *const Piece, count: c_int) -> Result<i64> {
    let file = table().get(fd)?;
    writable(&file)?;
    // SAFETY: the caller's contract.
    let pieces = unsafe { pieces(vector, usize::try_from(count).map_err(|_| Errno::INVAL)?) }?;
    // SAFETY: the caller's contract.
    unsafe { write_pieces(pieces, &mut |part| file.write(part)) }.map(|n| n as i64)
}

/// Writes all pieces: in one go where that is cheap, so that a head and a body leave together.
///
/// # Safety
/// As for [`bytes`], for each piece.
pub(crate) unsafe fn write_pieces(pieces: &[Piece], write: &mut dyn FnMut(&[u8]) -> Result<usize>) -> Result<usize> {
    if let [piece] = pieces {
        // SAFETY: passed on to the caller.
        return write(unsafe { bytes(piece.base, piece.length) }?);
    }
    let total = pieces.iter().try_fold(0usize, |sum, p| sum.checked_add(p.length)).ok_or(Errno::INVAL)?;
    if total <= GATHER_MAX {
        // SAFETY: passed on to the caller.
        return write(&unsafe { gather(pieces) }?);
    }
    let mut written = 0;
    for piece in pieces {
        // SAFETY: passed on to the caller.
        let part = unsafe { bytes(piece.base, piece.length) }?;
        match write(part) {
            Ok(count) => {
                written += count;
                if count < part.len() {
                    break;
                }
            }
            Err(error) if written == 0 => return Err(error),
            Err(_) => break,
        }
    }
    Ok(written)
}

pub(crate) unsafe fn do_pread(fd: c_int, buffer: *mut c_void, count: usize, offset: i64) -> Result<i64> {
    let file = table().get(fd)?;
    readable(&file)?;
    let offset = u64::try_from(offset).map_err(|_| Errno::INVAL)?;
    // SAFETY: the caller's contract.
    file.file().read_at(unsafe { room(buffer, count) }?, offset).map(|n| n as i64)
}

pub(crate) fn do_pwrite(fd: c_int) -> Result<i64> {
    writable(&table().get(fd)?)?;
    Err(Errno::SPIPE)
}

pub(crate) fn do_close(fd: c_int) -> Result<i64> {
    table().remove(fd).map(|file| {
        drop(file);
        0
    })
}

pub(crate) fn do_lseek(fd: c_int, offset: i64, whence: c_int) -> Result<i64> {
    table().get(fd)?.file().seek(offset, whence as u32).map(|n| n as i64)
}

pub(crate) fn do_dup(fd: c_int) -> Result<i64> {
    let file = table().get(fd)?;
    table().insert(file, false).map(i64::from)
}

/// `dup3`; `same` is what equal numbers mean (`dup2`: nothing to do, `dup3`: a mistake).
pub(crate) fn do_dup3(old: c_int, new: c_int, flags: c_int, same: Result<i64>) -> Result<i64> {
    let file = table().get(old)?;
    if old == new {
        return same;
    }
    let before = table().replace(new, file, flags as u32 & file::CLOSE_ON_EXEC != 0)?;
    drop(before);
    Ok(new.into())
}

pub(crate) unsafe fn do_pipe2(ends: *mut [c_int; 2], flags: c_int) -> Result<i64> {
    let flags = flags as u32;
    let (reader, writer) = posix::pipe::pipe(flags);
    // SAFETY: the caller's contract.
    unsafe { put_pair(ends, reader, writer, flags & file::CLOSE_ON_EXEC != 0) }
}

/// Opens two descriptors and gives both, or neither.
///
/// # Safety
/// `ends` is null or valid for writing.
pub(crate) unsafe fn put_pair(ends: *mut [c_int; 2], left: Open, right: Open, close_on_exec: bool) -> Result<i64> {
    let left = table().insert(left, close_on_exec)?;
    let pair = table().insert(right, close_on_exec).map(|right| [left, right]);
    // SAFETY: passed on to the caller.
    let result = pair.and_then(|pair| unsafe { put(ends, pair) }.map_err(|e| (e, drop(table().remove(pair[1]))).0));
    if result.is_err() {
        drop(table().remove(left));
    }
    done(result)
}

pub(crate) fn do_eventfd(value: c_uint, flags: c_int) -> Result<i64> {
    let file = posix::eventfd::eventfd(value, flags as u32)?;
    table().insert(file, flags as u32 & file::CLOSE_ON_EXEC != 0).map(i64::from)
}

pub(crate) fn do_fcntl(fd: c_int, command: c_int, argument: c_ulong) -> Result<i64> {
    let file = table().get(fd)?;
    match command {
        // F_DUPFD, F_DUPFD_CLOEXEC
        0 | 1030 => {
            let minimum = usize::try_from(argument as c_int).map_err(|_| Errno::INVAL)?;
            if minimum >= posix::table::DESCRIPTORS_MAX {
                return Err(Errno::INVAL);
            }
            table().insert_from(minimum, file, command == 1030).map(i64::from)
        }
        // F_GETFD, F_SETFD
        1 => table().close_on_exec(fd).map(i64::from),
        2 => done(table().set_close_on_exec(fd, argument & 1 != 0)),
        // F_GETFL, F_SETFL
        3 => Ok(file.flags().into()),
        4 => {
            file.set_flags(argument as u32);
            Ok(0)
        }
        // Locks: nobody else is there to hold one. F_SETLK, F_SETLKW, F_OFD_SETLK, F_OFD_SETLKW, F_SETOWN, F_GETOWN
        6..=9 | 37 | 38 => Ok(0),
        // F_SETPIPE_SZ, F_GETPIPE_SZ
        1031 | 1032 if file.file().stat().mode & posix::stat::TYPE_MASK == posix::stat::FIFO => {
            Ok(posix::pipe::CAPACITY as i64)
        }
        _ => Err(Errno::INVAL),
    }
}

pub(crate) unsafe fn do_ioctl(fd: c_int, request: c_ulong, argument: *mut c_void) -> Result<i64> {
    let file = table().get(fd)?;
    match request as u32 {
        // FIONREAD
        0x541b => {
            let available = file.file().available()?.min(c_int::MAX as usize);
            // SAFETY: the caller's contract.
            done(unsafe { put(argument.cast::<c_int>(), available as c_int) })
        }
        // FIONBIO
        0x5421 => {
            // SAFETY: the caller's contract.
            let on = unsafe { value(argument.cast::<c_int>()) }? != 0;
            set_non_blocking(&file, on);
            Ok(0)
        }
        // FIOCLEX, FIONCLEX
        0x5451 => done(table().set_close_on_exec(fd, true)),
        0x5450 => done(table().set_close_on_exec(fd, false)),
        _ => Err(Errno::NOTTY),
    }
}

fn set_non_blocking(file: &Description, on: bool) {
    let flags = file.flags() & !file::NON_BLOCKING;
    file.set_flags(if on { flags | file::NON_BLOCKING } else { flags });
}

pub(crate) fn do_close_range(first: c_uint, last: c_uint, flags: c_int) -> Result<i64> {
    if first > last {
        return Err(Errno::INVAL);
    }
    let mut next = first as c_int;
    while let Some(fd) = table().next_open(next).filter(|fd| *fd as c_uint <= last) {
        match flags {
            // CLOSE_RANGE_CLOEXEC
            4 => table().set_close_on_exec(fd, true)?,
            _ => drop(table().remove(fd)),
        }
        next = fd + 1;
    }
    Ok(0)
}

door! {
    /// POSIX `read`.
    fn read(fd: c_int, buffer: *mut c_void, count: usize) -> isize {
        // SAFETY: the caller's contract.
        give(unsafe { do_read(fd, buffer, count) }) as isize
    }

    /// POSIX `write`.
    fn write(fd: c_int, buffer: *const c_void, count: usize) -> isize {
        // SAFETY: the caller's contract.
        give(unsafe { do_write(fd, buffer, count) }) as isize
    }

    /// POSIX `readv`.
    fn readv(fd: c_int, vector: *const Piece, count: c_int) -> isize {
        // SAFETY: the caller's contract.
        give(unsafe { do_readv(fd, vector, count) }) as isize
    }

    /// POSIX `writev`.
    fn writev(fd: c_int, vector: *const Piece, count: c_int) -> isize {
        // SAFETY: the caller's contract.
        give(unsafe { do_writev(fd, vector, count) }) as isize
    }

    /// POSIX `pread`.
    fn pread(fd: c_int, buffer: *mut c_void, count: usize, offset: i64) -> isize {
        // SAFETY: the caller's contract.
        give(unsafe { do_pread(fd, buffer, count, offset) }) as isize
    }

    /// POSIX `pread`.
    fn pread64(fd: c_int, buffer: *mut c_void, count: usize, offset: i64) -> isize {
        // SAFETY: the caller's contract.
        give(unsafe { do_pread(fd, buffer, count, offset) }) as isize
    }

    /// POSIX `pwrite`: no file here can be written at a position.
    fn pwrite(fd: c_int, _buffer: *const c_void, _count: usize, _offset: i64) -> isize {
        give(do_pwrite(fd)) as isize
    }

    /// POSIX `pwrite`.
    fn pwrite64(fd: c_int, _buffer: *const c_void, _count: usize, _offset: i64) -> isize {
        give(do_pwrite(fd)) as isize
    }

    /// Linux `preadv`.
    fn preadv(fd: c_int, vector: *const Piece, count: c_int, offset: i64) -> isize {
        // SAFETY: the caller's contract.
        match unsafe { pieces(vector, count.max(0) as usize) } {
            // SAFETY: the caller's contract.
            Ok([first, ..]) => give(unsafe { do_pread(fd, first.base, first.length, offset) }) as isize,
            Ok([]) => 0,
            Err(error) => give(Err(error)) as isize,
        }
    }

    /// Linux `preadv`.
    fn preadv64(fd: c_int, vector: *const Piece, count: c_int, offset: i64) -> isize {
        // SAFETY: the caller's contract.
        unsafe { preadv(fd, vector, count, offset) }
    }

    /// Linux `pwritev`.
    fn pwritev(fd: c_int, _vector: *const Piece, _count: c_int, _offset: i64) -> isize {
        give(do_pwrite(fd)) as isize
    }

    /// Linux `pwritev`.
    fn pwritev64(fd: c_int, _vector: *const Piece, _count: c_int, _offset: i64) -> isize {
        give(do_pwrite(fd)) as isize
    }

    /// POSIX `close`.
    fn close(fd: c_int) -> c_int {
        give_int(do_close(fd))
    }

    /// Linux `close_range`.
    fn close_range(first: c_uint, last: c_uint, flags: c_int) -> c_int {
        give_int(do_close_range(first, last, flags))
    }

    /// POSIX `lseek`.
    fn lseek(fd: c_int, offset: i64, whence: c_int) -> i64 {
        give(do_lseek(fd, offset, whence))
    }

    /// POSIX `lseek`.
    fn lseek64(fd: c_int, offset: i64, whence: c_int) -> i64 {
        give(do_lseek(fd, offset, whence))
    }

    /// POSIX `dup`.
    fn dup(fd: c_int) -> c_int {
        give_int(do_dup(fd))
    }

    /// POSIX `dup2`.
    fn dup2(old: c_int, new: c_int) -> c_int {
        give_int(do_dup3(old, new, 0, Ok(new.into())))
    }

    /// POSIX `dup3`.
    fn dup3(old: c_int, new: c_int, flags: c_int) -> c_int {
        give_int(do_dup3(old, new, flags, Err(Errno::INVAL)))
    }

    /// POSIX `pipe`.
    fn pipe(ends: *mut [c_int; 2]) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { do_pipe2(ends, 0) })
    }

    /// POSIX `pipe2`.
    fn pipe2(ends: *mut [c_int; 2], flags: c_int) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { do_pipe2(ends, flags) })
    }

    /// Linux `eventfd`.
    fn eventfd(value: c_uint, flags: c_int) -> c_int {
        give_int(do_eventfd(value, flags))
    }

    /// POSIX `fcntl`, its variadic argument fixed (see the crate's page).
    fn fcntl(fd: c_int, command: c_int, argument: c_ulong) -> c_int {
        give_int(do_fcntl(fd, command, argument))
    }

    /// POSIX `fcntl`.
    fn fcntl64(fd: c_int, command: c_int, argument: c_ulong) -> c_int {
        give_int(do_fcntl(fd, command, argument))
    }

    /// Linux `ioctl`, its variadic argument fixed.
    fn ioctl(fd: c_int, request: c_ulong, argument: *mut c_void) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { do_ioctl(fd, request, argument) })
    }

    /// POSIX `isatty`: the console is a stream, not a terminal.
    fn isatty(fd: c_int) -> c_int {
        set_errno(if table().get(fd).is_ok() { Errno::NOTTY } else { Errno::BADF });
        0
    }

    /// POSIX `tcgetattr`: there are no terminals.
    fn tcgetattr(fd: c_int, _settings: *mut c_void) -> c_int {
        set_errno(if table().get(fd).is_ok() { Errno::NOTTY } else { Errno::BADF });
        -1
    }

    /// POSIX `tcsetattr`.
    fn tcsetattr(fd: c_int, _actions: c_int, _settings: *const c_void) -> c_int {
        // SAFETY: it takes no pointer seriously.
        unsafe { tcgetattr(fd, core::ptr::null_mut()) }
    }

    /// Linux `sendfile`: callers fall back to reading and writing.
    fn sendfile(_out: c_int, _in: c_int, _offset: *mut i64, _count: usize) -> isize {
        give(Err(Errno::INVAL)) as isize
    }

    /// Linux `sendfile`.
    fn sendfile64(_out: c_int, _in: c_int, _offset: *mut i64, _count: usize) -> isize {
        give(Err(Errno::INVAL)) as isize
    }

    /// Linux `splice`.
    fn splice(_in: c_int, _u1: *mut i64, _out: c_int, _u2: *mut i64, _count: usize, _flags: c_uint) -> isize {
        give(Err(Errno::INVAL)) as isize
    }

    /// Linux `copy_file_range`.
    fn copy_file_range(_u1: c_int, _u2: *mut i64, _u3: c_int, _u4: *mut i64, _u5: usize, _u6: c_uint) -> isize {
        give(Err(Errno::NOSYS)) as isize
    }
}
