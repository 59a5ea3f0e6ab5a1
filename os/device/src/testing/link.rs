//! What happens to frames between two stations: delay, a rate, and faults that a seed determines.
//!
//! A model and nothing more: it has no clock, no thread and no device. [`Wire`](super::Wire) lets two stacks of ours talk
//! over it in virtual time; the tests' relay lets a machine and Linux, in real time.

use super::Random;
use std::collections::BTreeMap;
use std::vec::Vec;

/// What goes wrong on a link, each in so many of a thousand frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Frames that are lost.
    pub loss: u32,
    /// Frames that come twice.
    pub duplicate: u32,
    /// Frames with one bit flipped.
    pub corrupt: u32,
    /// Frames that others overtake.
    pub reorder: u32,
    /// How long a frame takes, in µs.
    pub delay_us: u64,
    /// How fast the link is, in bytes a ms each way; 0 for as fast as can be.
    pub bytes_per_ms: u64,
}

/// Both directions of a link.
#[derive(Debug)]
pub struct Link {
    /// Towards station 0, station 1: when, in which order, what.
    queues: [BTreeMap<(u64, u64), Vec<u8>>; 2],
    /// When the last frame towards each will have left, in ns.
    left_ns: [u64; 2],
    sent: u64,
    random: Random,
    faults: Faults,
}

impl Link {
    /// A link whose faults this seed determines: the same frames, sent in the same order, have the same fate.
    pub fn new(seed: u64, faults: Faults) -> Self {
        Self { queues: Default::default(), left_ns: [0; 2], sent: 0, random: Random::new(seed), faults }
    }

    /// Changes what goes wrong from now on.
    pub fn set_faults(&mut self, faults: Faults) {
        self.faults = faults;
    }

    /// Sends a frame towards station `to`, which is 0 or 1. Times are in µs from wherever the caller counts, and never go
    /// back.
    pub fn send(&mut self, now_us: u64, to: usize, frame: Vec<u8>) {
        let faults = self.faults;
        let copies = 1 + u32::from(self.random.chance(faults.duplicate)) - u32::from(self.random.chance(faults.loss));
        for _ in 0..copies {
            let mut frame = frame.clone();
            if self.random.chance(faults.corrupt) {
                let bit = self.random.below(frame.len() as u64 * 8) as usize;
                frame[bit / 8] ^= 1 << (bit % 8);
            }
            let late =
                if self.random.chance(faults.reorder) { self.random.below(4 * faults.delay_us + 100) } else { 0 };
            self.sent += 1;
            let mut left_ns = now_us * 1000;
            if let Some(takes_ns) = (frame.len() as u64 * 1_000_000).checked_div(faults.bytes_per_ms) {
                left_ns = left_ns.max(self.left_ns[to]) + takes_ns;
                self.left_ns[to] = left_ns;
            }
            self.queues[to].insert((left_ns / 1000 + faults.delay_us + late, self.sent), frame);
        }
    }

    /// The next frame that has arrived at this station by now.
    pub fn take(&mut self, now_us: u64, station: usize) -> Option<Vec<u8>> {
        let first = self.queues[station].first_entry()?;
        (first.key().0 <= now_us).then(|| first.remove())
    }

    /// When the next frame arrives at this station.
    pub fn next_us_to(&self, station: usize) -> Option<u64> {
        self.queues[station].keys().next().map(|(at, _)| *at)
    }

    /// When the next frame arrives at either station.
    pub fn next_us(&self) -> Option<u64> {
        [0, 1].into_iter().filter_map(|station| self.next_us_to(station)).min()
    }

    /// Frames on their way to a station.
    pub fn waiting(&self, station: usize) -> usize {
        self.queues[station].len()
    }

    /// How many frames have passed, both ways, those that came twice twice and the lost ones not.
    pub fn passed(&self) -> u64 {
        self.sent
    }
}
