//! Neighbour discovery's messages (RFC 4861 §4): asked, answered, and routers' advertisements.

use super::autoconf::{Prefix, Task};
use super::packet::{ICMP6, Packet, v6_at, word};
use super::{Ip, Wire};
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv6Addr};

const ROUTER_SOLICITATION: u8 = 133;
const ROUTER_ADVERTISEMENT: u8 = 134;
const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;
/// Options: the sender's station, the target's.
const SOURCE_STATION: u8 = 1;
const TARGET_STATION: u8 = 2;
/// §11.2: only a message that no router has passed on is believed.
const HOPS: u8 = 255;
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);

/// The group of those whose address ends so (RFC 4291 §2.7.1).
pub(super) fn solicited_group(address: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = address.octets();
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | u16::from(a), u16::from(b) << 8 | u16::from(c))
}

/// RFC 2464 §7.
pub(super) fn group_station(group: Ipv6Addr) -> [u8; 6] {
    let [.., a, b, c, d] = group.octets();
    [0x33, 0x33, a, b, c, d]
}

impl Ip {
    /// Asks where a neighbour is: everybody who may have its address, or the station that had it.
    pub(super) fn solicit(&mut self, wire: Wire<'_>, target: Ipv6Addr, station: Option<[u8; 6]>) {
        let Some(source) = self.v6.source(target) else { return };
        let group = solicited_group(target);
        let (to, destination) = match station {
            Some(station) => (station, target),
            None => (group_station(group), group),
        };
        let body = self.about(SOLICITATION, 0, target, Some(SOURCE_STATION));
        self.send_message(wire, to, source, destination, body);
    }

    /// Sends what time makes due; true if that was anything.
    pub(super) fn configure(&mut self, wire: Wire<'_>) -> bool {
        let mut any = false;
        while let Some(task) = self.v6.on_time(wire.now) {
            any = true;
            match task {
                Task::Check(address) => {
                    let group = solicited_group(address);
                    let body = self.about(SOLICITATION, 0, address, None);
                    self.send_message(wire, group_station(group), Ipv6Addr::UNSPECIFIED, group, body);
                }
                Task::Solicit => {
                    let source = self.v6.link_local();
                    let mut body = alloc::vec![ROUTER_SOLICITATION, 0, 0, 0, 0, 0, 0, 0];
                    if source.is_some() {
                        body.extend([SOURCE_STATION, 1]);
                        body.extend(self.station);
                    }
                    let source = source.unwrap_or(Ipv6Addr::UNSPECIFIED);
                    self.send_message(wire, group_station(ALL_ROUTERS), source, ALL_ROUTERS, body);
                }
            }
        }
        any
    }

    /// A message about an address, with our station as an option.
    fn about(&self, kind: u8, flags: u8, target: Ipv6Addr, option: Option<u8>) -> Vec<u8> {
        let mut body = alloc::vec![kind, 0, 0, 0, flags, 0, 0, 0];
        body.extend(target.octets());
        if let Some(option) = option {
            body.extend([option, 1]);
            body.extend(self.station);
        }
        body
    }

    fn send_message(&self, wire: Wire<'_>, to: [u8; 6], source: Ipv6Addr, destination: Ipv6Addr, mut body: Vec<u8>) {
        self.send_icmp(wire, to, source.into(), destination.into(), HOPS, &mut body);
    }

