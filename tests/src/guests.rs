//! The tiny guests of `tests/guests`, one a property: each proves it by itself and ends with 0, or as its manifest says.
//! Each can have the library OS as a crate (its feature `line`) or as `libc.a`.
//!
//! `[package.metadata.expect]` in a guest's Cargo.toml: `status` (default 0), `output` (texts that it must print), `on`
//! (names of the backends, where it is not for all of them), `ways` ("line" or "libc.a", where it is not for both), `args`
//! (more arguments for `ampoule run`), `panic` (default "abort"), `as_linux` (it runs on Linux as well, and what it prints there
//! is what is expected, line for line).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use anyhow::{Context, Result, bail};
use cargo_metadata::{MetadataCommand, Package};

use crate::backend::Backend;
use crate::machine::End;
use crate::tool;

/// What guests are built for, on Linux too.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// How the library OS gets in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// As a crate.
    Line,
    /// As `libc.a`.
    Archive,
}

impl Way {
    /// Both.
    pub const ALL: [Way; 2] = [Way::Line, Way::Archive];

    /// Its name in manifests.
    pub fn name(self) -> &'static str {
        match self {
            Way::Line => "line",
            Way::Archive => "libc.a",
        }
    }
}

/// A guest, and what is expected of it.
#[derive(Clone, Debug)]
pub struct Guest {
    /// The package's name.
    pub name: String,
    /// More arguments for `ampoule run`.
    pub arguments: Vec<String>,
    /// Does its manifest ask for ports?
    pub has_network: bool,
    folder: String,
    status: i32,
    output: Vec<String>,
    on: Vec<String>,
    ways: Vec<String>,
    panic: String,
    native: bool,
}

impl Guest {
    /// All that there are.
    ///
    /// # Errors
    /// Their manifests cannot be read.
    pub fn all() -> Result<Vec<Self>> {
        let workspace = tool::root().join("tests/guests/Cargo.toml");
        if !workspace.is_file() {
            return Ok(Vec::new());
        }
        let metadata = MetadataCommand::new().manifest_path(workspace).no_deps().exec()?;
        let programs = metadata.packages.iter().filter(|package| package.targets.iter().any(|target| target.is_bin()));
        programs.map(Self::read).collect()
    }

    fn read(package: &Package) -> Result<Self> {
        let folder = package.manifest_path.parent().context("a package has a folder")?;
        let expect = &package.metadata["expect"];
        let texts = |key: &str| -> Vec<String> {
            let texts = expect[key].as_array().into_iter().flatten();
            texts.filter_map(|text| text.as_str().map(str::to_owned)).collect()
        };
        Ok(Self {
            name: package.name.to_string(),
            arguments: texts("args"),
            has_network: package.metadata["ampoule"].get("net").is_some(),
            folder: folder.to_string(),
            status: expect["status"].as_i64().unwrap_or(0) as i32,
            output: texts("output"),
            on: texts("on"),
            ways: texts("ways"),
            native: expect["as_linux"].as_bool().unwrap_or(false),
            panic: expect["panic"].as_str().unwrap_or("abort").to_owned(),
        })
    }

    /// Is it for this backend?
    pub fn is_for(&self, backend: Backend) -> bool {
        self.on.is_empty() || self.on.contains(&backend.to_string())
    }

    /// Is it to be ended from without, as by a signal, and so with a report?
    pub fn is_ended(&self) -> bool {
        self.status > 128
    }

    /// Can the library OS get in like this?
    pub fn goes(&self, way: Way) -> bool {
        self.ways.is_empty() || self.ways.iter().any(|name| name == way.name())
    }

    /// Its image.
    ///
    /// # Errors
    /// It does not build.
    pub fn image(&self, way: Way) -> Result<PathBuf> {
        let folder = tool::root().join("target/guests");
        std::fs::create_dir_all(&folder)?;
        let output = folder.join(format!("{}-libc.img", self.name));
        let output = output.to_str().context("the project's folder has a name of UTF-8")?;
        let archive = ["--no-default-features", "--output", output];
        let arguments: &[&str] = if way == Way::Line { &[] } else { &archive };
        tool::image_with(&self.folder, arguments, &[("CARGO_PROFILE_RELEASE_PANIC", Path::new(&self.panic))])
    }

    /// Fails unless it ended as expected.
    ///
    /// # Errors
    /// What was expected, and what it did.
    pub fn check(&self, end: End) -> Result<()> {
        let texts: Vec<&str> = self.output.iter().map(String::as_str).collect();
        let end = end.with_status(self.status)?.with_text(&texts)?;
        if self.native { same(&self.native_output()?, &end.output) } else { Ok(()) }
    }

    /// What it prints on Linux.
    fn native_output(&self) -> Result<String> {
        static OUTPUTS: Mutex<BTreeMap<String, String>> = Mutex::new(BTreeMap::new());
        // Held while it runs, so that it runs once.
        let Ok(mut outputs) = OUTPUTS.lock() else { bail!("another test died while it ran a guest on Linux") };
        if let Some(output) = outputs.get(&self.name) {
            return Ok(output.clone());
        }
        let output = self.run_on_linux()?;
        outputs.insert(self.name.clone(), output.clone());
        Ok(output)
    }

    fn run_on_linux(&self) -> Result<String> {
        let target = tool::root().join("target/guests/native");
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["build", "--quiet", "--release", "--no-default-features", "--target", TARGET, "--target-dir"]);
        cargo.arg(&target).arg("--manifest-path").arg(Path::new(&self.folder).join("Cargo.toml"));
        cargo.env("CARGO_PROFILE_RELEASE_PANIC", &self.panic).stdin(Stdio::null());
        let built = cargo.output().context("cannot start cargo")?;
        if !built.status.success() {
            bail!("{} does not build for Linux: {}", self.name, String::from_utf8_lossy(&built.stderr).trim());
        }
        let folder = std::env::temp_dir().join(format!("ampoule-{}-{}", self.name, std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let mut program = Command::new(target.join(TARGET).join("release").join(&self.name));
        // As a machine has it: no environment but what the manifest gives, and that is none.
        program.env_clear().env("TMPDIR", &folder).current_dir("/").stdin(Stdio::null());
        let output = program.output().with_context(|| format!("cannot run {} on Linux", self.name));
        _ = std::fs::remove_dir_all(&folder);
        let output = output?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.code() != Some(self.status) {
            let errors = String::from_utf8_lossy(&output.stderr);
            bail!("{} on Linux: {}\n{text}{errors}", self.name, output.status);
        }
        Ok(text)
    }
}

/// Fails at the first line that differs.
fn same(native: &str, machine: &str) -> Result<()> {
    let (mut wanted, mut found) = (native.lines(), machine.lines());
    for number in 1.. {
        match (wanted.next(), found.next()) {
            (None, None) => break,
            (wanted, found) if wanted == found => {}
            (wanted, found) => bail!(
                "line {number}: on Linux {:?}, in the machine {:?}",
                wanted.unwrap_or("(the end)"),
                found.unwrap_or("(the end)")
            ),
        }
    }
    Ok(())
}
