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

use ampoule_cli::arguments::{Machine, On};
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
    backend: Backend,
}

/// What runs the machines.
#[derive(Clone, Copy)]
struct Backend {
    on: On,
    /// Under QEMU.
    machine: Machine,
}

impl Backend {
    /// What the document calls it.
    fn name(self) -> String {
        let word =
            |value: Option<clap::builder::PossibleValue>| value.map_or_else(String::new, |v| v.get_name().into());
        let on = word(self.on.to_possible_value());
        if self.on == On::Qemu { format!("{on}/{}", word(self.machine.to_possible_value())) } else { on }
    }
}

impl Bench {
    fn new(backend: Backend) -> Result<Self> {
        let folder = steps::target_folder().join("conformance");
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(Self { tool: steps::built("ampoule-cli", "ampoule")?, folder: folder.canonicalize()?, backend })
    }
}

/// One small crate's suite, without a report: for every run of the tests.
pub(crate) fn smoke() -> Result<()> {
    const CRATE: &str = "crossbeam-utils";
    let bench = Bench::new(Backend { on: On::Process, machine: Machine::default() })?;
    let subjects = list::read(Path::new(LIST))?;
    let subject = subjects.iter().find(|subject| subject.name == CRATE).context("the list has lost it")?;
    let comparison = side_by_side(&bench, subject)?;
    println!("{CRATE}: {}", comparison.summary());
    ensure!(comparison.passed > 0 && comparison.complaints().is_empty(), "{}", comparison.complaints().join("; "));
    Ok(())
}

/// Runs the suites of the crates named (all, if none is) and writes the report. `words` may hold `--on BACKEND` and
/// `--machine MACHINE`.
pub(crate) fn run(words: &[&str]) -> Result<()> {
    let (backend, names) = backend(words)?;
    let subjects = list::read(Path::new(LIST))?;
    if let Some(unknown) = names.iter().find(|name| !subjects.iter().any(|subject| subject.name == **name)) {
        let known: Vec<&str> = subjects.iter().map(|subject| subject.name.as_str()).collect();
        bail!("`{unknown}` is not in xtask/conformance.toml; there are {}", known.join(", "));
    }
    let bench = Bench::new(backend)?;
    let mut complaints = Vec::new();
    for subject in subjects.iter().filter(|subject| names.is_empty() || names.contains(&subject.name.as_str())) {
        let start = Instant::now();
        println!("{} {}", subject.name, subject.version);
        if subject.carries_no_tests {
            complaints.extend(without_tests(&bench, subject).err().map(|error| format!("{}: {error:#}", subject.name)));
            continue;
        }
        match side_by_side(&bench, subject) {
            Ok(comparison) => {
                println!("  {} ({:.0} s in all)", comparison.summary(), start.elapsed().as_secs_f64());
                complaints.extend(comparison.complaints());
                let other = (bench.backend.on != On::Process).then(|| bench.backend.name());
                report::put(Path::new("docs/conformance.md"), subject, &comparison, other.as_deref())?;
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

/// `--on` and `--machine`, and the other words.
fn backend<'a>(words: &[&'a str]) -> Result<(Backend, Vec<&'a str>)> {
    let mut names = Vec::new();
    let mut backend = Backend { on: On::Process, machine: Machine::default() };
    let mut words = words.iter().copied();
    while let Some(word) = words.next() {
        let (option, value) = word.split_once('=').map_or((word, None), |(option, value)| (option, Some(value)));
        let mut value = || value.or_else(|| words.next()).with_context(|| format!("{option} wants a value"));
        match option {
            "--on" => backend.on = choice(option, value()?)?,
            "--machine" => backend.machine = choice(option, value()?)?,
            _ if option.starts_with('-') => bail!("there is no {option}; there are --on and --machine"),
            _ => names.push(word),
        }
    }
    Ok((backend, names))
}

fn choice<T: ValueEnum>(option: &str, value: &str) -> Result<T> {
    T::from_str(value, false).map_err(|error| anyhow::anyhow!("{option} {value}: {error}"))
}

/// Sees to it that there are none, and says so.
fn without_tests(bench: &Bench, subject: &Subject) -> Result<()> {
    match fetch::tests_in(&fetch::source(&bench.folder, subject)?)? {
        Some(file) => bail!("it carries tests after all, in {}", file.display()),
        None => report::put_bare(Path::new("docs/conformance.md"), subject),
    }
}

fn side_by_side(bench: &Bench, subject: &Subject) -> Result<Comparison> {
    let source = fetch::source(&bench.folder, subject)?;
    let linux = build::for_linux(bench, subject, &source)?;
    let machine = build::for_machines(bench, subject, &source)?;
    let setup =
        ampoule_cli::commands::test::Setup::new(bench.backend.on, bench.backend.machine, &build::tool_folder(bench))?;
    let by_machine = |command: &mut std::process::Command| setup.set(command);
    let on_linux = run::all(&linux, subject, &source, None)?;
    let in_machine = run::all(&machine, subject, &source, Some((&bench.tool, &by_machine)))?;
    Ok(Comparison::new(subject, &on_linux, &in_machine, bench.backend.on == On::Process))
}
