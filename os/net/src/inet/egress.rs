//! What is due on its way out, and what became of a connection after each step.

use super::phy::Phy;
use super::socket::{Body, Connection};
use super::{ASKING, Inet, World};
use smoltcp::iface::PollResult;
use smoltcp::socket::tcp::State;
use smoltcp::time::Duration;

/// A busy socket gives way after so many segments; it stays in the list.
const SEGMENTS_A_TURN: usize = 64;
/// A deadline that smoltcp gives as "now" although it sent nothing is looked at again after this long.
const AGAIN: Duration = Duration::from_millis(1);
/// Beyond this a timer of a connection in TIME-WAIT is its end, which is ours to decide ([`super::time_wait`]).
const TIME_WAIT_ACK: Duration = Duration::from_secs(1);

/// How long a peer may leave what was sent to it unanswered (Linux's tcp_retries2 of 15; RFC 1122 §4.2.3.5).
const UNANSWERED: Duration = Duration::from_secs(924);

/// What moved a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// A segment of the peer's.
    Segment,
    /// Time.
    Time,
}

/// What a connection was like before a step.
#[derive(Clone, Copy)]
pub(super) struct Snapshot {
    state: State,
    received: usize,
}

impl Connection {
    pub(super) fn snapshot(&self) -> Snapshot {
        Snapshot { state: self.tcp().state(), received: self.tcp().recv_queue() }
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
        let mut before = None;
        let set = match &mut socket.body {
            Body::Connection(connection) => {
                before = Some(connection.snapshot());
                &mut connection.set
            }
            Body::Datagram(datagram) => match &mut datagram.out {
                Some((set, _)) => set,
                None => return,
            },
            _ => return,
        };
        let mut phy = Phy::new(world.frames, self.capabilities, None);
        let mut segments = 0;
        while segments < SEGMENTS_A_TURN
            && self.interface.poll_egress(world.now, &mut phy, set) == PollResult::SocketStateChanged
        {
            segments += 1;
        }
        if phy.asked {
            self.asking_until = world.now + ASKING;
        }
        let due = self.interface.poll_at(world.now, set);
        self.exhausted |= phy.exhausted;
        if phy.exhausted || segments == SEGMENTS_A_TURN {
            self.touch(number);
        } else {
            let ends =
                |at| matches!(before, Some(Snapshot { state: State::TimeWait, .. })) && at > world.now + TIME_WAIT_ACK;
            self.set_timer(number, due.filter(|at| !ends(*at)).map(|at| at.max(world.now + AGAIN)));
        }
        match before {
            Some(before) => {
                self.settle(number, before, Cause::Time);
                if !self.exhausted {
                    self.reap(world, number);
                }
            }
            None => self.drained(number),
        }
    }

    /// Draws the consequences of a step: who is told, and what is an error.
    pub(super) fn settle(&mut self, number: u32, before: Snapshot, cause: Cause) {
        let epoch = self.epoch;
        let Some(socket) = self.sockets.get_mut(number) else { return };
        let keeps_alive = socket.options.keep_alive;
        let Body::Connection(connection) = &mut socket.body else { return };
        let after = connection.snapshot();
        if !keeps_alive && !connection.orphan && !connection.is_connecting() {
            let tcp = connection.tcp_mut();
            let ending = matches!(after.state, State::FinWait1 | State::Closing | State::LastAck);
            tcp.set_timeout((ending || tcp.send_queue() > 0).then_some(UNANSWERED));
        }
        let mut news = false;
        if after.received > before.received {
            news = true;
            if connection.epoch != epoch && connection.parent.is_none() && !connection.orphan {
                connection.epoch = epoch;
                self.answers_due += 1;
            }
        }
        if connection.starved {
            let tcp = connection.tcp();
            // Linux's rule (sk_stream_is_writeable): a third of the buffer is free.
            if tcp.send_capacity() - tcp.send_queue() >= tcp.send_capacity() / 3 {
                connection.starved = false;
                news = true;
            }
        }
        if after.state != before.state {
            news = true;
            let parent = connection.parent;
            socket.moved(before.state, after.state, cause);
            if let Some(parent) = parent {
                self.child_moved(number, parent, after.state);
            }
        }
        if news && let Some(socket) = self.sockets.get(number) {
            socket.changed();
        }
    }

    /// Lets go of a connection that nobody has any more, once nothing is left to do for it.
    fn reap(&mut self, world: World<'_>, number: u32) {
        let Some(socket) = self.sockets.get_mut(number) else { return };
        let Body::Connection(connection) = &mut socket.body else { return };
        if !connection.orphan {
            return;
        }
        // Data for a program that is gone: the peer is told (RFC 9293 §3.10.7.4; RFC 1122 §4.2.2.13).
        if connection.tcp().can_recv() && connection.tcp().is_active() {
            connection.tcp_mut().abort();
            self.touch(number);
            return;
        }
        match connection.tcp().state() {
            // After an abort the reset has to leave first; then the socket has no ends any more.
            State::Closed if connection.tcp().local_endpoint().is_some() => return,
            State::Closed | State::Listen => {}
            State::TimeWait => {
                if let Some(local) = socket.local {
                    let flow = (local, connection.remote);
                    let hash = self.flow_hash(flow);
                    self.waits.insert(world.now, hash, flow);
                }
            }
            _ => return,
        }
        self.discard(number);
    }

    /// Takes a socket out of every table.
    pub(super) fn discard(&mut self, number: u32) {
        let Some(socket) = self.sockets.get(number) else { return };
        if let (Body::Connection(connection), Some(local)) = (&socket.body, socket.local) {
            let hash = self.flow_hash((local, connection.remote));
            self.flows.remove(hash, number);
        }
        self.release_port(number);
        self.sockets.remove(number);
    }
}
