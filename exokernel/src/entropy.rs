//! Randomness for one boot: the seed that the guest is given, and where the image goes.
//!
//! Sources are the CPU's generator, where it has one, and the jitter of the time-stamp counter, both absorbed by the
//! ChaCha20 permutation (RFC 8439 §2.3) used as a sponge. Without the CPU's generator this is weak; a virtio entropy
//! device makes up for it later.

use crate::cpu;

/// The sponge: the first eight words take and give, the rest stay inside.
pub struct Entropy {
    state: [u32; 16],
}

impl Entropy {
    /// Gathers.
    pub fn gather() -> Entropy {
        let mut entropy = Entropy { state: [0x6170_7865; 16] };
        for _ in 0..8 {
            let random = cpu::random();
            entropy.absorb([random.unwrap_or(0), cpu::tsc(), 0, 0]);
            if random.is_none() {
                (0..64).for_each(|_| entropy.absorb([cpu::tsc(), 0, 0, 0]));
            }
        }
        entropy
    }

    /// Takes in 32 bytes.
    fn absorb(&mut self, words: [u64; 4]) {
        for (index, word) in words.into_iter().enumerate() {
            self.state[index * 2] ^= word as u32;
            self.state[index * 2 + 1] ^= (word >> 32) as u32;
        }
        self.permute();
    }

    /// Gives 8 bytes.
    pub fn word(&mut self) -> u64 {
        self.permute();
        u64::from(self.state[0]) | u64::from(self.state[1]) << 32
    }

    /// Gives the seed.
    pub fn seed(&mut self) -> [u8; 32] {
        let mut seed = [0; 32];
        seed.as_chunks_mut::<8>().0.iter_mut().for_each(|chunk| *chunk = self.word().to_le_bytes());
        seed
    }

    fn permute(&mut self) {
        for _ in 0..10 {
            for column in 0..4 {
                self.quarter([column, column + 4, column + 8, column + 12]);
            }
            for column in 0..4 {
                self.quarter([column, 4 + (column + 1) % 4, 8 + (column + 2) % 4, 12 + (column + 3) % 4]);
            }
        }
    }

    fn quarter(&mut self, [a, b, c, d]: [usize; 4]) {
        let s = &mut self.state;
        for (x, y, z, turn) in [(a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)] {
            s[x] = s[x].wrapping_add(s[y]);
            s[z] = (s[z] ^ s[x]).rotate_left(turn);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quarter_round_is_rfc_8439s() {
        // RFC 8439 §2.1.1
        let mut e = Entropy { state: [0; 16] };
        (e.state[0], e.state[1], e.state[2], e.state[3]) = (0x11111111, 0x01020304, 0x9b8d6f43, 0x01234567);
        e.quarter([0, 1, 2, 3]);
        assert_eq!(e.state[..4], [0xea2a92f4, 0xcb1cf8ce, 0x4581472e, 0x5881c4bb]);
    }

    #[test]
    fn two_seeds_differ() {
        let mut e = Entropy::gather();
        assert_ne!(e.seed(), e.seed());
    }
}
