//! What all doors of this crate use for pointers and results.
//!
//! Each call is a Rust function that returns [`Result`]; the C symbol turns that into `errno`, the system-call table into
//! a negative number.
#![cfg_attr(not(ampoule_image), allow(dead_code, reason = "only an image has the C names"))]

use alloc::vec::Vec;
use core::ffi::{c_char, c_int, c_void};
use posix::errno::{Errno, Result};

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
