//! What IPv6 knows of its link: its own addresses, found by itself (RFC 4862) and from routers' advertisements, the routers,
//! what is on the link (RFC 4861 §5.1), and name servers (RFC 8106).

use super::same_prefix;
use crate::time::{Duration, Instant};
use alloc::vec::Vec;
use core::net::Ipv6Addr;

/// Bounds of what routers may make us keep.
const ADDRESSES: usize = 8;
const PREFIXES: usize = 8;
const ROUTERS: usize = 4;
const SERVERS: usize = 3;
/// RFC 4861 §10: RETRANS_TIMER, MAX_RTR_SOLICITATIONS, RTR_SOLICITATION_INTERVAL.
const RETRANSMIT: Duration = Duration::from_secs(1);
const SOLICITATIONS: u8 = 3;
const SOLICIT_PAUSE: Duration = Duration::from_secs(4);
/// RFC 4862 §5.5.3 (e): nobody shortens what is left of an address to less.
const TWO_HOURS: u32 = 7200;
const MTU_MIN: usize = 1280;

/// An address of ours.
#[derive(Clone, Copy, Debug)]
pub(super) struct Own {
    pub(super) address: Ipv6Addr,
    /// Nobody else has it.
    pub(super) unique: bool,
    /// When its uniqueness is asked about, or is sure.
    check: Option<Instant>,
    asked: bool,
    preferred: Option<Instant>,
    valid: Option<Instant>,
}

pub(super) struct Autoconf {
    station: [u8; 6],
    own: Vec<Own>,
    /// Each until when; `None` is for ever.
    routers: Vec<(Ipv6Addr, Option<Instant>)>,
    prefixes: Vec<(Ipv6Addr, u8, Option<Instant>)>,
    servers: Vec<(Ipv6Addr, Option<Instant>)>,
    mtu: Option<usize>,
    solicit: Option<(Instant, u8)>,
}

/// What is to be sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Task {
    /// Ask whether anybody has this address (RFC 4862 §5.4.2).
    Check(Ipv6Addr),
    /// Ask for routers.
    Solicit,
}

/// Prefix information (RFC 4861 §4.6.2).
#[derive(Clone, Copy, Debug)]
pub(super) struct Prefix {
    pub(super) prefix: Ipv6Addr,
    pub(super) length: u8,
    pub(super) on_link: bool,
    pub(super) autonomous: bool,
    /// Seconds; all ones is for ever.
    pub(super) valid: u32,
    pub(super) preferred: u32,
}

