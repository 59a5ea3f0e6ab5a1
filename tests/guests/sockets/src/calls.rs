//! The C calls, each as a result that can be printed: what it gave, or the errno.

use std::fmt::{self, Display};
use std::io::Error;
use std::mem::{size_of, zeroed};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use libc::{c_int, c_void, sockaddr_in, sockaddr_in6, sockaddr_storage, socklen_t};

/// What a call gave, or its errno.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Said(pub(crate) Result<i64, i32>);

impl Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Ok(value) => write!(f, "{value}"),
            Err(errno) => write!(f, "E{errno}"),
        }
    }
}

pub(crate) fn said(result: i64) -> Said {
    Said(if result < 0 { Err(Error::last_os_error().raw_os_error().unwrap_or(0)) } else { Ok(result) })
}

/// A descriptor, closed when it is dropped.
pub(crate) struct Fd(pub(crate) c_int);

impl Drop for Fd {
    fn drop(&mut self) {
        // SAFETY: it is this value's own.
        unsafe { libc::close(self.0) };
    }
}

pub(crate) fn socket(family: c_int, kind: c_int) -> Fd {
    // SAFETY: takes no pointers.
    Fd(unsafe { libc::socket(family, kind, 0) })
}

pub(crate) fn tcp() -> Fd {
    socket(libc::AF_INET, libc::SOCK_STREAM)
}

pub(crate) fn udp() -> Fd {
    socket(libc::AF_INET, libc::SOCK_DGRAM)
}

/// `127.0.0.1` with a port.
pub(crate) fn own(port: u16) -> SocketAddr {
    SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port)
}

/// As the kernel wants it: bytes and their number.
pub(crate) fn wire(address: SocketAddr) -> (sockaddr_storage, socklen_t) {
    // SAFETY: all zero is an address of no family.
    let mut storage: sockaddr_storage = unsafe { zeroed() };
    let length = match address {
        SocketAddr::V4(v4) => {
            // SAFETY: the storage is large and aligned enough for any address.
            let to = unsafe { &mut *(&raw mut storage).cast::<sockaddr_in>() };
            to.sin_family = libc::AF_INET as u16;
            to.sin_port = v4.port().to_be();
            to.sin_addr.s_addr = u32::from_ne_bytes(v4.ip().octets());
            size_of::<sockaddr_in>()
        }
        SocketAddr::V6(v6) => {
            // SAFETY: as above.
            let to = unsafe { &mut *(&raw mut storage).cast::<sockaddr_in6>() };
            to.sin6_family = libc::AF_INET6 as u16;
            to.sin6_port = v6.port().to_be();
            to.sin6_addr.s6_addr = v6.ip().octets();
            size_of::<sockaddr_in6>()
        }
    };
    (storage, length as socklen_t)
}

pub(crate) fn address(storage: &sockaddr_storage) -> Option<SocketAddr> {
    match i32::from(storage.ss_family) {
        libc::AF_INET => {
            // SAFETY: its family says what it is.
            let from = unsafe { &*(&raw const *storage).cast::<sockaddr_in>() };
            let ip = Ipv4Addr::from(from.sin_addr.s_addr.to_ne_bytes());
            Some(SocketAddr::new(ip.into(), u16::from_be(from.sin_port)))
        }
        libc::AF_INET6 => {
            // SAFETY: its family says what it is.
            let from = unsafe { &*(&raw const *storage).cast::<sockaddr_in6>() };
            Some(SocketAddr::new(Ipv6Addr::from(from.sin6_addr.s6_addr).into(), u16::from_be(from.sin6_port)))
        }
        _ => None,
    }
}

pub(crate) fn bind(fd: &Fd, to: SocketAddr) -> Said {
    let (storage, length) = wire(to);
    // SAFETY: the address lives through the call.
    said(unsafe { libc::bind(fd.0, (&raw const storage).cast(), length) }.into())
}

pub(crate) fn connect(fd: &Fd, to: SocketAddr) -> Said {
    let (storage, length) = wire(to);
    // SAFETY: the address lives through the call.
    said(unsafe { libc::connect(fd.0, (&raw const storage).cast(), length) }.into())
}

/// Undoes a datagram socket's connect.
pub(crate) fn disconnect(fd: &Fd) -> Said {
    // SAFETY: all zero is an address of no family.
    let nobody: sockaddr_storage = unsafe { zeroed() };
    // SAFETY: the address lives through the call.
    said(unsafe { libc::connect(fd.0, (&raw const nobody).cast(), 16) }.into())
}

pub(crate) fn listen(fd: &Fd, backlog: c_int) -> Said {
    // SAFETY: takes no pointers.
    said(unsafe { libc::listen(fd.0, backlog) }.into())
}

