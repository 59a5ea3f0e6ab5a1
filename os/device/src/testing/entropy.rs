//! Entropy seams: one that counts, one that is dry.

use super::lock;
use crate::Entropy;
use std::sync::Mutex;

/// Gives 1, 2, 3 … and remembers how many bytes it gave.
#[derive(Debug, Default)]
pub struct CountingEntropy(Mutex<u64>);

impl CountingEntropy {
    /// Bytes given so far.
    pub fn given(&self) -> u64 {
        *lock(&self.0)
    }
}

impl Entropy for CountingEntropy {
    fn fill(&self, buffer: &mut [u8]) -> bool {
        let mut given = lock(&self.0);
        for byte in buffer {
            *given += 1;
            *byte = *given as u8;
        }
        true
    }
}

/// Never has any.
#[derive(Debug, Default)]
pub struct DryEntropy;

impl Entropy for DryEntropy {
    fn fill(&self, _buffer: &mut [u8]) -> bool {
        false
    }
}
