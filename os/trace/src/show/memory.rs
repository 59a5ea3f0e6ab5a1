//! Strings, buffers, and buffers in pieces.

use super::{LIST_SHOWN, SHOWN, TEXT_SHOWN, pointer};
use crate::line::Line;
use crate::peek::{self, Plain, plain};
use core::fmt::Write as _;

/// A C string.
pub(super) fn text(line: &mut Line, address: usize) {
    let mut room = [0; TEXT_SHOWN];
    match peek::text(address, &mut room) {
        Some((length, goes_on)) => {
            line.quoted(&room[..length]);
            let _ = line.write_str(if goes_on { "..." } else { "" });
        }
        None => pointer(line, address),
    }
}

/// The first of `length` bytes.
pub(super) fn bytes(line: &mut Line, address: usize, length: usize) {
    let mut room = [0; SHOWN];
    let shown = &mut room[..length.min(SHOWN)];
    if length == 0 && address != 0 {
        line.quoted(&[]);
    } else if address != 0 && peek::copy(address, shown) {
        line.quoted(shown);
        let _ = line.write_str(if length > SHOWN { "..." } else { "" });
    } else {
        pointer(line, address);
    }
}

/// An `int` at an address.
pub(super) fn int_at(line: &mut Line, address: usize) {
    match peek::value::<i32>(address) {
        Some(value) => _ = write!(line, "[{value}]"),
        None => pointer(line, address),
    }
}

/// Two of them.
pub(super) fn pair(line: &mut Line, address: usize) {
    match peek::value::<[i32; 2]>(address) {
        Some([a, b]) => _ = write!(line, "[{a}, {b}]"),
        None => pointer(line, address),
    }
}

/// `struct iovec`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Piece {
    base: usize,
    length: usize,
}

plain!(Piece);

/// `count` pieces, of which `length` bytes in all mean something.
pub(super) fn pieces(line: &mut Line, address: usize, count: usize, mut length: usize) {
    if count > 0 && peek::value::<Piece>(address).is_none() {
        return pointer(line, address);
    }
    list(line, address, count, |line, piece: Piece| {
        let here = piece.length.min(length);
        length -= here;
        let _ = line.write_str("{iov_base=");
        bytes(line, piece.base, here);
        let _ = write!(line, ", iov_len={}}}", piece.length);
    });
}

/// The elements of an array, as far as they are shown.
pub(super) fn list<T: Plain>(line: &mut Line, address: usize, count: usize, mut show: impl FnMut(&mut Line, T)) {
    let _ = line.write_str("[");
    for at in 0..count.min(LIST_SHOWN) {
        let Some(element) = peek::value::<T>(address.wrapping_add(at * size_of::<T>())) else { break };
        let _ = line.write_str(if at > 0 { ", " } else { "" });
        show(line, element);
    }
    let _ = line.write_str(if count > LIST_SHOWN { ", ...]" } else { "]" });
}
