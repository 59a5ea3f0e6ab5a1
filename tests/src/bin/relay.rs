//! `relay A B SEED LOSS DUPLICATE CORRUPT REORDER DELAY-US BYTES-PER-MS`: see [`ampoule_tests::relay`].
#![forbid(unsafe_code)]

use anyhow::{Context, Result, bail};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [a, b, numbers @ ..] = arguments.as_slice() else { bail!("usage: relay A B SEED and a link's six numbers") };
    let numbers: Vec<u64> = numbers.iter().map(|number| number.parse()).collect::<Result<_, _>>()?;
    let [seed, faults @ ..] = numbers.as_slice() else { bail!("a link has a seed") };
    let faults = ampoule_tests::relay::faults(faults).context("a link has six numbers")?;
    ampoule_tests::relay::run([a, b], *seed, faults)
}
