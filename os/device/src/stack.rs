//! The socket seam: what `net` and `hostnet` both offer, and the one socket service of `posix` uses.
//!
//! Nothing here blocks. Whoever wants to wait sets a [`Watch`], reads [`Stack::ready`], and parks.

use abi::manifest::Protocol;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

/// A socket of a stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketId(pub u32);

/// Address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// Stream or datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// TCP.
    Stream,
    /// UDP.
    Datagram,
}

impl Kind {
    /// As the manifest calls it.
    pub fn protocol(self) -> Protocol {
        match self {
            Kind::Stream => Protocol::Tcp,
            Kind::Datagram => Protocol::Udp,
        }
    }
}

/// Which direction to shut down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// No more receiving.
    Receive,
    /// No more sending: the peer sees the end of the stream once it has everything.
    Send,
    /// Neither.
    Both,
}

/// Options that a stack may know; values are `u32`, as in [`abi::hostnet::SocketOption`].
pub use abi::hostnet::SocketOption as Option_;

/// What a socket is ready for: bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ready(pub u32);

impl Ready {
    /// Receiving or accepting would not say [`Error::WouldBlock`].
    pub const READ: Ready = Ready(1);
    /// Sending would not say [`Error::WouldBlock`].
    pub const WRITE: Ready = Ready(2);
    /// The peer will send no more (`EPOLLRDHUP`).
    pub const READ_END: Ready = Ready(4);
    /// Both directions are over (`EPOLLHUP`).
    pub const HANG_UP: Ready = Ready(8);
    /// An error is pending (`EPOLLERR`).
    pub const ERROR: Ready = Ready(16);

    /// Are all of these bits set?
    pub fn contains(self, other: Ready) -> bool {
        self.0 & other.0 == other.0
    }
}

impl core::ops::BitOr for Ready {
    type Output = Ready;
    fn bitor(self, other: Ready) -> Ready {
        Ready(self.0 | other.0)
    }
}

/// Why a stack refused; `posix` gives each its errno.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// nothing to do right now; wait for readiness (EAGAIN)
    WouldBlock,
    /// a connect has started and will end later (EINPROGRESS)
    InProgress,
    /// a Linux errno, positive
    Errno(i32),
}

/// Is told that a socket may have become readier. Called while the stack polls: MUST be short, MUST NOT call the stack.
pub trait Watch: Send + Sync {
    /// The socket's readiness may have grown.
    fn changed(&self);
}

/// A TCP/IP stack as programs see it. All methods keep POSIX's meaning for non-blocking sockets.
pub trait Stack: Sync {
    /// A new socket.
    fn open(&self, family: Family, kind: Kind) -> Result<SocketId, Error>;
    /// Gives it a local address.
    fn bind(&self, socket: SocketId, address: SocketAddr) -> Result<(), Error>;
    /// Accepts connections from now on.
    fn listen(&self, socket: SocketId, backlog: u32) -> Result<(), Error>;
    /// Stream: starts to connect, [`Error::InProgress`]. Datagram: sets the peer.
    fn connect(&self, socket: SocketId, address: SocketAddr) -> Result<(), Error>;
    /// Takes the next connection and its peer.
    fn accept(&self, socket: SocketId) -> Result<(SocketId, SocketAddr), Error>;
    /// Sends some of `bytes`, or all of them as one datagram.
    fn send(&self, socket: SocketId, bytes: &[u8], to: Option<SocketAddr>) -> Result<usize, Error>;
    /// Receives; 0 is the end of a stream. With `peek` the bytes stay. For a datagram also its full length and sender.
    fn receive(&self, socket: SocketId, buffer: &mut [u8], peek: bool) -> Result<Received, Error>;
    /// [`Stack::send`] of a datagram with what goes along. A stack that knows nothing of classes and sources does without.
    fn send_with(
        &self,
        socket: SocketId,
        bytes: &[u8],
        to: Option<SocketAddr>,
        ancillary: &Ancillary,
    ) -> Result<usize, Error> {
        if ancillary.segment == 0 {
            return self.send(socket, bytes, to);
        }
        let mut datagrams = bytes.chunks(ancillary.segment.into());
        if let Some(first) = datagrams.next() {
            self.send(socket, first, to)?;
        }
        // What finds no room is lost, as datagrams may be: the caller could not send it alone.
        datagrams.try_for_each(|datagram| self.send(socket, datagram, to).map(drop)).ok();
        Ok(bytes.len())
    }
    /// [`Stack::receive`] of a datagram with what came along, as far as the stack knows.
    fn receive_with(&self, socket: SocketId, buffer: &mut [u8], peek: bool) -> Result<(Received, Ancillary), Error> {
        self.receive(socket, buffer, peek).map(|received| (received, Ancillary::default()))
    }
    /// Ends one direction or both.
    fn shutdown(&self, socket: SocketId, how: How) -> Result<(), Error>;
    /// Closes it and forgets the number. What was sent is still delivered.
    fn close(&self, socket: SocketId);
    /// Its own address; unspecified if it has none.
    fn local(&self, socket: SocketId) -> Result<SocketAddr, Error>;
    /// Its peer's address.
    fn peer(&self, socket: SocketId) -> Result<SocketAddr, Error>;
    /// Sets an option.
    fn set_option(&self, socket: SocketId, option: Option_, value: u32) -> Result<(), Error>;
    /// Gets an option. [`Option_::Error`] is the pending errno, and takes it.
    fn option(&self, socket: SocketId, option: Option_) -> Result<u32, Error>;
    /// What it is ready for now.
    fn ready(&self, socket: SocketId) -> Ready;
    /// Bytes that [`Stack::receive`] would give now (`FIONREAD`).
    fn available(&self, socket: SocketId) -> usize;
    /// Who is told when it becomes readier; `None` for nobody.
    fn watch(&self, socket: SocketId, watch: Option<alloc::sync::Arc<dyn Watch>>);
    /// The machine's own addresses on this network, each with the bits of its prefix. None where the stack does not know.
    fn addresses(&self) -> Vec<(IpAddr, u8)> {
        Vec::new()
    }
    /// Looks a name up; `watch` is told when [`Resolved::take`] has the answer. With a `family` the stack MAY leave out
    /// addresses of the other one.
    fn resolve(
        &self,
        name: &str,
        family: Option<Family>,
        watch: alloc::sync::Arc<dyn Watch>,
    ) -> Result<alloc::boxed::Box<dyn Resolved>, Error>;
}

/// What [`Stack::receive`] gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Bytes in the buffer.
    pub length: usize,
    /// A datagram's own length, where the buffer was too short; otherwise `length`.
    pub full_length: usize,
    /// A datagram's sender.
    pub from: Option<SocketAddr>,
}

/// What goes with a datagram beside its bytes and its peer (RFC 3542 §6, `ip(7)`, `udp(7)`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ancillary {
    /// Type of service or traffic class, ECN bits included. Sending, `None` is the socket's own.
    pub class: Option<u8>,
    /// The machine's own address: where a received datagram was sent to, where a sent one leaves from.
    pub local: Option<IpAddr>,
    /// Not 0: the bytes are several datagrams, each of so many bytes, the last one maybe of fewer.
    pub segment: u16,
}

/// A name on its way to addresses.
pub trait Resolved: Send {
    /// The addresses, once they are there. An empty list never comes: the error says that there are none.
    fn take(&mut self) -> Option<Result<Vec<IpAddr>, Error>>;
    /// The name that was asked for.
    fn name(&self) -> &String;
}
