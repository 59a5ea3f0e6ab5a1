//! `cargo xtask conformance`: crates' own test suites, on Linux and in machines side by side.
//!
//! | file | what it does |
//! |---|---|
//! | `list` | `xtask/conformance.toml`: which crates, and why a test of theirs does not pass |
//! | `fetch` | a crate's published sources, its checksum checked |
//! | `build` | its test programs, linked for Linux and for machines |
//! | `run` | one test program: each test's result, those that hang and those that were taken along included |
//! | `keep` | what a run found, kept for `--resume` |
//! | `compare` | what passes on Linux, and what became of it in the machine |
//! | `news` | what the document did not say before |
//! | `explain` | the causes put into the document anew, without a run |
//! | `report`, `names` | `docs/conformance.md` |
//!
//! Only what passes on Linux is asked for. Each test that does not pass inside needs a cause in the list: inherent, then it
//! is "not applicable", or ours, then it has failed. One without a cause makes the command fail, and so does a cause whose
//! tests have come to pass. A crate that cannot be fetched, does not build or hangs is one failure, and the others go on.

mod build;
mod compare;
mod explain;
mod fetch;
mod keep;
mod list;
mod names;
mod news;
mod report;
mod run;

use std::path::{Path, PathBuf};
use std::time::Instant;

use ampoule_cli::arguments::{Machine, On};
use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;

use crate::steps;
use compare::Comparison;
use keep::Run;
use list::Subject;

/// The crates, and the causes of what does not pass.
const LIST: &str = "xtask/conformance.toml";
/// What the runs found.
const DOCUMENT: &str = "docs/conformance.md";

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
    let comparison = compared(&bench, subject, &both(&bench, subject, String::new())?);
    println!("{CRATE}: {}", comparison.summary());
    ensure!(comparison.passed > 0 && comparison.complaints().is_empty(), "{}", comparison.complaints().join("; "));
    Ok(())
}

/// What the command line asks for.
struct Request<'a> {
    backend: Backend,
    /// The document's causes alone, without a run.
    is_explained: bool,
    /// Not what has been run already.
    is_resumed: bool,
    names: Vec<&'a str>,
}

/// Runs the suites of the crates named (all, if none is) and writes the report. `words` may hold `--on BACKEND`,
/// `--machine MACHINE` and `--resume`; or `--explain`: then nothing is run.
pub(crate) fn run(words: &[&str]) -> Result<()> {
    let request = Request::of(words)?;
    let subjects = list::read(Path::new(LIST))?;
    if let Some(unknown) = request.names.iter().find(|name| !subjects.iter().any(|subject| subject.name == **name)) {
        let known: Vec<&str> = subjects.iter().map(|subject| subject.name.as_str()).collect();
        bail!("`{unknown}` is not in xtask/conformance.toml; there are {}", known.join(", "));
    }
    let mut chosen: Vec<&Subject> = subjects.iter().collect();
    chosen.retain(|subject| request.names.is_empty() || request.names.contains(&subject.name.as_str()));
    let complaints = if request.is_explained { explain_all(&chosen)? } else { run_all(&request, &chosen)? };
    complaints.iter().for_each(|complaint| println!("FAILED: {complaint}"));
    match complaints.len() {
        0 => Ok(()),
        count => bail!(
            "{count} complaints: give each failure its cause in xtask/conformance.toml, and remove causes that are no more"
        ),
    }
}

fn explain_all(subjects: &[&Subject]) -> Result<Vec<String>> {
    let mut complaints = Vec::new();
    for subject in subjects.iter().filter(|subject| is_run(subject)) {
        let unexplained = explain::explain(Path::new(DOCUMENT), subject)?;
        complaints.extend(unexplained.iter().map(|test| format!("{}: {test}, without a cause", subject.name)));
    }
    Ok(complaints)
}

/// One crate after the other, whatever becomes of each. Gives what makes the command fail; prints what is new.
fn run_all(request: &Request<'_>, subjects: &[&Subject]) -> Result<Vec<String>> {
    let bench = Bench::new(request.backend)?;
    let ground = match keep::ground() {
        Ok(ground) => ground,
        Err(error) if request.is_resumed => return Err(error.context("--resume cannot tell what has been run")),
        // Not to be found again.
        Err(_) => format!("unknown {:?}", std::time::SystemTime::now()),
    };
    let (mut complaints, mut news) = (Vec::new(), Vec::new());
    for (count, subject) in (1..).zip(subjects) {
        println!("{} {} ({count} of {})", subject.name, subject.version, subjects.len());
        let found = match is_run(subject) {
            true => one(&bench, subject, &ground, request.is_resumed),
            false => not_run(&bench, subject).map(|()| (Vec::new(), Vec::new())),
        };
        let of_this = match found {
            Ok((complaints, lines)) => {
                news.extend(lines);
                complaints
            }
            Err(error) => vec![format!("{}: {error:#}", subject.name)],
        };
        of_this.iter().for_each(|complaint| println!("  FAILED: {complaint}"));
        complaints.extend(of_this);
    }
    println!("{} crates; new:{}", subjects.len(), if news.is_empty() { " nothing" } else { "" });
    news.iter().for_each(|line| println!("  {line}"));
    Ok(complaints)
}

