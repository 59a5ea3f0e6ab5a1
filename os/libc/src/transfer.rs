//! From one descriptor to another: `copy_file_range`, `sendfile`, `splice`.
//!
//! Within one address space there is nothing to save but the calls; the bytes go through a buffer.
#![cfg_attr(not(ampoule_image), allow(dead_code, reason = "only an image has the C names"))]

use crate::argument::{door, give, put, value};
use crate::io::{read_at, readable, writable, write_at};
use alloc::vec::Vec;
use core::ffi::{c_int, c_uint};
use posix::errno::{Errno, Result};
use posix::file::{APPEND, Open};
use posix::table::table;

/// Bytes that are carried at once.
const STEP: usize = 64 << 10;
/// Bytes that one call carries at most (as Linux has it).
const MOST: usize = 0x7fff_f000;

/// One end: a file, and the position to use instead of its own.
struct End<'a> {
    file: &'a Open,
    position: Option<i64>,
}

impl End<'_> {
    fn take(&mut self, room: &mut [u8]) -> Result<usize> {
        let Some(position) = &mut self.position else { return self.file.read(room) };
        let count = read_at(self.file, room, *position)?;
        *position += count as i64;
        Ok(count)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<usize> {
        let Some(position) = &mut self.position else { return self.file.write(bytes) };
        let count = write_at(self.file, bytes, *position)?;
        *position += count as i64;
        Ok(count)
    }
}

/// Carries up to `count` bytes, and fewer where either end has no more or takes no more.
fn carry(from: &mut End<'_>, to: &mut End<'_>, count: usize) -> Result<usize> {
    let count = count.min(MOST);
    let mut buffer = Vec::new();
    buffer.try_reserve(count.min(STEP)).map_err(|_| Errno::NOMEM)?;
    buffer.resize(count.min(STEP), 0);
    let mut done = 0;
    while done < count {
        let room = &mut buffer[..(count - done).min(STEP)];
        let taken = match from.take(room) {
            Ok(0) => break,
            Ok(taken) => taken,
            Err(error) if done == 0 => return Err(error),
            Err(_) => break,
        };
        let written = to.put(&room[..taken]);
        let given = match written {
            Ok(given) => given,
            Err(error) if done == 0 => {
                back(from, taken);
                return Err(error);
            }
            Err(_) => 0,
        };
        done += given;
        if given < taken {
            back(from, taken - given);
            break;
        }
    }
    Ok(done)
}

/// What was taken and not given is still to be read.
fn back(from: &mut End<'_>, count: usize) {
    match &mut from.position {
        Some(position) => *position -= count as i64,
        None => _ = from.file.file().seek(-(count as i64), 1),
    }
}

/// The position that a caller gives by pointer, if he does.
unsafe fn position(pointer: *mut i64) -> Result<Option<i64>> {
    if pointer.is_null() {
        return Ok(None);
    }
    // SAFETY: the caller's contract.
    let position = unsafe { value(pointer) }?;
    if position < 0 { Err(Errno::INVAL) } else { Ok(Some(position)) }
}

unsafe fn give_position(pointer: *mut i64, position: Option<i64>) -> Result<()> {
    // SAFETY: the caller's contract.
    position.map_or(Ok(()), |position| unsafe { put(pointer, position) })
}

fn is_regular(file: &Open) -> Result<()> {
    match file.file().stat().mode & posix::stat::TYPE_MASK {
        posix::stat::DIRECTORY => Err(Errno::ISDIR),
        posix::stat::REGULAR => Ok(()),
        _ => Err(Errno::INVAL),
    }
}

pub(crate) unsafe fn do_copy_file_range(
    (from, from_at): (c_int, *mut i64),
    (to, to_at): (c_int, *mut i64),
    count: usize,
    flags: c_uint,
) -> Result<i64> {
    let (from, to) = (table().get(from)?, table().get(to)?);
    if flags != 0 {
        return Err(Errno::INVAL);
    }
    is_regular(&from)?;
    is_regular(&to)?;
    readable(&from)?;
    writable(&to)?;
    if to.flags() & APPEND != 0 {
        return Err(Errno::BADF);
    }
    // SAFETY: the caller's contract.
    let (source, target) = unsafe { (position(from_at)?, position(to_at)?) };
    let own = |file: &Open, at: Option<i64>| at.map_or_else(|| file.file().seek(0, 1), |at| Ok(at as u64));
    let (start, end) = (own(&from, source)?, own(&to, target)?);
    let (one, other) = (posix::stat::attributes(from.file()), posix::stat::attributes(to.file()));
    let count = count.min(usize::try_from(one.size.saturating_sub(start)).unwrap_or(usize::MAX));
    // Copied upwards, a file would read what it has just written.
    if (one.device, one.inode) == (other.device, other.inode) && start.abs_diff(end) < count as u64 {
        return Err(Errno::INVAL);
    }
    let (mut source, mut target) = (End { file: &from, position: source }, End { file: &to, position: target });
    let done = carry(&mut source, &mut target, count)?;
    // SAFETY: the caller's contract.
    unsafe {
        give_position(from_at, source.position)?;
        give_position(to_at, target.position)?;
    }
    Ok(done as i64)
}

pub(crate) unsafe fn do_sendfile(to: c_int, from: c_int, from_at: *mut i64, count: usize) -> Result<i64> {
    let (from, to) = (table().get(from)?, table().get(to)?);
    readable(&from)?;
    writable(&to)?;
    is_regular(&from).map_err(|_| Errno::INVAL)?;
    if to.flags() & APPEND != 0 {
        return Err(Errno::INVAL);
    }
    // SAFETY: the caller's contract.
    let position = unsafe { position(from_at) }?;
    let (mut source, mut target) = (End { file: &from, position }, End { file: &to, position: None });
    let done = carry(&mut source, &mut target, count)?;
    // SAFETY: the caller's contract.
    unsafe { give_position(from_at, source.position) }?;
    Ok(done as i64)
}

door! {
    /// Linux `sendfile`.
    fn sendfile(to: c_int, from: c_int, offset: *mut i64, count: usize) -> isize {
        // SAFETY: the caller's contract.
        give(unsafe { do_sendfile(to, from, offset, count) }) as isize
    }

    /// Linux `sendfile`.
    fn sendfile64(to: c_int, from: c_int, offset: *mut i64, count: usize) -> isize {
        // SAFETY: the caller's contract.
        give(unsafe { do_sendfile(to, from, offset, count) }) as isize
    }

    /// Linux `splice`: callers fall back to reading and writing.
    fn splice(_in: c_int, _u1: *mut i64, _out: c_int, _u2: *mut i64, _count: usize, _flags: c_uint) -> isize {
        give(Err(Errno::INVAL)) as isize
    }

    /// Linux `copy_file_range`.
    fn copy_file_range(
        from: c_int,
        from_at: *mut i64,
        to: c_int,
        to_at: *mut i64,
        count: usize,
        flags: c_uint,
    ) -> isize {
        // SAFETY: the caller's contract.
        give(unsafe { do_copy_file_range((from, from_at), (to, to_at), count, flags) }) as isize
    }
}
