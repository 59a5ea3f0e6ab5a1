//! What a run of a crate's suite found, kept beside what was built for it: `--resume` goes on behind what is there.
//!
//! Results are kept, and no judgement: causes that were given since are found in them. They hold as long as what they were
//! found with is the same: the crate as the list asks for it, the compiler, and the sources of the library OS and of what
//! runs it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::list::Subject;
use super::run::Results;

/// Folders and files that decide what a machine does.
const SOURCES: [&str; 7] = ["abi", "os", "exokernel", "ampoule", "host", "Cargo.toml", "Cargo.lock"];

/// A suite's results on Linux and in machines.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Run {
    /// What they were found with.
    of: String,
    /// The day, as `2026-01-31`.
    pub(super) day: String,
    pub(super) linux: Results,
    pub(super) machine: Results,
}

impl Run {
    pub(super) fn new(of: String, day: String, linux: Results, machine: Results) -> Self {
        Self { of, day, linux, machine }
    }

    /// The one that is kept in `folder`, if it is of the same.
    pub(super) fn kept(folder: &Path, backend: &str, of: &str) -> Option<Self> {
        let text = fs::read_to_string(file(folder, backend)).ok()?;
        serde_json::from_str(&text).ok().filter(|run: &Self| run.of == of)
    }

    /// Keeps it, whole or not at all.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(super) fn keep(&self, folder: &Path, backend: &str) -> Result<()> {
        let file = file(folder, backend);
        let fresh = file.with_extension("tmp");
        fs::write(&fresh, serde_json::to_string(self)?)
            .and_then(|()| fs::rename(&fresh, &file))
            .with_context(|| format!("cannot write {}", file.display()))
    }
}

fn file(folder: &Path, backend: &str) -> PathBuf {
    folder.join(format!("found-{}.json", backend.replace('/', "-")))
}

/// What a run's results depend on, but for the crate: the compiler and our own sources, changed ones with their changes.
///
/// # Errors
/// git cannot tell.
pub(super) fn ground() -> Result<String> {
    let compiler = output(Command::new("rustc").arg("-V"))?;
    let committed = output(Command::new("git").args(["ls-tree", "HEAD"]).args(SOURCES))?;
    let changes = output(Command::new("git").args(["diff", "HEAD", "--"]).args(SOURCES))?;
    let fresh = output(Command::new("git").args(["ls-files", "--others", "--exclude-standard", "--"]).args(SOURCES))?;
    Ok([compiler, committed, changes, fresh].concat())
}

fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot start {}", command.get_program().display()))?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// All that a crate's results depend on. `ground` is what all crates' do.
pub(super) fn of(ground: &str, subject: &Subject) -> String {
    let Subject { name, version, checksum, features, rustflags, targets, without, with, .. } = subject;
    let all = subject.default_features;
    format!("{name} {version} {checksum} {all} {features:?} {rustflags} {targets:?} {without:?} {with:?}\n{ground}")
}

#[cfg(test)]
mod tests {
    use super::super::run::Verdict;
    use super::*;

    #[test]
    fn what_was_found_is_there_until_something_is_different() {
        let folder = std::env::temp_dir().join(format!("ampoule-keep-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("made");
        let subject = |features: &str| -> Subject {
            let text = format!("name = \"x\"\nversion = \"1.0.0\"\nchecksum = \"\"\nfeatures = [{features}]");
            toml::from_str(&text).expect("a subject")
        };
        let results = || Results {
            tests: [("a::b".into(), Verdict::Failed("hangs".into())), ("a::c".into(), Verdict::Passed)].into(),
            time: [("a".into(), std::time::Duration::from_millis(1500))].into(),
        };
        let key = of("ground", &subject(""));
        Run::new(key.clone(), "2026-01-01".into(), results(), Results::default())
            .keep(&folder, "qemu/q35")
            .expect("kept");
        let kept = Run::kept(&folder, "qemu/q35", &key).expect("it is there");
        assert_eq!((kept.linux.tests, kept.linux.time), (results().tests, results().time));
        assert!(Run::kept(&folder, "kvm", &key).is_none());
        assert!(Run::kept(&folder, "qemu/q35", &of("other ground", &subject(""))).is_none());
        assert!(Run::kept(&folder, "qemu/q35", &of("ground", &subject("\"y\""))).is_none());
        fs::write(file(&folder, "qemu/q35"), "{").expect("written");
        assert!(Run::kept(&folder, "qemu/q35", &key).is_none(), "a broken one counts as none");
        fs::remove_dir_all(&folder).expect("removed");
    }
}
