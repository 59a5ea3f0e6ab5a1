//! IP over Ethernet: addresses, routes and neighbours of one interface, and what IP answers by itself.
//!
//! | file | what | by |
//! |---|---|---|
//! | `mod` | the interface; where a packet goes | RFC 1122, RFC 4861 §5.2, RFC 6724 |
//! | `packet` | packets read and written | RFC 791, RFC 8200 |
//! | `neighbour`, `arp` | which station has an address | RFC 826 |
//! | `ndp`, `autoconf` | the same for IPv6; addresses and routers from advertisements | RFC 4861, RFC 4862, RFC 8106 |
//! | `icmp` | echo, errors | RFC 792, RFC 4443 |
//! | `fragments`, `paths` | packets in pieces; how large a packet may be | RFC 791, RFC 5722; RFC 1191, RFC 8201 |
//! | `dhcp` | IPv4 addresses from a server | RFC 2131 |

mod arp;
mod autoconf;
pub(crate) mod dhcp;
mod fragments;
pub(crate) mod icmp;
mod ndp;
mod neighbour;
pub(crate) mod packet;
mod paths;
mod send;

pub(crate) use neighbour::Waiting;
pub(crate) use send::Sent;

use crate::random::HashKey;
use crate::time::Instant;
use autoconf::Autoconf;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use device::{Capabilities, Frames};
use fragments::Fragments;
use neighbour::{Due, Lookup, Neighbours};
use packet::{Fragment, Packet};
use paths::Paths;

/// The interface's IPv4 address, and what belongs to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct V4 {
    pub(crate) address: Ipv4Addr,
    pub(crate) prefix: u8,
    pub(crate) gateway: Option<Ipv4Addr>,
}

/// The link, and the time.
#[derive(Clone, Copy)]
pub(crate) struct Wire<'a> {
    pub(crate) frames: &'a dyn Frames,
    pub(crate) now: Instant,
}

/// Where a packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// To this station.
    Station([u8; 6]),
    /// To this neighbour, whose station is being asked for.
    Asking(IpAddr),
    /// There is none.
    None,
}

/// The interface.
pub(crate) struct Ip {
    station: [u8; 6],
    capabilities: Capabilities,
    key: HashKey,
    v4: Option<V4>,
    v6: Autoconf,
    neighbours: Neighbours,
    fragments: Fragments,
    paths: Paths,
    /// Identifies packets that are sent in pieces.
    id: u32,
    errors: icmp::Limit,
    /// What may go on now that a neighbour was heard of.
    pub(crate) ready: Waiting,
    /// What waited for a neighbour that is not there.
    pub(crate) failed: Waiting,
}

impl Ip {
    pub(crate) fn new(wire: Wire<'_>, key: HashKey, id: u32) -> Self {
        let station = wire.frames.address();
        Self {
            station,
            capabilities: wire.frames.capabilities(),
            key,
            v4: None,
            v6: Autoconf::new(wire.now, station),
            neighbours: Neighbours::default(),
            fragments: Fragments::default(),
            paths: Paths::default(),
            id,
            errors: icmp::Limit::default(),
            ready: Waiting::default(),
            failed: Waiting::default(),
        }
    }

    pub(crate) fn v4(&self) -> Option<V4> {
        self.v4
    }

    /// Sets the IPv4 address, or takes it away, and tells the neighbours (RFC 5227 §3).
    pub(crate) fn set_v4(&mut self, wire: Wire<'_>, v4: Option<V4>) {
        self.v4 = v4.filter(|v4| !v4.address.is_unspecified() && !v4.address.is_multicast());
        if let Some(v4) = self.v4 {
            self.announce(wire, v4.address);
        }
    }

    /// Name servers that routers told of.
    pub(crate) fn name_servers(&self) -> impl Iterator<Item = IpAddr> {
        self.v6.name_servers().map(IpAddr::V6)
    }

