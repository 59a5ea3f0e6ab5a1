//! Sockets as the calls see them: the [`Socket`] trait, and what all sorts of sockets share.
//!
//! [`crate::inet`] holds the ones that reach a network, [`crate::unix`] the pairs that stay in the machine. As with
//! [`File`](crate::file::File), a socket only tries; the functions here add blocking.

use core::net::SocketAddr;
use device::Ancillary;

use crate::ancillary::Wants;
use crate::errno::{Errno, Result};
use crate::file::{Description, NON_BLOCKING, Open};
use crate::names::Names;
use crate::unix::named::node_of;

/// `AF_UNIX`
pub const AF_UNIX: u32 = 1;
/// `AF_INET`
pub const AF_INET: u32 = 2;
/// `AF_INET6`
pub const AF_INET6: u32 = 10;
/// `SOCK_STREAM`
pub const STREAM: u32 = 1;
/// `SOCK_DGRAM`
pub const DATAGRAM: u32 = 2;
/// `SOCK_SEQPACKET`
pub const SEQUENCED: u32 = 5;

/// `MSG_PEEK`: look, do not take.
pub const PEEK: u32 = 0x2;
/// `MSG_CTRUNC`: what came along did not fit.
pub const CONTROL_TRUNCATED: u32 = 0x8;
/// `MSG_TRUNC`: give a datagram's own length.
pub const TRUNCATED: u32 = 0x20;
/// `MSG_DONTWAIT`: as if non-blocking, for this call.
pub const DO_NOT_WAIT: u32 = 0x40;
/// `MSG_WAITALL`: fill the whole buffer of a stream.
pub const WAIT_ALL: u32 = 0x100;

/// An address of any family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Address {
    /// IPv4 or IPv6.
    Inet(SocketAddr),
    /// A socket of this machine: its name's number ([`crate::unix::named`]), 0 without a name.
    Unix(u32),
}

/// What a receive gave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// Bytes in the buffer.
    pub length: usize,
    /// A datagram's own length; otherwise `length`.
    pub full_length: usize,
    /// The sender, where the socket tells.
    pub from: Option<Address>,
}

/// A socket. No method blocks.
pub trait Socket: Send + Sync {
    /// `AF_*` and `SOCK_*`.
    fn family_and_type(&self) -> (u32, u32);
    /// Receives; with `peek` the bytes stay.
    fn receive(&self, buffer: &mut [u8], peek: bool) -> Result<Received>;
    /// Sends.
    fn send(&self, bytes: &[u8], to: Option<Address>) -> Result<usize>;
    /// [`Socket::receive`] with what came along.
    fn receive_with(&self, buffer: &mut [u8], peek: bool) -> Result<(Received, Ancillary)> {
        self.receive(buffer, peek).map(|received| (received, Ancillary::default()))
    }
    /// What of that the program has asked for.
    fn wants(&self) -> Wants {
        Wants::default()
    }
    /// [`Socket::send`] of a datagram, with what goes along.
    fn send_with(&self, bytes: &[u8], to: Option<Address>, ancillary: &Ancillary) -> Result<usize> {
        let _ = ancillary;
        self.send(bytes, to)
    }
    /// Ends directions: bit 0 receiving, bit 1 sending.
    fn shutdown(&self, receive: bool, send: bool) -> Result<()>;
    /// `getsockname`
    fn local(&self) -> Result<Address>;
    /// `getpeername`
    fn peer(&self) -> Result<Address>;
    /// `bind`
    fn bind(&self, address: SocketAddr) -> Result<()> {
        let _ = address;
        Err(Errno::OPNOTSUPP)
    }
    /// `bind` to a name, of a Unix socket; empty for any. With the inode of the file that stands for it, or 0.
    fn bind_name(&self, name: &[u8], node: u64) -> Result<()> {
        let _ = (name, node);
        Err(Errno::AFNOSUPPORT)
    }
    /// `connect` to a name, likewise: [`Errno::AGAIN`] while there is no room.
    fn connect_name(&self, name: &[u8], node: u64) -> Result<()> {
        let _ = (name, node);
        Err(Errno::AFNOSUPPORT)
    }
    /// `listen`
    fn listen(&self, backlog: u32) -> Result<()> {
        let _ = backlog;
        Err(Errno::OPNOTSUPP)
    }
    /// `connect`: [`Errno::INPROGRESS`] if it ends later; [`Socket::connected`] tells how.
    fn connect(&self, address: SocketAddr) -> Result<()> {
        let _ = address;
        Err(Errno::OPNOTSUPP)
    }
    /// Undoes a datagram socket's `connect`.
    fn disconnect(&self) -> Result<()> {
        Err(Errno::OPNOTSUPP)
    }
    /// How a connect ended; [`Errno::AGAIN`] while it has not.
    fn connected(&self) -> Result<()> {
        Ok(())
    }
    /// `accept`; the new description has the status flags `flags`.
    fn accept(&self, flags: u32) -> Result<(Open, Option<Address>)> {
        let _ = flags;
        Err(Errno::OPNOTSUPP)
    }
    /// Sets an option; see [`crate::options`].
    fn set_option(&self, level: u32, name: u32, value: &[u8]) -> Result<()>;
    /// Gets an option into `value` and says how long it is.
    fn option(&self, level: u32, name: u32, value: &mut [u8]) -> Result<usize>;
}

