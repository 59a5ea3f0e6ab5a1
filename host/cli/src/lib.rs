//! The tool, `ampoule`: it reads the command line, calls the libraries, and says what came of it.
//!
//! [`arguments`] is the command line, [`commands`] does what it asks. [`build`] makes images out of Cargo packages, with
//! [`manifest`] reading what the package says about its machine; sealing itself is `ampoule-image`'s, running
//! `ampoule-monitor`'s, machines in the background are `ampoule-fleet`'s. `cargo ampoule` is the same tool under another name.
//!
//! `ampoule run FILE.img` starts a machine in about a millisecond, so nothing here does work before it is needed: no
//! cargo, no probing, no thread.
#![forbid(unsafe_code)]

pub mod arguments;
pub mod build;
pub mod commands;
mod failure;
pub mod manifest;
mod signing;
pub mod size;
mod terminal;

pub use failure::Failure;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;

/// The tool, given its command line from the program's name on. Returns the status to exit with: the guest's own where a
/// guest ran, 2 for a wrong command line or image, 1 for any other failure.
pub fn main(command_line: impl IntoIterator<Item = OsString>) -> ExitCode {
    commands::timeline::started();
    if let Some(status) = build::perform_as_wrapper() {
        return status;
    }
    if let Some(status) = fleet::supervisor::take_role() {
        return ExitCode::from(status);
    }
    let words: Vec<OsString> = command_line.into_iter().collect();
    if let Some(status) = commands::test::take_runner_role(&words) {
        return status;
    }
    if let Some(status) = commands::test::take_rustdoc_role(&words) {
        return status;
    }
    let command = match arguments::Run::quick(&words) {
        Some(run) => arguments::Command::Run(Box::new(run)),
        None => match arguments::Arguments::try_parse_from(commands::test::sorted(words)) {
            Ok(arguments) => arguments.command,
            Err(error) => error.exit(),
        },
    };
    match commands::perform(command) {
        Ok(status) => ExitCode::from(status),
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::from(failure.status())
        }
    }
}

/// `cargo ampoule …` runs `cargo-ampoule ampoule …`: the same command line without cargo's own word.
pub fn cargo_main(command_line: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut words: Vec<OsString> = command_line.into_iter().collect();
    if words.get(1).is_some_and(|word| word == "ampoule") {
        words.remove(1);
    }
    main(words)
}
