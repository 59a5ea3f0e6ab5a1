//! What errors are called.

use core::ffi::{c_char, c_int};

/// Linux's errno values in order, from 0, with glibc's words; an empty name is a hole.
const NAMES: &str = "Success|Operation not permitted|No such file or directory|No such process|\
Interrupted system call|Input/output error|No such device or address|Argument list too long|Exec format error|Bad file descriptor|No child processes|\
Resource temporarily unavailable|Cannot allocate memory|Permission denied|Bad address|Block device required|Device \
or resource busy|File exists|Invalid cross-device link|No such device|Not a directory|Is a directory|Invalid \
argument|Too many open files in system|Too many open files|Inappropriate ioctl for device|Text file busy|File too \
large|No space left on device|Illegal seek|Read-only file system|Too many links|Broken pipe|Numerical argument out \
of domain|Numerical result out of range|Resource deadlock avoided|File name too long|No locks available|Function \
not implemented|Directory not empty|Too many levels of symbolic links||No message of desired type|Identifier \
removed|Channel number out of range|Level 2 not synchronized|Level 3 halted|Level 3 reset|Link number out of range|\
Protocol driver not attached|No CSI structure available|Level 2 halted|Invalid exchange|Invalid request descriptor|\
Exchange full|No anode|Invalid request code|Invalid slot||Bad font file format|Device not a stream|No data \
available|Timer expired|Out of streams resources|Machine is not on the network|Package not installed|Object is \
remote|Link has been severed|Advertise error|Srmount error|Communication error on send|Protocol error|Multihop \
attempted|RFS specific error|Bad message|Value too large for defined data type|Name not unique on network|File \
descriptor in bad state|Remote address changed|Can not access a needed shared library|Accessing a corrupted shared \
library|.lib section in a.out corrupted|Attempting to link in too many shared libraries|Cannot exec a shared \
library directly|Invalid or incomplete multibyte or wide character|Interrupted system call should be restarted|\
Streams pipe error|Too many users|Socket operation on non-socket|Destination address required|Message too long|\
Protocol wrong type for socket|Protocol not available|Protocol not supported|Socket type not supported|Operation \
not supported|Protocol family not supported|Address family not supported by protocol|Address already in use|Cannot \
assign requested address|Network is down|Network is unreachable|Network dropped connection on reset|Software caused \
connection abort|Connection reset by peer|No buffer space available|Transport endpoint is already connected|\
Transport endpoint is not connected|Cannot send after transport endpoint shutdown|Too many references: cannot \
splice|Connection timed out|Connection refused|Host is down|No route to host|Operation already in progress|\
Operation now in progress|Stale file handle|Structure needs cleaning|Not a XENIX named type file|No XENIX \
semaphores available|Is a named type file|Remote I/O error|Disk quota exceeded|No medium found|Wrong medium type|\
Operation canceled|Required key not available|Key has expired|Key has been revoked|Key was rejected by service|\
Owner died|State not recoverable|Operation not possible due to RF-kill|Memory page has hardware error";

/// What `|`, 27 and up, and an escaped 27 and up stand for in [`PACKED`].
const MARKS: [u8; 4] = *b" |-.";
const ESCAPED_MARKS: [u8; 4] = *b"/:23";
const ESCAPE: u8 = 31;

/// The names, packed, since every image that can print an error has them: five bits a character. 1 to 26 are letters, small
/// ones but at a name's start, 27 to 30 are [`MARKS`]; behind 31, letters are capitals, and 27 to 30 are [`ESCAPED_MARKS`].
static PACKED: [u8; pack::<0>().1] = pack::<{ pack::<0>().1 }>().0;

/// The packed names as far as there is room, and the room that they take.
const fn pack<const ROOM: usize>() -> ([u8; ROOM], usize) {
    let (text, mut out, mut bit, mut at) = (NAMES.as_bytes(), [0; ROOM], 0, 0);
    while at < text.len() {
        let starts = at == 0 || text[at - 1] == b'|';
        let (escaped, code) = match text[at] {
            letter @ b'a'..=b'z' if !starts => (false, letter - b'a' + 1),
            letter @ b'A'..=b'Z' => (!starts, letter - b'A' + 1),
            mark => match (index(&MARKS, mark), index(&ESCAPED_MARKS, mark)) {
                (Some(index), _) => (false, 27 + index),
                (_, Some(index)) => (true, 27 + index),
                _ => panic!("a character that has no code"),
            },
        };
        let (codes, count) = if escaped { ([ESCAPE, code], 2) } else { ([code, 0], 1) };
        let mut next = 0;
        while next < 5 * count {
            if bit / 8 < ROOM {
                out[bit / 8] |= (codes[next / 5] >> (next % 5) & 1) << (bit % 8);
            }
            bit += 1;
            next += 1;
        }
        at += 1;
    }
    (out, bit / 8 + 1)
}

