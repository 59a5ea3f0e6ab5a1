//! `cargo xtask bench`: the numbers of SPECIFICATION.md, measured beside their references in one run.

use std::io::BufReader;
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use bench::suite::{self, PARTS, Subjects};
use cargo_metadata::{Message, MetadataCommand};

use crate::{setup, steps};

/// Measures the parts named (all, if none is), and prints a table.
pub(crate) fn run(parts: &[&str]) -> Result<()> {
    if let Some(unknown) = parts.iter().find(|part| !PARTS.contains(part)) {
        bail!("no part `{unknown}`; there are {}", PARTS.join(", "));
    }
    setup::install();
    let metadata = MetadataCommand::new().no_deps().exec()?;
    let cache = steps::target_folder().join("bench");
    std::fs::create_dir_all(&cache).with_context(|| format!("cannot make {}", cache.display()))?;
    let subjects = Subjects {
        tool: built("ampoule-cli", "ampoule")?,
        load: built("ampoule-bench", "bench-load")?,
        init: built("ampoule-bench-init", "bench-init")?,
        cache: cache.canonicalize()?,
        root: metadata.workspace_root.into_std_path_buf(),
    };
    let parts: Vec<String> = parts.iter().map(|part| (*part).to_owned()).collect();
    print!("{}", suite::run(&subjects, &parts)?);
    Ok(())
}

/// The release build of one of our programs.
fn built(package: &str, name: &str) -> Result<PathBuf> {
    let mut command = steps::cargo(&["build", "--quiet", "--release", "--package", package, "--bin", name]);
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
