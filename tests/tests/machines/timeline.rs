//! `run --timeline`: every phase of a start is there, in an order that can be, as text and as a file.

use std::fs;

use ampoule_tests::backend::Backend;
use ampoule_tests::harness::Case;
use ampoule_tests::machine::Machine;
use ampoule_tests::tool;
use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::everywhere;

pub(crate) fn cases() -> Vec<Case> {
    everywhere("the start's timeline", timeline)
        .chain(everywhere("a timeline that cannot be written", unwritable))
        .collect()
}

/// What a phase has to be called on a backend, in the order in which they begin.
fn phases(backend: Backend) -> Vec<&'static str> {
    let ours = ["reads the command line, opens the image", "lays the machine out, starts its process", "starts"];
    let rest = ["makes memory", "loads and relocates the image", "seals it", "sets devices up", "gives its rights up"];
    let program = ["enters the guest", "library OS and std start", "comes to its first output"];
    match backend {
        Backend::Process => [&ours[..], &rest, &program].concat(),
        Backend::Kvm => {
            let cpu = ["makes a virtual machine", "sets its CPU and clock up"];
            let tables = ["writes page tables, sets registers"];
            [&ours[..], &rest[..1], &cpu, &rest[1..3], &tables, &rest[3..], &program].concat()
        }
        _ => [&ours[..2], &["QEMU starts and boots it, to its first output"]].concat(),
    }
}

fn timeline(backend: Backend) -> Result<()> {
    let image = tool::image("examples/hello")?;
    let file = image.with_file_name(format!("timeline-{backend}.json"));
    let path = file.to_str().context("the project's folder has a name of UTF-8")?;
    let end = Machine::start(&image, backend, &[&format!("--timeline={path}")])?.end()?.with_status(0)?;
    let trace: Value = serde_json::from_str(&fs::read_to_string(&file)?).context("the file is no JSON")?;
    let events = trace["traceEvents"].as_array().context("no events")?;
    let mut last = 0.0;
    for phase in phases(backend) {
        let event =
            events.iter().find(|event| event["name"] == phase).with_context(|| format!("no phase {phase:?}"))?;
        let (from, took) = (event["ts"].as_f64().context("no time")?, event["dur"].as_f64().context("no duration")?);
        ensure!(from >= last && took >= 0.0, "{phase:?} begins at {from} µs, after one at {last}");
        ensure!(end.errors.lines().any(|line| line.contains(phase)), "the text has no {phase:?}:\n{}", end.errors);
        last = from;
    }
    Ok(())
}

/// Said before the machine starts.
fn unwritable(backend: Backend) -> Result<()> {
    let image = tool::image("examples/hello")?;
    let file = image.join("timeline.json");
    let end = Machine::start(&image, backend, &[&format!("--timeline={}", file.display())])?.end()?.with_status(2)?;
    ensure!(end.output.is_empty(), "it has run: {}", end.output);
    end.with_text(&["error: cannot write the timeline to ", "timeline.json: Not a directory"]).map(drop)
}
