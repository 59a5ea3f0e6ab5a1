//! `ampoule test` says of a project's tests what `cargo test` says: the same names and results, the same output, the same
//! exit status. The project (`tests/project`) has tests of every kind, and some are wrong on purpose.
//!
//! Cargo is given a runner on Linux, too, one that only starts the program: with a runner, and without, rustdoc starts the
//! tests of documentation differently.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, OnceLock};

use ampoule_tests::backend::Backend;
use ampoule_tests::harness::{Case, Verdict};
use ampoule_tests::tool;
use anyhow::{Context, Result, anyhow, ensure};

use crate::{everywhere, on};

/// For the project's test of it.
const VARIABLE: (&str, &str) = ("OF_THE_CALLER", "a = b, c");

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for backend in [Backend::Process, Backend::Kvm] {
        cases.push(on(backend, "a project's tests say what they say on Linux", whole));
    }
    cases.extend(everywhere("a project's test program says what it says on Linux", |backend| {
        same(backend, &["--test", "integration"])
    }));
    cases.push(on(Backend::Process, "the harness's options reach the tests", options));
    cases.push(on(Backend::Process, "a project below /tmp finds its files", below_tmp));
    cases.push(Case::new("a project's compiler flags by the environment", || flags().map(|()| Verdict::Passed)));
    cases.push(Case::new("test refuses other targets", || other_target().map(|()| Verdict::Passed)));
    cases
}

/// Everything there is: unit tests, integration tests, an example's, those without harness, documentation's, a
/// procedural macro's.
fn whole(backend: Backend) -> Result<()> {
    // What Linux says is asked for once.
    static LINUX: OnceLock<Result<Said, String>> = OnceLock::new();
    const ALL: [&str; 2] = ["--no-fail-fast", "--workspace"];
    let linux = LINUX.get_or_init(|| say(&mut cargo(&ALL)).map_err(|error| format!("{error:#}")));
    let linux = linux.as_ref().map_err(|error| anyhow!("{error}"))?;
    // Were nothing run, both would say the same.
    let said = |text: &str| linux.output.iter().filter(|line| line.contains(text)).count();
    ensure!(said("running 10 tests") == 1 && said("running 8 tests") == 1, "Linux ran something else: {linux:?}");
    ensure!(linux.status == 101, "Linux ends with {}", linux.status);
    compare(linux, &say(&mut ampoule(backend, &ALL)?)?)
}

fn same(backend: Backend, words: &[&str]) -> Result<()> {
    compare(&say(&mut cargo(words))?, &say(&mut ampoule(backend, words)?)?)
}

/// Filters, `--list`, `--nocapture`, one thread, those that are ignored.
fn options(backend: Backend) -> Result<()> {
    for harness in [
        &["--list"][..],
        &["--test-threads=1"],
        &["--nocapture", "passes"],
        &["--ignored", "is_ignored"],
        &["--skip", "panic", "--exact", "tests::passes"],
        &["--no-such-option"],
    ] {
        same(backend, &[&["--lib", "--"], harness].concat()).with_context(|| format!("{harness:?}"))?;
    }
    same(backend, &["--lib", "panics_as"])?;
    same(backend, &["--test", "own", "--", "any", "words"])
}

/// There the machine has a directory of its own, which begins with the package's files; like everything in it they can be
/// changed, and are as before in the next machine.
fn below_tmp(backend: Backend) -> Result<()> {
    const TESTS: &str = r#"
        #[test]
        fn reads_and_writes() {
            let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("data/file");
            assert_eq!(std::fs::read_to_string("data/file").unwrap(), "as it was");
            std::fs::write(&file, "changed").unwrap();
            assert_eq!(std::fs::read_to_string("data/file").unwrap(), "changed");
            std::fs::write("data/another", "").unwrap();
            assert_eq!(std::fs::read_dir("data").unwrap().count(), 2);
        }"#;
    let folder = PathBuf::from(format!("/tmp/ampoule-below-tmp-{}", std::process::id()));
    let done = below_tmp_in(&folder, backend, TESTS);
    std::fs::remove_dir_all(&folder)?;
    done
}

fn below_tmp_in(folder: &Path, backend: Backend, tests: &str) -> Result<()> {
    let write = |path: &str, text: &str| std::fs::write(folder.join(path), text);
    for path in ["src", "data"] {
        std::fs::create_dir_all(folder.join(path))?;
    }
    write("Cargo.toml", "[package]\nname = \"below\"\nedition = \"2024\"\n\n[workspace]\n")?;
    write("src/lib.rs", tests)?;
    write("data/file", "as it was")?;
    for _ in 0..2 {
        let mut command = ampoule(backend, &["--lib"])?;
        let output = command.current_dir(folder).stdin(Stdio::null()).output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        ensure!(output.status.success() && text.contains("test reads_and_writes ... ok"), "{output:?}");
    }
    ensure!(std::fs::read_dir(folder.join("data"))?.count() == 1, "the host's folder was written to");
    Ok(())
}

/// `RUSTFLAGS` take the place of those in the configuration, as they do for cargo.
fn flags() -> Result<()> {
    let folder = tool::root().join("target/project-flags");
    let folder = folder.to_str().context("the project's folder has a name of UTF-8")?;
    for (flags, status) in [("--cfg of_the_user", 0), ("--cfg of_nobody", 101)] {
        // In a folder of their own: other flags push out what the other tests compile.
        let words = ["--target-dir", folder, "--lib", "the_user_s_flags_count"];
        let said = say(ampoule(Backend::Process, &words)?.env("RUSTFLAGS", flags))?;
        ensure!(said.status == status, "with {flags}: {said:?}");
    }
    Ok(())
}

