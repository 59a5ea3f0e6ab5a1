//! Names and addresses in C's words: `getaddrinfo`, `getnameinfo`, `inet_pton`, `inet_ntop`.
#![cfg_attr(not(ampoule_image), allow(dead_code, reason = "only an image has the C names"))]

use super::fd::{bytes, door, give_int, put, room, set_errno, text};
use super::socket::{ADDRESS_MAX, decode, encode};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ffi::{CStr, c_char, c_int, c_uint, c_void};
use core::fmt::Write;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use device::Family;
use posix::errno::{Errno, Result};
use posix::socket::{AF_INET, AF_INET6, Address, DATAGRAM, STREAM};

/// `EAI_*`
const NO_NAME: c_int = -2;
const AGAIN: c_int = -3;
const FAIL: c_int = -4;
const FAMILY: c_int = -6;
const SOCKET_TYPE: c_int = -7;
const SERVICE: c_int = -8;
const MEMORY: c_int = -10;
const SYSTEM: c_int = -11;
const OVERFLOW: c_int = -12;

/// `AI_PASSIVE`
const PASSIVE: c_int = 1;
/// `AI_ADDRCONFIG`
const CONFIGURED: c_int = 0x20;
/// `AI_NUMERICHOST`
const NUMERIC_HOST: c_int = 4;
/// `NI_NAMEREQD`
const NAME_REQUIRED: c_int = 8;

/// `struct addrinfo`.
#[repr(C)]
pub(crate) struct Info {
    flags: c_int,
    family: c_int,
    kind: c_int,
    protocol: c_int,
    address_length: c_uint,
    address: *mut [u8; ADDRESS_MAX],
    name: *mut c_char,
    next: *mut Info,
}

/// One answer and the address it points to, in one allocation.
#[repr(C)]
struct Node {
    info: Info,
    address: [u8; ADDRESS_MAX],
}

/// What the caller wants.
#[derive(Clone, Copy, Default)]
struct Hints {
    flags: c_int,
    family: u32,
    kind: u32,
    protocol: c_int,
}

/// The services that programs name.
const SERVICES: [(&[u8], u16); 6] =
    [(b"http", 80), (b"https", 443), (b"domain", 53), (b"ssh", 22), (b"ntp", 123), (b"smtp", 25)];

fn service(name: &[u8]) -> core::result::Result<u16, c_int> {
    if let Some((_, port)) = SERVICES.iter().find(|s| s.0 == name) {
        return Ok(*port);
    }
    core::str::from_utf8(name).ok().and_then(|n| n.parse().ok()).ok_or(SERVICE)
}

/// What an error of the resolver's is called here.
fn code(error: Errno) -> c_int {
    match error {
        Errno::NXIO => NO_NAME,
        Errno::AGAIN | Errno::TIMEDOUT | Errno::NETUNREACH => AGAIN,
        Errno::NOMEM | Errno::NOBUFS => MEMORY,
        Errno::ACCES => {
            set_errno(error);
            SYSTEM
        }
        Errno(number) if number < 0 => FAIL,
        error => {
            set_errno(error);
            SYSTEM
        }
    }
}

fn addresses(host: Option<&[u8]>, hints: Hints) -> core::result::Result<Vec<IpAddr>, c_int> {
    let Some(host) = host else {
        let (four, six) = match hints.flags & PASSIVE {
            0 => (Ipv4Addr::LOCALHOST, Ipv6Addr::LOCALHOST),
            _ => (Ipv4Addr::UNSPECIFIED, Ipv6Addr::UNSPECIFIED),
        };
        return Ok(alloc::vec![four.into(), six.into()]);
    };
    let host = core::str::from_utf8(host).map_err(|_| NO_NAME)?;
    // A scope (`%eth0`) means nothing in a machine with one interface.
    let host = host.split('%').next().unwrap_or(host);
    if hints.flags & NUMERIC_HOST != 0 {
        return host.parse().map(|ip| alloc::vec![ip]).map_err(|_| NO_NAME);
    }
    let family = match hints.family {
        AF_INET => Some(Family::V4),
        AF_INET6 => Some(Family::V6),
        _ if hints.flags & CONFIGURED != 0 => configured(&posix::inet::addresses()),
        _ => None,
    };
    let is_wanted = |ip: &IpAddr| family.is_none_or(|family| ip.is_ipv4() == (family == Family::V4));
    let mut addresses = posix::resolve::look_up(host, family).map_err(code)?;
    addresses.retain(is_wanted);
    Ok(addresses)
}

/// The only family that the machine has an address of (POSIX: the loopback's do not count; nor do link-local ones, which lead
/// nowhere). `None` if it has both, or nobody knows of any.
fn configured(own: &[(IpAddr, u8)]) -> Option<Family> {
    let four = own.iter().any(|(ip, _)| ip.is_ipv4());
    let six = own.iter().any(|(ip, _)| matches!(ip, IpAddr::V6(v6) if !v6.is_unicast_link_local()));
    match (four, six) {
        (true, false) => Some(Family::V4),
        (false, true) => Some(Family::V6),
        _ => None,
    }
}

