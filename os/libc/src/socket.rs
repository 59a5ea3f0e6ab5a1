//! Sockets: addresses and messages as C writes them.
#![cfg_attr(not(ampoule_image), allow(dead_code, reason = "only an image has the C names"))]

use super::fd::{bytes, done, door, give, give_int, put, put_pair, room, value};
use super::fs::{masked, names};
use core::ffi::{c_int, c_uint, c_void};
use core::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use posix::errno::{Errno, Result};
use posix::file::{CLOSE_ON_EXEC, NON_BLOCKING};
use posix::socket::{AF_INET, AF_INET6, AF_UNIX, Address, TRUNCATED};
use posix::table::{spare, table};
use posix::unix::named::NAME_MAX;

const AF_UNSPEC: u32 = 0;
/// The longest `struct sockaddr` here, `sockaddr_un`.
pub(crate) const ADDRESS_MAX: usize = 2 + NAME_MAX;

/// An address as `struct sockaddr_in` or `sockaddr_in6`: its bytes and their number.
pub(crate) fn encode(address: Address) -> ([u8; ADDRESS_MAX], usize) {
    let mut wire = [0; ADDRESS_MAX];
    let length = match address {
        Address::Unix(number) => {
            let (family, name) = wire.split_at_mut(2);
            family.copy_from_slice(&(AF_UNIX as u16).to_ne_bytes());
            let length = name.first_chunk_mut().map_or(0, |name| posix::unix::named::name_of(number, name));
            // A path ends with a NUL (`unix(7)`, "Pathname sockets").
            2 + length + usize::from(length > 0 && name[0] != 0 && length < NAME_MAX)
        }
        Address::Inet(SocketAddr::V4(v4)) => {
            wire[..2].copy_from_slice(&(AF_INET as u16).to_ne_bytes());
            wire[2..4].copy_from_slice(&v4.port().to_be_bytes());
            wire[4..8].copy_from_slice(&v4.ip().octets());
            16
        }
        Address::Inet(SocketAddr::V6(v6)) => {
            wire[..2].copy_from_slice(&(AF_INET6 as u16).to_ne_bytes());
            wire[2..4].copy_from_slice(&v6.port().to_be_bytes());
            wire[4..8].copy_from_slice(&v6.flowinfo().to_be_bytes());
            wire[8..24].copy_from_slice(&v6.ip().octets());
            wire[24..28].copy_from_slice(&v6.scope_id().to_ne_bytes());
            28
        }
    };
    (wire, length)
}

/// The family of an address, and the address if it is an internet one.
pub(crate) fn decode(wire: &[u8]) -> Result<(u32, Option<SocketAddr>)> {
    let family = u32::from(u16::from_ne_bytes(*wire.first_chunk().ok_or(Errno::INVAL)?));
    let port = || wire.get(2..4).map(|p| u16::from_be_bytes([p[0], p[1]])).ok_or(Errno::INVAL);
    let address = match family {
        AF_INET => {
            let octets: [u8; 4] = *wire.get(4..).and_then(|w| w.first_chunk()).ok_or(Errno::INVAL)?;
            Some(SocketAddr::new(Ipv4Addr::from(octets).into(), port()?))
        }
        AF_INET6 => {
            let octets: [u8; 16] = *wire.get(8..).and_then(|w| w.first_chunk()).ok_or(Errno::INVAL)?;
            let flow = wire.get(4..).and_then(|w| w.first_chunk()).map_or(0, |f| u32::from_be_bytes(*f));
            let scope = wire.get(24..).and_then(|w| w.first_chunk()).map_or(0, |s| u32::from_ne_bytes(*s));
            Some(SocketAddrV6::new(Ipv6Addr::from(octets), port()?, flow, scope).into())
        }
        _ => None,
    };
    Ok((family, address))
}

/// The name in a `sockaddr_un`, if it is one: a path to its NUL, an abstract name to its end, or nothing.
fn unix_name(wire: &[u8]) -> Option<&[u8]> {
    let name = wire.strip_prefix(&(AF_UNIX as u16).to_ne_bytes())?;
    let end = name.iter().position(|&byte| byte == 0).filter(|&end| end > 0).unwrap_or(name.len());
    name.get(..end.min(NAME_MAX))
}

