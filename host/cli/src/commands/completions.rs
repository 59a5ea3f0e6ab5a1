//! `ampoule completions`: what a shell wants to know of the command line.

use clap::CommandFactory;

use crate::Failure;
use crate::arguments::{Arguments, Completions};

/// Writes them.
pub(super) fn perform(arguments: &Completions) -> Result<u8, Failure> {
    clap_complete::generate(arguments.shell, &mut Arguments::command(), "ampoule", &mut std::io::stdout());
    Ok(0)
}
