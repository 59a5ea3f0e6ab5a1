//! Samples, their median, and their spread.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Measurements of one thing, in one unit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Samples(Vec<f64>);

impl Samples {
    /// Adds one measurement. Five digits are kept: none of these is known better.
    pub fn push(&mut self, value: f64) {
        let digits = if value == 0.0 || !value.is_finite() { 0 } else { 4 - value.abs().log10().floor() as i32 };
        let factor = 10f64.powi(digits.clamp(0, 9));
        self.0.push((value * factor).round() / factor);
    }

    /// The value below which `fraction` (0 to 1) of the samples lie; NaN without samples.
    pub fn quantile(&self, fraction: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        match sorted.len() {
            0 => f64::NAN,
            n => sorted[((n - 1) as f64 * fraction).round() as usize],
        }
    }

    /// The middle sample.
    pub fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// The 10th and the 90th percentile; of few samples the least and the greatest.
    pub fn spread(&self) -> (f64, f64) {
        (self.quantile(0.1), self.quantile(0.9))
    }

    /// Are there none?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Why these cannot be right, or are too few.
    pub fn fault(&self, least: usize) -> Option<String> {
        if self.0.iter().any(|value| !value.is_finite()) {
            return Some("a sample is not a number".into());
        }
        if self.0.iter().any(|value| *value < 0.0) {
            return Some("a sample is less than nothing".into());
        }
        (self.0.len() < least).then(|| format!("{} samples, fewer than {least}", self.0.len()))
    }
}

impl FromIterator<f64> for Samples {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        let mut samples = Samples::default();
        values.into_iter().for_each(|value| samples.push(value));
        samples
    }
}

impl fmt::Display for Samples {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = if self.median().abs() < 10.0 { 2 } else { 0 };
        write!(f, "{:.digits$} ({:.digits$}–{:.digits$})", self.median(), self.quantile(0.1), self.quantile(0.9))
    }
}

#[cfg(test)]
mod tests {
    use super::Samples;

    #[test]
    fn medians_spreads_and_faults() {
        let samples: Samples = [3.0, 1.0, 2.0].into_iter().collect();
        assert_eq!((samples.median(), samples.spread()), (2.0, (1.0, 3.0)));
        assert_eq!(samples.fault(3), None);
        assert!(samples.fault(4).is_some() && Samples::default().median().is_nan());
        let odd: Samples = [-1.0].into_iter().collect();
        assert!(odd.fault(1).is_some());
        let long: Samples = [123_456.789, 0.001_234_567_8].into_iter().collect();
        assert_eq!(long, Samples(vec![123_457.0, 0.001_234_6]));
    }
}
