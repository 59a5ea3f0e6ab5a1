//! What the safe wrappers of system calls do not know of sockets: a datagram with control messages, options by number.

use host_device::control::Control;
use rustix::io::Errno;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};

fn last() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}

/// Sends a datagram, to the connected peer where there is no `to`.
pub(super) fn send(socket: &OwnedFd, to: Option<SocketAddr>, bytes: &[u8], control: &Control) -> Result<(), Errno> {
    let to = to.map(rustix::net::SocketAddrAny::from);
    let mut vector = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    // SAFETY: a plain structure.
    let mut message = unsafe { std::mem::zeroed::<libc::msghdr>() };
    if let Some(to) = &to {
        message.msg_name = to.as_ptr().cast_mut().cast();
        message.msg_namelen = to.addr_len();
    }
    message.msg_iov = &raw mut vector;
    message.msg_iovlen = 1;
    message.msg_control = control.bytes().as_ptr().cast_mut().cast();
    message.msg_controllen = control.bytes().len();
    // SAFETY: everything that the message names lives through the call, which only reads it.
    let put = unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const message, libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL) };
    if put < 0 { Err(last()) } else { Ok(()) }
}

/// Sets an option that is an `int`.
pub(super) fn set(socket: &OwnedFd, level: i32, name: i32, value: u32) -> Result<(), Errno> {
    let value = value as i32;
    // SAFETY: the value lives through the call.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            (&raw const value).cast(),
            size_of::<i32>() as libc::socklen_t,
        )
    };
    if done < 0 { Err(last()) } else { Ok(()) }
}

/// Gets an option that is an `int`.
pub(super) fn get(socket: &OwnedFd, level: i32, name: i32) -> Result<u32, Errno> {
    let (mut value, mut length) = (0i32, size_of::<i32>() as libc::socklen_t);
    // SAFETY: both live through the call, and the length is the value's.
    let done = unsafe { libc::getsockopt(socket.as_raw_fd(), level, name, (&raw mut value).cast(), &raw mut length) };
    if done < 0 { Err(last()) } else { Ok(value as u32) }
}
