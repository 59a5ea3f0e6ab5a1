//! `ampoule test`: `cargo test` with the tool as cargo's *runner*.
//!
//! Cargo compiles, links, chooses and counts as it always does. It differs in what it links with (our `libc.a`, see
//! [`crate::build::tests()`]) and in how it starts what it has linked: it calls the tool with the program and its
//! arguments ([`runner`]), which seals the program into an image and runs that. Documentation's tests are rustdoc's
//! affair: cargo hands it the runner, and [`rustdoc`] gives it the flags.

mod cache;
mod environment;
mod package;
mod runner;
mod rustdoc;
mod words;

pub use runner::Setup;
pub use runner::take_role as take_runner_role;
pub use rustdoc::take_role as take_rustdoc_role;
pub use words::sorted;

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Context;

use crate::Failure;
use crate::arguments::Test;
use crate::build;

/// Becomes `cargo test`.
pub(super) fn perform(arguments: &Test) -> Result<u8, Failure> {
    let words = words::of_cargo(&arguments.cargo)?;
    let tests = build::tests(&words.project, words.target_folder.as_deref())?;
    let tool = std::env::current_exe().context("cannot find the tool's own file")?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["test", "--target", tests.target, "--config", &runner::configuration(&tool, tests.target)?]);
    command.arg("--target-dir").arg(&tests.target_folder);
    command.args(words.others);
    command.env("CARGO_ENCODED_RUSTFLAGS", tests.rustflags.join("\x1f")).env_remove("RUSTFLAGS");
    rustdoc::set(&mut command, &tool, &tests.rustdocflags);
    let setup = runner::Setup {
        on: arguments.on,
        machine: arguments.machine,
        memory: arguments.memory,
        exokernel: tests.exokernel,
        cache: images(&tests.target_folder)?,
    };
    setup.set(&mut command);
    Err(Failure::Work(
        anyhow::Error::from(command.exec()).context("cannot start cargo; `ampoule doctor` says how to get it"),
    ))
}

/// Where images of tests are kept.
fn images(target_folder: &std::path::Path) -> anyhow::Result<PathBuf> {
    let folder = target_folder.join("images");
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    // The tests run in their packages' folders.
    folder.canonicalize().with_context(|| format!("cannot find {}", folder.display()))
}

/// A value for `cargo --config`.
fn toml_strings(words: &[&std::path::Path]) -> anyhow::Result<String> {
    let quoted = words.iter().map(|word| {
        let text = word.to_str().context("the tool lies in a folder whose name is no UTF-8")?;
        Ok(format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")))
    });
    Ok(format!("[{}]", quoted.collect::<anyhow::Result<Vec<_>>>()?.join(", ")))
}

/// A variable that is only for us.
fn own(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}
