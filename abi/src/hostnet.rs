//! The host-socket device: sockets, not packets, over three virtqueues.
//!
//! The library OS asks for sockets; the far side opens the host's, under the manifest's policy, and carries their bytes.
//! Control, sending and receiving each have a queue.
//!
//! * [`QUEUE_CONTROL`]: a chain of one readable buffer ([`Request`], and for `Resolve` the name's bytes after it) and one
//!   writable ([`Response`], and for `Resolve` room for [`Address`]es after it). Answered in order, without waiting for
//!   the network: a connect is answered at once and ends later as an event.
//! * [`QUEUE_SEND`]: a chain of one readable buffer ([`SendHeader`], then its bytes) and one writable ([`SendStatus`]).
//!   Used at once: what the host's socket did not take, the status says, and [`Event::Writable`] tells when to go on.
//! * [`QUEUE_EVENTS`]: the guest posts writable buffers of at least [`EVENT_BUFFER_MIN`] bytes; the far side fills each
//!   with an [`EventHeader`] and, for data, bytes after it.
//!
//! # Flow control
//! The far side hands at most [`RECEIVE_WINDOW`] bytes of a socket's data to the guest beyond what the guest has given
//! credit for ([`SEND_CREDIT`]), and then stops reading that socket. A datagram counts its length plus
//! [`DATAGRAM_OVERHEAD`]. Likewise it hands over at most the backlog's number of connections that were not yet credited.
//!
//! # Numbers
//! Socket numbers are the far side's; they are never used again within 2³² sockets. Errors are Linux errno values. Ports
//! are host byte order. A guest sees its own addresses: if the operator published port 80 at the host's 8080, the guest
//! binds 80 and is told 80.

/// Queue number: requests.
pub const QUEUE_CONTROL: usize = 0;
/// Queue number: data from the guest.
pub const QUEUE_SEND: usize = 1;
/// Queue number: data and news to the guest.
pub const QUEUE_EVENTS: usize = 2;

/// Bytes of a socket's data that may be on their way to the guest without credit.
pub const RECEIVE_WINDOW: u32 = 256 << 10;
/// What a datagram counts beyond its length against [`RECEIVE_WINDOW`].
pub const DATAGRAM_OVERHEAD: u32 = 64;
/// The least event buffer, in bytes. A datagram that does not fit what is left of a buffer is cut off, as by `recv`.
pub const EVENT_BUFFER_MIN: u32 = 2048;

/// An IP address and port.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Address {
    /// 4 or 6; 0 for no address.
    pub family: u16,
    /// The port, host byte order.
    pub port: u16,
    /// IPv6 scope (an interface's number), or 0.
    pub scope: u32,
    /// IPv4: the first four bytes. Network byte order.
    pub bytes: [u8; 16],
}

/// What is asked on [`QUEUE_CONTROL`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Request {
    /// A [`Operation`] number.
    pub operation: u32,
    /// The socket; 0 for `Open` and `Resolve`.
    pub socket: u32,
    /// `Bind`, `Connect`: the address. `Open`: `family` alone.
    pub address: Address,
    /// `Open`: 1 stream, 2 datagram. `Listen`: the backlog. `Shutdown`: 0 receive, 1 send, 2 both. `SetOption`,
    /// `GetOption`: a [`SocketOption`] number. `Resolve`: the name's length.
    pub argument: u32,
    /// `SetOption`: the value.
    pub value: u32,
}

/// The answer.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Response {
    /// 0, or a negative errno: `-EACCES` where the manifest forbids it.
    pub status: i32,
    /// `Open`: the new socket's number.
    pub socket: u32,
    /// `Bind`, `Connect`, `LocalAddress`: the local address.
    pub address: Address,
    /// `GetOption`: the value. `Resolve`: how many addresses follow.
    pub value: u32,
    /// Zero.
    pub reserved: u32,
}

/// The requests.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A new socket.
    Open = 1,
    /// Bind it. TCP does not touch the network yet; the port's availability is checked here all the same.
    Bind = 2,
    /// Accept connections, which come as [`Event::Accepted`].
    Listen = 3,
    /// TCP: start to connect; [`Event::Connected`] or [`Event::Error`] follows. UDP: set the peer.
    Connect = 4,
    /// Half-close.
    Shutdown = 5,
    /// Close and forget. Data already sent is still delivered, as on Linux.
    Close = 6,
    /// Set a [`SocketOption`].
    SetOption = 7,
    /// Get a [`SocketOption`].
    GetOption = 8,
    /// The local address, as the guest is to see it.
    LocalAddress = 9,
    /// Look a name up with the host's resolver. Answered when the host's resolver answers.
    Resolve = 10,
}

