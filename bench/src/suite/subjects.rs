//! What is measured, built once each: images by the tool, the same programs as native Linux processes, and initial RAM disks
//! with them for the Linux guest.

use crate::command::{finish, finish_within};
use crate::linux_guest::{self, Kernel};
use anyhow::{Context, Result};
use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// How long a build may take: the first one builds the library OS too.
const BUILD: Duration = Duration::from_secs(900);

/// Everything built, and where it is.
pub struct Subjects {
    /// The tool.
    pub tool: PathBuf,
    /// What asks servers.
    pub client: PathBuf,
    /// The Linux guest's first process.
    pub init: PathBuf,
    /// Downloads and scratch files.
    pub cache: PathBuf,
    /// The project's folder.
    pub root: PathBuf,
    /// Few samples, for trying.
    pub is_quick: bool,
    /// What was built already, by a name of its own.
    pub built: RefCell<HashMap<String, PathBuf>>,
}

/// A program in all its forms.
pub(super) struct Program {
    /// Sealed.
    pub(super) image: PathBuf,
    /// As a native static program.
    pub(super) native: PathBuf,
    /// With a Linux kernel; or why there is none.
    pub(super) linux: Result<Linux, String>,
}

/// What a Linux guest boots.
pub(super) struct Linux {
    pub(super) kernel: PathBuf,
    pub(super) initrd: PathBuf,
}

/// What the names of the folders end with that hold the same programs with the one line.
const ONE_LINE: &str = "-oneline";

impl Subjects {
    /// `full` samples, or few if that will do.
    pub(super) fn rounds(&self, full: usize) -> usize {
        if self.is_quick { full.min(2) } else { full }
    }

    /// A program in `folder` (below the project's folder) in all its forms; as an image with the one line, where it has one.
    pub(super) fn program(&self, folder: &str, one_line: bool) -> Result<Program> {
        let native = self.native(folder)?;
        let linux = self.linux(&native).map_err(|error| format!("{error:#}"));
        Ok(Program { image: self.image(folder, one_line)?, native, linux })
    }

    /// Seals the package in `folder` (below the project's folder), or the one beside it that has the one line, and gives
    /// the image.
    pub fn image(&self, folder: &str, one_line: bool) -> Result<PathBuf> {
        let folder = format!("{folder}{}", if one_line { ONE_LINE } else { "" });
        self.once(&format!("image {folder}"), || {
            let output = self.cache.join(folder.rsplit('/').next().unwrap_or(&folder)).with_extension("img");
            let mut command = Command::new(&self.tool);
            command.arg("build").arg(self.root.join(&folder)).arg("-o").arg(&output);
            finish_within(&mut command, BUILD)?;
            Ok(output)
        })
    }

    /// Builds the package in `folder` as a native static program, and gives it stripped.
    pub fn native(&self, folder: &str) -> Result<PathBuf> {
        self.once(&format!("native {folder}"), || {
            let name = folder.rsplit('/').next().unwrap_or(folder);
            let target = self.cache.join("native");
            let mut command = Command::new("cargo");
            command.args(["build", "--release", "--quiet", "--target", "x86_64-unknown-linux-gnu", "--target-dir"]);
            command.arg(&target).arg("--manifest-path").arg(self.root.join(folder).join("Cargo.toml"));
            command.env("CARGO_ENCODED_RUSTFLAGS", "-Ctarget-feature=+crt-static");
            finish_within(&mut command, BUILD)?;
            let built = target.join("x86_64-unknown-linux-gnu/release").join(name);
            let stripped = self.cache.join(format!("{name}-native"));
            finish(Command::new("strip").arg("-o").arg(&stripped).arg(&built))?;
            Ok(stripped)
        })
    }

    /// The Linux guest that runs `native`.
    fn linux(&self, native: &Path) -> Result<Linux> {
        let kernel: Kernel = linux_guest::kernel(&self.cache)?;
        let initrd = linux_guest::initrd(&kernel, &self.cache, &self.init, native)?;
        Ok(Linux { kernel: kernel.image, initrd })
    }

    fn once(&self, name: &str, build: impl FnOnce() -> Result<PathBuf>) -> Result<PathBuf> {
        if let Some(built) = self.built.borrow().get(name) {
            return Ok(built.clone());
        }
        eprintln!("  building: {name}");
        let built = build()?;
        self.built.borrow_mut().insert(name.to_owned(), built.clone());
        Ok(built)
    }
}

/// Bytes of a file.
pub(super) fn length(path: &Path) -> Result<u64> {
    Ok(std::fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?.len())
}
