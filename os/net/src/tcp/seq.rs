//! Sequence numbers (RFC 9293 §3.4): 32 bits that wrap, compared by their distance.

use core::ops::{Add, AddAssign, Sub};

/// A sequence number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seq(pub(crate) u32);

impl Seq {
    /// The later of two.
    pub(crate) fn max(self, other: Self) -> Self {
        if other - self > 0 { other } else { self }
    }

    /// The earlier of two.
    pub(crate) fn min(self, other: Self) -> Self {
        if other - self < 0 { other } else { self }
    }

    /// Bytes from `earlier` to here; 0 if that is not earlier.
    pub(crate) fn past(self, earlier: Self) -> usize {
        (self - earlier).max(0) as usize
    }
}

impl Add<usize> for Seq {
    type Output = Self;

    fn add(self, bytes: usize) -> Self {
        Self(self.0.wrapping_add(bytes as u32))
    }
}

impl AddAssign<usize> for Seq {
    fn add_assign(&mut self, bytes: usize) {
        *self = *self + bytes;
    }
}

impl Sub<usize> for Seq {
    type Output = Self;

    fn sub(self, bytes: usize) -> Self {
        Self(self.0.wrapping_sub(bytes as u32))
    }
}

impl Sub for Seq {
    type Output = i32;

    /// Positive if `self` is the later one.
    fn sub(self, other: Self) -> i32 {
        self.0.wrapping_sub(other.0) as i32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_survives_the_wrap() {
        let before = Seq(u32::MAX - 1);
        let after = before + 5;
        assert_eq!(after, Seq(3));
        assert_eq!((after - before, before - after, before - 2), (5, -5, Seq(u32::MAX - 3)));
        assert_eq!((before.max(after), before.min(after)), (after, before));
        assert_eq!((after.past(before), before.past(after)), (5, 0));
    }
}
