//! `bench-bulk ADDRESS:PORT up|down|echo SECONDS`: one measurement of one connection, as a program of its own so that it can be
//! started inside a network namespace. Prints the number.
#![forbid(unsafe_code)]

use ampoule_bench::bulk::{self, Purpose};
use anyhow::{Context, Result};
use std::time::Duration;

fn main() -> Result<()> {
    const USAGE: &str = "usage: bench-bulk ADDRESS:PORT up|down|echo SECONDS";
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().context(USAGE);
    let (server, purpose) = (next()?.parse()?, Purpose::of(&next()?).context(USAGE)?);
    println!("{:.3}", bulk::run(server, purpose, Duration::from_secs(next()?.parse()?))?);
    Ok(())
}
