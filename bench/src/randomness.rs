//! How random are values that should be? What so few samples can say, and no more.
//!
//! A thousand values cannot show 25 bits of min-entropy: the most frequent of them bounds it by 10 bits. What they can
//! show is that nothing is stuck or repeated: bits that never changed, bits that lean to one side, and pairs of equal
//! values, of which a source with too little collision entropy (Rényi's of order 2) would give some.

use std::collections::HashMap;
use std::fmt;

/// With no equal pair seen, fewer than this many are expected, 19 times of 20 (Poisson: e⁻³ ≈ 0.05).
const UNSEEN: f64 = 3.0;

/// What a sample of values says about their source.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Randomness {
    /// How many values.
    pub count: usize,
    /// How many different ones.
    pub distinct: usize,
    /// Bits that were not the same in all.
    pub varied: u32,
    /// Of those, the ones that were set in about half of the values (within three standard deviations).
    pub balanced: u32,
    /// Collision entropy, bits: as estimated from the equal pairs, or, without any, the least that is likely (95 %).
    pub collision_bits: f64,
    /// Whether there were equal pairs.
    pub collided: bool,
}

impl Randomness {
    /// Looks at values; `None` if there are fewer than two.
    pub fn of(values: &[u64]) -> Option<Self> {
        let first = *values.first().filter(|_| values.len() > 1)?;
        let mut times: HashMap<u64, u64> = HashMap::new();
        values.iter().for_each(|value| *times.entry(*value).or_default() += 1);
        let equal: u64 = times.values().map(|n| n * (n - 1) / 2).sum();
        let pairs = values.len() as f64 * (values.len() - 1) as f64 / 2.0;
        let varied = values.iter().fold(0, |bits, value| bits | (value ^ first));
        let spread = 3.0 * (values.len() as f64).sqrt() / 2.0;
        let is_balanced = |bit: &u32| {
            let ones = values.iter().filter(|value| **value >> bit & 1 == 1).count() as f64;
            (ones - values.len() as f64 / 2.0).abs() <= spread
        };
        Some(Self {
            count: values.len(),
            distinct: times.len(),
            varied: varied.count_ones(),
            balanced: (0..64).filter(|bit| varied >> bit & 1 == 1).filter(is_balanced).count() as u32,
            collision_bits: (pairs / if equal == 0 { UNSEEN } else { equal as f64 }).log2(),
            collided: equal != 0,
        })
    }
}

impl fmt::Display for Randomness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { count, distinct, varied, balanced, collision_bits, collided } = self;
        let sign = if *collided { "≈" } else { "≥" };
        write!(f, "{distinct} of {count} differ; {varied} bits vary, {balanced} evenly; ")?;
        write!(f, "collision entropy {sign} {collision_bits:.1} bits")
    }
}

#[cfg(test)]
mod tests {
    use super::Randomness;

    fn of(values: impl Iterator<Item = u64>) -> Randomness {
        Randomness::of(&values.collect::<Vec<_>>()).expect("enough values")
    }

    #[test]
    fn a_constant_has_none() {
        let constant = of((0..1000).map(|_| 7));
        assert_eq!((constant.distinct, constant.varied), (1, 0));
        assert!(constant.collided && constant.collision_bits < 0.01, "{constant}");
    }

    #[test]
    fn eight_bits_look_like_eight() {
        let mut state = 1u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state >> 33
        };
        let eight = of((0..1000).map(|_| next() & 0xff));
        assert_eq!((eight.varied, eight.balanced), (8, 8));
        assert!((eight.collision_bits - 8.0).abs() < 0.5, "{eight}");
        let many = of((0..1000).map(|_| next() << 21));
        assert!(!many.collided && (17.0..17.6).contains(&many.collision_bits), "{many}");
        // A bit that is set in a tenth of the values varies, but leans.
        assert_eq!(of((0..1000).map(|n| u64::from(n % 10 == 0))).balanced, 0);
    }
}
