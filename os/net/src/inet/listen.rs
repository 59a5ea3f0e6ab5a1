//! Listening: connection requests become sockets when they arrive, and wait in the listener's queue once established.

use super::socket::{Body, Connection, Listener, Socket};
use super::{Flow, Inet, World};
use crate::errno::{EINVAL, EOPNOTSUPP};
use crate::tcp::segment::Segment;
use crate::tcp::{State, Tcb};
use crate::time::Duration;
use alloc::boxed::Box;
use core::net::SocketAddr;
use device::{Error, Kind, SocketId};
use memory::Promise;

/// The longest queue (Linux's somaxconn).
const BACKLOG_MAX: u32 = 4096;
/// A queue that is full of so many requests, or for so long, is being flooded.
const FLOOD: u32 = 64;
const FLOODED: Duration = Duration::from_secs(1);

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

    /// A connection request for a listener. With its queue full, or memory short, it is dropped: the peer asks again. Where
    /// the queue is full of requests that nobody follows up, it is answered with a cookie.
    pub(super) fn open(
        &mut self,
        world: World<'_>,
        station: [u8; 6],
        listener: u32,
        (hash, flow): (u32, Flow),
        request: &Segment<'_>,
    ) {
        let Some(Body::Listener(queue)) = self.sockets.get_mut(listener).map(|s| &mut s.body) else { return };
        if queue.waiting.len() as u32 + queue.embryos >= queue.backlog {
            let crowded = *queue.crowded.get_or_insert(world.now);
            let flooded = queue.embryos >= FLOOD || world.now.since(crowded) >= FLOODED;
            if flooded && (queue.waiting.len() as u32) < queue.backlog {
                self.send_cookie(world, station, flow, request);
            }
            return;
        }
        queue.crowded = None;
        let iss = self.first_sequence(world, flow);
        let Some(terms) = self.terms(world, flow.1.ip(), listener) else { return };
        let Some(promise) = self.admit(world) else { return };
        let tcb = Tcb::answer(world.now, iss, terms, request);
        let Some(child) = self.add_child(listener, (hash, flow), tcb, promise) else { return };
        self.touch(child);
    }

    /// Has a listener as many connections waiting as it may have?
    pub(super) fn queue_is_full(&self, listener: u32) -> bool {
        match self.sockets.get(listener).map(|socket| &socket.body) {
            Some(Body::Listener(queue)) => queue.waiting.len() as u32 >= queue.backlog,
            _ => true,
        }
    }

    /// A connection of a listener that is not accepted yet.
    pub(super) fn add_child(
        &mut self,
        listener: u32,
        (hash, (local, remote)): (u32, Flow),
        tcb: Tcb,
        promise: Promise,
    ) -> Option<u32> {
        let parent = self.sockets.get(listener)?;
        let mut connection = Connection::new(tcb, remote, promise);
        connection.parent = Some(listener);
        let mut socket = Socket::new(parent.family, Kind::Stream, Body::Connection(Box::new(connection)));
        socket.local = Some(local);
        socket.options = parent.options;
        let child = self.sockets.insert(socket)?;
        if let Some(Body::Listener(queue)) = self.sockets.get_mut(listener).map(|s| &mut s.body) {
            queue.embryos += 1;
        }
        self.flows.insert(hash, child);
        Some(child)
    }

    /// A connection that was not accepted yet went to another state.
    pub(super) fn child_moved(&mut self, world: World<'_>, child: u32, parent: u32, after: State) {
        match after {
            State::Established | State::CloseWait => {
                let Some(socket) = self.sockets.get_mut(parent) else { return };
                let Body::Listener(listener) = &mut socket.body else { return };
                if !listener.waiting.contains(&child) {
                    listener.embryos = listener.embryos.saturating_sub(1);
                    listener.waiting.push_back(child);
                    socket.changed();
                }
            }
            // Reset or timed out before anybody accepted it. One that had been established is still accepted, and then
            // tells of its end, as on Linux.
            State::Closed => {
                if let Some(Body::Listener(listener)) = self.sockets.get_mut(parent).map(|s| &mut s.body)
                    && !listener.waiting.contains(&child)
                {
                    listener.embryos = listener.embryos.saturating_sub(1);
                    self.let_go(world, child);
                }
            }
            _ => {}
        }
    }

    /// Nobody will have this connection: it goes once it has told its peer.
    fn let_go(&mut self, world: World<'_>, child: u32) {
        if let Some(connection) = self.sockets.get_mut(child).and_then(|s| s.connection()) {
            connection.parent = None;
            connection.orphan = true;
            connection.tcb.orphaned(world.now);
            connection.tcb.abort();
            self.touch(child);
        }
    }

    /// The listener goes, and with it whoever waits in its queue.
    pub(super) fn close_listener(&mut self, world: World<'_>, number: u32) {
        let children = self.sockets.numbers().filter(|child| match self.sockets.get(*child).map(|s| &s.body) {
            Some(Body::Connection(connection)) => connection.parent == Some(number),
            _ => false,
        });
        for child in children.collect::<alloc::vec::Vec<_>>() {
            self.let_go(world, child);
        }
        self.discard(number);
        self.transmit(world);
        world.frames.flush();
    }
}