/// Options, each a `u32`.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketOption {
    /// 1: `SO_KEEPALIVE`.
    KeepAlive = 1,
    /// Seconds: `TCP_KEEPIDLE`.
    KeepIdle = 2,
    /// Seconds: `TCP_KEEPINTVL`.
    KeepInterval = 3,
    /// `TCP_KEEPCNT`.
    KeepCount = 4,
    /// 1: `SO_BROADCAST`.
    Broadcast = 5,
    /// `IP_TTL` or `IPV6_UNICAST_HOPS`.
    HopLimit = 6,
    /// Seconds + 1, 0 for off: `SO_LINGER`.
    Linger = 7,
    /// 1: `IPV6_V6ONLY`.
    OnlyV6 = 8,
    /// The pending error, taken: `SO_ERROR`.
    Error = 9,
    /// 1: `SO_REUSEPORT`.
    ReusePort = 10,
    /// Milliseconds, 0 for the default: `TCP_USER_TIMEOUT`.
    UserTimeout = 11,
    /// Bytes: `SO_RCVBUF`, as the program asks for it.
    ReceiveBuffer = 12,
    /// Bytes: `SO_SNDBUF`, as the program asks for it.
    SendBuffer = 13,
    /// Bytes, to be read only: `IP_MTU` or `IPV6_MTU`, of the way to the peer.
    PathMtu = 14,
    /// 1: tell datagrams' destinations in [`EventHeader::local`] (`IP_PKTINFO`, `IPV6_RECVPKTINFO`).
    ReceiveDestination = 20,
    /// 1: tell datagrams' traffic class in [`EventHeader::class`] (`IP_RECVTOS`, `IPV6_RECVTCLASS`).
    ReceiveClass = 21,
    /// 1: datagrams of one length from one sender may come joined; [`EventHeader::segment`] (`UDP_GRO`).
    ReceiveJoined = 22,
    /// `IP_TOS` or `IPV6_TCLASS`.
    Class = 23,
    /// `IP_MTU_DISCOVER` or `IPV6_MTU_DISCOVER`.
    MtuDiscover = 24,
    /// `TCP_MAXSEG`.
    MaxSegment = 25,
}

/// [`SendHeader::class`], [`EventHeader::class`]: there is one, in the lower eight bits.
pub const CLASS_GIVEN: u16 = 0x100;

/// What stands before the bytes on [`QUEUE_SEND`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct SendHeader {
    /// The socket.
    pub socket: u32,
    /// [`SEND_DATA`], [`SEND_CREDIT`].
    pub kind: u32,
    /// `SEND_DATA`: bytes that follow. `SEND_CREDIT`: bytes (or, on a listener, connections) the program has consumed.
    pub length: u32,
    /// A datagram's traffic class with [`CLASS_GIVEN`], or 0: the socket's own.
    pub class: u16,
    /// Not 0: the bytes are several datagrams, each of so many bytes, the last one maybe of fewer (`UDP_SEGMENT`).
    pub segment: u16,
    /// A datagram's destination, or `family` 0: the connected peer.
    pub address: Address,
    /// Which of the addresses of a socket bound to all of them a datagram leaves from, or `family` 0: any.
    pub source: Address,
}

/// [`SendHeader::kind`]: bytes or a datagram.
pub const SEND_DATA: u32 = 1;
/// [`SendHeader::kind`]: credit for received data; see the module's "Flow control".
pub const SEND_CREDIT: u32 = 2;

/// What became of it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct SendStatus {
    /// Bytes taken; 0 with an error.
    pub taken: u32,
    /// 0, or a negative errno. `-EAGAIN` with `taken` short: [`Event::Writable`] follows when there is room.
    pub status: i32,
}

/// What stands first in a buffer of [`QUEUE_EVENTS`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct EventHeader {
    /// An [`Event`] number.
    pub event: u32,
    /// The socket it concerns.
    pub socket: u32,
    /// `Data`: bytes that follow. `Accepted`: the new socket's number. `Error`: the errno, positive.
    pub value: u32,
    /// `Data` of a datagram: its full length, where it was cut off.
    pub full_length: u32,
    /// `Accepted`: the peer. `Data` of a datagram: the sender.
    pub peer: Address,
    /// `Accepted`, `Connected`: the local address. `Data` of a datagram: its destination, where that is told.
    pub local: Address,
    /// `Data` of a datagram: its traffic class with [`CLASS_GIVEN`], where that is told.
    pub class: u16,
    /// `Data` of a datagram, not 0: the bytes are several datagrams, each of so many bytes, the last one maybe of fewer.
    pub segment: u16,
}

/// The events.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Bytes, or one datagram.
    Data = 1,
    /// The peer will send no more.
    End = 2,
    /// A connect or an established connection failed.
    Error = 3,
    /// A connect succeeded.
    Connected = 4,
    /// A listener has a new connection.
    Accepted = 5,
    /// A send that was cut short can go on.
    Writable = 6,
}
