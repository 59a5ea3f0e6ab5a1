//! TCP/IP over Ethernet: smoltcp's protocols behind our own tables, so that work is done only where there is some.
//!
//! smoltcp's `poll` asks every socket about every frame and again about every transmission. Here each connection is a
//! socket set of its own. A received frame is looked at first ([`classify`]) and given to the one socket that it is for;
//! connections that may have something to send stand in a list, and those that wait for a time in a heap. A connection
//! request makes its socket when it arrives, so a listener costs nothing but its queue.
//!
//! | file | what |
//! |---|---|
//! | `mod` | [`Inet`]: set-up, polling, the lists |
//! | `ingress`, `egress` | a frame on its way in; what is due on its way out |
//! | `calls` | what every socket can be asked for |
//! | `stream`, `listen`, `datagram` | connections; how they come to be accepted; UDP |
//! | `options` | socket options |
//! | `ports` | who is bound where |
//! | `address` | the interface's address: given, or DHCP |
//! | `resolve` | names |
//! | `time_wait` | what is left of a closed connection |
//! | `classify`, `index`, `slab`, `socket`, `phy` | the tables and seams under these |
//!
//! # When it transmits
//! A `send` goes out at once, unless several connections became readable at once and have not been answered: then
//! their answers leave together with the last of them, or when the scheduler polls. One kick for a burst is what the
//! device costs (facts of the platform: an exit each), and a program that answers one request at a time waits for nothing.
//!
//! Time, memory and randomness are arguments, and so is the link: the tests run two of these against each other.

mod address;
mod calls;
mod classify;
mod datagram;
mod egress;
mod index;
mod ingress;
mod listen;
mod options;
mod phy;
mod ports;
mod resolve;
mod slab;
mod socket;
mod stream;
mod time_wait;

pub(crate) use resolve::Answer;

use crate::random::{HashKey, Random};
use address::Addressing;
use alloc::collections::{BinaryHeap, VecDeque};
use alloc::vec::Vec;
use core::cmp::Reverse;
use core::net::{IpAddr, SocketAddr};
use device::{Capabilities, Frames};
use index::Index;
use memory::Admission;
use phy::Phy;
use resolve::Resolver;
use slab::Slab;
use smoltcp::iface::{Config, Interface, SocketSet};
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{EthernetAddress, HardwareAddress};
use time_wait::TimeWait;

/// At most this many frames are taken in one poll: others want the CPU too.
const FRAMES_A_POLL: usize = 256;
/// How long after asking for a neighbour its answer may still come.
const ASKING: Duration = Duration::from_secs(3);

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
    interface: Interface,
    capabilities: Capabilities,
    addressing: Addressing,
    /// For frames that are nobody's: what smoltcp itself answers (ARP, echo, resets).
    nobody: SocketSet<'static>,
    sockets: Slab,
    admission: Admission,
    /// Connections, by both ends.
    flows: Index,
    /// Bound sockets, by kind and port.
    ports: Index,
    key: HashKey,
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
    /// Until when a neighbour's answer may come.
    asking_until: Instant,
}

impl Inet {
    /// A stack on this link.
    pub(crate) fn new(world: World<'_>, network: Network, seed: [u8; 32]) -> Self {
        let mut random = Random::new(seed);
        let capabilities = world.frames.capabilities();
        let station = EthernetAddress(world.frames.address());
        let mut config = Config::new(HardwareAddress::Ethernet(station));
        config.random_seed = random.word();
        let mut phy = Phy::new(world.frames, capabilities, None);
        let mut interface = Interface::new(config, &mut phy, world.now);
        let addressing = Addressing::new(&mut interface, station, network);
        Self {
            interface,
            capabilities,
            addressing,
            nobody: SocketSet::new(Vec::new()),
            sockets: Slab::default(),
            admission: Admission::default(),
            flows: Index::default(),
            ports: Index::default(),
            key: random.hash_key(),
            random,
            dirty: VecDeque::new(),
            timers: BinaryHeap::new(),
            waits: TimeWait::default(),
            resolver: Resolver::default(),
            answers_due: 0,
            epoch: 1,
            exhausted: false,
            asking_until: Instant::ZERO,
        }
    }

    /// Takes what has arrived, does what is due, sends what there is; true if anything happened.
    pub(crate) fn poll(&mut self, world: World<'_>) -> bool {
        let mut taken = 0;
        while taken < FRAMES_A_POLL && world.frames.receive(&mut |frame, checked| self.ingress(world, frame, checked)) {
            taken += 1;
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
        [timer, self.addressing.deadline(), self.resolver.deadline()].into_iter().flatten().min()
    }

    /// Has the interface an IPv4 address?
    pub(crate) fn is_configured(&self) -> bool {
        self.addressing.is_configured()
    }

    /// Is this one of the interface's addresses?
    pub(crate) fn has_address(&self, address: IpAddr) -> bool {
        self.interface.has_ip_addr(address)
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
                self.touch(number);
            }
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
        let ports = u64::from(local.port()) << 16 | u64::from(remote.port());
        let (a, b) = (fold_address(local.ip()), fold_address(remote.ip()));
        self.key.hash([ports, a, b])
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

/// An address in one word; the hash's key makes up for IPv6's halves meeting.
fn fold_address(address: IpAddr) -> u64 {
    match address {
        IpAddr::V4(v4) => u64::from(v4.to_bits()),
        IpAddr::V6(v6) => {
            let bits = v6.to_bits();
            (bits >> 64) as u64 ^ (bits as u64).rotate_left(1) | 1 << 63
        }
    }
}

#[cfg(test)]
mod tests;
