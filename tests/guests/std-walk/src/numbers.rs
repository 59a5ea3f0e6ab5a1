//! Numbers from text and as text: std's own, and exact.

use crate::{Case, saw};

pub(crate) const CASES: &[Case] = &[("f64 from text", parse), ("f64 as text", print), ("f64: exact operations", exact)];

fn parse() {
    let texts = [
        "0.1",
        "1e308",
        "1.7976931348623157e308",
        "1.7976931348623159e308",
        "5e-324",
        "2e-324",
        "4.9406564584124654e-324",
        "9007199254740993",
        "123456789012345678901234567890",
        "-0",
        "inf",
        "-Infinity",
        "nan",
        "1_0",
        "",
        ".",
        "e5",
        "0x1p3",
        "3.14159265358979323846264338327950288",
        "2.2250738585072011e-308",
        "1e-400",
        "1e400",
    ];
    for text in texts {
        saw!(text, text.parse::<f64>().map(|x| format!("{:016x}", x.to_bits())).map_err(|e| e.to_string()));
    }
    saw!("f32", "16777217".parse::<f32>().map(f32::to_bits));
}

fn print() {
    for x in
        [0.1, 1.0 / 3.0, 1e21, 1e-7, f64::MAX, f64::MIN_POSITIVE, 5e-324, -0.0, f64::NAN, f64::INFINITY, 123456.789]
    {
        saw!("shortest", format!("{x} {x:?} {x:e} {x:.3} {x:+010.2} {x:.0}"));
    }
    saw!("many digits", format!("{:.60}", 0.1));
    saw!("halves", format!("{:.0} {:.0} {:.0} {:.1}", 0.5, 1.5, 2.5, 0.25));
    saw!("f32", format!("{} {:e}", 0.1f32, f32::MAX));
}

fn exact() {
    let values = [0.0, -0.0, 0.5, 1.5, 2.5, -2.5, 1e15 + 0.5, 4_503_599_627_370_497.5, -1e300, 1e-320, f64::INFINITY];
    for x in values {
        let bits =
            [x.floor(), x.ceil(), x.round(), x.trunc(), x.round_ties_even(), x.fract(), x.abs(), x.signum(), x.sqrt()];
        saw!(x, bits.map(|x: f64| if x.is_nan() { "nan".into() } else { format!("{:x}", x.to_bits()) }));
    }
    for (x, y) in [(5.5, 2.0), (-5.5, 2.0), (1e300, 3.7), (0.3, 0.1), (5.0, f64::INFINITY), (1e-320, 3e-322)] {
        saw!(
            "% and friends",
            [x % y, x.rem_euclid(y), x.div_euclid(y), x.mul_add(y, 1.0), x.min(y), x.max(y)].map(|x: f64| x.to_bits())
        );
    }
    saw!("f32", [(7.7f32 % 2.1).to_bits(), 7.7f32.mul_add(2.1, 0.3).to_bits(), 2.5f32.round().to_bits()]);
    saw!(
        "to integers",
        (1e20 as i32, std::hint::black_box(f64::NAN) as u8, -5.7 as u32, -5.7 as i64, f64::INFINITY as u64)
    );
    saw!("midpoint, next", (f64::midpoint(1.0, 2.0), 1f64.next_up().to_bits(), 0f64.next_down().to_bits()));
}
