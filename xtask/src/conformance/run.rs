//! Running test programs, each to its end or until it has hung for too long.
//!
//! What the standard harness prints is read: `test NAME ... ok`. A program that hangs, aborts, or ends itself leaves
//! tests without a result; each of these is then run alone, and what does not end alone either has hung. A program with a
//! harness of its own is one test, and its exit status the result. All of it is bounded, and what a program printed that
//! did not pass is kept, for whoever looks for the cause.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::build::Program;
use super::list::Subject;

/// A program may take this long, or it has hung: much, for other work may go on beside it.
const PROGRAM: Duration = Duration::from_secs(240);
/// A single test that left no result may take this long.
const ALONE: Duration = Duration::from_secs(90);
/// All single tests of a program together may take this long. One after another, hundreds that hang would take a day.
const ALL_ALONE: Duration = Duration::from_secs(900);
/// What is said of those that are not run then.
const NO_TURN: &str = "is not run: others of its program hung for too long";

/// A test's result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Verdict {
    Passed,
    Ignored,
    /// How.
    Failed(String),
}

/// A suite's results, by `TARGET::TEST`.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Results {
    pub(super) tests: BTreeMap<String, Verdict>,
    /// What the programs took, one after the other; those left out that hung or died.
    pub(super) time: BTreeMap<String, Duration>,
}

/// What starts a program, where it is not started directly: the tool, and what it has to find in its environment.
type Runner<'a> = Option<(&'a Path, &'a dyn Fn(&mut Command))>;

/// How a program ended.
struct End {
    output: String,
    /// What it wrote to standard error.
    errors: String,
    /// How it failed, or `None`: status 0.
    failure: Option<String>,
    time: Duration,
    in_time: bool,
}

/// Runs all of them. What programs printed that did not pass goes to `outputs`.
pub(super) fn all(
    programs: &[Program],
    subject: &Subject,
    source: &Path,
    runner: Runner<'_>,
    outputs: &Path,
) -> Result<Results> {
    let mut results = Results::default();
    _ = fs::remove_dir_all(outputs);
    fs::create_dir_all(outputs).with_context(|| format!("cannot make {}", outputs.display()))?;
    for program in programs {
        let start = |arguments: &[&str], patience| {
            let mut command = match runner {
                Some((tool, set)) => {
                    let mut command = Command::new(tool);
                    set(&mut command);
                    command.arg("test-runner").arg(&program.file);
                    command
                }
                None => Command::new(&program.file),
            };
            command.args(arguments).current_dir(source).env("CARGO_MANIFEST_DIR", source);
            command.env("CARGO_PKG_NAME", &subject.name).env("CARGO_PKG_VERSION", &subject.version);
            command.env("RUST_BACKTRACE", "0").env_remove("RUST_TEST_THREADS");
            end(command, patience).with_context(|| format!("cannot run {}", program.name))
        };
        let begin = Instant::now();
        let keep = |end: &End, of: &str| {
            let file = outputs.join(format!("{}{}", program.name, of.replace("::", ".")));
            let text = format!("{}\n{}\n{}\n", end.output, end.errors, end.failure.as_deref().unwrap_or("passes"));
            fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))
        };
        one(program, &start, &keep, &mut results, ALL_ALONE)?;
        let place = runner.map_or("on Linux", |_| "in the machine");
        println!("  {place}: {} ({:.1} s)", program.name, begin.elapsed().as_secs_f64());
    }
    Ok(results)
}

fn one(
    program: &Program,
    start: &dyn Fn(&[&str], Duration) -> Result<End>,
    keep: &dyn Fn(&End, &str) -> Result<()>,
    results: &mut Results,
    all_alone: Duration,
) -> Result<()> {
    let listed = start(&["--list"], ALONE)?;
    let names = names(&listed.output);
    let whole = start(&[], PROGRAM)?;
    if whole.failure.is_some() {
        keep(&whole, "")?;
    }
    let id = |name: &str| format!("{}::{name}", program.name);
    if names.is_empty() && !whole.output.contains("running 0 tests") {
        let verdict = match whole.failure {
            None => Verdict::Passed,
            Some(how) => Verdict::Failed(how),
        };
        results.tests.insert(id("main"), verdict);
        results.time.insert(program.name.clone(), whole.time);
        return Ok(());
    }
    let mut found = verdicts(&whole.output);
    let missing: Vec<&String> = names.iter().filter(|name| !found.contains_key(*name)).collect();
    if missing.is_empty() && whole.in_time {
        results.time.insert(program.name.clone(), whole.time);
    }
    let begin = Instant::now();
    for name in missing {
        let verdict =
            if begin.elapsed() < all_alone { alone(name, start, keep)? } else { Verdict::Failed(NO_TURN.into()) };
        found.insert(name.clone(), verdict);
    }
    results.tests.extend(found.into_iter().map(|(name, verdict)| (id(&name), verdict)));
    Ok(())
}

/// A test that left no result.
fn alone(
    name: &str,
    start: &dyn Fn(&[&str], Duration) -> Result<End>,
    keep: &dyn Fn(&End, &str) -> Result<()>,
) -> Result<Verdict> {
    let alone = start(&["--exact", name], ALONE)?;
    if alone.failure.is_some() {
        keep(&alone, &format!("..{name}"))?;
    }
    let hung = || if alone.in_time { "ends its program" } else { "hangs" }.to_owned();
    Ok(verdicts(&alone.output).remove(name).unwrap_or_else(|| Verdict::Failed(hung())))
}

