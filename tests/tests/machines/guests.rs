//! The tiny guests, one a property: each proves it by itself and ends with 0, or as its manifest says. Each is tried with
//! the library OS as a crate (its feature `line`) and as `libc.a`.
//!
//! `[package.metadata.expect]` in a guest's Cargo.toml: `status` (default 0), `output` (texts that it must print), `on`
//! (names of the backends, where it is not for all of them), `ways` ("line" or "libc.a", where it is not for both), `args`
//! (more arguments for `ampoule run`), `panic` (default "abort").

use std::path::{Path, PathBuf};

use ampoule_tests::backend::Backend;
use ampoule_tests::harness::Case;
use ampoule_tests::machine::Machine;
use ampoule_tests::tool;
use anyhow::{Context, Result};
use cargo_metadata::{MetadataCommand, Package};

use crate::on;

pub(crate) fn cases() -> Result<Vec<Case>> {
    let workspace = tool::root().join("tests/guests/Cargo.toml");
    if !workspace.is_file() {
        return Ok(Vec::new());
    }
    let metadata = MetadataCommand::new().manifest_path(workspace).no_deps().exec()?;
    let mut cases = Vec::new();
    for package in metadata.packages.iter().filter(|package| package.targets.iter().any(|target| target.is_bin())) {
        let guest = Guest::read(package)?;
        for way in [Way::Line, Way::Archive] {
            if !guest.ways.is_empty() && !guest.ways.iter().any(|name| name == way.name()) {
                continue;
            }
            let is_wanted = |backend: &Backend| guest.on.is_empty() || guest.on.contains(&backend.to_string());
            cases.extend(Backend::ALL.into_iter().filter(is_wanted).map(|backend| {
                let guest = guest.clone();
                let name = format!("guest {} by {}", guest.name, way.name());
                on(backend, &name, move |backend| guest.run(way, backend))
            }));
        }
    }
    Ok(cases)
}

/// How the library OS gets in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Line,
    Archive,
}

impl Way {
    fn name(self) -> &'static str {
        match self {
            Way::Line => "line",
            Way::Archive => "libc.a",
        }
    }
}

#[derive(Clone)]
struct Guest {
    name: String,
    folder: String,
    status: i32,
    output: Vec<String>,
    on: Vec<String>,
    ways: Vec<String>,
    arguments: Vec<String>,
    panic: String,
}

impl Guest {
    fn read(package: &Package) -> Result<Self> {
        let folder = package.manifest_path.parent().context("a package has a folder")?;
        let expect = &package.metadata["expect"];
        let texts = |key: &str| -> Vec<String> {
            let texts = expect[key].as_array().into_iter().flatten();
            texts.filter_map(|text| text.as_str().map(str::to_owned)).collect()
        };
        Ok(Self {
            name: package.name.to_string(),
            folder: folder.to_string(),
            status: expect["status"].as_i64().unwrap_or(0) as i32,
            output: texts("output"),
            on: texts("on"),
            ways: texts("ways"),
            arguments: texts("args"),
            panic: expect["panic"].as_str().unwrap_or("abort").to_owned(),
        })
    }

    fn image(&self, way: Way) -> Result<PathBuf> {
        let folder = tool::root().join("target/guests");
        std::fs::create_dir_all(&folder)?;
        let output = folder.join(format!("{}-libc.img", self.name));
        let output = output.to_str().context("the project's folder has a name of UTF-8")?;
        let archive = ["--no-default-features", "--output", output];
        let arguments: &[&str] = if way == Way::Line { &[] } else { &archive };
        tool::image_with(&self.folder, arguments, &[("CARGO_PROFILE_RELEASE_PANIC", Path::new(&self.panic))])
    }

    fn run(&self, way: Way, backend: Backend) -> Result<()> {
        let arguments: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        let texts: Vec<&str> = self.output.iter().map(String::as_str).collect();
        let machine = Machine::start(&self.image(way)?, backend, &arguments)?;
        machine.end()?.with_status(self.status)?.with_text(&texts).map(drop)
    }
}