    /// Takes a message of ICMPv6; true if it was one of these.
    pub(crate) fn discovery_arrived(&mut self, wire: Wire<'_>, packet: &Packet<'_>) -> bool {
        let (IpAddr::V6(source), IpAddr::V6(destination)) = (packet.source, packet.destination) else { return false };
        let message = packet.payload;
        let kind = message.first().copied().unwrap_or(0);
        if packet.protocol != ICMP6 || !(ROUTER_SOLICITATION..=137).contains(&kind) {
            return false;
        }
        if packet.hop_limit != HOPS || message.get(1) != Some(&0) {
            return true;
        }
        match kind {
            ROUTER_ADVERTISEMENT if source.is_unicast_link_local() => self.advertised(wire, source, message),
            SOLICITATION if message.len() >= 24 => self.solicited(wire, source, destination, message),
            ADVERTISEMENT if message.len() >= 24 => {
                let target = v6_at(message, 8);
                if self.v6.claims(target) {
                    self.v6.conflict(target);
                } else if let Some(station) = station(message, 24, TARGET_STATION) {
                    self.heard(wire, target.into(), station, false);
                }
            }
            // Redirects (§8) are not followed: any station could send them.
            _ => {}
        }
        true
    }

    fn solicited(&mut self, wire: Wire<'_>, source: Ipv6Addr, destination: Ipv6Addr, message: &[u8]) {
        const SOLICITED_OVERRIDE: u8 = 0x60;
        const OVERRIDE: u8 = 0x20;
        let target = v6_at(message, 8);
        if source.is_unspecified() {
            // Somebody else wants this address (RFC 4862 §5.4.3).
            if destination == solicited_group(target) && !self.v6.conflict(target) && self.v6.has(target) {
                let body = self.about(ADVERTISEMENT, OVERRIDE, target, Some(TARGET_STATION));
                self.send_message(wire, group_station(ALL_NODES), target, ALL_NODES, body);
            }
            return;
        }
        if !self.v6.has(target) {
            return;
        }
        let Some(station) = station(message, 24, SOURCE_STATION).or_else(|| match self.way(wire, source.into()) {
            super::Way::Station(station) => Some(station),
            _ => None,
        }) else {
            return;
        };
        self.heard(wire, source.into(), station, true);
        let body = self.about(ADVERTISEMENT, SOLICITED_OVERRIDE, target, Some(TARGET_STATION));
        self.send_message(wire, station, target, source, body);
    }

    /// §6.3.4.
    fn advertised(&mut self, wire: Wire<'_>, router: Ipv6Addr, message: &[u8]) {
        if message.len() < 16 {
            return;
        }
        self.v6.router(wire.now, router, word(message, 6));
        if let Some(station) = station(message, 16, SOURCE_STATION) {
            self.heard(wire, router.into(), station, true);
        }
        for (kind, value) in options(message, 16) {
            match kind {
                3 if value.len() == 30 => {
                    let told = Prefix {
                        prefix: v6_at(value, 14),
                        length: value[0],
                        on_link: value[1] & 0x80 != 0,
                        autonomous: value[1] & 0x40 != 0,
                        valid: long(value, 2),
                        preferred: long(value, 6),
                    };
                    self.v6.prefix(wire.now, told);
                }
                5 if value.len() == 6 => self.v6.set_mtu(long(value, 2)),
                25 if value.len() >= 22 => {
                    for server in value[6..].chunks_exact(16) {
                        self.v6.name_server(wire.now, v6_at(server, 0), long(value, 2));
                    }
                }
                _ => {}
            }
        }
    }
}

/// The options from `at` on (§4.6): kind and value. A malformed one ends them.
fn options(message: &[u8], at: usize) -> impl Iterator<Item = (u8, &[u8])> {
    let mut rest = message.get(at..).unwrap_or(&[]);
    core::iter::from_fn(move || {
        let (kind, length) = (*rest.first()?, usize::from(*rest.get(1)?) * 8);
        let value = rest.get(2..length)?;
        rest = &rest[length..];
        Some((kind, value))
    })
}

/// The station that an option tells.
fn station(message: &[u8], at: usize, kind: u8) -> Option<[u8; 6]> {
    options(message, at).find(|(own, _)| *own == kind).and_then(|(_, value)| value.first_chunk::<6>().copied())
}

fn long(bytes: &[u8], at: usize) -> u32 {
    u32::from(word(bytes, at)) << 16 | u32::from(word(bytes, at + 2))
}
