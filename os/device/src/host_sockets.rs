//! The host-socket seam: what [`abi::hostnet`] says, as calls.

use abi::hostnet::{Address, EventHeader, Request, Response, SendHeader, SendStatus};

/// What became of a send.
#[derive(Clone, Copy, Debug)]
pub enum Sent {
    /// The far side has already dealt with it.
    Done(SendStatus),
    /// It is in the queue; [`Incoming::Sent`] follows.
    Queued,
    /// The queue has no room; try again after [`Incoming::Sent`].
    Full,
}

/// What [`HostSockets::poll`] brings.
#[derive(Debug)]
pub enum Incoming<'a> {
    /// An event, and the bytes of its data.
    Event(&'a EventHeader, &'a [u8]),
    /// A queued send was dealt with: its socket, its kind ([`abi::hostnet::SEND_DATA`], [`abi::hostnet::SEND_CREDIT`]), what
    /// became of it. They come in the order in which they were queued, and before an event that followed them.
    Sent(u32, u32, SendStatus),
    /// The answer to [`HostSockets::resolve`] of this token: status (0 or a negative errno) and addresses.
    Resolved(u32, i32, &'a [Address]),
}

/// The host's sockets.
pub trait HostSockets: Sync {
    /// Makes a request other than `Resolve` and gives its answer. May cost a machine exit.
    fn control(&self, request: &Request) -> Response;

    /// Asks for a name; the answer comes by [`Incoming::Resolved`] with `token`. False if too many are under way.
    fn resolve(&self, name: &str, token: u32) -> bool;

    /// Sends bytes, a datagram, or credit (and then `bytes` is empty).
    fn send(&self, header: &SendHeader, bytes: &[u8]) -> Sent;

    /// Hands everything that has arrived to `sink`; true if there was something. `sink` MUST NOT call `poll`.
    fn poll(&self, sink: &mut dyn FnMut(Incoming<'_>)) -> bool;

    /// Asks for an event when something arrives; true if something has, and then nobody may sleep.
    fn arm(&self) -> bool;
}
