//! `cargo xtask conformance`: crates' own test suites, on Linux and in machines side by side.
//!
//! | file | what it does |
//! |---|---|
//! | `list` | `xtask/conformance.toml`: which crates, and why a test of theirs does not pass |
//! | `fetch` | a crate's published sources, its checksum checked |
//! | `build` | its test programs, linked for Linux and for machines |
//! | `run` | one test program: each test's result, those that hang and those that were taken along included |
//! | `compare` | what passes on Linux, and what became of it in the machine |
//! | `report` | `docs/conformance.md` |
//!
//! Only what passes on Linux is asked for. Each test that does not pass inside needs a cause in the list: inherent, then it
//! is "not applicable", or ours, then it has failed. One without a cause makes the command fail, and so does a cause whose
//! tests have come to pass.

mod build;
mod compare;
mod fetch;
mod list;
mod report;
mod run;

use std::path::{Path, PathBuf};
use std::time::Instant;

use ampoule_cli::arguments::On;
use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;

use crate::steps;
use compare::Comparison;
use list::Subject;

/// The crates, and the causes of what does not pass.
const LIST: &str = "xtask/conformance.toml";

/// What all subjects have in common.
struct Bench {
    tool: PathBuf,
    /// For everything fetched and built.
    folder: PathBuf,
    on: On,
}

impl Bench {
    fn new(on: On) -> Result<Self> {
        let folder = steps::target_folder().join("conformance");
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(Self { tool: steps::built("ampoule-cli", "ampoule")?, folder: folder.canonicalize()?, on })
    }
}

/// One small crate's suite, without a report: for every run of the tests.
pub(crate) fn smoke() -> Result<()> {
    const CRATE: &str = "crossbeam-utils";
    let bench = Bench::new(On::Process)?;
    let subjects = list::read(Path::new(LIST))?;
    let subject = subjects.iter().find(|subject| subject.name == CRATE).context("the list has lost it")?;
    let comparison = side_by_side(&bench, subject)?;
    println!("{CRATE}: {}", comparison.summary());
    ensure!(comparison.passed > 0 && comparison.complaints().is_empty(), "{}", comparison.complaints().join("; "));
    Ok(())
}

/// Runs the suites of the crates named (all, if none is) and writes the report. `words` may hold `--on BACKEND`.
pub(crate) fn run(words: &[&str]) -> Result<()> {
    let (on, names) = backend(words)?;
    let subjects = list::read(Path::new(LIST))?;
    if let Some(unknown) = names.iter().find(|name| !subjects.iter().any(|subject| subject.name == **name)) {
        let known: Vec<&str> = subjects.iter().map(|subject| subject.name.as_str()).collect();
        bail!("`{unknown}` is not in xtask/conformance.toml; there are {}", known.join(", "));
    }
    let bench = Bench::new(on)?;
    let mut complaints = Vec::new();
    for subject in subjects.iter().filter(|subject| names.is_empty() || names.contains(&subject.name.as_str())) {
        let start = Instant::now();
        println!("{} {}", subject.name, subject.version);
        match side_by_side(&bench, subject) {
            Ok(comparison) => {
                println!("  {} ({:.0} s in all)", comparison.summary(), start.elapsed().as_secs_f64());
                complaints.extend(comparison.complaints());
                // The report is of the process backend: others say what they find here.
                if bench.on == On::Process {
                    report::put(Path::new("docs/conformance.md"), subject, &comparison)?;
                }
            }
            Err(error) => complaints.push(format!("{}: {error:#}", subject.name)),
        }
    }
    complaints.iter().for_each(|complaint| println!("FAILED: {complaint}"));
    match complaints.len() {
        0 => Ok(()),
        count => bail!(
            "{count} complaints: give each failure its cause in xtask/conformance.toml, and remove causes that are no more"
        ),
    }
}

/// `--on`, and the other words.
fn backend<'a>(words: &[&'a str]) -> Result<(On, Vec<&'a str>)> {
    let mut names = Vec::new();
    let (mut on, mut words) = (On::Process, words.iter());
    while let Some(word) = words.next() {
        match word.strip_prefix("--on") {
            Some(rest) => {
                let name = rest.strip_prefix('=').or_else(|| words.next().copied()).context("--on names a backend")?;
                on = On::from_str(name, false).map_err(|error| anyhow::anyhow!("--on {name}: {error}"))?;
            }
            None => names.push(*word),
        }
    }
    Ok((on, names))
}

fn side_by_side(bench: &Bench, subject: &Subject) -> Result<Comparison> {
    let source = fetch::source(&bench.folder, subject)?;
    let linux = build::for_linux(bench, subject, &source)?;
    let machine = build::for_machines(bench, subject, &source)?;
    let setup = ampoule_cli::commands::test::Setup::new(bench.on, &bench.folder.join(&subject.name).join("machine"))?;
    let by_machine = |command: &mut std::process::Command| setup.set(command);
    let on_linux = run::all(&linux, subject, &source, None)?;
    let in_machine = run::all(&machine, subject, &source, Some((&bench.tool, &by_machine)))?;
    Ok(Comparison::new(subject, &on_linux, &in_machine))
}
