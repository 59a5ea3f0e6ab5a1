//! Listening: connection requests become sockets when they arrive, and wait in the listener's queue once established.

use super::socket::{Body, Connection, Listener, Socket};
use super::stream::with_buffers;
use super::{Flow, Inet, World};
use crate::errno::{EINVAL, EOPNOTSUPP};
use alloc::boxed::Box;
use core::net::SocketAddr;
use device::{Error, Kind, SocketId};
use smoltcp::socket::tcp::State;
use smoltcp::wire::IpListenEndpoint;

/// The longest queue (Linux's somaxconn).
const BACKLOG_MAX: u32 = 4096;

impl Inet {
    /// Accepts connections from now on.
    pub(super) fn listen_on(&mut self, number: u32, backlog: u32) -> Result<(), Error> {
        self.bind_any(number)?;
        let Some(socket) = self.sockets.get_mut(number) else { return Err(EINVAL) };
        let backlog = backlog.clamp(1, BACKLOG_MAX);
        match &mut socket.body {
            Body::Idle => socket.body = Body::Listener(Listener { backlog, ..Listener::default() }),
            Body::Listener(listener) => listener.backlog = backlog,
            Body::Connection(_) => return Err(EINVAL),
            Body::Datagram(_) => return Err(EOPNOTSUPP),
        }
        Ok(())
    }

    /// Takes the next connection and its peer.
    pub(super) fn accept_from(&mut self, number: u32) -> Result<(SocketId, SocketAddr), Error> {
        let Some(socket) = self.sockets.get_mut(number) else { return Err(EINVAL) };
        let Body::Listener(listener) = &mut socket.body else { return Err(EINVAL) };
        let child = listener.waiting.pop_front().ok_or(Error::WouldBlock)?;
        let Some(socket) = self.sockets.get_mut(child) else { return Err(Error::WouldBlock) };
        let Some(connection) = socket.connection() else { return Err(Error::WouldBlock) };
        connection.parent = None;
        let remote = connection.remote;
        let peer = socket.outward(remote);
        Ok((self.sockets.id(child), peer))
    }

    /// Who listens there?
    pub(super) fn listener(&self, local: SocketAddr) -> Option<u32> {
        let mut any = None;
        for number in self.bound(Kind::Stream, local.port()) {
            let Some(socket) = self.sockets.get(number) else { continue };
            if !matches!(socket.body, Body::Listener(_)) || !socket.takes(local.ip()) {
                continue;
            }
            if socket.local.is_some_and(|l| !l.ip().is_unspecified()) {
                return Some(number);
            }
            any = Some(number);
        }
        any
    }

    /// A connection request for a listener. With its queue full, or memory short, it is dropped: the peer asks again.
    pub(super) fn open(&mut self, world: World<'_>, listener: u32, hash: u32, flow: Flow, frame: &[u8]) {
        let Some(parent) = self.sockets.get_mut(listener) else { return };
        let (family, options) = (parent.family, parent.options);
        let Body::Listener(queue) = &mut parent.body else { return };
        if queue.waiting.len() as u32 + queue.embryos >= queue.backlog {
            return;
        }
        let Some((mut tcp, promise)) = with_buffers((world.memory)(), &self.admission) else { return };
        let (local, remote) = flow;
        tcp.set_hop_limit(Some((options.hop_limit as u8).max(1)));
        if tcp.listen(IpListenEndpoint { addr: Some(local.ip().into()), port: local.port() }).is_err() {
            return;
        }
        let mut connection = Connection::new(tcp, remote, promise);
        connection.parent = Some(listener);
        let mut socket = Socket::new(family, Kind::Stream, Body::Connection(Box::new(connection)));
        socket.local = Some(local);
        socket.options = options;
        let Some(child) = self.sockets.insert(socket) else { return };
        if let Some(Body::Listener(queue)) = self.sockets.get_mut(listener).map(|s| &mut s.body) {
            queue.embryos += 1;
        }
        self.flows.insert(hash, child);
        self.deliver(world, child, frame);
        // Not a request after all (to another station, or malformed): it did not leave LISTEN.
        if self.state(child) == Some(State::Listen) {
            self.child_gone(child, listener);
        }
    }

    /// A connection that was not accepted yet went to another state.
    pub(super) fn child_moved(&mut self, child: u32, parent: u32, after: State) {
        match after {
            State::Established | State::CloseWait => {
                let Some(socket) = self.sockets.get_mut(parent) else { return };
                let Body::Listener(listener) = &mut socket.body else { return };
                if !listener.waiting.contains(&child) {
                    listener.embryos -= 1;
                    listener.waiting.push_back(child);
                    socket.changed();
                }
            }
            // Reset or timed out before anybody accepted it. (A reset request goes back to LISTEN.)
            State::Closed | State::Listen => self.child_gone(child, parent),
            _ => {}
        }
    }

    fn child_gone(&mut self, child: u32, parent: u32) {
        if let Some(Body::Listener(listener)) = self.sockets.get_mut(parent).map(|s| &mut s.body) {
            match listener.waiting.iter().position(|number| *number == child) {
                Some(position) => {
                    listener.waiting.remove(position);
                }
                None => listener.embryos = listener.embryos.saturating_sub(1),
            }
        }
        self.discard(child);
    }

    /// The listener goes, and with it whoever waits in its queue.
    pub(super) fn close_listener(&mut self, world: World<'_>, number: u32) {
        let children = self.sockets.numbers().filter(|child| match self.sockets.get(*child).map(|s| &s.body) {
            Some(Body::Connection(connection)) => connection.parent == Some(number),
            _ => false,
        });
        for child in children.collect::<alloc::vec::Vec<_>>() {
            if let Some(connection) = self.sockets.get_mut(child).and_then(|s| s.connection()) {
                connection.parent = None;
                connection.orphan = true;
                connection.tcp_mut().abort();
                self.touch(child);
            }
        }
        self.discard(number);
        self.transmit(world);
        world.frames.flush();
    }

    fn state(&self, number: u32) -> Option<State> {
        match &self.sockets.get(number)?.body {
            Body::Connection(connection) => Some(connection.tcp().state()),
            _ => None,
        }
    }
}
