//! A DHCP client (RFC 2131): asks for an address, renews it in time, and asks for the same one again after it was lost.
//!
//! It makes and reads messages; who owns it sends them by UDP from port 68 to 67.

use crate::random::Random;
use crate::time::{Duration, Instant};
use alloc::vec::Vec;
use core::net::Ipv4Addr;

/// The fixed part of a message, the magic number included (RFC 2131 §2).
const FIXED: usize = 240;
const MAGIC: [u8; 4] = [99, 130, 83, 99];
const DISCOVER: u8 = 1;
const OFFER: u8 = 2;
const REQUEST: u8 = 3;
const ACK: u8 = 5;
const NAK: u8 = 6;
/// The pause before the first repetition, and the longest (§4.1).
const PAUSE: Duration = Duration::from_secs(2);
const PAUSE_MAX: Duration = Duration::from_secs(64);
/// A lease shorter than this is not believed: renewing it would be all that we do.
const LEASE_MIN: u32 = 60;
/// Requests for an offered address before the next offer is asked for.
const REQUESTS: u32 = 4;
/// No retry of a renewal earlier than this (§4.4.5).
const RENEWAL_PAUSE: Duration = Duration::from_secs(60);

/// What a server grants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lease {
    pub(crate) address: Ipv4Addr,
    pub(crate) prefix: u8,
    pub(crate) router: Option<Ipv4Addr>,
    pub(crate) name_servers: Vec<Ipv4Addr>,
    server: Ipv4Addr,
    renew: Instant,
    rebind: Instant,
    end: Instant,
}

/// What happened.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The address and all that belongs to it.
    Configured(Lease),
    /// The address is not ours any more.
    Lost,
}

/// A message to send, and whereto: `None` is everybody.
pub(crate) type Message = (Option<Ipv4Addr>, Vec<u8>);

#[derive(Clone, Debug)]
enum State {
    Selecting,
    /// An offer was taken up: the address, and its server.
    Requesting(Ipv4Addr, Ipv4Addr),
    Bound(Lease),
}

pub(crate) struct Client {
    station: [u8; 6],
    state: State,
    id: u32,
    /// When something is to be sent or ends.
    pub(crate) due: Instant,
    tries: u32,
    /// The address that was ours before.
    wanted: Option<Ipv4Addr>,
}

impl Client {
    pub(crate) fn new(now: Instant, station: [u8; 6], random: &mut Random) -> Self {
        Self { station, state: State::Selecting, id: random.word() as u32, due: now, tries: 0, wanted: None }
    }

    /// Does what is due: what to send, and whether the address was lost.
    pub(crate) fn on_time(&mut self, now: Instant, random: &mut Random) -> (Option<Message>, Option<Event>) {
        if now < self.due {
            return (None, None);
        }
        match self.state.clone() {
            State::Bound(lease) if now >= lease.end => {
                self.wanted = Some(lease.address);
                self.restart(now, random);
                (None, Some(Event::Lost))
            }
            State::Bound(lease) => {
                let rebinds = now >= lease.rebind;
                let next = if rebinds { lease.end } else { lease.rebind };
                // §4.4.5: half of what is left, but no more often than each minute.
                let left = Duration::from_micros(next.since(now).micros() / 2);
                self.due = (now + left.max(RENEWAL_PAUSE)).min(next);
                let message = self.message(REQUEST, lease.address, None, None);
                (Some(((!rebinds).then_some(lease.server), message)), None)
            }
            State::Requesting(..) if self.tries == REQUESTS => {
                self.restart(now, random);
                self.on_time(now, random)
            }
            State::Requesting(address, server) => {
                self.again(now, random);
                let message = self.message(REQUEST, Ipv4Addr::UNSPECIFIED, Some(address), Some(server));
                (Some((None, message)), None)
            }
            State::Selecting => {
                self.again(now, random);
                (Some((None, self.message(DISCOVER, Ipv4Addr::UNSPECIFIED, self.wanted, None))), None)
            }
        }
    }

    fn restart(&mut self, now: Instant, random: &mut Random) {
        self.state = State::Selecting;
        self.id = random.word() as u32;
        (self.due, self.tries) = (now, 0);
    }

    /// §4.1: twice the time each time, give or take a second.
    fn again(&mut self, now: Instant, random: &mut Random) {
        let pause = PAUSE.times(1 << self.tries.min(8)).min(PAUSE_MAX);
        self.tries += 1;
        self.due = now + pause + Duration::from_millis(random.below(1000).into());
    }