/// An internet address from the caller; others are `EAFNOSUPPORT`.
unsafe fn internet(address: *const c_void, length: c_uint) -> Result<SocketAddr> {
    // SAFETY: the caller's contract.
    let (_, address) = decode(unsafe { bytes(address, length as usize) }?)?;
    address.ok_or(Errno::AFNOSUPPORT)
}

/// A destination from the caller, if there is one.
pub(crate) unsafe fn destination(address: *const c_void, length: c_uint) -> Result<Option<Address>> {
    if address.is_null() || length == 0 {
        return Ok(None);
    }
    // SAFETY: the caller's contract.
    if let Some(name) = unix_name(unsafe { bytes(address, length as usize) }?) {
        return posix::unix::named::address_of(name, names()).map(Some);
    }
    // SAFETY: the caller's contract.
    unsafe { internet(address, length) }.map(|a| Some(Address::Inet(a)))
}

/// Gives the caller an address, cut to his room, and its true length.
pub(crate) unsafe fn put_address(room_at: *mut c_void, length: *mut c_uint, address: Option<Address>) -> Result<()> {
    if room_at.is_null() || length.is_null() {
        return Ok(());
    }
    let (wire, full) = address.map_or(([0; ADDRESS_MAX], 0), encode);
    // SAFETY: the caller's contract.
    let given = unsafe { value(length) }? as usize;
    let count = full.min(given);
    // SAFETY: the caller's contract: `given` bytes are there, and `count` is not more.
    unsafe { room(room_at, count) }?.copy_from_slice(&wire[..count]);
    // SAFETY: the caller's contract.
    unsafe { put(length, full as c_uint) }
}

/// What `SOCK_NONBLOCK` and `SOCK_CLOEXEC` say, which have the values of the `O_*` flags.
fn split(kind: c_int) -> (u32, u32, bool) {
    let kind = kind as u32;
    (kind & 0xf, kind & NON_BLOCKING, kind & CLOSE_ON_EXEC != 0)
}

pub(crate) fn do_socket(family: c_int, kind: c_int, protocol: c_int) -> Result<i64> {
    spare()?;
    let (kind, flags, close_on_exec) = split(kind);
    let file = match family as u32 {
        AF_UNIX => posix::unix::named::socket(kind, flags),
        family => posix::inet::socket(family, kind, protocol as u32, flags),
    }?;
    table().insert(file, close_on_exec).map(i64::from)
}

pub(crate) unsafe fn do_socketpair(family: c_int, kind: c_int, ends: *mut [c_int; 2]) -> Result<i64> {
    let (kind, flags, close_on_exec) = split(kind);
    match family as u32 {
        AF_UNIX => {}
        AF_INET | AF_INET6 => return Err(Errno::OPNOTSUPP),
        _ => return Err(Errno::AFNOSUPPORT),
    }
    spare()?;
    let (left, right) = posix::unix::pair(kind, flags)?;
    // SAFETY: the caller's contract.
    unsafe { put_pair(ends, left, right, close_on_exec) }
}

pub(crate) unsafe fn do_bind(fd: c_int, address: *const c_void, length: c_uint) -> Result<i64> {
    spare()?;
    let file = table().get(fd)?;
    // SAFETY: the caller's contract.
    if let Some(name) = unix_name(unsafe { bytes(address, length as usize) }?) {
        return done(posix::unix::named::bind(file.socket()?, name, names(), masked(0o777)));
    }
    // SAFETY: the caller's contract.
    done(file.socket()?.bind(unsafe { internet(address, length) }?))
}

pub(crate) fn do_listen(fd: c_int, backlog: c_int) -> Result<i64> {
    spare()?;
    done(table().get(fd)?.socket()?.listen(backlog.max(1) as u32))
}