fn end(mut command: Command, patience: Duration) -> Result<End> {
    let start = Instant::now();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut child = command.spawn()?;
    let output = all_of(child.stdout.take().context("it has no output")?);
    let errors = all_of(child.stderr.take().context("it has no standard error")?);
    while !has_ended(&child)? && start.elapsed() < patience {
        thread::sleep(Duration::from_millis(2));
    }
    let in_time = has_ended(&child)?;
    let time = start.elapsed();
    // What it started, too, would keep the pipes open. It is not reaped yet, so the group is still its own.
    kill_group(&child);
    let status = child.wait()?;
    let how = match (status.code(), status.signal()) {
        _ if !in_time => Some("hangs".to_owned()),
        (Some(0), _) => None,
        (Some(code), _) => Some(format!("ends with status {code}")),
        (None, signal) => Some(format!("is ended by signal {}", signal.unwrap_or_default())),
    };
    let output = output.join().unwrap_or_default();
    Ok(End { output, errors: errors.join().unwrap_or_default(), failure: how, time, in_time })
}

/// Reads a pipe to its end.
fn all_of(mut pipe: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        _ = pipe.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// Has it come to its end? It stays to be waited for.
fn has_ended(child: &Child) -> Result<bool> {
    use rustix::process::{WaitId, WaitIdOptions, waitid};
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    Ok(waitid(WaitId::Pid(rustix::process::Pid::from_child(child)), options)?.is_some())
}

/// Ends a child that leads a process group, with its group.
pub(super) fn kill_group(child: &Child) {
    let group = rustix::process::Pid::from_child(child);
    _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
}

/// `NAME: test` for each.
fn names(output: &str) -> Vec<String> {
    output.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect()
}

/// `test NAME ... ok`; what a test prints itself may stand anywhere on the line behind the dots.
fn verdicts(output: &str) -> BTreeMap<String, Verdict> {
    let mut found = BTreeMap::new();
    for line in output.lines() {
        let Some((name, rest)) = line.strip_prefix("test ").and_then(|line| line.split_once(" ... ")) else { continue };
        let name = name.split_once(" - should panic").map_or(name, |(name, _)| name);
        let verdict = match rest.trim() {
            rest if rest.ends_with("ok") => Verdict::Passed,
            rest if rest.starts_with("ignored") => Verdict::Ignored,
            rest if rest.ends_with("FAILED") => Verdict::Failed("fails".to_owned()),
            _ => continue,
        };
        found.insert(name.to_owned(), verdict);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_harness_s_lines_are_read() {
        let output =
            "running 4 tests\ntest a::b ... ok\ntest c - should panic ... FAILED\ntest d ... ignored, slow\ntest e ...";
        let found = verdicts(output);
        assert_eq!(found["a::b"], Verdict::Passed);
        assert_eq!(found["c"], Verdict::Failed("fails".into()));
        assert_eq!(found["d"], Verdict::Ignored);
        assert_eq!(found.len(), 3);
        assert_eq!(names("a::b: test\nc: benchmark\n\n2 tests, 1 benchmark"), ["a::b"]);
    }

    #[test]
    fn what_hangs_is_ended() {
        let mut command = Command::new("sleep");
        command.arg("60");
        let end = end(command, Duration::from_millis(20)).expect("it starts");
        assert!(!end.in_time && end.failure.as_deref() == Some("hangs") && end.time < Duration::from_secs(30));
    }

    /// A program of three tests, the second of which ends it.
    fn dies(arguments: &[&str]) -> Result<End> {
        let (output, failure) = match arguments {
            ["--list"] => ("a: test\nb: test\nc: test", None),
            [] => ("running 3 tests\ntest a ... ok\n", Some("ends with status 134".to_owned())),
            ["--exact", "c"] => ("running 1 test\ntest c ... ok\n", None),
            _ => ("running 1 test\n", Some("ends with status 134".to_owned())),
        };
        Ok(End { output: output.into(), errors: String::new(), failure, time: Duration::ZERO, in_time: true })
    }

    #[test]
    fn who_was_taken_along_is_run_alone_as_long_as_there_is_time() {
        let program = Program { name: "p".into(), file: "/p".into() };
        let run = |all_alone| {
            let (mut results, kept) = (Results::default(), std::cell::RefCell::new(Vec::new()));
            let keep = |_: &End, of: &str| {
                kept.borrow_mut().push(of.to_owned());
                Ok(())
            };
            one(&program, &|arguments, _| dies(arguments), &keep, &mut results, all_alone).expect("it is run");
            (results, kept.into_inner())
        };
        let (results, kept) = run(Duration::from_secs(60));
        let failed = |how: &str| Verdict::Failed(how.to_owned());
        assert_eq!(results.tests["p::a"], Verdict::Passed);
        assert_eq!(results.tests["p::b"], failed("ends its program"));
        assert_eq!(results.tests["p::c"], Verdict::Passed);
        assert!(results.time.is_empty(), "a program that dies has no time");
        assert_eq!(kept, ["", "..b"]);
        assert_eq!(run(Duration::ZERO).0.tests["p::c"], failed(NO_TURN));
    }
}