fn non_blocking(file: &Description, flags: u32) -> bool {
    flags & DO_NOT_WAIT != 0 || file.is_non_blocking()
}

/// `recvfrom`: `flags` are `MSG_*` bits.
pub fn receive(file: &Open, buffer: &mut [u8], flags: u32) -> Result<Received> {
    let socket = file.socket()?;
    let peek = flags & PEEK != 0;
    let mut got = match socket.receive(buffer, peek) {
        Err(Errno::AGAIN) => {
            let mut got = Received::default();
            file.retry(non_blocking(file, flags), false, None, &mut || {
                got = socket.receive(buffer, peek)?;
                Ok(0)
            })?;
            got
        }
        done => done?,
    };
    if flags & WAIT_ALL != 0 && !peek && socket.family_and_type().1 == STREAM {
        while got.length > 0 && got.length < buffer.len() {
            let rest = &mut buffer[got.length..];
            let more = || socket.receive(rest, false).map(|r| r.length);
            match file.retry(non_blocking(file, flags), false, None, &mut { more }) {
                Ok(more) if more > 0 => got.length += more,
                _ => break,
            }
        }
        got.full_length = got.length;
    }
    Ok(got)
}

/// `recvmsg` of a datagram: also what came along.
pub fn receive_with(file: &Open, buffer: &mut [u8], flags: u32) -> Result<(Received, Ancillary)> {
    let socket = file.socket()?;
    let peek = flags & PEEK != 0;
    let mut got = match socket.receive_with(buffer, peek) {
        Err(Errno::AGAIN) => None,
        done => return done,
    };
    file.retry(non_blocking(file, flags), false, None, &mut || {
        got = Some(socket.receive_with(buffer, peek)?);
        Ok(0)
    })?;
    got.ok_or(Errno::AGAIN)
}

/// `sendmsg` of a datagram with what goes along.
pub fn send_with(file: &Open, bytes: &[u8], to: Option<Address>, ancillary: &Ancillary, flags: u32) -> Result<usize> {
    let socket = file.socket()?;
    match socket.send_with(bytes, to, ancillary) {
        Err(Errno::AGAIN) => {}
        done => return done,
    }
    file.retry(non_blocking(file, flags), true, None, &mut || socket.send_with(bytes, to, ancillary))
}

/// `sendto`: all of a stream's bytes when blocking; `flags` are `MSG_*` bits.
pub fn send(file: &Open, bytes: &[u8], to: Option<Address>, flags: u32) -> Result<usize> {
    let socket = file.socket()?;
    let taken = match socket.send(bytes, to) {
        Ok(taken) if taken == bytes.len() || socket.family_and_type().1 != STREAM => return Ok(taken),
        Ok(taken) => taken,
        Err(Errno::AGAIN) => 0,
        Err(error) => return Err(error),
    };
    if bytes.is_empty() {
        return file.retry(non_blocking(file, flags), true, None, &mut || socket.send(bytes, to));
    }
    file.write_rest(bytes, taken, non_blocking(file, flags), &mut |rest| socket.send(rest, to))
}

/// `accept4`: gives the new file and its peer.
pub fn accept(file: &Open, flags: u32) -> Result<(Open, Option<Address>)> {
    let socket = file.socket()?;
    let flags = flags & NON_BLOCKING;
    match socket.accept(flags) {
        Err(Errno::AGAIN) => {}
        done => return done,
    }
    let mut got = None;
    file.retry(file.is_non_blocking(), false, None, &mut || {
        got = Some(socket.accept(flags)?);
        Ok(0)
    })?;
    got.ok_or(Errno::AGAIN)
}

/// `connect`: waits for the end unless the description is non-blocking.
pub fn connect(file: &Open, address: SocketAddr) -> Result<()> {
    let socket = file.socket()?;
    match socket.connect(address) {
        Err(Errno::INPROGRESS) if !file.is_non_blocking() => {}
        done => return done,
    }
    match file.retry(false, true, None, &mut || socket.connected().map(|()| 0)) {
        Err(Errno::AGAIN) => Err(Errno::INPROGRESS),
        done => done.map(drop),
    }
}

/// `connect` to a name.
pub fn connect_name(file: &Open, name: &[u8], names: Option<&dyn Names>) -> Result<()> {
    let (socket, node) = (file.socket()?, node_of(name, names)?);
    match socket.connect_name(name, node) {
        Err(Errno::AGAIN) => {}
        done => return done,
    }
    file.retry(file.is_non_blocking(), true, None, &mut || socket.connect_name(name, node).map(|()| 0)).map(drop)
}
