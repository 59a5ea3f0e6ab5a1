//! A hash index from addresses to sockets: chains of socket numbers, nothing else. Keys stay with the sockets.

use alloc::vec::Vec;

const END: u32 = u32::MAX;

/// The index. A socket is in it at most once.
#[derive(Default)]
pub(crate) struct Index {
    /// Chain heads; a power of two, or empty.
    heads: Vec<u32>,
    /// By socket number: hash, and the next of its chain.
    links: Vec<(u32, u32)>,
    count: usize,
}

impl Index {
    /// Adds socket `number` under `hash`.
    pub(crate) fn insert(&mut self, hash: u32, number: u32) {
        if self.count >= self.heads.len() {
            self.grow();
        }
        let at = number as usize;
        if self.links.len() <= at {
            self.links.resize(at + 1, (0, END));
        }
        let slot = hash as usize & (self.heads.len() - 1);
        self.links[at] = (hash, core::mem::replace(&mut self.heads[slot], number));
        self.count += 1;
    }

    /// Takes socket `number`, added under `hash`, out again; false if it was not in.
    pub(crate) fn remove(&mut self, hash: u32, number: u32) -> bool {
        if self.heads.is_empty() {
            return false;
        }
        let slot = hash as usize & (self.heads.len() - 1);
        let next = self.links.get(number as usize).map_or(END, |link| link.1);
        if self.heads[slot] == number {
            self.heads[slot] = next;
        } else {
            let mut at = self.heads[slot];
            loop {
                let Some(link) = self.links.get_mut(at as usize) else { return false };
                if link.1 == number {
                    link.1 = next;
                    break;
                }
                at = link.1;
            }
        }
        self.count -= 1;
        true
    }

    /// The sockets under `hash`.
    pub(crate) fn find(&self, hash: u32) -> impl Iterator<Item = u32> {
        let mut at = match self.heads.len() {
            0 => END,
            size => self.heads[hash as usize & (size - 1)],
        };
        core::iter::from_fn(move || {
            loop {
                let number = at;
                let (own, next) = *self.links.get(number as usize)?;
                at = next;
                if own == hash {
                    return Some(number);
                }
            }
        })
    }

    fn grow(&mut self) {
        let size = (self.heads.len() * 2).max(16);
        let old = core::mem::replace(&mut self.heads, alloc::vec![END; size]);
        for head in old {
            let mut at = head;
            while let Some(link) = self.links.get_mut(at as usize) {
                let next = link.1;
                link.1 = core::mem::replace(&mut self.heads[link.0 as usize & (size - 1)], at);
                at = next;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_is_in_and_nothing_else() {
        let mut index = Index::default();
        for number in 0..500u32 {
            index.insert(number / 3 * 7, number);
        }
        for number in (0..500).step_by(2) {
            assert!(index.remove(number / 3 * 7, number));
            assert!(!index.remove(number / 3 * 7, number));
        }
        for number in 0..500u32 {
            assert_eq!(index.find(number / 3 * 7).any(|n| n == number), number % 2 == 1);
        }
        assert_eq!(index.find(1).count(), 0);
    }
}
