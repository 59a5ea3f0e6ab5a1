//! The entropy seam.

/// A source of randomness from outside the machine.
pub trait Entropy: Sync {
    /// Fills `buffer` with fresh random bytes; false if the source has none now, and `buffer` is then as it was.
    fn fill(&self, buffer: &mut [u8]) -> bool;
}
