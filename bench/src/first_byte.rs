//! From the start of a program to the first byte that it writes.

use anyhow::{Context, Result, bail};
use std::io::Read;
use std::process::{Command, Stdio};
use std::time::Instant;

/// Starts `command` and gives the milliseconds until its first byte on standard output, once it has ended by itself.
pub fn measure(command: &mut Command) -> Result<f64> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let start = Instant::now();
    let mut child = command.spawn().with_context(|| format!("cannot start {:?}", command.get_program()))?;
    let mut output = child.stdout.take().context("the child has no standard output")?;
    let mut byte = [0];
    let got = output.read(&mut byte)?;
    let elapsed = start.elapsed();
    let mut rest = Vec::new();
    output.read_to_end(&mut rest)?;
    child.wait()?;
    if got == 0 {
        bail!("{:?} ended without writing anything", command.get_program());
    }
    Ok(elapsed.as_secs_f64() * 1e3)
}