pub(crate) unsafe fn do_connect(fd: c_int, address: *const c_void, length: c_uint) -> Result<i64> {
    spare()?;
    let file = table().get(fd)?;
    // SAFETY: the caller's contract.
    let wire = unsafe { bytes(address, length as usize) }?;
    let (family, address) = decode(wire)?;
    if let Some(name) = unix_name(wire) {
        return done(posix::socket::connect_name(&file, name, names()));
    }
    match address {
        None if family == AF_UNSPEC => done(file.socket()?.disconnect()),
        None => Err(Errno::AFNOSUPPORT),
        Some(address) => done(posix::socket::connect(&file, address)),
    }
}

pub(crate) unsafe fn do_accept(fd: c_int, address: *mut c_void, length: *mut c_uint, flags: c_int) -> Result<i64> {
    spare()?;
    let (_, status, close_on_exec) = split(flags);
    let (file, peer) = posix::socket::accept(&table().get(fd)?, status)?;
    // SAFETY: the caller's contract.
    unsafe { put_address(address, length, peer) }?;
    table().insert(file, close_on_exec).map(i64::from)
}

/// `getpeername` with `peer`, else `getsockname`.
pub(crate) unsafe fn do_name(fd: c_int, address: *mut c_void, length: *mut c_uint, peer: bool) -> Result<i64> {
    let file = table().get(fd)?;
    let socket = file.socket()?;
    let name = if peer { socket.peer() } else { socket.local() }?;
    if address.is_null() || length.is_null() {
        return Err(Errno::FAULT);
    }
    // SAFETY: the caller's contract.
    done(unsafe { put_address(address, length, Some(name)) })
}

pub(crate) fn do_shutdown(fd: c_int, how: c_int) -> Result<i64> {
    let file = table().get(fd)?;
    let socket = file.socket()?;
    match how {
        0 => done(socket.shutdown(true, false)),
        1 => done(socket.shutdown(false, true)),
        2 => done(socket.shutdown(true, true)),
        _ => Err(Errno::INVAL),
    }
}

pub(crate) unsafe fn do_setsockopt(
    fd: c_int,
    level: c_int,
    name: c_int,
    value: *const c_void,
    length: c_uint,
) -> Result<i64> {
    let file = table().get(fd)?;
    // SAFETY: the caller's contract.
    let value = unsafe { bytes(value, length as usize) }?;
    done(file.socket()?.set_option(level as u32, name as u32, value))
}

pub(crate) unsafe fn do_getsockopt(
    fd: c_int,
    level: c_int,
    name: c_int,
    to: *mut c_void,
    length: *mut c_uint,
) -> Result<i64> {
    let file = table().get(fd)?;
    // SAFETY: the caller's contract.
    let room = unsafe { room(to, value(length)? as usize) }?;
    let count = file.socket()?.option(level as u32, name as u32, room)?;
    // SAFETY: the caller's contract.
    done(unsafe { put(length, count as c_uint) })
}

#[inline]
pub(crate) unsafe fn do_send(
    fd: c_int,
    buffer: *const c_void,
    count: usize,
    flags: c_int,
    to: *const c_void,
    to_length: c_uint,
) -> Result<i64> {
    let file = table().get(fd)?;
    // SAFETY: the caller's contract.
    let (bytes, to) = unsafe { (bytes(buffer, count)?, destination(to, to_length)?) };
    posix::socket::send(&file, bytes, to, flags as u32).map(|n| n as i64)
}

#[inline]
pub(crate) unsafe fn do_recv(
    fd: c_int,
    buffer: *mut c_void,
    count: usize,
    flags: c_int,
    from: *mut c_void,
    from_length: *mut c_uint,
) -> Result<i64> {
    let file = table().get(fd)?;
    // SAFETY: the caller's contract.
    let got = posix::socket::receive(&file, unsafe { room(buffer, count) }?, flags as u32)?;
    if !from.is_null() {
        // SAFETY: the caller's contract.
        unsafe { put_address(from, from_length, got.from) }?;
    }
    Ok(if flags as u32 & TRUNCATED != 0 { got.full_length } else { got.length } as i64)
}