impl Autoconf {
    pub(super) fn new(now: Instant, station: [u8; 6]) -> Self {
        let mut autoconf = Self {
            station,
            own: Vec::new(),
            routers: Vec::new(),
            prefixes: Vec::new(),
            servers: Vec::new(),
            mtu: None,
            solicit: Some((now + RETRANSMIT + RETRANSMIT, 0)),
        };
        let link_local = autoconf.within(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0));
        autoconf.add(now, link_local, None, None);
        autoconf
    }

    /// Our address with this prefix of 64 bits: the station's is the rest (RFC 4291 appendix A).
    fn within(&self, prefix: Ipv6Addr) -> Ipv6Addr {
        let [a, b, c, d, e, f] = self.station;
        let rest = u64::from_be_bytes([a ^ 2, b, c, 0xff, 0xfe, d, e, f]);
        Ipv6Addr::from_bits(prefix.to_bits() >> 64 << 64 | u128::from(rest))
    }

    fn add(&mut self, now: Instant, address: Ipv6Addr, preferred: Option<Instant>, valid: Option<Instant>) {
        if self.own.len() < ADDRESSES {
            self.own.push(Own { address, unique: false, check: Some(now), asked: false, preferred, valid });
        }
    }

    pub(super) fn has(&self, address: Ipv6Addr) -> bool {
        self.own.iter().any(|own| own.unique && own.address == address)
    }

    /// Those that are ours. Each is the only one with its prefix of 64 bits.
    pub(super) fn addresses(&self) -> impl Iterator<Item = Ipv6Addr> {
        self.own.iter().filter(|own| own.unique).map(|own| own.address)
    }

    /// The link-local address, once it is ours.
    pub(super) fn link_local(&self) -> Option<Ipv6Addr> {
        self.own.iter().find(|own| own.unique && own.address.is_unicast_link_local()).map(|own| own.address)
    }

    pub(super) fn source(&self, destination: Ipv6Addr) -> Option<Ipv6Addr> {
        if destination.is_unicast_link_local() || destination.is_multicast() {
            return self.link_local();
        }
        let global = || self.own.iter().filter(|own| own.unique && !own.address.is_unicast_link_local());
        let shared = |own: &&Own| (own.address.to_bits() ^ destination.to_bits()).leading_zeros();
        // RFC 6724 §5: rule 3, no deprecated ones; rule 8, the longest prefix in common.
        global()
            .filter(|own| own.preferred.is_none_or(|until| until > Instant::ZERO))
            .max_by_key(shared)
            .or_else(|| global().max_by_key(shared))
            .map(|own| own.address)
    }

    pub(super) fn next_hop(&self, destination: Ipv6Addr) -> Option<Ipv6Addr> {
        let on_link = destination.is_unicast_link_local()
            || self.prefixes.iter().any(|(prefix, length, _)| same_prefix(*prefix, destination, *length));
        if on_link { Some(destination) } else { self.routers.first().map(|(router, _)| *router) }
    }

    pub(super) fn name_servers(&self) -> impl Iterator<Item = Ipv6Addr> {
        self.servers.iter().map(|(server, _)| *server)
    }

    pub(super) fn mtu(&self, link: usize) -> usize {
        self.mtu.map_or(link, |mtu| mtu.min(link))
    }

    /// When something is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let own =
            self.own.iter().flat_map(|own| [own.check, own.preferred.filter(|at| *at > Instant::ZERO), own.valid]);
        let rest = self.routers.iter().map(|(_, until)| *until).chain(self.prefixes.iter().map(|(_, _, until)| *until));
        let rest = rest.chain(self.servers.iter().map(|(_, until)| *until));
        own.chain(rest).flatten().chain(self.solicit.map(|(at, _)| at)).min()
    }

    /// Forgets what is over, and says what to send; `None` once nothing is due.
    pub(super) fn on_time(&mut self, now: Instant) -> Option<Task> {
        let lasts = |until: Option<Instant>| until.is_none_or(|until| until > now);
        self.own.retain(|own| lasts(own.valid));
        self.routers.retain(|(_, until)| lasts(*until));
        self.prefixes.retain(|(_, _, until)| lasts(*until));
        self.servers.retain(|(_, until)| lasts(*until));
        for own in &mut self.own {
            if own.preferred.is_some_and(|until| until <= now) {
                // Deprecated (RFC 4862 §5.5.4).
                own.preferred = Some(Instant::ZERO);
            }
            if own.check.is_none_or(|at| at > now) {
                continue;
            }
            if own.asked {
                (own.unique, own.check) = (true, None);
            } else {
                (own.asked, own.check) = (true, Some(now + RETRANSMIT));
                return Some(Task::Check(own.address));
            }
        }
        let (at, tries) = self.solicit.filter(|(at, _)| *at <= now)?;
        self.solicit = (tries + 1 < SOLICITATIONS).then_some((at + SOLICIT_PAUSE, tries + 1));
        Some(Task::Solicit)
    }

    /// Somebody else has an address that was to be ours (RFC 4862 §5.4.5): it is given up. One that is in use is kept.
    pub(super) fn conflict(&mut self, address: Ipv6Addr) -> bool {
        let before = self.own.len();
        self.own.retain(|own| own.unique || own.address != address);
        self.own.len() != before
    }

    /// Is it, or is it to become, ours?
    pub(super) fn claims(&self, address: Ipv6Addr) -> bool {
        self.own.iter().any(|own| own.address == address)
    }

    /// A router is there for so many seconds.
    pub(super) fn router(&mut self, now: Instant, router: Ipv6Addr, seconds: u16) {
        let known = self.routers.iter().position(|(own, _)| *own == router);
        let until = end(now, seconds.into());
        match known {
            Some(at) if seconds == 0 => drop(self.routers.remove(at)),
            Some(at) => self.routers[at].1 = until,
            None if seconds > 0 && self.routers.len() < ROUTERS => self.routers.push((router, until)),
            None => {}
        }
        if seconds > 0 {
            self.solicit = None;
        }
    }

    /// RFC 4861 §6.3.4, RFC 4862 §5.5.3.
    pub(super) fn prefix(&mut self, now: Instant, told: Prefix) {
        if told.prefix.is_unicast_link_local() || told.prefix.is_multicast() || told.length > 128 {
            return;
        }
        if told.on_link {
            let known =
                self.prefixes.iter().position(|(prefix, length, _)| (*prefix, *length) == (told.prefix, told.length));
            let until = end(now, told.valid);
            match known {
                Some(at) if told.valid == 0 => drop(self.prefixes.remove(at)),
                Some(at) => self.prefixes[at].2 = until,
                None if told.valid > 0 && self.prefixes.len() < PREFIXES => {
                    self.prefixes.push((told.prefix, told.length, until));
                }
                None => {}
            }
        }
        if !told.autonomous || told.length != 64 || told.preferred > told.valid {
            return;
        }
        let address = self.within(told.prefix);
        let preferred = end(now, told.preferred);
        match self.own.iter_mut().find(|own| own.address == address) {
            Some(own) => {
                let left = own.valid.map_or(u64::MAX, |until| until.since(now).micros() / 1_000_000);
                if told.valid > TWO_HOURS || u64::from(told.valid) > left {
                    own.valid = end(now, told.valid);
                } else if left > u64::from(TWO_HOURS) {
                    own.valid = end(now, TWO_HOURS);
                }
                own.preferred = preferred;
            }
            None if told.valid > 0 => self.add(now, address, preferred, end(now, told.valid)),
            None => {}
        }
    }

    /// A name server, for so many seconds.
    pub(super) fn name_server(&mut self, now: Instant, server: Ipv6Addr, seconds: u32) {
        self.servers.retain(|(known, _)| *known != server);
        if seconds > 0 && self.servers.len() < SERVERS {
            self.servers.push((server, end(now, seconds)));
        }
    }

    /// What the link takes, as a router says.
    pub(super) fn set_mtu(&mut self, mtu: u32) {
        let mtu = mtu as usize;
        if mtu >= MTU_MIN {
            self.mtu = Some(mtu);
        }
    }
}

