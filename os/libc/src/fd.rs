//! Descriptors: `dup`, `fcntl`, `ioctl`, pipes, and closing.
#![cfg_attr(not(ampoule_image), allow(dead_code, reason = "only an image has the C names"))]

pub(crate) use crate::argument::*;
pub(crate) use crate::io::*;

use core::ffi::{c_int, c_uint, c_ulong, c_void};
use posix::errno::{Errno, Result};
use posix::file::{self, Description, Kind, Open};
use posix::names::Record;
use posix::table::{spare, table};

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
    spare()?;
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
    spare()?;
    let file = posix::eventfd::eventfd(value, flags as u32)?;
    table().insert(file, flags as u32 & file::CLOSE_ON_EXEC != 0).map(i64::from)
}

pub(crate) unsafe fn do_fcntl(fd: c_int, command: c_int, argument: c_ulong) -> Result<i64> {
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
        // F_GETLK, F_SETLK, F_SETLKW, and the same with F_OFD_
        // SAFETY: the caller's contract.
        5..=7 | 36..=38 => unsafe { record_lock(&file, command, argument as *mut Record) },
        // F_SETOWN, F_GETOWN
        8 | 9 => Ok(0),
        // F_SETPIPE_SZ, F_GETPIPE_SZ
        1031 | 1032 if file.file().stat().mode & posix::stat::TYPE_MASK == posix::stat::FIFO => {
            Ok(posix::pipe::CAPACITY as i64)
        }
        _ => Err(Errno::INVAL),
    }
}

/// A lock on a range of bytes. What there is to it is with the files, and in no image without them.
unsafe fn record_lock(file: &Open, command: c_int, record: *mut Record) -> Result<i64> {
    // SAFETY: the caller's contract.
    let wanted = unsafe { value(record) }?;
    let answer = match file.file().kind() {
        Kind::Node(node) => node.record(command, file.flags(), wanted)?,
        _ if wanted.kind as u16 > Record::UNLOCKED as u16 => return Err(Errno::INVAL),
        // Nobody else has it open.
        _ => Record { kind: Record::UNLOCKED, ..wanted },
    };
    if matches!(command, Record::GET | Record::OPEN_GET) {
        // SAFETY: the caller's contract.
        unsafe { put(record, answer) }?;
    }
    Ok(0)
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
        // SAFETY: the caller's contract.
        give_int(unsafe { do_fcntl(fd, command, argument) })
    }

    /// POSIX `fcntl`.
    fn fcntl64(fd: c_int, command: c_int, argument: c_ulong) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { do_fcntl(fd, command, argument) })
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
}
