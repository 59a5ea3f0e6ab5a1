//! What a machine costs beside the guest's own memory: in its own process, and in the tool's, which is its parent.

use super::served::Served;
use super::{Row, Subjects};
use crate::smaps::{self, Memory};
use anyhow::{Context, Result};
use std::path::Path;

/// The guest's memory.
const GUEST: (u64, &str) = (64 << 20, "64M");

pub(super) fn rows(subjects: &Subjects) -> Result<Vec<Row>> {
    let image = subjects.image("examples/web", true)?;
    let row = |(on, name): (&str, &str)| {
        let what = format!("memory beside the guest's, {name}, `web` idle, resident (of that private), MiB");
        match measure(subjects, &image, on) {
            Ok((machine, tool)) => Row::new(
                what,
                Ok(format!("machine's process {}", text(machine))),
                "≤ 3",
                format!("the tool's, its parent: {}; both by Pss {}; Firecracker ≤ 5 (elsewhere)", text(tool), {
                    mebibytes(machine.and(tool).proportional)
                }),
            ),
            Err(error) => Row::new(what, Err(error), "≤ 3", ""),
        }
    };
    Ok([("process", "process"), ("kvm", "KVM")].map(row).into())
}

/// The machine's process without its guest, and the tool's, of a server that has answered once.
fn measure(subjects: &Subjects, image: &Path, on: &str) -> Result<(Memory, Memory)> {
    let served = Served::machine(subjects, image, on, &["--memory", GUEST.1])?;
    let tool = served.process();
    let machine = smaps::children(tool, &smaps::parents()?).next().context("the tool has no child")?;
    Ok((smaps::beside_guest(machine, GUEST.0)?, smaps::of(tool)?))
}

fn text(memory: Memory) -> String {
    format!("{} ({})", mebibytes(memory.resident), mebibytes(memory.private))
}

fn mebibytes(kib: u64) -> String {
    format!("{:.2}", kib as f64 / 1024.0)
}
