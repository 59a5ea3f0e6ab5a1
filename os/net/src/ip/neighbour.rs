//! Neighbours on the link: which station has an address (RFC 826, RFC 4861 §7.2). Frames and sockets wait here for those
//! that are being asked for.

use super::packet::ETHERNET;
use crate::index::Index;
use crate::random::HashKey;
use crate::time::{Duration, Instant};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::IpAddr;

/// Entries; the one that was heard of longest ago makes room (Linux's gc_thresh3).
const MOST: usize = 1024;
/// Questions before a neighbour is not there, and the pause between them (RFC 4861 §10).
const TRIES: u8 = 3;
const PAUSE: Duration = Duration::from_secs(1);
/// After this long an entry is asked for again when it is used.
const FRESH: Duration = Duration::from_secs(60);
/// Frames that wait for one neighbour.
const HELD: usize = 16;
const HELD_BYTES: usize = 64 << 10;

/// What the cache says to a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lookup {
    /// Send there.
    Known([u8; 6]),
    /// Send there, and ask that station whether it is still right.
    Doubtful([u8; 6]),
    /// It is being asked for.
    Asked,
    /// Ask for it.
    Unknown,
}

#[derive(Default)]
pub(crate) struct Neighbours {
    entries: Vec<Entry>,
    index: Index,
    asking: usize,
}

struct Entry {
    address: IpAddr,
    hash: u32,
    /// `None` before the first answer.
    station: Option<[u8; 6]>,
    heard: Instant,
    /// When to ask again, and how often it was; while an answer is awaited.
    asks: Option<(Instant, u8)>,
    /// Sockets that want to send.
    sockets: Vec<u32>,
    /// Frames that lack the station alone, and whose they are.
    frames: Vec<(u32, Box<[u8]>)>,
}

/// What waited for a neighbour.
#[derive(Default)]
pub(crate) struct Waiting {
    pub(crate) sockets: Vec<u32>,
    pub(crate) frames: Vec<(u32, Box<[u8]>)>,
}

/// A neighbour that is due.
pub(crate) enum Due {
    /// Ask again: everybody, or the station that had it.
    Ask(IpAddr, Option<[u8; 6]>),
    /// It is not there.
    Gone(Waiting),
}

impl Neighbours {
    fn find(&self, hash: u32, address: IpAddr) -> Option<usize> {
        self.index.find(hash).map(|number| number as usize).find(|number| self.entries[*number].address == address)
    }

    /// Where an address is. After [`Lookup::Unknown`] and [`Lookup::Doubtful`] the caller asks.
    pub(crate) fn look_up(&mut self, key: HashKey, now: Instant, address: IpAddr) -> Lookup {
        let hash = key.address(address);
        let Some(number) = self.find(hash, address) else {
            self.add(now, hash, address, None);
            return Lookup::Unknown;
        };
        let entry = &mut self.entries[number];
        match entry.station {
            None => Lookup::Asked,
            Some(station) if entry.asks.is_none() && now.since(entry.heard) >= FRESH => {
                entry.asks = Some((now + PAUSE, 1));
                self.asking += 1;
                Lookup::Doubtful(station)
            }
            Some(station) => Lookup::Known(station),
        }
    }

    /// A socket wants to send there once it is known.
    pub(crate) fn wait(&mut self, key: HashKey, address: IpAddr, socket: u32) {
        if let Some(number) = self.find(key.address(address), address) {
            let sockets = &mut self.entries[number].sockets;
            if !sockets.contains(&socket) {
                sockets.push(socket);
            }
        }
    }

    /// A frame is to go there once it is known; the oldest is lost for one too many.
    pub(crate) fn hold(&mut self, key: HashKey, address: IpAddr, socket: u32, frame: Box<[u8]>) {
        if let Some(number) = self.find(key.address(address), address) {
            let frames = &mut self.entries[number].frames;
            let bytes: usize = frames.iter().map(|(_, frame)| frame.len()).sum();
            if frames.len() == HELD || !frames.is_empty() && bytes + frame.len() > HELD_BYTES {
                frames.remove(0);
            }
            frames.push((socket, frame));
        }
    }

    /// A station says that it has this address. `adds` makes an entry where there is none: it wants to talk to us.
    pub(crate) fn heard(
        &mut self,
        key: HashKey,
        now: Instant,
        address: IpAddr,
        station: [u8; 6],
        adds: bool,
    ) -> Waiting {
        // A group is no station.
        if station[0] & 1 != 0 || address.is_unspecified() || address.is_multicast() {
            return Waiting::default();
        }
        let hash = key.address(address);
        let Some(number) = self.find(hash, address) else {
            if adds {
                self.add(now, hash, address, Some(station));
            }
            return Waiting::default();
        };
        let entry = &mut self.entries[number];
        entry.station = Some(station);
        entry.heard = now;
        if entry.asks.take().is_some() {
            self.asking -= 1;
        }
        Waiting { sockets: core::mem::take(&mut entry.sockets), frames: core::mem::take(&mut entry.frames) }
    }

