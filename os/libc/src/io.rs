//! Reading and writing: at the file's offset, at a position, in pieces.
#![cfg_attr(not(ampoule_image), allow(dead_code, reason = "only an image has the C names"))]

use crate::argument::{Piece, bytes, door, gather, give, pieces, room};
use core::ffi::{c_int, c_void};
use posix::errno::{Errno, Result};
use posix::file::{self, Kind, Open};
use posix::table::table;

/// A gathered write up to this size goes out in one piece.
const GATHER_MAX: usize = 64 << 10;

/// A transfer of more than this is not made under the table's lock, which keeps all other threads waiting.
const LOCKED_MAX: usize = 256 << 10;

/// May the descriptor be read?
pub(crate) fn readable(file: &Open) -> Result<()> {
    if file.flags() & file::ACCESS_MODE == file::WRITE_ONLY { Err(Errno::BADF) } else { Ok(()) }
}

pub(crate) fn writable(file: &Open) -> Result<()> {
    if file.flags() & file::ACCESS_MODE == file::READ_ONLY { Err(Errno::BADF) } else { Ok(()) }
}

#[inline]
pub(crate) unsafe fn do_read(fd: c_int, buffer: *mut c_void, count: usize) -> Result<i64> {
    // SAFETY: the caller's contract.
    let room = unsafe { room(buffer, count) }?;
    let first = table().with(fd, |file| {
        readable(file)?;
        if count > LOCKED_MAX { Err(Errno::AGAIN) } else { file.file().read(room) }
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
        if count > LOCKED_MAX {
            return Err(Errno::AGAIN);
        }
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
        return unsafe { crate::message::receive_pieces(&file, pieces, 0) }.map(|r| r.length as i64);
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

/// A device that is always ready has no positions, and takes any.
fn is_device(file: &Open) -> bool {
    file.file().observers().is_none() && file.file().stat().mode & posix::stat::TYPE_MASK == posix::stat::CHARACTER
}

/// `pread`, of an open file.
pub(crate) fn read_at(file: &Open, room: &mut [u8], offset: i64) -> Result<usize> {
    readable(file)?;
    let offset = u64::try_from(offset).map_err(|_| Errno::INVAL)?;
    match file.file().read_at(room, offset) {
        Err(Errno::SPIPE) if is_device(file) => file.file().read(room),
        done => done,
    }
}

/// `pwrite`, of an open file.
pub(crate) fn write_at(file: &Open, bytes: &[u8], offset: i64) -> Result<usize> {
    writable(file)?;
    let offset = u64::try_from(offset).map_err(|_| Errno::INVAL)?;
    match file.file().kind() {
        Kind::Node(node) => node.write_at(bytes, offset),
        _ if is_device(file) => file.file().write(bytes),
        _ => Err(Errno::SPIPE),
    }
}

pub(crate) unsafe fn do_pread(fd: c_int, buffer: *mut c_void, count: usize, offset: i64) -> Result<i64> {
    let file = table().get(fd)?;
    // SAFETY: the caller's contract.
    read_at(&file, unsafe { room(buffer, count) }?, offset).map(|n| n as i64)
}

pub(crate) unsafe fn do_pwrite(fd: c_int, buffer: *const c_void, count: usize, offset: i64) -> Result<i64> {
    let file = table().get(fd)?;
    // SAFETY: the caller's contract.
    write_at(&file, unsafe { bytes(buffer, count) }?, offset).map(|n| n as i64)
}

/// What is to be done with each piece at its position, until one is not done whole.
unsafe fn at_positions(
    vector: *const Piece,
    count: c_int,
    offset: i64,
    act: &mut dyn FnMut(&Piece, i64) -> Result<usize>,
) -> Result<i64> {
    let mut total = 0;
    // SAFETY: the caller's contract.
    for piece in unsafe { pieces(vector, usize::try_from(count).map_err(|_| Errno::INVAL)?) }? {
        match act(piece, offset.saturating_add(total)) {
            Ok(done) => {
                total += done as i64;
                if done < piece.length {
                    break;
                }
            }
            Err(error) if total == 0 => return Err(error),
            Err(_) => break,
        }
    }
    Ok(total)
}

pub(crate) unsafe fn do_preadv(fd: c_int, vector: *const Piece, count: c_int, offset: i64) -> Result<i64> {
    let file = table().get(fd)?;
    readable(&file)?;
    // SAFETY: the caller's contract.
    let mut act = |piece: &Piece, at| read_at(&file, unsafe { room(piece.base, piece.length) }?, at);
    // SAFETY: the caller's contract.
    unsafe { at_positions(vector, count, offset, &mut act) }
}

pub(crate) unsafe fn do_pwritev(fd: c_int, vector: *const Piece, count: c_int, offset: i64) -> Result<i64> {
    let file = table().get(fd)?;
    writable(&file)?;
    // SAFETY: the caller's contract.
    let mut act = |piece: &Piece, at| write_at(&file, unsafe { bytes(piece.base, piece.length) }?, at);
    // SAFETY: the caller's contract.
    unsafe { at_positions(vector, count, offset, &mut act) }
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

    /// POSIX `pwrite`.
    fn pwrite(fd: c_int, buffer: *const c_void, count: usize, offset: i64) -> isize {
        // SAFETY: the caller's contract.
        give(unsafe { do_pwrite(fd, buffer, count, offset) }) as isize
    }

    /// POSIX `pwrite`.
    fn pwrite64(fd: c_int, buffer: *const c_void, count: usize, offset: i64) -> isize {
        // SAFETY: the caller's contract.
        give(unsafe { do_pwrite(fd, buffer, count, offset) }) as isize
    }

    /// Linux `preadv`.
    fn preadv(fd: c_int, vector: *const Piece, count: c_int, offset: i64) -> isize {
        // SAFETY: the caller's contract.
        give(unsafe { do_preadv(fd, vector, count, offset) }) as isize
    }

    /// Linux `preadv`.
    fn preadv64(fd: c_int, vector: *const Piece, count: c_int, offset: i64) -> isize {
        // SAFETY: the caller's contract.
        give(unsafe { do_preadv(fd, vector, count, offset) }) as isize
    }

    /// Linux `pwritev`.
    fn pwritev(fd: c_int, vector: *const Piece, count: c_int, offset: i64) -> isize {
        // SAFETY: the caller's contract.
        give(unsafe { do_pwritev(fd, vector, count, offset) }) as isize
    }

    /// Linux `pwritev`.
    fn pwritev64(fd: c_int, vector: *const Piece, count: c_int, offset: i64) -> isize {
        // SAFETY: the caller's contract.
        give(unsafe { do_pwritev(fd, vector, count, offset) }) as isize
    }
}