fn other_target() -> Result<()> {
    let said = say(&mut ampoule(Backend::Process, &["--target", "wasm32-wasip1"])?)?;
    ensure!(said.status == 2 && said.errors.iter().any(|line| line.contains("x86_64-unknown-linux-gnu")), "{said:?}");
    Ok(())
}

/// What was said, as far as it is the same from run to run: lines in alphabetical order, for tests run at once.
#[derive(Debug)]
struct Said {
    status: i32,
    output: Vec<String>,
    errors: Vec<String>,
}

fn compare(linux: &Said, machine: &Said) -> Result<()> {
    ensure!(linux.status == machine.status, "status {} instead of {}: {machine:?}", machine.status, linux.status);
    for (linux, machine) in [(&linux.output, &machine.output), (&linux.errors, &machine.errors)] {
        let without = |lines: &[String], others: &[String]| -> Vec<String> {
            let mut rest = others.to_vec();
            let found = |rest: &mut Vec<String>, line: &String| {
                rest.iter().position(|other| other == line).map(|at| rest.swap_remove(at)).is_some()
            };
            lines.iter().filter(|line| !found(&mut rest, line)).cloned().collect()
        };
        ensure!(
            linux == machine,
            "only on Linux:\n{}\nonly in the machine:\n{}",
            without(linux, machine).join("\n"),
            without(machine, linux).join("\n"),
        );
    }
    Ok(())
}

fn cargo(words: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["test", "--config", "target.x86_64-unknown-linux-gnu.runner=['env']"]).args(words);
    command
}

fn ampoule(backend: Backend, words: &[&str]) -> Result<Command> {
    let mut command = Command::new(tool::tool()?);
    command.arg("test").args(backend.flags()).args(words);
    Ok(command)
}

/// Runs it in the project's folder, with something to read.
fn say(command: &mut Command) -> Result<Said> {
    // Two at once would wait for each other's lock, and say so.
    static RUNNING: Mutex<()> = Mutex::new(());
    let _running = RUNNING.lock();
    command.current_dir(tool::root().join("tests/project"));
    command.env(VARIABLE.0, VARIABLE.1).env("RUST_BACKTRACE", "0").env("CARGO_TERM_COLOR", "never");
    command.env_remove("RUST_TEST_THREADS");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    // It may have ended already.
    _ = child.stdin.take().context("it has an input")?.write_all(b"typed\n");
    let output = child.wait_with_output()?;
    let status = output.status.code().with_context(|| format!("it died: {}", output.status))?;
    Ok(Said { status, output: settled(&output.stdout), errors: settled(&output.stderr) })
}

/// Its lines without what differs from run to run, and from folder to folder.
fn settled(bytes: &[u8]) -> Vec<String> {
    const PROGRESS: [&str; 7] = [
        "Compiling ",
        "Finished ",
        "Blocking ",
        "Locking ",
        "all doctests ran in ",
        // Cargo says it of statuses, not of signals; ours is a status.
        "note: test exited abnormally",
        // std says it with a program's first panic alone. Which test that is varies, and what a test says that passes, as
        // those do that are to panic, is not shown.
        "note: run with `RUST_BACKTRACE=1` environment variable",
    ];
    let text = without_aborts(&String::from_utf8_lossy(bytes).replace('\r', ""));
    let lines = text.lines().filter(|line| !PROGRESS.iter().any(|word| line.trim_start().starts_with(word)));
    let mut lines: Vec<String> = lines.map(settled_line).collect();
    lines.sort();
    lines
}

/// Without what a machine says of an abort beyond what Linux does: an empty line, the thread, and the frames.
fn without_aborts(text: &str) -> String {
    let mut kept = String::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let is_report = |next: &&str| next.starts_with("thread '") && next.ends_with("' aborted");
        if !line.is_empty() || lines.next_if(is_report).is_none() {
            kept.extend([line, "\n"]);
            continue;
        }
        let is_frame =
            |next: &&str| next.trim_start().starts_with(|c: char| c.is_ascii_digit()) && next.contains(": image+0x");
        while lines.next_if(is_frame).is_some() {}
    }
    kept
}

fn settled_line(line: &str) -> String {
    let tool = tool::tool().map(|tool| format!("{} test-runner ", tool.display())).unwrap_or_default();
    let mut line = line.replace("target/ampoule/test/", "target/").replace(&tool, "").replace("`env ", "`");
    line = line.replace("(signal: 6, SIGABRT: process abort signal)", "(exit status: 134)");
    if let Some((before, _)) = line.split_once("; finished in ") {
        line = before.to_owned();
    }
    // `thread 'x' (1234) panicked at /tmp/rustdoctestAbCdEf/…`, `(…/deps/own-0123456789abcdef)`
    line = without(&line, " (", ") panicked at", |c| c.is_ascii_digit());
    line = without(&line, "/rustdoctest", "/", |c| c.is_ascii_alphanumeric());
    for end in [")", "`", " "] {
        line = without(&line, "-", end, |c| c.is_ascii_hexdigit());
    }
    line
}

/// `line` without the characters of one kind that fill the space between `before` and `after`.
fn without(line: &str, before: &str, after: &str, is_one: fn(char) -> bool) -> String {
    let places = line.match_indices(before).map(|(at, _)| at + before.len());
    for at in places {
        let rest = line[at..].trim_start_matches(is_one);
        if rest.starts_with(after) {
            return format!("{}{rest}", &line[..at]);
        }
    }
    line.to_owned()
}
