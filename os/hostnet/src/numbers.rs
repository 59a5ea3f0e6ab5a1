//! From the far side's socket numbers to our sockets: a small open-addressing table.
//!
//! Numbers are spread by multiplication and looked for linearly; removal moves the followers up, so there are no
//! tombstones. It grows when half full.

use alloc::sync::Arc;
use alloc::vec::Vec;

/// The table.
pub(crate) struct Numbers<T> {
    slots: Vec<Option<(u32, Arc<T>)>>,
    used: usize,
}

impl<T> Numbers<T> {
    pub(crate) const fn new() -> Self {
        Numbers { slots: Vec::new(), used: 0 }
    }

    /// The entry of `number`.
    #[inline]
    pub(crate) fn get(&self, number: u32) -> Option<&Arc<T>> {
        match self.slots.get(self.find(number)?) {
            Some(Some((_, value))) => Some(value),
            _ => None,
        }
    }

    /// Adds an entry, in place of an older one; false where memory is short.
    pub(crate) fn insert(&mut self, number: u32, value: Arc<T>) -> bool {
        if (self.used + 1) * 2 > self.slots.len() && !self.grow() {
            return false;
        }
        if let Some(index) = self.find(number)
            && self.slots[index].replace((number, value)).is_none()
        {
            self.used += 1;
        }
        true
    }

    /// Takes an entry out.
    pub(crate) fn remove(&mut self, number: u32) -> Option<Arc<T>> {
        let mut hole = self.find(number)?;
        let (_, value) = self.slots[hole].take()?;
        self.used -= 1;
        let mask = self.slots.len() - 1;
        let mut next = (hole + 1) & mask;
        while let Some((follower, _)) = &self.slots[next] {
            let home = self.home(*follower);
            // Move it up unless its home lies behind the hole.
            if next.wrapping_sub(home) & mask >= next.wrapping_sub(hole) & mask {
                self.slots[hole] = self.slots[next].take();
                hole = next;
            }
            next = (next + 1) & mask;
        }
        Some(value)
    }

    fn home(&self, number: u32) -> usize {
        (number.wrapping_mul(0x9e37_79b1) >> 7) as usize & (self.slots.len() - 1)
    }

    /// Where `number` is, or the free slot where it would go; `None` only in an empty table.
    fn find(&self, number: u32) -> Option<usize> {
        if self.slots.is_empty() {
            return None;
        }
        let mut index = self.home(number);
        while let Some((there, _)) = &self.slots[index] {
            if *there == number {
                break;
            }
            index = (index + 1) & (self.slots.len() - 1);
        }
        Some(index)
    }

    fn grow(&mut self) -> bool {
        let size = (self.slots.len() * 2).max(16);
        let mut slots = Vec::new();
        if slots.try_reserve_exact(size).is_err() {
            return false;
        }
        slots.resize_with(size, || None);
        let old = core::mem::replace(&mut self.slots, slots);
        for (number, value) in old.into_iter().flatten() {
            if let Some(index) = self.find(number) {
                self.slots[index] = Some((number, value));
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_a_map() {
        let mut numbers = Numbers::new();
        let mut model = std::collections::HashMap::new();
        let mut seed = 1u32;
        for step in 0..20_000u32 {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let number = (seed >> 16) % 300;
            if seed & 0x300 == 0 {
                assert_eq!(numbers.remove(number).map(|v| *v), model.remove(&number));
            } else if step % 3 == 0 {
                assert!(numbers.insert(number, Arc::new(step)));
                model.insert(number, step);
            }
            assert_eq!(numbers.get(number).map(|v| **v), model.get(&number).copied());
            assert_eq!(numbers.used, model.len());
        }
    }
}
