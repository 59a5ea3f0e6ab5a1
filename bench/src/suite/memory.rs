//! The least memory with which a machine does its work.

use super::served::{Served, THOUSAND};
use super::start::run;
use super::{Row, Subjects};
use anyhow::{Result, bail};
use std::path::Path;
use std::process::Stdio;

/// Sizes to try, in MiB, ascending.
const SIZES: [u64; 12] = [1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 24, 32];

pub(super) fn rows(subjects: &Subjects) -> Result<Vec<Row>> {
    let hello = subjects.image("examples/hello", true)?;
    let web = subjects.image("examples/web", true)?;
    let mut rows = Vec::new();
    for (on, name) in [("process", "process"), ("qemu", "QEMU microvm")] {
        let prints = least(|size| prints_hello(subjects, &hello, on, size));
        let answers = least(|size| answers_thousand(subjects, &web, on, size));
        rows.push(Row::new(
            format!("least memory, hello prints, {name}"),
            prints,
            "2 MiB",
            "Unikraft 2, Nanos 11, Hermit 11, Linux 30 (recorded)",
        ));
        rows.push(Row::new(
            format!("least memory, web answers 1,000 requests, {name}"),
            answers,
            "8 MiB",
            "Unikraft 4, Nanos 13, Hermit 70, Linux 30 (recorded)",
        ));
    }
    Ok(rows)
}

fn least(mut works: impl FnMut(u64) -> Result<()>) -> Result<String> {
    let mut last = None;
    for size in SIZES {
        match works(size) {
            Ok(()) => return Ok(format!("{size} MiB")),
            Err(error) => last = Some(error),
        }
    }
    bail!(
        "not even with {} MiB: {:#}",
        SIZES[SIZES.len() - 1],
        last.unwrap_or_else(|| anyhow::anyhow!("nothing tried"))
    )
}

fn prints_hello(subjects: &Subjects, image: &Path, on: &str, size: u64) -> Result<()> {
    let mut command = run(subjects, image);
    command.args(["--on", on, "--memory", &format!("{size}M")]).stdin(Stdio::null());
    let output = command.output()?;
    if !output.status.success() || !String::from_utf8_lossy(&output.stdout).to_lowercase().contains("hello") {
        bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

fn answers_thousand(subjects: &Subjects, image: &Path, on: &str, size: u64) -> Result<()> {
    let served = Served::machine(subjects, image, on, &["--memory", &format!("{size}M")])?;
    served.requests(THOUSAND)
}
