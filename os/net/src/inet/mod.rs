//! The stack's sockets: tables in front of [`crate::tcp`] and [`crate::ip`], so that work is done only where there is some.
//!
//! A received segment is given to the one connection that it is for, found by both ends; connections that may have
//! something to send stand in a list, and those that wait for a time in a heap. Nobody walks over the sockets: what an
//! idle connection costs is its memory, some hundred bytes. A connection request makes its socket when it arrives, so a
//! listener costs nothing but its queue, and a flood of requests that nobody follows up is answered from cookies.
//!
//! | file | what |
//! |---|---|
//! | `mod` | [`Inet`]: set-up, polling, the lists |
//! | `ingress`, `egress` | a frame on its way in; what is due on its way out |
//! | `troubles` | what ICMP and missing neighbours mean to sockets |
//! | `calls` | what every socket can be asked for |
//! | `stream`, `listen`, `cookie`, `datagram` | connections; how they come to be accepted; UDP |
//! | `options` | socket options |
//! | `ports` | who is bound where |
//! | `configure` | the interface's IPv4 address: given, or DHCP |
//! | `resolve` | names |
//! | `time_wait` | what is left of a closed connection |
//! | `slab`, `socket` | the tables under these |
//!
//! # When it transmits
//! A `send` goes out at once, unless several connections became readable at once and have not been answered: then
//! their answers leave together with the last of them, or when the scheduler polls. One kick for a burst is what the
//! device costs (facts of the platform: an exit each), and a program that answers one request at a time waits for nothing.
//!
//! Time, memory and randomness are arguments, and so is the link: the tests run two of these against each other.

mod calls;
mod configure;
mod cookie;
mod datagram;
mod egress;
mod ingress;
mod listen;
mod options;
mod ports;
mod resolve;
mod slab;
mod socket;
mod stream;
mod time_wait;
mod troubles;

pub(crate) use resolve::Answer;

use crate::index::Index;
use crate::ip::{Ip, Wire};
use crate::random::{HashKey, Random};
use crate::time::Instant;
use alloc::collections::{BinaryHeap, VecDeque};
use alloc::vec::Vec;
use configure::Configuration;
use core::cmp::Reverse;
use core::net::{IpAddr, SocketAddr};
use device::Frames;
use memory::Admission;
use resolve::Resolver;
use slab::Slab;
use stream::Rooms;
use time_wait::TimeWait;

/// At most this many frames are taken in one poll: others want the CPU too.
const FRAMES_A_POLL: usize = 256;
/// After so many frames the memory is looked at again.
const FRAMES_A_LOOK: usize = 16;

/// What a call into the stack is given of the world.
#[derive(Clone, Copy)]
pub(crate) struct World<'a> {
    /// The link.
    pub(crate) frames: &'a dyn Frames,
    /// The monotonic time.
    pub(crate) now: Instant,
    /// Bytes of memory that nobody has, at this moment.
    pub(crate) memory: &'a dyn Fn() -> usize,
}

impl<'a> World<'a> {
    fn wire(&self) -> Wire<'a> {
        Wire { frames: self.frames, now: self.now }
    }
}

/// A connection: our end, the other end.
type Flow = (SocketAddr, SocketAddr);

/// What the far side already knows of the network.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Network {
    /// IPv4 address and prefix length, or `None`: DHCP.
    pub(crate) address: Option<([u8; 4], u8)>,
    /// IPv4 gateway.
    pub(crate) gateway: Option<[u8; 4]>,
    /// Name server.
    pub(crate) name_server: Option<[u8; 4]>,
}

/// The stack.
pub(crate) struct Inet {
    ip: Ip,
    configuration: Configuration,
    sockets: Slab,
    admission: Admission,
    /// What each connection may hold, by the memory that is free.
    rooms: Rooms,
    /// Connections, by both ends.
    flows: Index,
    /// Bound sockets, by kind and port.
    ports: Index,
    key: HashKey,
    /// For numbers that others see: sequence numbers (RFC 6528), cookies.
    secret: HashKey,
    random: Random,
    /// Sockets that may have something to send; each has `dirty` set.
    dirty: VecDeque<u32>,
    timers: BinaryHeap<Reverse<(Instant, u32)>>,
    waits: TimeWait,
    resolver: Resolver,
    /// Connections that became readable since the machine last had nothing to do, and were not answered yet.
    answers_due: usize,
    /// Counts those idle moments; never 0.
    epoch: u32,
    /// The link had no room; the list of the dirty waits for some.
    exhausted: bool,
    /// Datagrams that the device was not told of yet.
    gathered: u32,
}

