//! Times.

use super::pointer;
use crate::line::Line;
use crate::peek;
use core::fmt::Write as _;

/// `struct timespec`.
pub(super) fn time(line: &mut Line, address: usize) {
    match peek::value::<[i64; 2]>(address) {
        Some([seconds, ns]) => _ = write!(line, "{{tv_sec={seconds}, tv_nsec={ns}}}"),
        None => pointer(line, address),
    }
}

/// `struct itimerspec`.
pub(super) fn timer(line: &mut Line, address: usize) {
    if peek::value::<[i64; 4]>(address).is_none() {
        return pointer(line, address);
    }
    let _ = line.write_str("{it_interval=");
    time(line, address);
    let _ = line.write_str(", it_value=");
    time(line, address + 16);
    let _ = line.write_str("}");
}
