//! Numbers as people read them.

use crate::sample::Samples;

/// Three to four digits that count, and commas in large ones.
pub(super) fn text(value: f64) -> String {
    let digits = match value.abs() {
        v if v >= 99.95 || v == 0.0 => 0,
        // Most likely it was counted.
        v if v >= 9.995 && v.fract() == 0.0 => 0,
        v if v >= 9.995 => 1,
        v if v >= 0.9995 => 2,
        _ => 3,
    };
    let plain = format!("{value:.digits$}");
    let (whole, rest) = plain.split_at(plain.find('.').unwrap_or(plain.len()));
    let mut grouped = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped + rest
}

/// The median, and the spread where there is one.
pub(super) fn samples(samples: &Samples) -> String {
    let (low, high) = samples.spread();
    let [middle, low, high] = [samples.median(), low, high].map(text);
    if low == high { middle } else { format!("{middle} ({low}–{high})") }
}

/// How many times the one is the other: 1 if both are nothing, infinitely many times if only the other is.
pub(super) fn ratio(one: f64, other: f64) -> Option<f64> {
    match (one, other) {
        (one, other) if one.is_nan() || other.is_nan() => None,
        (0.0, 0.0) => Some(1.0),
        (one, other) => Some(one / other),
    }
}

/// A ratio with three digits that count.
pub(super) fn times(ratio: f64) -> String {
    match ratio {
        f64::INFINITY => "∞ ×".into(),
        0.0 => "0 ×".into(),
        r if r >= 99.95 => format!("{} ×", text(r)),
        r if r >= 9.995 => format!("{r:.1} ×"),
        r if r >= 0.0995 => format!("{r:.2} ×"),
        r => format!("{r:.4} ×"),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn as_people_read_them() {
        let texts = [0.0, 0.0123, 1.0, 12.0, 28.52, 999.6, 1234.5, 1_234_567.0].map(super::text);
        assert_eq!(texts, ["0", "0.012", "1.00", "12", "28.5", "1,000", "1,234", "1,234,567"]);
        assert_eq!(super::samples(&[1.0, 2.0, 3.0].into_iter().collect()), "2.00 (1.00–3.00)");
        assert_eq!(super::samples(&[890_392.0].into_iter().collect()), "890,392");
        assert_eq!(
            [(0.0, 0.0), (1.0, 0.0), (1.0, 2.0)].map(|(a, b)| super::ratio(a, b)),
            [1.0, f64::INFINITY, 0.5].map(Some)
        );
        assert_eq!((super::ratio(f64::NAN, 1.0), super::times(f64::INFINITY)), (None, "∞ ×".into()));
        assert_eq!([0.0123, 0.5, 12.34, 250.4].map(super::times), ["0.0123 ×", "0.50 ×", "12.3 ×", "250 ×"]);
    }
}