/// Runs a crate's suite, or takes what was found before, and writes its section. Gives what makes the command fail, and
/// what is new.
fn one(bench: &Bench, subject: &Subject, ground: &str, is_resumed: bool) -> Result<(Vec<String>, Vec<String>)> {
    let start = Instant::now();
    let (folder, backend) = (bench.folder.join(&subject.name), bench.backend.name());
    let of = keep::of(ground, subject);
    let kept = is_resumed.then(|| Run::kept(&folder, &backend, &of)).flatten();
    let is_kept = kept.is_some();
    let run = match kept {
        Some(run) => run,
        None => both(bench, subject, of)?,
    };
    if !is_kept {
        run.keep(&folder, &backend)?;
    }
    let comparison = compared(bench, subject, &run);
    let took = if is_kept { "run before".to_owned() } else { format!("{:.0} s in all", start.elapsed().as_secs_f64()) };
    println!("  {} ({took})", comparison.summary());
    let other = (bench.backend.on != On::Process).then_some(&*backend);
    let before = report::put(Path::new(DOCUMENT), subject, &comparison, other, &run.day)?;
    let what = other.map_or_else(|| subject.name.clone(), |other| format!("{} under {other}", subject.name));
    let complaints = comparison.complaints();
    if !complaints.is_empty() {
        println!("  what the programs printed is in {}", folder.join(place(&backend)).display());
    }
    Ok((complaints, news::of(&what, before.as_ref(), &comparison)))
}

impl<'a> Request<'a> {
    fn of(words: &[&'a str]) -> Result<Self> {
        let backend = Backend { on: On::Process, machine: Machine::default() };
        let mut request = Self { backend, is_explained: false, is_resumed: false, names: Vec::new() };
        let mut words = words.iter().copied();
        while let Some(word) = words.next() {
            let (option, value) = word.split_once('=').map_or((word, None), |(option, value)| (option, Some(value)));
            let mut value = || value.or_else(|| words.next()).with_context(|| format!("{option} wants a value"));
            match option {
                "--on" => request.backend.on = choice(option, value()?)?,
                "--machine" => request.backend.machine = choice(option, value()?)?,
                "--resume" => request.is_resumed = true,
                "--explain" => request.is_explained = true,
                _ if option.starts_with('-') => {
                    bail!("there is no {option}; there are --on, --machine, --resume and --explain")
                }
                _ => request.names.push(word),
            }
        }
        ensure!(!(request.is_explained && request.is_resumed), "--explain runs nothing, so it resumes nothing");
        Ok(request)
    }
}

fn choice<T: ValueEnum>(option: &str, value: &str) -> Result<T> {
    T::from_str(value, false).map_err(|error| anyhow::anyhow!("{option} {value}: {error}"))
}

/// Is there something to run?
fn is_run(subject: &Subject) -> bool {
    !subject.carries_no_tests && subject.lacks.is_empty()
}

/// Sees to it that there are no tests, or that they do not build for want of files, and says so.
fn not_run(bench: &Bench, subject: &Subject) -> Result<()> {
    let source = fetch::source(&bench.folder, subject)?;
    let why = if subject.carries_no_tests {
        if let Some(file) = fetch::tests_in(&source)? {
            bail!("it carries tests after all, in {}", file.display());
        }
        "The package carries no tests on crates.io".to_owned()
    } else {
        let Err(error) = build::for_linux(bench, subject, &source) else { bail!("its tests build after all") };
        let folder =
            Path::new(&subject.lacks).file_name().and_then(|name| name.to_str()).context("what does it lack?")?;
        let is_for_want = !source.join(&subject.lacks).exists() && format!("{error:#}").contains(&format!("{folder}/"));
        ensure!(is_for_want, "its tests do not build, but not for want of {}: {error:#}", subject.lacks);
        format!("The package is published without `{}`, and its tests do not build without it", subject.lacks)
    };
    report::put_bare(Path::new(DOCUMENT), subject, &why)
}

/// Runs a suite in both places. `of` is what the results will hold for.
fn both(bench: &Bench, subject: &Subject, of: String) -> Result<Run> {
    let source = fetch::source(&bench.folder, subject)?;
    let linux = build::for_linux(bench, subject, &source)?;
    let machine = build::for_machines(bench, subject, &source)?;
    let Backend { on, machine: qemu_machine } = bench.backend;
    let setup = ampoule_cli::commands::test::Setup::new(on, qemu_machine, &build::tool_folder(bench))?;
    let by_machine = |command: &mut std::process::Command| setup.set(command);
    let outputs = |place: &str| bench.folder.join(&subject.name).join(place);
    let on_linux = run::all(&linux, subject, &source, None, &outputs("linux"))?;
    let in_machine = run::all(
        &machine,
        subject,
        &source,
        Some((&bench.tool, &by_machine)),
        &outputs(&place(&bench.backend.name())),
    )?;
    Ok(Run::new(of, report::today()?, on_linux, in_machine))
}

/// The folder of what programs printed in machines.
fn place(backend: &str) -> String {
    format!("machine-{}", backend.replace('/', "-"))
}

fn compared(bench: &Bench, subject: &Subject, run: &Run) -> Comparison {
    Comparison::new(subject, &run.linux, &run.machine, bench.backend.on == On::Process)
}