    /// A message from port 67.
    pub(crate) fn receive(&mut self, now: Instant, message: &[u8]) -> Option<Event> {
        let reply = Reply::read(message, self.id, self.station)?;
        match (&self.state, reply.kind) {
            (State::Selecting, OFFER) => {
                self.state = State::Requesting(usable(reply.address)?, reply.server?);
                (self.due, self.tries) = (now, 0);
                None
            }
            (State::Requesting(_, server), NAK) if reply.server.is_none_or(|from| from == *server) => {
                self.wanted = None;
                self.state = State::Selecting;
                (self.due, self.tries) = (now + PAUSE, 0);
                None
            }
            (State::Bound(lease), NAK) if now >= lease.renew => {
                self.wanted = None;
                self.state = State::Selecting;
                (self.due, self.tries) = (now, 0);
                Some(Event::Lost)
            }
            (State::Requesting(_, server), ACK) if reply.server.is_none_or(|from| from == *server) => {
                let server = *server;
                self.bind(now, &reply, server)
            }
            (State::Bound(lease), ACK) if now >= lease.renew => {
                let server = reply.server.unwrap_or(lease.server);
                self.bind(now, &reply, server)
            }
            _ => None,
        }
    }

    fn bind(&mut self, now: Instant, reply: &Reply, server: Ipv4Addr) -> Option<Event> {
        let address = usable(reply.address)?;
        let length = reply.lease?.max(LEASE_MIN);
        let span = |seconds: u32| Duration::from_secs(seconds.into());
        // §4.4.5: halves and eighths, where the server names none.
        let rebind = reply.rebind.filter(|t2| *t2 < length).unwrap_or((u64::from(length) * 7 / 8) as u32);
        let renew = reply.renew.filter(|t1| *t1 < rebind).unwrap_or(length / 2).min(rebind);
        let end = if length == u32::MAX { Instant::from_micros(u64::MAX) } else { now + span(length) };
        let mask = reply.mask.map_or(24, |mask| mask.to_bits().leading_ones() as u8);
        let lease = Lease {
            address,
            prefix: mask,
            router: reply.router,
            name_servers: reply.name_servers.clone(),
            server,
            renew: now + span(renew),
            rebind: now + span(rebind),
            end,
        };
        (self.due, self.tries, self.wanted) = (lease.renew, 0, Some(address));
        self.state = State::Bound(lease.clone());
        Some(Event::Configured(lease))
    }

    fn message(&self, kind: u8, own: Ipv4Addr, wanted: Option<Ipv4Addr>, server: Option<Ipv4Addr>) -> Vec<u8> {
        let mut message = alloc::vec![0; FIXED];
        message[..4].copy_from_slice(&[1, 1, 6, 0]);
        message[4..8].copy_from_slice(&self.id.to_be_bytes());
        if own.is_unspecified() {
            // The answer is for everybody: we have no address to receive it at (§4.1).
            message[10] = 0x80;
        }
        message[12..16].copy_from_slice(&own.octets());
        message[28..34].copy_from_slice(&self.station);
        message[236..240].copy_from_slice(&MAGIC);
        message.extend([53, 1, kind, 61, 7, 1]);
        message.extend(self.station);
        for (option, address) in [(50, wanted), (54, server)] {
            if let Some(address) = address {
                message.extend([option, 4]);
                message.extend(address.octets());
            }
        }
        // Wanted: mask, routers, name servers, lease and its times; the largest message that we take.
        message.extend([55, 6, 1, 3, 6, 51, 58, 59, 57, 2, 5, 0xdc, 255]);
        message
    }
}

fn usable(address: Ipv4Addr) -> Option<Ipv4Addr> {
    (!address.is_unspecified() && !address.is_multicast() && !address.is_broadcast() && !address.is_loopback())
        .then_some(address)
}

struct Reply {
    kind: u8,
    address: Ipv4Addr,
    mask: Option<Ipv4Addr>,
    router: Option<Ipv4Addr>,
    name_servers: Vec<Ipv4Addr>,
    server: Option<Ipv4Addr>,
    lease: Option<u32>,
    renew: Option<u32>,
    rebind: Option<u32>,
}

impl Reply {
    /// Reads the answer to message number `id` of this station.
    fn read(message: &[u8], id: u32, station: [u8; 6]) -> Option<Self> {
        let fixed = message.first_chunk::<FIXED>()?;
        let ours =
            fixed[0] == 2 && fixed[4..8] == id.to_be_bytes() && fixed[28..34] == station && fixed[236..] == MAGIC;
        if !ours {
            return None;
        }
        let mut reply = Self {
            kind: 0,
            address: v4(&fixed[16..20])?,
            mask: None,
            router: None,
            name_servers: Vec::new(),
            server: None,
            lease: None,
            renew: None,
            rebind: None,
        };
        let mut rest = &message[FIXED..];
        while let [option, tail @ ..] = rest {
            match option {
                0 => rest = tail,
                255 => break,
                _ => {
                    let (length, tail) = tail.split_first()?;
                    let (value, tail) = tail.split_at_checked(usize::from(*length))?;
                    reply.take(*option, value);
                    rest = tail;
                }
            }
        }
        Some(reply)
    }

