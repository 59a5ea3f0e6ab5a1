//! Another clock for a build: cargo and rustc ask libc for the time, and `clock.c` answers for it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

/// What stands before libc, as a file; it goes when this is dropped.
pub(super) struct Clock {
    library: PathBuf,
}

impl Drop for Clock {
    fn drop(&mut self) {
        _ = std::fs::remove_file(&self.library);
    }
}

impl Clock {
    /// What a program's environment needs for it.
    pub(super) fn variable(&self) -> (&'static str, &Path) {
        ("LD_PRELOAD", &self.library)
    }
}

/// Makes another clock; `None`, and why, where that does not work here.
pub(super) fn shifted() -> Option<Clock> {
    // Not below a builder's folder: the loader takes what stands behind a space for another library.
    let clock = Clock { library: std::env::temp_dir().join(format!("ampoule-clock-{}.so", std::process::id())) };
    match build(&clock.library) {
        Ok(()) => Some(clock),
        Err(error) => {
            println!("not made different: the clock ({error:#})");
            None
        }
    }
}

fn build(library: &Path) -> Result<()> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/reproduce/clock.c");
    let mut cc = Command::new("cc");
    let status = cc.args(["-shared", "-fPIC", "-O2", "-o"]).arg(library).arg(source).stdin(Stdio::null()).status();
    ensure!(status.context("cannot start cc")?.success(), "cc does not build it");
    let days = seconds(Some(library))?.saturating_sub(seconds(None)?) / 86400;
    ensure!(days == 400, "with it `date` is off by {days} days instead of 400");
    Ok(())
}

/// The time as `date` has it.
fn seconds(library: Option<&Path>) -> Result<u64> {
    let mut date = Command::new("date");
    date.arg("+%s").stdin(Stdio::null());
    if let Some(library) = library {
        date.env("LD_PRELOAD", library);
    }
    let output = date.output().context("cannot start date")?;
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}