/// The answers, in a list of their own.
fn answers(host: Option<&[u8]>, port: u16, hints: Hints) -> core::result::Result<*mut Info, c_int> {
    let kinds = match hints.kind {
        0 => [(STREAM, 6), (DATAGRAM, 17)],
        STREAM => [(STREAM, 6); 2],
        DATAGRAM => [(DATAGRAM, 17); 2],
        _ => return Err(SOCKET_TYPE),
    };
    let kinds = if hints.kind == 0 { &kinds[..] } else { &kinds[..1] };
    if ![0, AF_INET, AF_INET6].contains(&hints.family) {
        return Err(FAMILY);
    }
    let mut first = core::ptr::null_mut();
    for ip in addresses(host, hints)?.into_iter().rev() {
        let family = if ip.is_ipv4() { AF_INET } else { AF_INET6 };
        if hints.family != 0 && hints.family != family {
            continue;
        }
        let (address, length) = encode(Address::Inet(SocketAddr::new(ip, port)));
        for (kind, protocol) in kinds.iter().rev().filter(|k| hints.protocol == 0 || hints.protocol == k.1) {
            let info = Info {
                flags: hints.flags,
                family: family as c_int,
                kind: *kind as c_int,
                protocol: *protocol,
                address_length: length as c_uint,
                address: core::ptr::null_mut(),
                name: core::ptr::null_mut(),
                next: first,
            };
            let node = Box::into_raw(Box::new(Node { info, address }));
            // SAFETY: made just now; the node points into itself and never moves.
            unsafe { (*node).info.address = &raw mut (*node).address };
            first = node.cast();
        }
    }
    if first.is_null() { Err(NO_NAME) } else { Ok(first) }
}

/// Writes text and a NUL into a caller's buffer.
struct Writer<'a> {
    room: &'a mut [u8],
    length: usize,
}

impl Write for Writer<'_> {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        let end = self.length + text.len();
        // One byte stays for the NUL.
        let room = self.room.get_mut(self.length..end + 1).ok_or(core::fmt::Error)?;
        room[..text.len()].copy_from_slice(text.as_bytes());
        room[text.len()] = 0;
        self.length = end;
        Ok(())
    }
}

/// Writes `value` as text; false if it does not fit.
unsafe fn show(to: *mut c_char, count: usize, value: &dyn core::fmt::Display) -> bool {
    // SAFETY: the caller's contract.
    let Ok(room) = (unsafe { room(to.cast(), count) }) else { return false };
    write!(Writer { room, length: 0 }, "{value}").is_ok()
}

unsafe fn parse(family: c_int, from: *const c_char, to: *mut c_void) -> Result<i64> {
    // SAFETY: the caller's contract.
    let text = core::str::from_utf8(unsafe { text(from) }?).unwrap_or("");
    match family as u32 {
        AF_INET => match text.parse::<Ipv4Addr>() {
            // SAFETY: the caller's contract.
            Ok(ip) => unsafe { put(to.cast(), ip.octets()) }.map(|()| 1),
            Err(_) => Ok(0),
        },
        AF_INET6 => match text.parse::<Ipv6Addr>() {
            // SAFETY: the caller's contract.
            Ok(ip) => unsafe { put(to.cast(), ip.octets()) }.map(|()| 1),
            Err(_) => Ok(0),
        },
        _ => Err(Errno::AFNOSUPPORT),
    }
}

/// The text of an `EAI_*` number.
fn message(code: c_int) -> &'static CStr {
    match code {
        NO_NAME => c"Name or service not known",
        AGAIN => c"Temporary failure in name resolution",
        FAIL => c"Non-recoverable failure in name resolution",
        FAMILY => c"ai_family not supported",
        SOCKET_TYPE => c"ai_socktype not supported",
        SERVICE => c"Servname not supported for ai_socktype",
        MEMORY => c"Memory allocation failure",
        SYSTEM => c"System error",
        OVERFLOW => c"Argument buffer too small",
        _ => c"Unknown error",
    }
}

