//! Running test programs, each to its end or until it has hung for too long.
//!
//! What the standard harness prints is read: `test NAME ... ok`. A program that hangs, aborts, or ends itself leaves
//! tests without a result; each of these is then run alone, and what does not end alone either has hung. A program with a
//! harness of its own is one test, and its exit status the result.

use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::build::Program;
use super::list::Subject;

/// A program may take this long, or it has hung: much, for other work may go on beside it.
const PROGRAM: Duration = Duration::from_secs(240);
/// A single test that left no result may take this long.
const ALONE: Duration = Duration::from_secs(90);

/// A test's result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Passed,
    Ignored,
    /// How.
    Failed(String),
}

/// A suite's results, by `TARGET::TEST`.
#[derive(Debug, Default)]
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
    /// How it failed, or `None`: status 0.
    failure: Option<String>,
    time: Duration,
    in_time: bool,
}

/// Runs all of them.
pub(super) fn all(programs: &[Program], subject: &Subject, source: &Path, runner: Runner<'_>) -> Result<Results> {
    let mut results = Results::default();
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
        one(program, &start, &mut results)?;
        let place = runner.map_or("on Linux", |_| "in the machine");
        println!("  {place}: {} ({:.1} s)", program.name, begin.elapsed().as_secs_f64());
    }
    Ok(results)
}

fn one(program: &Program, start: &dyn Fn(&[&str], Duration) -> Result<End>, results: &mut Results) -> Result<()> {
    let listed = start(&["--list"], ALONE)?;
    let names = names(&listed.output);
    let whole = start(&[], PROGRAM)?;
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
    let is_whole = names.iter().all(|name| found.contains_key(name));
    for name in &names {
        if !found.contains_key(name) {
            let alone = start(&["--exact", name], ALONE)?;
            let hung = || if alone.in_time { "ends its program" } else { "hangs" }.to_owned();
            let verdict = verdicts(&alone.output).remove(name);
            found.insert(name.clone(), verdict.unwrap_or_else(|| Verdict::Failed(hung())));
        }
    }
    if is_whole && whole.in_time {
        results.time.insert(program.name.clone(), whole.time);
    }
    results.tests.extend(found.into_iter().map(|(name, verdict)| (id(&name), verdict)));
    Ok(())
}

fn end(mut command: Command, patience: Duration) -> Result<End> {
    let start = Instant::now();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0);
    let mut child = command.spawn()?;
    let mut pipe = child.stdout.take().context("it has no output")?;
    let reader = thread::spawn(move || {
        let mut bytes = Vec::new();
        _ = pipe.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    });
    let mut in_time = true;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if in_time && start.elapsed() > patience {
            in_time = false;
            // Its children, too, would keep the pipe open.
            let group = rustix::process::Pid::from_child(&child);
            _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        thread::sleep(Duration::from_millis(2));
    };
    let time = start.elapsed();
    let how = match (status.code(), status.signal()) {
        _ if !in_time => Some("hangs".to_owned()),
        (Some(0), _) => None,
        (Some(code), _) => Some(format!("ends with status {code}")),
        (None, signal) => Some(format!("is ended by signal {}", signal.unwrap_or_default())),
    };
    let output = reader.join().unwrap_or_default();
    Ok(End { output, failure: how, time, in_time })
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
}
