//! How long a start takes: tool to first byte, and guest entry to `main`.

use super::{Row, Subjects};
use crate::first_byte;
use crate::sample::Samples;
use anyhow::{Context, Result};
use std::path::Path;
use std::process::Command;

/// Starts in a row of each subject, taken in turns so that noise falls on all alike.
const ROUNDS: usize = 101;
const QEMU_ROUNDS: usize = 15;

pub(super) fn rows(subjects: &Subjects) -> Result<Vec<Row>> {
    let image = subjects.image("examples/hello", true)?;
    let native = subjects.native("examples/hello")?;
    let (mut machine, mut process) = (Samples::default(), Samples::default());
    for _ in 0..ROUNDS {
        machine.push(first_byte::measure(run(subjects, &image).args(["--on", "process"]))?);
        process.push(first_byte::measure(&mut Command::new(&native))?);
    }
    let mut kvm = Samples::default();
    let under_kvm = (0..ROUNDS)
        .try_for_each(|_| first_byte::measure(run(subjects, &image).args(["--on", "kvm"])).map(|ms| kvm.push(ms)));
    let mut qemu = Samples::default();
    let under_qemu = (0..QEMU_ROUNDS)
        .try_for_each(|_| first_byte::measure(run(subjects, &image).args(["--on", "qemu"])).map(|ms| qemu.push(ms)));
    Ok(vec![
        Row::new(
            "`ampoule run hello.img`, process: start of the tool to first byte, ms",
            Ok(machine.to_string()),
            "≤ 2",
            format!("native static program {process}; Solo5 spt 3.5 (recorded)"),
        ),
        Row::new("guest entry to `main`, process, µs", entry_to_main(subjects, &image, "process"), "≤ 20", ""),
        Row::new(
            "`ampoule run --on kvm hello.img`: start of the tool to first byte, ms",
            under_kvm.map(|()| kvm.to_string()),
            "≤ 3",
            "Solo5 hvt 10 (recorded)",
        ),
        Row::new(
            "guest entry to `main`, KVM, µs",
            entry_to_main(subjects, &image, "kvm"),
            "≤ 100",
            "Unikraft 54–83 (elsewhere)",
        ),
        Row::new(
            "`ampoule run --on qemu hello.img`, microvm, TCG: start to first line, ms",
            under_qemu.map(|()| qemu.to_string()),
            "≤ 80",
            "Nanos 170, Solo5 189, Unikraft 209, Linux 608 (recorded)",
        ),
    ])
}

pub(super) fn run(subjects: &Subjects, image: &Path) -> Command {
    let mut command = Command::new(&subjects.tool);
    command.arg("run").arg(image);
    command
}

/// The tool prints the two marks that the guest leaves in its vCPU block when this variable is set.
fn entry_to_main(subjects: &Subjects, image: &Path, on: &str) -> Result<String> {
    let mut samples = Samples::default();
    for _ in 0..ROUNDS {
        let mut command = run(subjects, image);
        command.args(["--on", on]).env("AMPOULE_MARKS", "1").stderr(std::process::Stdio::piped());
        let output = command.output()?;
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        let line = text.lines().find_map(|l| l.strip_prefix("entry to main: ")).context("the tool printed no marks")?;
        samples.push(line.trim_end_matches(" ns").parse::<f64>()? / 1e3);
    }
    Ok(samples.to_string())
}
