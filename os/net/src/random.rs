//! Keyed mixing: unpredictable numbers for ports, sequence numbers and DNS, and hashes that a flooder cannot aim at.
//!
//! One function does both: a block of two words under a secret key (the wyhash family's folded multiplication, with two
//! rounds where the result is visible to others). The key comes from the boot's seed, so a test that fixes the seed gets
//! the same run again.

use core::net::{IpAddr, SocketAddr};

/// A secret key and a counter.
pub(crate) struct Random {
    key: [u64; 4],
    counter: u64,
}

/// A key for hashing flows.
#[derive(Clone, Copy)]
pub(crate) struct HashKey([u64; 2]);

impl Random {
    /// From a seed that nobody else uses.
    pub(crate) fn new(seed: [u8; 32]) -> Self {
        let mut key = [0; 4];
        for (word, bytes) in key.iter_mut().zip(seed.chunks_exact(8)) {
            // Odd words multiply without losing bits.
            *word = bytes.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)) | 1;
        }
        Self { key, counter: 0 }
    }

    /// 64 bits that only the key's owner can foretell.
    pub(crate) fn word(&mut self) -> u64 {
        self.counter = self.counter.wrapping_add(1);
        let once = fold(self.counter ^ self.key[0], self.key[1].wrapping_add(self.counter));
        fold(once ^ self.key[2], self.key[3].wrapping_add(once.rotate_left(32)))
    }

    /// A number below `bound`, which is not 0.
    pub(crate) fn below(&mut self, bound: u32) -> u32 {
        (((self.word() >> 32) * u64::from(bound)) >> 32) as u32
    }

    /// A key for hashing.
    pub(crate) fn hash_key(&mut self) -> HashKey {
        HashKey([self.word(), self.word()])
    }
}

impl HashKey {
    /// The hash of an address.
    pub(crate) fn address(&self, address: IpAddr) -> u32 {
        self.hash([fold_address(address)])
    }

    /// The hash of a connection: our end, the other end.
    pub(crate) fn flow(&self, local: SocketAddr, remote: SocketAddr) -> u32 {
        let ports = u64::from(local.port()) << 16 | u64::from(remote.port());
        self.hash([ports, fold_address(local.ip()), fold_address(remote.ip())])
    }

    /// The hash of some words.
    pub(crate) fn hash<const N: usize>(&self, words: [u64; N]) -> u32 {
        let mixed = words.into_iter().fold(self.0[0], |hash, word| fold(hash ^ word, self.0[1].rotate_left(17) ^ word));
        (mixed ^ mixed >> 32) as u32
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

fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_repeat_with_the_seed_and_stay_below_their_bound() {
        let mut one = Random::new([7; 32]);
        let mut two = Random::new([7; 32]);
        for bound in 1..1000 {
            let number = one.below(bound);
            assert!(number < bound);
            assert_eq!(number, two.below(bound));
        }
        assert_ne!(Random::new([8; 32]).word(), Random::new([7; 32]).word());
    }
}
