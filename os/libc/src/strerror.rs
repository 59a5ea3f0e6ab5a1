//! What errors are called.

use core::ffi::{c_char, c_int};

/// Linux's errno values in order, from 0, with glibc's words; an empty name is a hole.
static NAMES: &str = "Success|Operation not permitted|No such file or directory|No such process|\
Interrupted system call|Input/output error|No such device or address|Argument list too long|Exec format error|\
Bad file descriptor|No child processes|Resource temporarily unavailable|Cannot allocate memory|Permission denied|\
Bad address|Block device required|Device or resource busy|File exists|Invalid cross-device link|No such device|\
Not a directory|Is a directory|Invalid argument|Too many open files in system|Too many open files|\
Inappropriate ioctl for device|Text file busy|File too large|No space left on device|Illegal seek|\
Read-only file system|Too many links|Broken pipe|Numerical argument out of domain|\
Numerical result out of range|Resource deadlock avoided|File name too long|No locks available|\
Function not implemented|Directory not empty|Too many levels of symbolic links";

/// From `ENOTSOCK` (88) on.
static NETWORK: &str = "Socket operation on non-socket|Destination address required|Message too long|\
Protocol wrong type for socket|Protocol not available|Protocol not supported|Socket type not supported|\
Operation not supported|Protocol family not supported|Address family not supported by protocol|\
Address already in use|Cannot assign requested address|Network is down|Network is unreachable|\
Network dropped connection on reset|Software caused connection abort|Connection reset by peer|\
No buffer space available|Transport endpoint is already connected|Transport endpoint is not connected|\
Cannot send after transport endpoint shutdown|Too many references: cannot splice|Connection timed out|\
Connection refused|Host is down|No route to host|Operation already in progress|Operation now in progress";

fn text(code: c_int) -> Option<&'static str> {
    let code = usize::try_from(code).ok()?;
    match code {
        0..=40 => NAMES.split('|').nth(code),
        75 => Some("Value too large for defined data type"),
        88..=115 => NETWORK.split('|').nth(code - 88),
        125 => Some("Operation canceled"),
        _ => None,
    }
}

/// POSIX strerror_r.
///
/// # Safety
/// `length` bytes at `out` may be written.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn __xpg_strerror_r(code: c_int, out: *mut c_char, length: usize) -> c_int {
    let name = text(code).unwrap_or("Unknown error");
    if length == 0 {
        return crate::errno::ERANGE;
    }
    let taken = name.len().min(length - 1);
    // SAFETY: the caller's bytes.
    unsafe {
        out.copy_from_nonoverlapping(name.as_ptr().cast(), taken);
        out.add(taken).write(0);
    }
    if taken < name.len() { crate::errno::ERANGE } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_line_up() {
        assert_eq!(text(0), Some("Success"));
        assert_eq!(text(40), Some("Too many levels of symbolic links"));
        assert_eq!(text(98), Some("Address already in use"));
        assert_eq!(text(115), Some("Operation now in progress"));
        assert_eq!((text(41), text(116), text(-1)), (None, None, None));
    }
}