    /// Is this one of the interface's own addresses?
    pub(crate) fn has(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(v4) => self.v4.is_some_and(|own| own.address == v4),
            IpAddr::V6(v6) => self.v6.has(v6),
        }
    }

    /// All of them, each with the bits of its prefix.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = (IpAddr, u8)> {
        let four = self.v4.map(|own| (own.address.into(), own.prefix));
        four.into_iter().chain(self.v6.addresses().map(|address| (address.into(), 64)))
    }

    /// Do packets to this IPv4 address concern every station here?
    pub(crate) fn is_broadcast(&self, address: Ipv4Addr) -> bool {
        address.is_broadcast() || self.v4.is_some_and(|own| own.prefix < 31 && own.last() == address)
    }

    /// Is there a way to this address?
    pub(crate) fn reaches(&self, address: IpAddr) -> bool {
        self.source(address).is_some()
            && match address {
                IpAddr::V4(v4) if v4.is_broadcast() || v4.is_multicast() => true,
                IpAddr::V6(v6) if v6.is_multicast() => true,
                _ => self.next_hop(address).is_some(),
            }
    }

    /// The address that packets to `destination` come from (RFC 6724 §5, as far as one interface goes).
    pub(crate) fn source(&self, destination: IpAddr) -> Option<IpAddr> {
        match destination {
            IpAddr::V4(_) => self.v4.map(|own| own.address.into()),
            IpAddr::V6(v6) => self.v6.source(v6).map(IpAddr::V6),
        }
    }

    /// The neighbour that packets to `destination` go to.
    fn next_hop(&self, destination: IpAddr) -> Option<IpAddr> {
        match destination {
            IpAddr::V4(v4) => {
                let own = self.v4?;
                if own.contains(v4) { Some(destination) } else { own.gateway.map(IpAddr::V4) }
            }
            IpAddr::V6(v6) => self.v6.next_hop(v6).map(IpAddr::V6),
        }
    }

    /// The way to an address; who is not known is asked for.
    pub(crate) fn way(&mut self, wire: Wire<'_>, destination: IpAddr) -> Way {
        if let Some(station) = self.group(destination) {
            return Way::Station(station);
        }
        let Some(hop) = self.next_hop(destination) else { return Way::None };
        match self.neighbours.look_up(self.key, wire.now, hop) {
            Lookup::Known(station) => Way::Station(station),
            Lookup::Doubtful(station) => {
                self.ask(wire, hop, Some(station));
                Way::Station(station)
            }
            Lookup::Asked => Way::Asking(hop),
            Lookup::Unknown => {
                self.ask(wire, hop, None);
                Way::Asking(hop)
            }
        }
    }

    /// A socket wants to send by way of this neighbour once it is known.
    pub(crate) fn wait(&mut self, hop: IpAddr, socket: u32) {
        self.neighbours.wait(self.key, hop, socket);
    }

    /// The station that stands for a group of them (RFC 1112 §6.4, RFC 2464 §7).
    fn group(&self, destination: IpAddr) -> Option<[u8; 6]> {
        match destination {
            IpAddr::V4(v4) if self.is_broadcast(v4) => Some([0xff; 6]),
            IpAddr::V4(v4) if v4.is_multicast() => {
                let [_, b, c, d] = v4.octets();
                Some([1, 0, 0x5e, b & 0x7f, c, d])
            }
            IpAddr::V6(v6) if v6.is_multicast() => Some(ndp::group_station(v6)),
            _ => None,
        }
    }

    fn ask(&mut self, wire: Wire<'_>, neighbour: IpAddr, station: Option<[u8; 6]>) {
        match neighbour {
            IpAddr::V4(v4) => self.ask_arp(wire, v4, station),
            IpAddr::V6(v6) => self.solicit(wire, v6, station),
        }
    }

    /// Takes a neighbour's word for where it is.
    fn heard(&mut self, wire: Wire<'_>, address: IpAddr, station: [u8; 6], adds: bool) {
        let mut waiting = self.neighbours.heard(self.key, wire.now, address, station, adds);
        for frame in waiting.addressed(station) {
            wire.frames.transmit(frame.len(), &mut |out| {
                out.copy_from_slice(frame);
                None
            });
        }
        self.ready.sockets.append(&mut waiting.sockets);
    }

    /// When something is due.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        [self.neighbours.deadline(), self.v6.deadline()].into_iter().flatten().min()
    }

    /// Does what is due; true if anything was.
    pub(crate) fn on_time(&mut self, wire: Wire<'_>) -> bool {
        let mut any = self.configure(wire);
        while let Some(due) = self.neighbours.due(wire.now) {
            any = true;
            match due {
                Due::Ask(address, station) => self.ask(wire, address, station),
                Due::Gone(mut waiting) => {
                    self.failed.sockets.append(&mut waiting.sockets);
                    self.failed.frames.append(&mut waiting.frames);
                }
            }
        }
        any
    }

    /// Takes a fragment; the whole payload once it is there.
    pub(crate) fn assemble(
        &mut self,
        now: Instant,
        packet: &Packet<'_>,
        fragment: Fragment,
    ) -> Option<alloc::vec::Vec<u8>> {
        self.fragments.take(now, packet, fragment)
    }

    /// The largest packet that goes to an address in one piece, in bytes.
    pub(crate) fn mtu(&self, now: Instant, destination: IpAddr) -> usize {
        let link = self.link_mtu(destination);
        self.paths.mtu(now, destination).map_or(link, |path| path.min(link))
    }

    /// The same, as far as the link goes.
    pub(crate) fn link_mtu(&self, destination: IpAddr) -> usize {
        let link = self.capabilities.frame_max - packet::ETHERNET;
        if destination.is_ipv6() { self.v6.mtu(link) } else { link }
    }

    /// A router says that packets to an address may be no larger than this.
    pub(crate) fn narrow(&mut self, now: Instant, destination: IpAddr, mtu: usize) {
        self.paths.narrow(now, destination, mtu);
    }
}

impl V4 {
    fn mask(&self) -> u32 {
        u32::MAX.checked_shl(32 - u32::from(self.prefix.min(32))).unwrap_or(0)
    }

    fn contains(&self, address: Ipv4Addr) -> bool {
        (address.to_bits() ^ self.address.to_bits()) & self.mask() == 0
    }

    fn last(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.address.to_bits() | !self.mask())
    }
}

/// Do the first `length` bits of two IPv6 addresses agree?
fn same_prefix(a: Ipv6Addr, b: Ipv6Addr, length: u8) -> bool {
    let mask = u128::MAX.checked_shl(128 - u32::from(length.min(128))).unwrap_or(0);
    (a.to_bits() ^ b.to_bits()) & mask == 0
}
