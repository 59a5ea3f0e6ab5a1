//! `bench-load ADDRESS CONNECTIONS SECONDS`: one run of the load generator, as a program of its own so that it can be started
//! inside a network namespace. Prints rate, median and 99th percentile, and how many
//! answers there were in all.
#![forbid(unsafe_code)]

use ampoule_bench::load;
use anyhow::{Context, Result};
use std::time::Duration;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().context("usage: bench-load ADDRESS:PORT CONNECTIONS SECONDS");
    let (server, connections, seconds) = (next()?.parse()?, next()?.parse()?, next()?.parse()?);
    let report = load::run(server, connections, Duration::from_millis(500), Duration::from_secs(seconds))?;
    println!("{:.0} {:.1} {:.1} {}", report.rate, report.median_us, report.p99_us, report.answers);
    Ok(())
}
