//! A crate's test programs.

use std::io::{BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use cargo_metadata::Message;

use super::Bench;
use super::list::Subject;
use super::run::kill_group;
use crate::steps;

/// Cargo may take this long for one crate: two of them share the computer, and other work goes on.
const PATIENCE: Duration = Duration::from_secs(45 * 60);

/// A test program.
#[derive(Debug)]
pub(super) struct Program {
    /// Its target's name; `lib` for the library's unit tests.
    pub(super) name: String,
    /// The ELF file.
    pub(super) file: PathBuf,
}

/// Those for Linux: cargo's own.
pub(super) fn for_linux(bench: &Bench, subject: &Subject, source: &Path) -> Result<Vec<Program>> {
    // One folder for all crates: what they have in common is compiled once.
    let folder = bench.folder.join("linux");
    let mut command = steps::cargo(&["test", "--target", "x86_64-unknown-linux-gnu", "--target-dir"]);
    command.arg(folder);
    programs(command, subject, source).context("its tests do not build on Linux")
}

/// Those for machines.
pub(super) fn for_machines(bench: &Bench, subject: &Subject, source: &Path) -> Result<Vec<Program>> {
    let mut command = Command::new(&bench.tool);
    // Not by --target-dir: what is linked anew with another library OS is one folder's affair, too.
    command.arg("test").env("CARGO_TARGET_DIR", machine_folder(bench));
    programs(command, subject, source).context("its tests do not build for machines")
}

/// Cargo's target folder for machines; the tool has one of its own in it.
fn machine_folder(bench: &Bench) -> PathBuf {
    bench.folder.join("machine")
}

/// The tool's.
pub(super) fn tool_folder(bench: &Bench) -> PathBuf {
    machine_folder(bench).join("ampoule/test")
}

fn programs(mut command: Command, subject: &Subject, source: &Path) -> Result<Vec<Program>> {
    command.args(["--no-run", "--quiet", "--no-fail-fast", "--message-format=json"]).current_dir(source);
    if !subject.features.is_empty() {
        command.arg("--features").arg(subject.features.join(","));
    }
    if !subject.default_features {
        command.arg("--no-default-features");
    }
    match subject.targets.is_empty() {
        true => command.args(["--lib", "--bins", "--tests", "--examples"]),
        false => command.args(&subject.targets),
    };
    if !subject.rustflags.is_empty() {
        command.env("RUSTFLAGS", &subject.rustflags);
    }
    for variable in ["CARGO_PROFILE_DEV_DEBUG", "CARGO_PROFILE_TEST_DEBUG", "CARGO_INCREMENTAL"] {
        command.env(variable, "0");
    }
    carried_out(command, PATIENCE)
}

/// Cargo's command, ended with all that it started if it takes longer than `patience`.
fn carried_out(mut command: Command, patience: Duration) -> Result<Vec<Program>> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).process_group(0);
    let mut child = command.spawn().context("cannot start cargo")?;
    let output = child.stdout.take().context("cargo has no output")?;
    let (end, ended) = mpsc::channel::<()>();
    let (programs, errors, is_late) = thread::scope(|scope| {
        let child = &child;
        // A build script may wait for something that does not come.
        let watch = scope.spawn(move || {
            let is_late = ended.recv_timeout(patience) == Err(RecvTimeoutError::Timeout);
            if is_late {
                kill_group(child);
            }
            is_late
        });
        let told = told(output);
        drop(end);
        told.map(|(programs, errors)| (programs, errors, watch.join().unwrap_or_default()))
    })?;
    let status = child.wait()?;
    if is_late {
        bail!("cargo was not done after {} minutes", patience.as_secs() / 60);
    }
    if !status.success() {
        bail!("{}", errors.lines().take(40).collect::<Vec<_>>().join("\n"));
    }
    Ok(programs)
}

/// What cargo tells of: test programs by name, and errors.
fn told(output: impl Read) -> Result<(Vec<Program>, String)> {
    let (mut programs, mut errors) = (Vec::new(), String::new());
    for message in Message::parse_stream(BufReader::new(output)) {
        match message? {
            Message::CompilerArtifact(artifact) if artifact.profile.test => {
                let name = if artifact.target.is_lib() { "lib" } else { &artifact.target.name }.to_owned();
                programs.extend(artifact.executable.map(|file| Program { name, file: file.into() }));
            }
            Message::CompilerMessage(message)
                if message.message.level == cargo_metadata::diagnostic::DiagnosticLevel::Error =>
            {
                errors.push_str(&message.message.rendered.unwrap_or_default());
            }
            _ => {}
        }
    }
    programs.sort_by(|a, b| a.name.cmp(&b.name));
    if let Some(two) = programs.windows(2).find(|two| two[0].name == two[1].name) {
        bail!("two of its targets are called {}: their tests would be taken for one another's", two[0].name);
    }
    Ok((programs, errors))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_that_hangs_is_ended_with_what_it_started() {
        let start = std::time::Instant::now();
        let mut command = Command::new("sh");
        // The second one has the pipe, too.
        command.args(["-c", "sleep 600 & wait"]);
        let error = carried_out(command, Duration::from_millis(50)).expect_err("it hangs");
        assert!(error.to_string().contains("was not done"), "{error}");
        assert!(start.elapsed() < Duration::from_secs(60));
    }

    #[test]
    fn errors_and_programs_are_told_apart() {
        let with = |script: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            carried_out(command, Duration::from_secs(60))
        };
        let artifact = |name: &str| {
            format!(
                r#"{{"reason":"compiler-artifact","package_id":"x","manifest_path":"/x","target":{{"kind":["test"],"crate_types":["bin"],"name":"{name}","src_path":"/x","edition":"2021","doctest":false,"test":true}},"profile":{{"opt_level":"0","debuginfo":0,"debug_assertions":true,"overflow_checks":true,"test":true}},"features":[],"filenames":[],"executable":"/{name}","fresh":true}}"#
            )
        };
        let two = |a: &str, b: &str| with(&format!("echo '{}'; echo '{}'", artifact(a), artifact(b)));
        let names: Vec<String> = two("b", "a").expect("two").into_iter().map(|program| program.name).collect();
        assert_eq!(names, ["a", "b"]);
        assert!(two("a", "a").expect_err("one name").to_string().contains("two of its targets are called a"));
        assert!(with("exit 1").is_err());
    }
}