    fn add(&mut self, now: Instant, hash: u32, address: IpAddr, station: Option<[u8; 6]>) {
        if self.entries.len() >= MOST
            && let Some(oldest) = (0..self.entries.len()).min_by_key(|number| self.entries[*number].heard)
        {
            self.remove(oldest);
        }
        let asks = match station {
            Some(_) => None,
            None => {
                self.asking += 1;
                Some((now + PAUSE, 1))
            }
        };
        self.index.insert(hash, self.entries.len() as u32);
        self.entries.push(Entry { address, hash, station, heard: now, asks, sockets: Vec::new(), frames: Vec::new() });
    }

    fn remove(&mut self, number: usize) -> Waiting {
        let last = self.entries.len() - 1;
        self.index.remove(self.entries[number].hash, number as u32);
        if number != last {
            self.index.remove(self.entries[last].hash, last as u32);
            self.index.insert(self.entries[last].hash, number as u32);
        }
        let entry = self.entries.swap_remove(number);
        self.asking -= usize::from(entry.asks.is_some());
        Waiting { sockets: entry.sockets, frames: entry.frames }
    }

    /// When somebody is due to be asked again.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        if self.asking == 0 {
            return None;
        }
        self.entries.iter().filter_map(|entry| entry.asks).map(|(at, _)| at).min()
    }

    /// The next that is due.
    pub(crate) fn due(&mut self, now: Instant) -> Option<Due> {
        if self.asking == 0 {
            return None;
        }
        let is_due = |entry: &Entry| entry.asks.is_some_and(|(at, _)| at <= now);
        let number = self.entries.iter().position(is_due)?;
        let entry = &mut self.entries[number];
        let (_, asked) = entry.asks?;
        if asked == TRIES {
            return Some(Due::Gone(self.remove(number)));
        }
        entry.asks = Some((now + PAUSE, asked + 1));
        Some(Due::Ask(entry.address, entry.station))
    }
}

impl Waiting {
    /// The frames, with the station that they lacked.
    pub(crate) fn addressed(&mut self, station: [u8; 6]) -> impl Iterator<Item = &[u8]> {
        self.frames.iter_mut().map(move |(_, frame)| {
            frame[..6].copy_from_slice(&station);
            debug_assert!(frame.len() >= ETHERNET, "a frame has a header");
            &**frame
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: u32) -> IpAddr {
        IpAddr::V4((0x0a00_0000 + number).into())
    }

    #[test]
    fn the_unknown_is_asked_for_thrice_and_the_known_is_used() {
        let key = crate::random::Random::new([1; 32]).hash_key();
        let mut cache = Neighbours::default();
        let now = Instant::ZERO;
        assert_eq!(cache.look_up(key, now, address(1)), Lookup::Unknown);
        assert_eq!(cache.look_up(key, now, address(1)), Lookup::Asked);
        cache.wait(key, address(1), 7);
        cache.wait(key, address(1), 7);
        assert_eq!(cache.heard(key, now, address(1), [2; 6], false).sockets, [7]);
        assert_eq!((cache.look_up(key, now, address(1)), cache.deadline()), (Lookup::Known([2; 6]), None));
        assert_eq!(cache.look_up(key, now + FRESH, address(1)), Lookup::Doubtful([2; 6]));
        assert_eq!(cache.look_up(key, now + FRESH, address(1)), Lookup::Known([2; 6]));
        let mut at = now + FRESH;
        for _ in 1..TRIES {
            at = cache.deadline().expect("asks again");
            assert!(matches!(cache.due(at), Some(Due::Ask(a, Some([2, ..]))) if a == address(1)));
            assert!(cache.due(at).is_none());
        }
        assert!(matches!(cache.due(at + PAUSE), Some(Due::Gone(_))));
        assert_eq!((cache.deadline(), cache.entries.len()), (None, 0));
    }

    #[test]
    fn a_flood_of_neighbours_is_bounded_and_strangers_make_no_entries() {
        let key = crate::random::Random::new([1; 32]).hash_key();
        let mut cache = Neighbours::default();
        for number in 1..3000 {
            cache.heard(key, Instant::from_micros(number.into()), address(number), [2; 6], true);
        }
        assert_eq!(cache.entries.len(), MOST);
        assert_eq!(cache.look_up(key, Instant::from_micros(3000), address(2999)), Lookup::Known([2; 6]));
        assert_eq!(cache.look_up(key, Instant::from_micros(3000), address(1)), Lookup::Unknown);
        cache.heard(key, Instant::ZERO, address(5000), [2; 6], false);
        assert_eq!(cache.look_up(key, Instant::ZERO, address(5000)), Lookup::Unknown);
        cache.heard(key, Instant::ZERO, address(5000), [1; 6], false);
        assert_eq!(cache.look_up(key, Instant::ZERO, address(5000)), Lookup::Asked);
    }
}