const fn index(marks: &[u8], mark: u8) -> Option<u8> {
    let mut at = 0;
    while at < marks.len() {
        if marks[at] == mark {
            return Some(at as u8);
        }
        at += 1;
    }
    None
}

/// Hands over the characters of an error's name, one by one; false if it has none.
fn name(code: c_int, mut take: impl FnMut(u8)) -> bool {
    let byte = |at: usize| u32::from(PACKED.get(at).copied().unwrap_or(0));
    let (mut bit, mut field, mut starts, mut escaped, mut found) = (0, 0, true, false, false);
    while bit < 8 * PACKED.len() && field <= code {
        let packed = (((byte(bit / 8) | byte(bit / 8 + 1) << 8) >> (bit % 8)) & 31) as u8;
        bit += 5;
        let character = match packed {
            0 => break,
            ESCAPE => {
                escaped = true;
                continue;
            }
            letter @ 1..=26 => letter + if starts || escaped { b'A' - 1 } else { b'a' - 1 },
            mark => {
                let marks: &[u8] = if escaped { &ESCAPED_MARKS } else { &MARKS };
                marks.get(usize::from(mark - 27)).copied().unwrap_or(b'?')
            }
        };
        (starts, escaped) = (character == b'|', false);
        if starts {
            field += 1;
        } else if field == code {
            take(character);
            found = true;
        }
    }
    found
}

/// Where the bytes of a C string go; what does not fit is left out.
struct Out {
    next: *mut c_char,
    /// Bytes that are left, the last one's room left out.
    left: usize,
    cut: bool,
}

impl Out {
    /// # Safety
    /// `left` bytes at `next` may be written.
    unsafe fn push(&mut self, bytes: &[u8]) {
        let taken = bytes.len().min(self.left);
        // SAFETY: this function's contract.
        unsafe {
            self.next.copy_from_nonoverlapping(bytes.as_ptr().cast(), taken);
            self.next = self.next.add(taken);
        }
        self.left -= taken;
        self.cut |= taken < bytes.len();
    }
}

/// POSIX strerror_r.
///
/// # Safety
/// `length` bytes at `out` may be written.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn __xpg_strerror_r(code: c_int, out: *mut c_char, length: usize) -> c_int {
    if length == 0 {
        return crate::errno::ERANGE;
    }
    let mut all = Out { next: out, left: length - 1, cut: false };
    // SAFETY: the caller's bytes, of which one is left for the end.
    unsafe {
        if !name(code, |character| all.push(&[character])) {
            all.push(b"Unknown error ");
            number(code, |digits| all.push(digits));
        }
        all.next.write(0);
    }
    if all.cut { crate::errno::ERANGE } else { 0 }
}

/// Hands over the decimal digits of a number.
fn number(value: c_int, take: impl FnOnce(&[u8])) {
    let (mut digits, mut at, mut left) = ([0; 11], 11, value.unsigned_abs());
    loop {
        at -= 1;
        digits[at] = b'0' + (left % 10) as u8;
        left /= 10;
        if left == 0 {
            break;
        }
    }
    if value < 0 {
        at -= 1;
        digits[at] = b'-';
    }
    take(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(code: c_int, length: usize) -> (c_int, String) {
        let mut out = [1; 64];
        // SAFETY: no more than it has.
        let result = unsafe { __xpg_strerror_r(code, out.as_mut_ptr(), length.min(out.len())) };
        // SAFETY: terminated, unless nothing was written.
        (result, unsafe { core::ffi::CStr::from_ptr(out.as_ptr()) }.to_string_lossy().into_owned())
    }

    #[test]
    fn unpacks_what_was_packed() {
        let names: Vec<&str> = NAMES.split('|').collect();
        assert_eq!((names[40], names[98]), ("Too many levels of symbolic links", "Address already in use"));
        assert_eq!(names.len(), 134);
        for (code, expected) in names.into_iter().enumerate() {
            let (mut text, code) = (Vec::new(), code as c_int);
            assert_eq!(name(code, |c| text.push(c)), !expected.is_empty(), "{code}");
            assert_eq!(String::from_utf8_lossy(&text), expected);
        }
        assert!(![-1, 134, c_int::MAX, c_int::MIN].into_iter().any(|code| name(code, |_| ())));
        assert!(PACKED.len() * 3 < NAMES.len() * 2);
    }

    #[test]
    fn numbers_and_short_buffers() {
        assert_eq!(said(2, 64), (0, "No such file or directory".into()));
        assert_eq!(said(41, 64), (0, "Unknown error 41".into()));
        assert_eq!(said(c_int::MIN, 64), (0, "Unknown error -2147483648".into()));
        assert_eq!(said(2, 8), (crate::errno::ERANGE, "No such".into()));
        assert_eq!(said(700, 17), (crate::errno::ERANGE, "Unknown error 70".into()));
    }
}
