//! What is due on its way out, and what became of a connection after each step.

use super::socket::{Body, Connection};
use super::{Inet, World};
use crate::ip::Way;
use crate::tcp::State;
use crate::time::Duration;

/// A connection without a way to its peer tries again after this long.
const AGAIN: Duration = Duration::from_secs(1);

/// What a connection was like before a step.
#[derive(Clone, Copy)]
pub(super) struct Snapshot {
    state: State,
    readable: usize,
}

impl Connection {
    pub(super) fn snapshot(&self) -> Snapshot {
        Snapshot { state: self.tcb.state(), readable: self.tcb.readable() }
    }
}

impl Inet {
    /// Lets every dirty socket transmit, as far as the link has room.
    pub(super) fn transmit(&mut self, world: World<'_>) {
        self.exhausted = false;
        let mut turns = self.dirty.len();
        while turns > 0
            && let Some(number) = self.dirty.pop_front()
        {
            turns -= 1;
            if let Some(socket) = self.sockets.get_mut(number) {
                socket.dirty = false;
                self.transmit_from(world, number);
            }
            if self.exhausted {
                break;
            }
        }
    }

    fn transmit_from(&mut self, world: World<'_>, number: u32) {
        let Some(socket) = self.sockets.get_mut(number) else { return };
        let (local, options) = (socket.local, socket.options);
        let connection = match &mut socket.body {
            Body::Connection(connection) => connection,
            Body::Datagram(_) => return self.drained(world, number),
            _ => return,
        };
        let Some(local) = local else { return };
        let remote = connection.remote;
        match self.ip.way(world.wire(), remote.ip()) {
            Way::Station(station) => {
                let marks = ((options.hop_limit as u8).max(1), options.class as u8);
                let mut link = self.ip.link(world.frames, station, local, remote, marks);
                let sent = connection.tcb.output(world.now, &mut link);
                let due = connection.tcb.deadline();
                if !sent {
                    self.exhausted = true;
                    return self.touch(number);
                }
                self.set_timer(number, due);
            }
            Way::Asking(hop) => {
                self.ip.wait(hop, number);
                let due = connection.tcb.deadline();
                self.set_timer(number, due);
            }
            Way::None => self.set_timer(number, Some(world.now + AGAIN)),
        }
        self.reap(world, number);
    }

    /// A connection's time has come.
    pub(super) fn on_time(&mut self, world: World<'_>, number: u32) {
        let Some(connection) = self.sockets.get_mut(number).and_then(|socket| socket.connection()) else { return };
        let before = connection.snapshot();
        connection.tcb.on_time(world.now);
        self.settle(world, number, before);
        self.touch(number);
    }

    /// Draws the consequences of a step: who is told, and what is an error.
    pub(super) fn settle(&mut self, world: World<'_>, number: u32, before: Snapshot) {
        let epoch = self.epoch;
        let Some(socket) = self.sockets.get_mut(number) else { return };
        let Body::Connection(connection) = &mut socket.body else { return };
        let after = connection.snapshot();
        let mut news = false;
        if after.readable > before.readable {
            news = true;
            if connection.epoch != epoch && connection.parent.is_none() && !connection.orphan {
                connection.epoch = epoch;
                self.answers_due += 1;
            }
        }
        if connection.starved {
            let room = connection.tcb.send_room();
            // Linux's rule (sk_stream_is_writeable): a third of the buffer is free.
            if room >= (room + connection.tcb.pending()) / 3 {
                connection.starved = false;
                news = true;
            }
        }
        if after.state != before.state {
            news = true;
            let parent = connection.parent;
            socket.moved(before.state, after.state);
            if after.state == State::Closed {
                self.forget_flow(number);
            }
            if let Some(parent) = parent {
                self.child_moved(world, number, parent, after.state);
            }
        }
        if news && let Some(socket) = self.sockets.get(number) {
            socket.changed();
        }
    }

    /// Lets go of a connection that nobody has any more, once nothing is left to do for it.
    pub(super) fn reap(&mut self, world: World<'_>, number: u32) {
        let Some(socket) = self.sockets.get_mut(number) else { return };
        let Body::Connection(connection) = &mut socket.body else { return };
        if !connection.orphan {
            return;
        }
        let tcb = &mut connection.tcb;
        match tcb.state() {
            // Data for a program that is gone: the peer is told (RFC 9293 §3.10.7.4; RFC 1122 §4.2.2.13).
            state if tcb.readable() > 0 && state != State::Closed => {
                tcb.abort();
                self.touch(number);
            }
            State::Closed if !tcb.owes() => self.discard(number),
            State::TimeWait if !tcb.owes() => {
                let ends = (tcb.expected(), tcb.sent_end());
                if let Some(local) = socket.local {
                    let flow = (local, connection.remote);
                    let hash = self.flow_hash(flow);
                    self.waits.insert(world.now, hash, flow, ends);
                }
                self.discard(number);
            }
            _ => {}
        }
    }

    /// Segments between these ends are not this connection's any more.
    fn forget_flow(&mut self, number: u32) {
        let Some(socket) = self.sockets.get(number) else { return };
        if let (Body::Connection(connection), Some(local)) = (&socket.body, socket.local) {
            let hash = self.flow_hash((local, connection.remote));
            self.flows.remove(hash, number);
        }
    }

    /// Takes a socket out of every table.
    pub(super) fn discard(&mut self, number: u32) {
        self.forget_flow(number);
        self.release_port(number);
        self.sockets.remove(number);
    }
}