/// The connection, where there is one.
pub(crate) fn accept(fd: &Fd, flags: c_int) -> Result<Fd, Said> {
    // SAFETY: no address is asked for.
    match said(unsafe { libc::accept4(fd.0, std::ptr::null_mut(), std::ptr::null_mut(), flags) }.into()) {
        Said(Ok(fd)) => Ok(Fd(fd as c_int)),
        error => Err(error),
    }
}

pub(crate) fn send(fd: &Fd, bytes: &[u8], flags: c_int) -> Said {
    // SAFETY: the bytes live through the call.
    said(unsafe { libc::send(fd.0, bytes.as_ptr().cast(), bytes.len(), flags | libc::MSG_NOSIGNAL) } as i64)
}

pub(crate) fn send_to(fd: &Fd, bytes: &[u8], to: SocketAddr) -> Said {
    let (storage, length) = wire(to);
    let to = (&raw const storage).cast();
    // SAFETY: both live through the call.
    said(unsafe { libc::sendto(fd.0, bytes.as_ptr().cast(), bytes.len(), libc::MSG_NOSIGNAL, to, length) } as i64)
}

pub(crate) fn receive(fd: &Fd, room: usize, flags: c_int) -> (Said, Vec<u8>) {
    let mut bytes = vec![0; room];
    // SAFETY: the room is as long as said.
    let got = said(unsafe { libc::recv(fd.0, bytes.as_mut_ptr().cast(), room, flags) } as i64);
    bytes.truncate(got.0.map_or(0, |length| length as usize));
    (got, bytes)
}

pub(crate) fn shutdown(fd: &Fd, how: c_int) -> Said {
    // SAFETY: takes no pointers.
    said(unsafe { libc::shutdown(fd.0, how) }.into())
}

pub(crate) fn set(fd: &Fd, level: c_int, name: c_int, value: c_int) -> Said {
    set_bytes(fd, level, name, &value.to_ne_bytes())
}

pub(crate) fn set_bytes(fd: &Fd, level: c_int, name: c_int, value: &[u8]) -> Said {
    let pointer = value.as_ptr().cast::<c_void>();
    // SAFETY: the value lives through the call.
    said(unsafe { libc::setsockopt(fd.0, level, name, pointer, value.len() as socklen_t) }.into())
}

pub(crate) fn get(fd: &Fd, level: c_int, name: c_int) -> Said {
    let (mut value, mut length) = (0 as c_int, size_of::<c_int>() as socklen_t);
    // SAFETY: both live through the call.
    let done = unsafe { libc::getsockopt(fd.0, level, name, (&raw mut value).cast(), &raw mut length) };
    match said(done.into()) {
        Said(Ok(_)) => Said(Ok(value.into())),
        error => error,
    }
}

/// The socket's own address, or its peer's.
pub(crate) fn name(fd: &Fd, peer: bool) -> Result<SocketAddr, Said> {
    // SAFETY: all zero is an address of no family.
    let mut storage: sockaddr_storage = unsafe { zeroed() };
    let mut length = size_of::<sockaddr_storage>() as socklen_t;
    let to = (&raw mut storage).cast();
    // SAFETY: both live through the call.
    let done = unsafe {
        match peer {
            true => libc::getpeername(fd.0, to, &raw mut length),
            false => libc::getsockname(fd.0, to, &raw mut length),
        }
    };
    match said(done.into()) {
        Said(Ok(_)) => Ok(address(&storage).expect("an internet address")),
        error => Err(error),
    }
}

pub(crate) fn port(fd: &Fd) -> u16 {
    name(fd, false).map_or(0, |address| address.port())
}

/// Waits until it is ready for this; 0 if it is not within ten seconds.
pub(crate) fn wait(fd: &Fd, events: i16) -> i16 {
    let mut set = libc::pollfd { fd: fd.0, events, revents: 0 };
    // SAFETY: one entry, which lives through the call.
    unsafe { libc::poll(&raw mut set, 1, 10_000) };
    set.revents
}

pub(crate) fn do_not_block(fd: &Fd) {
    // SAFETY: takes no pointers.
    unsafe { libc::fcntl(fd.0, libc::F_SETFL, libc::O_NONBLOCK) };
}

/// A listener on 127.0.0.1 and its port.
pub(crate) fn listener() -> (Fd, u16) {
    let listener = tcp();
    bind(&listener, own(0));
    listen(&listener, 16);
    let port = port(&listener);
    (listener, port)
}

/// Two ends of a connection over the loopback.
pub(crate) fn pair() -> (Fd, Fd) {
    let (listener, port) = listener();
    let client = tcp();
    connect(&client, own(port));
    let server = accept(&listener, 0).unwrap_or_else(|said| panic!("accept: {said}"));
    (client, server)
}
