//! What is measured: images by the tool, and the same programs as native Linux processes.

use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Everything built, and where it is.
pub struct Subjects {
    /// The tool.
    pub tool: PathBuf,
    /// The load generator.
    pub load: PathBuf,
    /// The other end of `bench/programs/bulk`.
    pub bulk: PathBuf,
    /// The Linux guest's first process.
    pub init: PathBuf,
    /// Downloads and scratch files.
    pub cache: PathBuf,
    /// The project's folder.
    pub root: PathBuf,
}

/// What the names of the folders end with that hold the same programs with the one line.
const ONE_LINE: &str = "-oneline";

impl Subjects {
    /// Seals the package in `folder` (below the project's folder), or the one beside it that has the one line, and gives
    /// the image.
    pub fn image(&self, folder: &str, one_line: bool) -> Result<PathBuf> {
        let folder = format!("{folder}{}", if one_line { ONE_LINE } else { "" });
        let output = self.cache.join(folder.rsplit('/').next().unwrap_or(&folder)).with_extension("img");
        let mut command = Command::new(&self.tool);
        command.arg("build").arg(self.root.join(&folder)).arg("-o").arg(&output);
        finish(&mut command)?;
        Ok(output)
    }

    /// Builds the package in `folder` as a native static program, and gives it stripped.
    pub fn native(&self, folder: &str) -> Result<PathBuf> {
        let name = folder.rsplit('/').next().unwrap_or(folder);
        let target = self.cache.join("native");
        let mut command = Command::new("cargo");
        command.args(["build", "--release", "--quiet", "--target", "x86_64-unknown-linux-gnu", "--target-dir"]);
        command.arg(&target).arg("--manifest-path").arg(self.root.join(folder).join("Cargo.toml"));
        command.env("CARGO_ENCODED_RUSTFLAGS", "-Ctarget-feature=+crt-static");
        finish(&mut command)?;
        let built = target.join("x86_64-unknown-linux-gnu/release").join(name);
        let stripped = self.cache.join(format!("{name}-native"));
        finish(Command::new("strip").arg("-o").arg(&stripped).arg(&built))?;
        Ok(stripped)
    }
}

/// Bytes of a file.
pub(super) fn length(path: &Path) -> Result<u64> {
    Ok(std::fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?.len())
}

/// Runs a command to its end and gives its standard output; its failure is an error with what it said.
pub(crate) fn finish(command: &mut Command) -> Result<String> {
    let output =
        command.stdin(Stdio::null()).output().with_context(|| format!("cannot run {:?}", command.get_program()))?;
    if !output.status.success() {
        bail!("{:?} ended with {}: {}", command, output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
