//! f64's and f32's functions that come from the C library: within the units in the last place that a line's `~` states.
//! POSIX leaves their accuracy open, and std promises none.

use crate::Case;

pub(crate) const CASES: &[Case] =
    &[("f64 functions", doubles), ("f32 functions", singles), ("special values", special)];

/// Values over many orders of magnitude, the same everywhere.
fn values(count: u32) -> Vec<f64> {
    let mut seed = 88_172_645_463_325_252u64;
    (0..count)
        .map(|n| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            let unit = (seed >> 11) as f64 / (1u64 << 53) as f64;
            let scale = [1.0, 10.0, 0.01, 1000.0, 1e-8][n as usize % 5];
            (unit * 2.0 - 1.0) * scale
        })
        .collect()
}

fn show(ulps: u32, name: &str, results: impl Iterator<Item = f64>) {
    let bits: Vec<String> =
        results.map(|x| if x.is_nan() { "nan".into() } else { format!("{:016x}", x.to_bits()) }).collect();
    println!("~{ulps} {name} {}", bits.join(" "));
}

fn show32(ulps: u32, name: &str, results: impl Iterator<Item = f32>) {
    let bits: Vec<String> =
        results.map(|x| if x.is_nan() { "nan".into() } else { format!("{:08x}", x.to_bits()) }).collect();
    println!("~{ulps} {name} {}", bits.join(" "));
}

type Function = (u32, &'static str, fn(f64) -> f64);

const DOUBLES: &[Function] = &[
    (1, "sin", f64::sin),
    (1, "cos", f64::cos),
    (1, "tan", f64::tan),
    (1, "asin", |x| (x / 1000.0).asin()),
    (1, "acos", |x| (x / 1000.0).acos()),
    (1, "atan", f64::atan),
    (1, "sinh", |x| (x / 10.0).sinh()),
    (1, "cosh", |x| (x / 10.0).cosh()),
    (2, "tanh", f64::tanh),
    (1, "asinh", f64::asinh),
    (1, "acosh", |x| (x.abs() + 1.0).acosh()),
    (1, "atanh", |x| (x / 1001.0).atanh()),
    (1, "exp", |x| (x / 2.0).exp()),
    (1, "exp2", f64::exp2),
    (1, "exp_m1", |x| (x / 2.0).exp_m1()),
    (1, "ln", |x| x.abs().ln()),
    (1, "log2", |x| x.abs().log2()),
    (1, "log10", |x| x.abs().log10()),
    (1, "ln_1p", |x| x.abs().ln_1p()),
    (1, "cbrt", f64::cbrt),
];

fn doubles() {
    for (ulps, name, f) in DOUBLES {
        show(*ulps, name, values(200).into_iter().map(f));
    }
    let pairs = || values(200).into_iter().zip(values(300).into_iter().skip(100));
    show(1, "powf", pairs().map(|(x, y)| x.abs().powf(y / 10.0)));
    show(1, "atan2", pairs().map(|(x, y)| x.atan2(y)));
    show(1, "hypot", pairs().map(|(x, y)| x.hypot(y)));
    show(1, "powi", values(100).into_iter().map(|x| x.powi(7)));
    show(1, "sin_cos", values(50).into_iter().map(|x| x.sin_cos()).map(|(s, c)| s + c));
    show(1, "sin of large", (0..40).map(|n| (1.5f64 * 10f64.powi(n)).sin()));
}

fn singles() {
    let values = || values(200).into_iter().map(|x| x as f32);
    show32(1, "sinf", values().map(f32::sin));
    show32(1, "cosf", values().map(f32::cos));
    show32(1, "tanf", values().map(f32::tan));
    show32(1, "expf", values().map(|x| (x / 20.0).exp()));
    show32(1, "lnf", values().map(|x| x.abs().ln()));
    show32(1, "log2f", values().map(|x| x.abs().log2()));
    show32(1, "log10f", values().map(|x| x.abs().log10()));
    show32(1, "powf", values().map(|x| x.abs().powf(1.7)));
    show32(1, "cbrtf", values().map(f32::cbrt));
    show32(1, "atan2f", values().map(|x| x.atan2(0.7)));
    show32(1, "hypotf", values().map(|x| x.hypot(3.0)));
    show32(1, "sinhf", values().map(|x| (x / 20.0).sinh()));
}

fn special() {
    let values = [0.0, -0.0, 1.0, -1.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 1e308, -1e308, 5e-324];
    for (_, name, f) in DOUBLES {
        show(0, name, values.into_iter().map(f));
    }
    let pairs = || values.into_iter().flat_map(|x| values.map(|y| (x, y)));
    show(0, "powf", pairs().map(|(x, y)| x.powf(y)));
    show(0, "atan2", pairs().map(|(x, y)| x.atan2(y)));
    show(0, "hypot", pairs().map(|(x, y)| x.hypot(y)));
    show(0, "%", pairs().map(|(x, y)| x % y));
    show(0, "mul_add", pairs().map(|(x, y)| x.mul_add(y, x)));
}
