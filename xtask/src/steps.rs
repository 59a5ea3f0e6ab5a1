//! The steps of `test` and `prepush`, one after the other, and the line that sums them up.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use cargo_metadata::Message;

use crate::{conformance, layers, setup, unsafety};

/// The workspaces beside our own: ordinary programs, tiny guests, services.
const OTHERS: [&str; 4] = ["examples", "tests/guests", "tests/services", "bench/programs"];

#[derive(Default)]
struct Tally {
    passed: u32,
    failed: u32,
    skipped: u32,
    failures: Vec<String>,
}

/// Everything; with a filter only the integration tests.
pub(crate) fn test(filter: Option<&str>) -> Result<()> {
    setup::install();
    let mut tally = Tally::default();
    if filter.is_none() {
        quick(&mut tally);
        tally.count("ring model", model().as_mut());
        tally.result("another project's tests", conformance::smoke());
    }
    let mut integration = cargo(&["test", "--no-fail-fast", "--package", "ampoule-tests", "--"]);
    integration.args(filter);
    tally.count("integration tests", Some(&mut integration));
    tally.conclude()
}

/// What is worth a wait before every push.
pub(crate) fn prepush() -> Result<()> {
    let mut tally = Tally::default();
    quick(&mut tally);
    tally.conclude()
}

/// What takes too long for every day: a GiB over each bad link.
pub(crate) fn gibibyte() -> Result<()> {
    setup::install();
    let mut tally = Tally::default();
    let simulated = ["test", "--release", "--package", "ampoule-net", "--", "--ignored", "--nocapture", "gibibyte"];
    tally.count("over simulated links", Some(&mut cargo(&simulated)));
    let real = ["test", "--package", "ampoule-tests", "--test", "machines", "--", "--long", "a GiB over a link"];
    tally.count("between a machine and Linux", Some(&mut cargo(&real)));
    tally.conclude()
}

fn quick(tally: &mut Tally) {
    tally.step("format", &mut cargo(&["fmt", "--all", "--check"]));
    tally.step("clippy", &mut cargo(&["clippy", "--quiet", "--workspace", "--all-targets", "--", "-Dwarnings"]));
    for folder in OTHERS.iter().filter(|folder| Path::new(folder).join("Cargo.toml").is_file()) {
        let manifest = format!("{folder}/Cargo.toml");
        tally.step(
            &format!("format of {folder}"),
            &mut cargo(&["fmt", "--all", "--check", "--manifest-path", &manifest]),
        );
        tally.step(
            &format!("clippy on {folder}"),
            &mut cargo(&["clippy", "--quiet", "--all-targets", "--manifest-path", &manifest, "--", "-Dwarnings"]),
        );
    }
    let mut doc = cargo(&["doc", "--quiet", "--workspace", "--no-deps", "--document-private-items"]);
    tally.step("documentation", doc.env("RUSTDOCFLAGS", "-Dwarnings -Arustdoc::private_intra_doc_links"));
    tally.result("layers", layers::check());
    tally.result("unsafe code", unsafety::check());
    tally.count(
        "unit tests",
        Some(&mut cargo(&["test", "--no-fail-fast", "--workspace", "--exclude", "ampoule-tests"])),
    );
}

/// The ring under a model checker, which needs its own build.
fn model() -> Option<Command> {
    let mut command = cargo(&["test", "--release", "--package", "ampoule-abi", "--test", "ring_model"]);
    command.env("RUSTFLAGS", "--cfg ring_model").env("CARGO_TARGET_DIR", target_folder().join("ring-model"));
    Path::new("abi/tests/ring_model.rs").is_file().then_some(command)
}

/// Where cargo builds.
pub(crate) fn target_folder() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), Into::into)
}

/// A cargo command with no input.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).stdin(Stdio::null());
    command
}

/// The release build of one of our programs.
pub(crate) fn built(package: &str, name: &str) -> Result<PathBuf> {
    let mut command = cargo(&["build", "--quiet", "--release", "--package", package, "--bin", name]);
    let mut child =
        command.arg("--message-format=json").stdout(Stdio::piped()).spawn().context("cannot start cargo")?;
    let output = child.stdout.take().context("cargo has no output")?;
    let mut executable = None;
    for message in Message::parse_stream(BufReader::new(output)) {
        if let Message::CompilerArtifact(artifact) = message?
            && artifact.target.name == name
        {
            executable = artifact.executable.or(executable);
        }
    }
    if !child.wait()?.success() {
        bail!("{name} does not build");
    }
    executable.map(PathBuf::from).with_context(|| format!("cargo made no {name}"))
}

impl Tally {
    /// A check that passes or fails as a whole.
    fn step(&mut self, name: &str, command: &mut Command) {
        let start = Instant::now();
        let result = match command.status() {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(anyhow::anyhow!("{status}")),
            Err(error) => Err(error.into()),
        };
        self.result(&format!("{name} ({:.0} s)", start.elapsed().as_secs_f64()), result);
    }

    fn result(&mut self, name: &str, result: Result<()>) {
        match result {
            Ok(()) => {
                self.passed += 1;
                println!("passed: {name}");
            }
            Err(error) => {
                self.failed += 1;
                println!("FAILED: {name}: {error:#}");
                self.failures.push(name.to_owned());
            }
        }
    }

    /// A run of tests: its own sums count.
    fn count(&mut self, name: &str, command: Option<&mut Command>) {
        let Some(command) = command else { return };
        let before = self.failed;
        let start = Instant::now();
        match self.run_tests(command) {
            // A run that dies without a sum (it did not compile, a test killed it) is a failure of its own.
            Ok(false) if self.failed == before => self.result(name, Err(anyhow::anyhow!("it ended early"))),
            Ok(_) if self.failed > before => self.failures.push(name.to_owned()),
            Ok(_) => println!("passed: {name} ({:.0} s)", start.elapsed().as_secs_f64()),
            Err(error) => self.result(name, Err(error)),
        }
    }

    /// Passes the output through and adds up its sums. True if the command succeeded.
    fn run_tests(&mut self, command: &mut Command) -> Result<bool> {
        let mut child = command.env("CARGO_TERM_COLOR", "never").stdout(Stdio::piped()).spawn()?;
        if let Some(output) = child.stdout.take() {
            for line in BufReader::new(output).lines() {
                let line = line?;
                println!("{line}");
                if let Some((passed, failed, ignored)) = sums(&line) {
                    self.passed += passed;
                    self.failed += failed;
                    self.skipped += ignored;
                }
            }
        }
        Ok(child.wait()?.success())
    }

    fn conclude(self) -> Result<()> {
        for failure in &self.failures {
            println!("failed: {failure}");
        }
        println!("{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped);
        if self.failed > 0 {
            bail!("not everything passes");
        }
        Ok(())
    }
}

/// `test result: ok. 12 passed; 0 failed; 1 ignored; …`
fn sums(line: &str) -> Option<(u32, u32, u32)> {
    let rest = line.strip_prefix("test result: ")?.split_once(". ")?.1;
    let mut numbers = rest.split(';').map(|part| part.trim().split(' ').next().and_then(|n| n.parse().ok()));
    Some((numbers.next()??, numbers.next()??, numbers.next()??))
}

#[cfg(test)]
mod tests {
    use super::sums;

    #[test]
    fn sums_are_read() {
        let line = "test result: FAILED. 12 passed; 3 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s";
        assert_eq!(sums(line), Some((12, 3, 1)));
        assert_eq!(sums("test a ... ok"), None);
    }
}
