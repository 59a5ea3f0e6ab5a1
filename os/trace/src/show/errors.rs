//! Errors by their names.

use crate::line::Line;
use core::ffi::{CStr, c_char};
use core::fmt::Write as _;

/// The names of Linux's errors, from 1; an empty one is a hole.
const NAMES: &str = "EPERM ENOENT ESRCH EINTR EIO ENXIO E2BIG ENOEXEC EBADF ECHILD EAGAIN ENOMEM EACCES EFAULT ENOTBLK \
EBUSY EEXIST EXDEV ENODEV ENOTDIR EISDIR EINVAL ENFILE EMFILE ENOTTY ETXTBSY EFBIG ENOSPC ESPIPE EROFS EMLINK EPIPE EDOM \
ERANGE EDEADLK ENAMETOOLONG ENOLCK ENOSYS ENOTEMPTY ELOOP  ENOMSG EIDRM ECHRNG EL2NSYNC EL3HLT EL3RST ELNRNG EUNATCH \
ENOCSI EL2HLT EBADE EBADR EXFULL ENOANO EBADRQC EBADSLT  EBFONT ENOSTR ENODATA ETIME ENOSR ENONET ENOPKG EREMOTE ENOLINK \
EADV ESRMNT ECOMM EPROTO EMULTIHOP EDOTDOT EBADMSG EOVERFLOW ENOTUNIQ EBADFD EREMCHG ELIBACC ELIBBAD ELIBSCN ELIBMAX \
ELIBEXEC EILSEQ ERESTART ESTRPIPE EUSERS ENOTSOCK EDESTADDRREQ EMSGSIZE EPROTOTYPE ENOPROTOOPT EPROTONOSUPPORT \
ESOCKTNOSUPPORT EOPNOTSUPP EPFNOSUPPORT EAFNOSUPPORT EADDRINUSE EADDRNOTAVAIL ENETDOWN ENETUNREACH ENETRESET ECONNABORTED \
ECONNRESET ENOBUFS EISCONN ENOTCONN ESHUTDOWN ETOOMANYREFS ETIMEDOUT ECONNREFUSED EHOSTDOWN EHOSTUNREACH EALREADY \
EINPROGRESS ESTALE EUCLEAN ENOTNAM ENAVAIL EISNAM EREMOTEIO EDQUOT ENOMEDIUM EMEDIUMTYPE ECANCELED ENOKEY EKEYEXPIRED \
EKEYREVOKED EKEYREJECTED EOWNERDEAD ENOTRECOVERABLE ERFKILL EHWPOISON";

/// ` ENOENT (No such file or directory)`.
pub(super) fn errno(line: &mut Line, code: i32) {
    let index = usize::try_from(code).unwrap_or(0).checked_sub(1);
    let name = index.and_then(|index| NAMES.split(' ').nth(index)).filter(|name| !name.is_empty());
    let mut room = [0 as c_char; 64];
    // SAFETY: room for as many bytes as are said, which are ended by a NUL.
    let text = unsafe {
        libc_door::strerror::__xpg_strerror_r(code, room.as_mut_ptr(), room.len());
        CStr::from_ptr(room.as_ptr())
    };
    let _ = match name {
        Some(name) => write!(line, " {name} ({})", text.to_str().unwrap_or("?")),
        None => write!(line, " errno {code}"),
    };
}

/// `getaddrinfo`'s own errors (RFC 3493 §6.1).
pub(super) fn lookup(line: &mut Line, code: i64) {
    let name = match code {
        -1 => "EAI_BADFLAGS",
        -2 => "EAI_NONAME",
        -3 => "EAI_AGAIN",
        -4 => "EAI_FAIL",
        -6 => "EAI_FAMILY",
        -7 => "EAI_SOCKTYPE",
        -8 => "EAI_SERVICE",
        -10 => "EAI_MEMORY",
        -11 => "EAI_SYSTEM",
        -12 => "EAI_OVERFLOW",
        _ => "EAI_?",
    };
    let _ = write!(line, "{code} {name}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_at_their_numbers() {
        let names: Vec<&str> = NAMES.split(' ').collect();
        for (code, name) in [
            (2, "ENOENT"),
            (35, "EDEADLK"),
            (42, "ENOMSG"),
            (71, "EPROTO"),
            (88, "ENOTSOCK"),
            (98, "EADDRINUSE"),
            (111, "ECONNREFUSED"),
            (133, "EHWPOISON"),
        ] {
            assert_eq!(names[code - 1], name);
        }
        assert_eq!(names.len(), 133);
    }
}