door! {
    /// POSIX `getaddrinfo`.
    fn getaddrinfo(host: *const c_char, port: *const c_char, hints: *const Info, list: *mut *mut Info) -> c_int {
        // SAFETY: the caller's contract; null is no hints.
        let hints = unsafe { hints.as_ref() }.map_or(Hints::default(), |h| Hints {
            flags: h.flags, family: h.family as u32, kind: h.kind as u32, protocol: h.protocol,
        });
        if host.is_null() && port.is_null() {
            return NO_NAME;
        }
        // SAFETY: the caller's contract.
        let number = if port.is_null() { Ok(0) } else { unsafe { text(port) }.map_err(code).and_then(service) };
        let result = number.and_then(|number| {
            // SAFETY: the caller's contract.
            let host = if host.is_null() { None } else { Some(unsafe { text(host) }.map_err(code)?) };
            answers(host, number, hints)
        });
        match result {
            // SAFETY: the caller's contract.
            Ok(first) => unsafe { put(list, first) }.map_or(SYSTEM, |()| 0),
            Err(code) => code,
        }
    }

    /// POSIX `freeaddrinfo`.
    fn freeaddrinfo(list: *mut Info) {
        let mut next = list;
        while !next.is_null() {
            // SAFETY: `getaddrinfo` made every entry of the list as a boxed node, whose first field it is.
            let node = unsafe { Box::from_raw(next.cast::<Node>()) };
            next = node.info.next;
        }
    }

    /// POSIX `gai_strerror`.
    fn gai_strerror(code: c_int) -> *const c_char {
        message(code).as_ptr()
    }

    /// POSIX `getnameinfo`: in figures, for nobody can be asked for names.
    fn getnameinfo(
        address: *const c_void, length: c_uint, host: *mut c_char, host_room: c_uint, port: *mut c_char,
        port_room: c_uint, flags: c_int,
    ) -> c_int {
        // SAFETY: the caller's contract.
        let decoded = unsafe { bytes(address, length as usize) }.and_then(decode);
        let Ok((_, Some(address))) = decoded else { return FAMILY };
        if flags & NAME_REQUIRED != 0 {
            return NO_NAME;
        }
        // SAFETY: the caller's contract.
        let host_fits = host.is_null() || unsafe { show(host, host_room as usize, &address.ip()) };
        // SAFETY: the caller's contract.
        let port_fits = port.is_null() || unsafe { show(port, port_room as usize, &address.port()) };
        if host_fits && port_fits { 0 } else { OVERFLOW }
    }

    /// POSIX `inet_pton`.
    fn inet_pton(family: c_int, from: *const c_char, to: *mut c_void) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { parse(family, from, to) })
    }

    /// POSIX `inet_ntop`.
    fn inet_ntop(family: c_int, from: *const c_void, to: *mut c_char, count: c_uint) -> *const c_char {
        let ip: Result<IpAddr> = match family as u32 {
            // SAFETY: the caller's contract.
            AF_INET => unsafe { super::fd::value(from.cast::<[u8; 4]>()) }.map(IpAddr::from),
            // SAFETY: the caller's contract.
            AF_INET6 => unsafe { super::fd::value(from.cast::<[u8; 16]>()) }.map(IpAddr::from),
            _ => Err(Errno::AFNOSUPPORT),
        };
        match ip {
            // SAFETY: the caller's contract.
            Ok(ip) if unsafe { show(to, count as usize, &ip) } => to,
            Ok(_) => {
                set_errno(Errno::NOSPC);
                core::ptr::null()
            }
            Err(error) => {
                set_errno(error);
                core::ptr::null()
            }
        }
    }

    /// BSD `res_init`: there is no configuration to read again.
    fn __res_init() -> c_int {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_and_localhost_need_no_network() {
        let hints = Hints { kind: STREAM, ..Hints::default() };
        assert_eq!(addresses(Some(b"192.0.2.1"), hints), Ok(vec![Ipv4Addr::new(192, 0, 2, 1).into()]));
        assert_eq!(addresses(Some(b"localhost"), hints).map(|a| a.len()), Ok(2));
        assert_eq!(addresses(Some(b"example.org"), Hints { flags: NUMERIC_HOST, ..hints }), Err(NO_NAME));
        let (four, six) =
            ((Ipv4Addr::new(10, 0, 0, 1).into(), 24), (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 1).into(), 64));
        let link = (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1).into(), 64);
        assert_eq!((configured(&[]), configured(&[link])), (None, None));
        assert_eq!((configured(&[four, link]), configured(&[four, six])), (Some(Family::V4), None));
        assert_eq!(configured(&[link, six]), Some(Family::V6));
        assert_eq!(service(b"8080"), Ok(8080));
        assert_eq!(service(b"nonsense"), Err(SERVICE));
    }

    #[test]
    fn a_list_of_answers_is_made_and_freed() {
        let list = answers(Some(b"::1"), 80, Hints::default()).expect("a literal");
        // SAFETY: `answers` made it.
        let (first, second) = unsafe { (&*list, &*(*list).next) };
        assert_eq!((first.kind, second.kind, first.family), (1, 2, 10));
        assert!(second.next.is_null());
        // SAFETY: as above; nothing refers to it any more.
        unsafe { freeaddrinfo(list) };
        assert_eq!(answers(Some(b"::1"), 80, Hints { family: AF_INET, ..Hints::default() }).err(), Some(NO_NAME));
    }
}
