//! The tiny guests of `tests/guests`, one a property: each proves it by itself and ends with 0, or as its manifest says.
//! Each can have the library OS as a crate (its feature `line`) or as `libc.a`.
//!
//! `[package.metadata.expect]` in a guest's Cargo.toml: `status` (default 0), `output` (texts that it must print), `on`
//! (names of the backends, where it is not for all of them), `ways` ("line" or "libc.a", where it is not for both), `args`
//! (more arguments for `ampoule run`), `panic` (default "abort"), `input` (what it reads), `as_linux` (its output is what it
//! prints on Linux, but for `differs`: see [`crate::linux`]).

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use cargo_metadata::{MetadataCommand, Package};

use crate::backend::Backend;
use crate::linux::Linux;
use crate::machine::{End, Machine};
use crate::tool;

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
    input: Option<String>,
    linux: Option<Linux>,
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
            panic: expect["panic"].as_str().unwrap_or("abort").to_owned(),
            input: expect["input"].as_str().map(str::to_owned),
            linux: (expect["as_linux"] == true).then(|| Linux::read(package)).transpose()?,
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

    /// Does it read what its manifest says?
    pub fn is_fed(&self) -> bool {
        self.input.is_some()
    }

    /// What it is on Linux, if that matters.
    pub fn linux(&self) -> Option<&Linux> {
        self.linux.as_ref()
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
        self.image_with(way, &[])
    }

    /// The same, built so that `run --trace` can show its calls.
    ///
    /// # Errors
    /// It does not build.
    pub fn traced_image(&self, way: Way) -> Result<PathBuf> {
        self.image_with(way, &["--trace"])
    }

    fn image_with(&self, way: Way, more: &[&str]) -> Result<PathBuf> {
        let folder = tool::root().join("target/guests");
        std::fs::create_dir_all(&folder)?;
        let output = folder.join(format!("{}{}-libc.img", self.name, more.concat()));
        let output = output.to_str().context("the project's folder has a name of UTF-8")?;
        let archive = ["--no-default-features", "--output", output];
        let arguments: &[&str] = &[more, if way == Way::Line { &[] } else { &archive }].concat();
        tool::image_with(&self.folder, arguments, &[("CARGO_PROFILE_RELEASE_PANIC", Path::new(&self.panic))])
    }

    /// Runs it, and fails unless it ends as expected.
    ///
    /// # Errors
    /// It does not run, or what was expected and what it did.
    pub fn run(&self, way: Way, backend: Backend) -> Result<()> {
        let (image, arguments) = (self.image(way)?, self.arguments.iter().map(String::as_str).collect::<Vec<_>>());
        let Some(input) = &self.input else {
            return self.check(Machine::start(&image, backend, &arguments)?.end()?);
        };
        let (machine, mut writer) = Machine::start_fed(&image, backend, &arguments)?;
        writer.write_all(input.as_bytes())?;
        drop(writer);
        self.check(machine.end()?)
    }

    /// Fails unless it ended as expected.
    ///
    /// # Errors
    /// What was expected, and what it did.
    pub fn check(&self, end: End) -> Result<()> {
        let texts: Vec<&str> = self.output.iter().map(String::as_str).collect();
        let end = end.with_status(self.status)?.with_text(&texts)?;
        match &self.linux {
            Some(linux) => linux.check(&end.output, self.input.as_deref().unwrap_or_default()),
            None => Ok(()),
        }
    }
}