door! {
    /// POSIX `socket`.
    fn socket(family: c_int, kind: c_int, protocol: c_int) -> c_int {
        give_int(do_socket(family, kind, protocol))
    }

    /// POSIX `socketpair`.
    fn socketpair(family: c_int, kind: c_int, _protocol: c_int, ends: *mut [c_int; 2]) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { do_socketpair(family, kind, ends) })
    }

    /// POSIX `bind`.
    fn bind(fd: c_int, address: *const c_void, length: c_uint) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { do_bind(fd, address, length) })
    }

    /// POSIX `listen`.
    fn listen(fd: c_int, backlog: c_int) -> c_int {
        give_int(do_listen(fd, backlog))
    }

    /// POSIX `connect`.
    fn connect(fd: c_int, address: *const c_void, length: c_uint) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { do_connect(fd, address, length) })
    }

    /// POSIX `accept`.
    fn accept(fd: c_int, address: *mut c_void, length: *mut c_uint) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { do_accept(fd, address, length, 0) })
    }

    /// POSIX `accept4`.
    fn accept4(fd: c_int, address: *mut c_void, length: *mut c_uint, flags: c_int) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { do_accept(fd, address, length, flags) })
    }

    /// POSIX `getsockname`.
    fn getsockname(fd: c_int, address: *mut c_void, length: *mut c_uint) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { do_name(fd, address, length, false) })
    }

    /// POSIX `getpeername`.
    fn getpeername(fd: c_int, address: *mut c_void, length: *mut c_uint) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { do_name(fd, address, length, true) })
    }

    /// POSIX `shutdown`.
    fn shutdown(fd: c_int, how: c_int) -> c_int {
        give_int(do_shutdown(fd, how))
    }

    /// POSIX `setsockopt`.
    fn setsockopt(fd: c_int, level: c_int, name: c_int, value: *const c_void, length: c_uint) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { do_setsockopt(fd, level, name, value, length) })
    }

    /// POSIX `getsockopt`.
    fn getsockopt(fd: c_int, level: c_int, name: c_int, value: *mut c_void, length: *mut c_uint) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { do_getsockopt(fd, level, name, value, length) })
    }

    /// POSIX `send`.
    fn send(fd: c_int, buffer: *const c_void, count: usize, flags: c_int) -> isize {
        // SAFETY: the caller's contract.
        give(unsafe { do_send(fd, buffer, count, flags, core::ptr::null(), 0) }) as isize
    }

    /// POSIX `sendto`.
    fn sendto(
        fd: c_int, buffer: *const c_void, count: usize, flags: c_int, to: *const c_void, to_length: c_uint,
    ) -> isize {
        // SAFETY: the caller's contract.
        give(unsafe { do_send(fd, buffer, count, flags, to, to_length) }) as isize
    }

    /// POSIX `recv`.
    fn recv(fd: c_int, buffer: *mut c_void, count: usize, flags: c_int) -> isize {
        // SAFETY: the caller's contract.
        give(unsafe { do_recv(fd, buffer, count, flags, core::ptr::null_mut(), core::ptr::null_mut()) }) as isize
    }

    /// POSIX `recvfrom`.
    fn recvfrom(
        fd: c_int, buffer: *mut c_void, count: usize, flags: c_int, from: *mut c_void, from_length: *mut c_uint,
    ) -> isize {
        // SAFETY: the caller's contract.
        give(unsafe { do_recv(fd, buffer, count, flags, from, from_length) }) as isize
    }

}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_survive_the_round_trip() {
        for text in ["127.0.0.1:80", "[::1]:443", "[fe80::1%3]:9"] {
            let address: SocketAddr = text.parse().expect("an address");
            let (wire, length) = encode(Address::Inet(address));
            assert_eq!(decode(&wire[..length]), Ok((if address.is_ipv4() { 2 } else { 10 }, Some(address))));
        }
        assert_eq!(decode(&[2]), Err(Errno::INVAL));
        assert_eq!(decode(&[2, 0, 0, 80]), Err(Errno::INVAL));
        assert_eq!(decode(&[1, 0, b'/']), Ok((1, None)));
    }
}
