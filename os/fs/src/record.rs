//! Locks on ranges of a file's bytes (`fcntl(2)`, "Open file description locks"): shared or exclusive, each held by an open
//! file. Advisory like the whole file's ([`mod@crate::lock`]), and as on Linux neither kind sees the other.
//!
//! All that are held stand in one list. There are few, and a file that nobody has locked costs nothing.

use crate::error::{Error, Result};
use crate::lock::Lock;
use crate::place::Place;
use alloc::vec::Vec;

/// The last offset that there is: a range up to it goes on however far the file grows.
pub const LAST: u64 = i64::MAX as u64;

/// Bytes of a file, both ends among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The first byte's offset.
    pub first: u64,
    /// The last byte's, at least as large; [`LAST`] is without an end.
    pub last: u64,
}

impl Range {
    fn overlaps(self, other: Range) -> bool {
        self.first <= other.last && other.first <= self.last
    }

    /// Does one end where the other begins?
    fn touches(self, other: Range) -> bool {
        self.last.checked_add(1) == Some(other.first) || other.last.checked_add(1) == Some(self.first)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Held {
    place: Place,
    /// The open file, by a number that no other one has while it is open.
    owner: u64,
    range: Range,
    lock: Lock,
}

/// All that are held, of whatever file. No two of one owner overlap.
#[derive(Debug, Default)]
pub(crate) struct Records(Vec<Held>);

impl Records {
    /// The first range, and how it is locked, that keeps `owner` from having this one so.
    pub(crate) fn blocker(&self, place: Place, owner: u64, range: Range, wants: Lock) -> Option<(Range, Lock)> {
        let in_the_way = |held: &&Held| {
            let is_other = held.place == place && held.owner != owner && held.range.overlaps(range);
            is_other && wants != Lock::None && (wants == Lock::Exclusive || held.lock == Lock::Exclusive)
        };
        self.0.iter().filter(in_the_way).min_by_key(|held| held.range.first).map(|held| (held.range, held.lock))
    }

    /// Changes how `owner` has a range, whatever it has of it, or nothing ([`Error::WouldBlock`]).
    pub(crate) fn change(&mut self, place: Place, owner: u64, range: Range, wants: Lock) -> Result<()> {
        if self.blocker(place, owner, range, wants).is_some() {
            return Err(Error::WouldBlock);
        }
        // A range within one that it has leaves two parts of that.
        self.0.try_reserve(2).map_err(|_| Error::NoLocks)?;
        self.cut(place, owner, range);
        if wants != Lock::None {
            let range = self.join(place, owner, range, wants);
            self.0.push(Held { place, owner, range, lock: wants });
        }
        Ok(())
    }

    /// Takes the range out of what the owner has.
    fn cut(&mut self, place: Place, owner: u64, range: Range) {
        let is_met = |held: &Held| held.place == place && held.owner == owner && held.range.overlaps(range);
        while let Some(index) = self.0.iter().position(is_met) {
            let old = self.0.swap_remove(index);
            if old.range.first < range.first {
                self.0.push(Held { range: Range { first: old.range.first, last: range.first - 1 }, ..old });
            }
            if old.range.last > range.last {
                self.0.push(Held { range: Range { first: range.last + 1, last: old.range.last }, ..old });
            }
        }
    }

    /// Takes out what the owner has the same way directly beside the range; gives both together.
    fn join(&mut self, place: Place, owner: u64, mut range: Range, lock: Lock) -> Range {
        let is_beside = |held: &Held, range: Range| {
            held.place == place && held.owner == owner && held.lock == lock && held.range.touches(range)
        };
        while let Some(index) = self.0.iter().position(|held| is_beside(held, range)) {
            let other = self.0.swap_remove(index).range;
            range = Range { first: range.first.min(other.first), last: range.last.max(other.last) };
        }
        range
    }

    /// Takes out all that the owner has.
    pub(crate) fn release(&mut self, owner: u64) {
        self.0.retain(|held| held.owner != owner);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place = Place::ROOT;

    fn range(first: u64, last: u64) -> Range {
        Range { first, last }
    }

    /// What an owner has, in order.
    fn of(records: &Records, owner: u64) -> Vec<(u64, u64, Lock)> {
        let mut all: Vec<_> = records.0.iter().filter(|held| held.owner == owner).collect();
        all.sort_by_key(|held| held.range.first);
        all.iter().map(|held| (held.range.first, held.range.last, held.lock)).collect()
    }

    #[test]
    fn only_what_overlaps_is_in_the_way() {
        let mut records = Records::default();
        assert_eq!(records.change(PLACE, 1, range(10, 19), Lock::Exclusive), Ok(()));
        assert_eq!(records.change(PLACE, 2, range(0, 9), Lock::Exclusive), Ok(()));
        assert_eq!(records.change(PLACE, 2, range(20, LAST), Lock::Shared), Ok(()));
        assert_eq!(records.change(PLACE, 3, range(19, 30), Lock::Shared), Err(Error::WouldBlock));
        assert_eq!(records.blocker(PLACE, 3, range(5, 30), Lock::Shared), Some((range(0, 9), Lock::Exclusive)));
        assert_eq!(records.change(PLACE, 3, range(30, 40), Lock::Shared), Ok(()));
        assert_eq!(records.change(PLACE, 2, range(25, 35), Lock::Exclusive), Err(Error::WouldBlock));
        assert_eq!(of(&records, 2), [(0, 9, Lock::Exclusive), (20, LAST, Lock::Shared)], "and nothing is lost by that");
        assert_eq!(records.change(Place::Sealed(7), 3, range(0, LAST), Lock::Exclusive), Ok(()), "another file");
        records.release(1);
        assert_eq!(records.change(PLACE, 3, range(10, 19), Lock::Exclusive), Ok(()));
    }

    #[test]
    fn one_s_own_ranges_are_cut_and_joined() {
        let mut records = Records::default();
        let mut change = |first, last, lock| {
            assert_eq!(records.change(PLACE, 1, range(first, last), lock), Ok(()));
            of(&records, 1)
        };
        assert_eq!(change(0, LAST, Lock::Shared), [(0, LAST, Lock::Shared)]);
        let parts = [(0, 9, Lock::Shared), (10, 19, Lock::Exclusive), (20, LAST, Lock::Shared)];
        assert_eq!(change(10, 19, Lock::Exclusive), parts);
        assert_eq!(change(5, 24, Lock::None), [(0, 4, Lock::Shared), (25, LAST, Lock::Shared)]);
        assert_eq!(change(5, 24, Lock::Shared), [(0, LAST, Lock::Shared)]);
        assert_eq!(change(0, LAST, Lock::None), []);
        for byte in 0..100 {
            change(byte, byte, Lock::Exclusive);
        }
        assert_eq!(change(100, 100, Lock::Exclusive), [(0, 100, Lock::Exclusive)]);
    }

    /// Against a table of bytes: some thousand random changes by three owners.
    #[test]
    fn it_says_what_a_table_of_bytes_says() {
        const BYTES: usize = 24;
        let (mut records, mut table) = (Records::default(), [[Lock::None; BYTES]; 3]);
        let mut state = 1_u64;
        let mut next = |bound: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % bound
        };
        for _ in 0..5000 {
            let (owner, a, b) = (next(3) as usize, next(BYTES as u64), next(BYTES as u64));
            let (range, wants) =
                (range(a.min(b), a.max(b)), [Lock::None, Lock::Shared, Lock::Exclusive][next(3) as usize]);
            let bytes = range.first as usize..=range.last as usize;
            let is_free = (0..3).filter(|other| *other != owner).all(|other| {
                table[other][bytes.clone()].iter().all(|lock| match wants {
                    Lock::None => true,
                    Lock::Shared => *lock != Lock::Exclusive,
                    Lock::Exclusive => *lock == Lock::None,
                })
            });
            assert_eq!(records.change(PLACE, owner as u64, range, wants).is_ok(), is_free);
            if is_free {
                table[owner][bytes].fill(wants);
            }
            for (owner, bytes) in table.iter().enumerate() {
                let mut shown = [Lock::None; BYTES];
                for (first, last, lock) in of(&records, owner as u64) {
                    shown[first as usize..=last as usize].fill(lock);
                }
                assert_eq!(&shown, bytes);
            }
        }
    }
}