impl Inet {
    /// A stack on this link.
    pub(crate) fn new(world: World<'_>, network: Network, seed: [u8; 32]) -> Self {
        let mut random = Random::new(seed);
        let mut ip = Ip::new(world.wire(), random.hash_key(), random.word() as u32);
        let configuration = Configuration::new(world.wire(), &mut ip, network, &mut random);
        Self {
            ip,
            configuration,
            sockets: Slab::default(),
            admission: Admission::default(),
            rooms: Rooms::of((world.memory)()),
            flows: Index::default(),
            ports: Index::default(),
            key: random.hash_key(),
            secret: random.hash_key(),
            random,
            dirty: VecDeque::new(),
            timers: BinaryHeap::new(),
            waits: TimeWait::default(),
            resolver: Resolver::default(),
            answers_due: 0,
            epoch: 1,
            exhausted: false,
            gathered: 0,
        }
    }

    /// Takes what has arrived, does what is due, sends what there is; true if anything happened.
    pub(crate) fn poll(&mut self, world: World<'_>) -> bool {
        let mut taken = 0;
        self.rooms = Rooms::of((world.memory)());
        while taken < FRAMES_A_POLL && world.frames.receive(&mut |frame, checked| self.ingress(world, frame, checked)) {
            taken += 1;
            if taken % FRAMES_A_LOOK == 0 {
                self.rooms = Rooms::of((world.memory)());
            }
        }
        let due = self.expire(world);
        if taken > 0 || due || self.exhausted || !self.dirty.is_empty() {
            self.transmit(world);
            world.frames.flush();
            return taken > 0 || due;
        }
        false
    }

    /// Before the machine sleeps: true if there is something to do already.
    pub(crate) fn arm(&mut self, world: World<'_>) -> bool {
        self.answers_due = 0;
        self.epoch = self.epoch.wrapping_add(1).max(1);
        world.frames.arm(self.exhausted) || (!self.exhausted && !self.dirty.is_empty())
    }

    /// When something is due next.
    pub(crate) fn deadline(&mut self) -> Option<Instant> {
        let timer = self.next_timer();
        let others = [self.ip.deadline(), self.configuration.deadline(), self.resolver.deadline()];
        others.into_iter().chain([timer]).flatten().min()
    }

    /// Has the interface an IPv4 address?
    pub(crate) fn is_configured(&self) -> bool {
        self.ip.v4().is_some()
    }

    /// The interface's addresses, each with the bits of its prefix.
    pub(crate) fn addresses(&self) -> Vec<(IpAddr, u8)> {
        self.ip.addresses().collect()
    }

    /// Is this one of the interface's addresses?
    pub(crate) fn has_address(&self, address: IpAddr) -> bool {
        self.ip.has(address)
    }

    /// Does what is due at this time; true if anything was.
    fn expire(&mut self, world: World<'_>) -> bool {
        let mut due = false;
        while let Some(at) = self.next_timer().filter(|at| *at <= world.now) {
            let Some(Reverse((_, number))) = self.timers.pop() else { break };
            due = true;
            if let Some(socket) = self.sockets.get_mut(number)
                && socket.timer == Some(at)
            {
                (socket.timer, socket.due) = (None, None);
                self.on_time(world, number);
            }
        }
        if self.ip.on_time(world.wire()) {
            due = true;
            self.neighbours_changed();
            self.neighbours_failed(world);
        }
        due |= self.configure(world);
        due | self.resolve_due(world)
    }

    /// Puts a socket into the list of those that may have something to send.
    fn touch(&mut self, number: u32) {
        if let Some(socket) = self.sockets.get_mut(number)
            && !socket.dirty
        {
            socket.dirty = true;
            self.dirty.push_back(number);
        }
    }

    /// Wakes a socket at this time, or, for `None`, no more. A time that moves on leaves the heap as it is until the
    /// old one comes to its top ([`Inet::next_timer`]): most are never reached.
    fn set_timer(&mut self, number: u32, due: Option<Instant>) {
        if let Some(socket) = self.sockets.get_mut(number) {
            socket.due = due;
            if let Some(at) = due
                && socket.timer.is_none_or(|timer| at < timer)
            {
                socket.timer = Some(at);
                self.timers.push(Reverse((at, number)));
            }
        }
    }

    /// When the first socket wants to be woken.
    fn next_timer(&mut self) -> Option<Instant> {
        while let Some(Reverse((at, number))) = self.timers.peek().copied() {
            let socket = self.sockets.get_mut(number).filter(|socket| socket.timer == Some(at));
            match socket.as_ref().and_then(|socket| socket.due) {
                Some(due) if due <= at => return Some(at),
                due => {
                    self.timers.pop();
                    if let Some(socket) = socket {
                        socket.timer = due;
                    }
                    if let Some(due) = due {
                        self.timers.push(Reverse((due, number)));
                    }
                }
            }
        }
        None
    }

    fn flow_hash(&self, (local, remote): Flow) -> u32 {
        self.key.flow(local, remote)
    }

    /// The connection between these ends.
    fn flow(&self, hash: u32, (local, remote): Flow) -> Option<u32> {
        self.flows.find(hash).find(|number| {
            self.sockets.get(*number).is_some_and(|socket| match &socket.body {
                socket::Body::Connection(c) => c.remote == remote && socket.local == Some(local),
                _ => false,
            })
        })
    }
}

#[cfg(test)]
mod tests;
