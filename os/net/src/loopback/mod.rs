//! The stack inside the machine: 127.0.0.0/8, ::1, and whatever else is the machine's own.
//!
//! A connection is two ring buffers; a datagram goes straight into its receiver's queue. Nothing here is a packet, so
//! nothing is lost, reordered or timed: connecting finds the listener or is refused on the spot.
//!
//! Which addresses are the machine's own is for the caller to know: this stack connects to whoever listens, at an address
//! or at any, and a program that binds an address of the outer network is free to bind it here as well.
//!
//! | file | what |
//! |---|---|
//! | `mod` | the lock and [`device::Stack`] |
//! | `table` | sockets, ports, what is common to both kinds |
//! | `sockets` | the sockets by number |
//! | `stream`, `datagram` | the two kinds |
//! | `pipe` | a bounded ring of bytes that grows by need |

mod datagram;
mod pipe;
mod sockets;
mod stream;
mod table;
#[cfg(test)]
mod tests;

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::net::SocketAddr;
use device::{Ancillary, Error, Family, How, Kind, Ready, Received, Resolved, SocketId, SocketOption, Stack, Watch};
use sync::{Lasting, lasting};
use table::Table;

static LOOPBACK: Loopback = Loopback::new();

/// The stack inside the machine.
pub fn loopback() -> &'static dyn Stack {
    &LOOPBACK
}

/// Never dropped.
struct Loopback(Lasting<Table>);

impl Loopback {
    const fn new() -> Self {
        Self(lasting(Table::new()))
    }
}

impl Stack for Loopback {
    fn open(&self, family: Family, kind: Kind) -> Result<SocketId, Error> {
        self.0.lock().open(family, kind)
    }

    fn bind(&self, socket: SocketId, address: SocketAddr) -> Result<(), Error> {
        self.0.lock().bind(socket, address)
    }

    fn listen(&self, socket: SocketId, backlog: u32) -> Result<(), Error> {
        self.0.lock().listen(socket, backlog)
    }

    fn connect(&self, socket: SocketId, address: SocketAddr) -> Result<(), Error> {
        self.0.lock().connect(socket, address)
    }

    fn accept(&self, socket: SocketId) -> Result<(SocketId, SocketAddr), Error> {
        self.0.lock().accept(socket)
    }

    fn send(&self, socket: SocketId, bytes: &[u8], to: Option<SocketAddr>) -> Result<usize, Error> {
        self.0.lock().send(socket, bytes, to, 0)
    }

    fn send_with(
        &self,
        socket: SocketId,
        bytes: &[u8],
        to: Option<SocketAddr>,
        ancillary: &Ancillary,
    ) -> Result<usize, Error> {
        let size = if ancillary.segment == 0 { bytes.len().max(1) } else { ancillary.segment.into() };
        let class = ancillary.class.unwrap_or(0);
        let mut table = self.0.lock();
        if bytes.is_empty() {
            return table.send(socket, bytes, to, class);
        }
        bytes.chunks(size).try_for_each(|datagram| table.send(socket, datagram, to, class).map(drop))?;
        Ok(bytes.len())
    }

    fn receive(&self, socket: SocketId, buffer: &mut [u8], peek: bool) -> Result<Received, Error> {
        self.0.lock().receive(socket, buffer, peek).map(|(received, _)| received)
    }

    fn receive_with(&self, socket: SocketId, buffer: &mut [u8], peek: bool) -> Result<(Received, Ancillary), Error> {
        self.0.lock().receive(socket, buffer, peek)
    }

    fn shutdown(&self, socket: SocketId, how: How) -> Result<(), Error> {
        self.0.lock().shutdown(socket, how)
    }

    fn close(&self, socket: SocketId) {
        self.0.lock().close(socket);
    }

    fn local(&self, socket: SocketId) -> Result<SocketAddr, Error> {
        self.0.lock().local(socket)
    }

    fn peer(&self, socket: SocketId) -> Result<SocketAddr, Error> {
        self.0.lock().peer(socket)
    }

    fn set_option(&self, socket: SocketId, option: SocketOption, value: u32) -> Result<(), Error> {
        self.0.lock().set_option(socket, option, value)
    }

    fn option(&self, socket: SocketId, option: SocketOption) -> Result<u32, Error> {
        self.0.lock().option(socket, option)
    }

    fn ready(&self, socket: SocketId) -> Ready {
        self.0.lock().ready(socket)
    }

    fn available(&self, socket: SocketId) -> usize {
        self.0.lock().available(socket)
    }

    fn watch(&self, socket: SocketId, watch: Option<Arc<dyn Watch>>) {
        self.0.lock().watch(socket, watch);
    }

    /// Names are the outer stack's business (ENETUNREACH).
    fn resolve(&self, _name: &str, _: Option<Family>, _watch: Arc<dyn Watch>) -> Result<Box<dyn Resolved>, Error> {
        Err(crate::errno::ENETUNREACH)
    }
}