/// The end of so many seconds; all ones are for ever.
fn end(now: Instant, seconds: u32) -> Option<Instant> {
    (seconds != u32::MAX).then(|| now + Duration::from_secs(seconds.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATION: [u8; 6] = [2, 0, 0, 0, 0, 1];

    fn told(valid: u32, preferred: u32) -> Prefix {
        let prefix = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0);
        Prefix { prefix, length: 64, on_link: true, autonomous: true, valid, preferred }
    }

    fn settle(autoconf: &mut Autoconf, mut now: Instant) -> Instant {
        for _ in 0..2 {
            while autoconf.on_time(now).is_some() {}
            now = now + RETRANSMIT;
        }
        while autoconf.on_time(now).is_some() {}
        now
    }

    #[test]
    fn an_address_is_used_only_once_nobody_objected() {
        let mut autoconf = Autoconf::new(Instant::ZERO, STATION);
        let own = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0xff, 0xfe00, 1);
        assert_eq!(autoconf.on_time(Instant::ZERO), Some(Task::Check(own)));
        assert!(!autoconf.has(own) && autoconf.claims(own));
        assert_eq!(autoconf.deadline(), Some(Instant::ZERO + RETRANSMIT));
        assert_eq!(autoconf.on_time(Instant::ZERO + RETRANSMIT), None);
        assert!(autoconf.has(own) && !autoconf.conflict(own));
        let mut other = Autoconf::new(Instant::ZERO, STATION);
        other.on_time(Instant::ZERO);
        assert!(other.conflict(own) && !other.claims(own));
    }

    #[test]
    fn prefixes_make_addresses_that_age() {
        let mut autoconf = Autoconf::new(Instant::ZERO, STATION);
        autoconf.prefix(Instant::ZERO, told(10_000, 100));
        let now = settle(&mut autoconf, Instant::ZERO);
        let global = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0xff, 0xfe00, 1);
        let peer = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 9);
        assert_eq!((autoconf.source(peer), autoconf.next_hop(peer)), (Some(global), Some(peer)));
        // Nobody shortens it to nothing.
        autoconf.prefix(now, told(0, 0));
        autoconf.on_time(now);
        assert!(autoconf.has(global));
        assert_eq!(autoconf.next_hop(peer), None, "but what is on the link is the routers' to say");
        autoconf.on_time(now + Duration::from_secs(7201));
        assert!(!autoconf.has(global) && autoconf.source(peer).is_none());
    }

    #[test]
    fn routers_come_and_go_and_end_the_asking() {
        let mut autoconf = Autoconf::new(Instant::ZERO, STATION);
        let mut asked = 0;
        for second in 0..30 {
            while let Some(task) = autoconf.on_time(Instant::ZERO + Duration::from_secs(second)) {
                asked += u8::from(task == Task::Solicit);
            }
        }
        assert_eq!(asked, SOLICITATIONS);
        let router = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2);
        let far = Ipv6Addr::new(0x2001, 0xdb8, 9, 0, 0, 0, 0, 9);
        autoconf.router(Instant::ZERO, router, 60);
        assert_eq!(autoconf.next_hop(far), Some(router));
        autoconf.on_time(Instant::ZERO + Duration::from_secs(60));
        assert_eq!(autoconf.next_hop(far), None);
    }

    #[test]
    fn what_routers_tell_is_bounded() {
        let mut autoconf = Autoconf::new(Instant::ZERO, STATION);
        for number in 0..1000u16 {
            let prefix = Ipv6Addr::new(0x2001, number, 0, 0, 0, 0, 0, 0);
            autoconf.prefix(Instant::ZERO, Prefix { prefix, ..told(1000, 1000) });
            autoconf.router(Instant::ZERO, prefix, 100);
            autoconf.name_server(Instant::ZERO, prefix, 100);
        }
        assert!(autoconf.own.len() <= ADDRESSES && autoconf.prefixes.len() <= PREFIXES);
        assert!(autoconf.routers.len() <= ROUTERS && autoconf.servers.len() <= SERVERS);
    }
}