    fn take(&mut self, option: u8, value: &[u8]) {
        let number = || value.first_chunk::<4>().map(|bytes| u32::from_be_bytes(*bytes));
        match option {
            1 => self.mask = v4(value),
            3 => self.router = v4(value),
            6 => self.name_servers = value.chunks_exact(4).take(3).filter_map(v4).collect(),
            51 => self.lease = number(),
            53 => self.kind = value.first().copied().unwrap_or(0),
            54 => self.server = v4(value),
            58 => self.renew = number(),
            59 => self.rebind = number(),
            _ => {}
        }
    }
}

fn v4(bytes: &[u8]) -> Option<Ipv4Addr> {
    bytes.first_chunk::<4>().map(|octets| Ipv4Addr::from(*octets))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATION: [u8; 6] = [2, 0, 0, 0, 0, 1];
    const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
    const OWN: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 9);

    fn reply(client: &Client, kind: u8) -> Vec<u8> {
        let mut message = client.message(kind, Ipv4Addr::UNSPECIFIED, None, Some(SERVER));
        message[0] = 2;
        message[16..20].copy_from_slice(&OWN.octets());
        message.pop();
        message.extend([
            51, 4, 0, 0, 14, 16, 1, 4, 255, 255, 0, 0, 3, 4, 10, 0, 0, 2, 6, 8, 10, 0, 0, 3, 10, 0, 0, 4, 255,
        ]);
        message
    }

    fn kind(message: &[u8]) -> u8 {
        message[FIXED + 2]
    }

    /// A client with an address, granted at 0.
    fn bound() -> (Client, Random) {
        let mut random = Random::new([1; 32]);
        let mut client = Client::new(Instant::ZERO, STATION, &mut random);
        let (Some((None, message)), None) = client.on_time(Instant::ZERO, &mut random) else { panic!("no question") };
        assert_eq!(kind(&message), DISCOVER);
        assert_eq!(client.receive(Instant::ZERO, &reply(&client, OFFER)), None);
        let (Some((None, message)), None) = client.on_time(Instant::ZERO, &mut random) else { panic!("no request") };
        assert_eq!(kind(&message), REQUEST);
        let Some(Event::Configured(lease)) = client.receive(Instant::ZERO, &reply(&client, ACK)) else {
            panic!("no lease")
        };
        assert_eq!((lease.address, lease.prefix, lease.router), (OWN, 16, Some(SERVER)));
        assert_eq!(lease.name_servers, [Ipv4Addr::new(10, 0, 0, 3), Ipv4Addr::new(10, 0, 0, 4)]);
        (client, random)
    }

    #[test]
    fn a_lease_is_renewed_at_half_its_time() {
        let (mut client, mut random) = bound();
        let at = Instant::ZERO + Duration::from_secs(1800);
        assert_eq!(client.due, at);
        let (Some((Some(SERVER), message)), None) = client.on_time(at, &mut random) else { panic!("no renewal") };
        assert_eq!((kind(&message), &message[12..16]), (REQUEST, &OWN.octets()[..]));
        assert!(matches!(client.receive(at, &reply(&client, ACK)), Some(Event::Configured(_))));
        assert_eq!(client.due, at + Duration::from_secs(1800));
    }

    #[test]
    fn a_server_that_disappears_costs_the_address_at_its_end_and_it_is_asked_for_again() {
        let (mut client, mut random) = bound();
        let (mut renewals, mut rebindings) = (0, 0);
        let lost = loop {
            let now = client.due;
            match client.on_time(now, &mut random) {
                (Some((Some(_), _)), None) => renewals += 1,
                (Some((None, _)), None) => rebindings += 1,
                (None, Some(Event::Lost)) => break now,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(lost, Instant::ZERO + Duration::from_secs(3600));
        assert!(renewals > 2 && rebindings > 1, "{renewals} {rebindings}");
        let (Some((None, message)), None) = client.on_time(lost, &mut random) else { panic!("no question") };
        let wanted = [&[50, 4][..], &OWN.octets()].concat();
        assert!(kind(&message) == DISCOVER && message.windows(6).any(|part| part == wanted));
    }

    #[test]
    fn questions_are_repeated_more_and_more_seldom() {
        let mut random = Random::new([1; 32]);
        let mut client = Client::new(Instant::ZERO, STATION, &mut random);
        let mut asked = 0;
        while client.due < Instant::ZERO + Duration::from_secs(600) {
            asked += usize::from(client.on_time(client.due, &mut random).0.is_some());
        }
        assert!((10..20).contains(&asked), "{asked}");
    }

    #[test]
    fn others_answers_and_mangled_ones_do_not_count() {
        let mut random = Random::new([1; 32]);
        let (client, _) = bound();
        let good = reply(&client, ACK);
        assert!(Reply::read(&good, client.id, STATION).is_some());
        assert!(Reply::read(&good, client.id ^ 1, STATION).is_none());
        assert!(Reply::read(&good, client.id, [9; 6]).is_none());
        for _ in 0..20_000 {
            let mut message = good.clone();
            let at = FIXED + random.below((message.len() - FIXED) as u32) as usize;
            message[at] = random.word() as u8;
            message.truncate(message.len() - random.below(30) as usize);
            Reply::read(&message, client.id, STATION);
        }
    }
}
