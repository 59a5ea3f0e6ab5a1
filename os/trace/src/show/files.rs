//! `struct stat` and `struct statx`: what is looked at most.

use super::{octal, pointer};
use crate::line::Line;
use crate::peek;
use core::fmt::Write as _;

const KIND: u32 = 0o170_000;

/// A mode: the kind by its name, and the rights.
fn mode(line: &mut Line, mode: u32) {
    let kind = match mode & KIND {
        0o140_000 => "S_IFSOCK",
        0o120_000 => "S_IFLNK",
        0o100_000 => "S_IFREG",
        0o060_000 => "S_IFBLK",
        0o040_000 => "S_IFDIR",
        0o020_000 => "S_IFCHR",
        0o010_000 => "S_IFIFO",
        _ => return octal(line, mode),
    };
    let _ = write!(line, "{kind}|");
    octal(line, mode & !KIND);
}

fn both(line: &mut Line, prefix: &str, bits: u32, size: i64) {
    let _ = write!(line, "{{{prefix}_mode=");
    mode(line, bits);
    let _ = write!(line, ", {prefix}_size={size}, ...}}");
}

/// `struct stat` of x86-64: the mode is at 24, the size at 48.
pub(super) fn stat(line: &mut Line, address: usize) {
    match (peek::value::<u32>(address.wrapping_add(24)), peek::value::<i64>(address.wrapping_add(48))) {
        (Some(mode), Some(size)) => both(line, "st", mode, size),
        _ => pointer(line, address),
    }
}

/// `struct statx`: the mode is at 28, the size at 40.
pub(super) fn statx(line: &mut Line, address: usize) {
    match (peek::value::<u16>(address.wrapping_add(28)), peek::value::<i64>(address.wrapping_add(40))) {
        (Some(mode), Some(size)) => both(line, "stx", mode.into(), size),
        _ => pointer(line, address),
    }
}
