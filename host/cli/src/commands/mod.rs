//! What each command does. Each file is one command; each gives the tool's exit status.

mod build;
mod completions;
mod doctor;
mod inspect;
mod new;
mod run;
mod target;

use crate::Failure;
use crate::arguments::Command;

/// Does what the command line asks for, and gives the status to exit with.
pub fn perform(command: Command) -> Result<u8, Failure> {
    match command {
        Command::New(arguments) => new::perform(&arguments),
        Command::Build(arguments) => build::perform(&arguments),
        Command::Run(arguments) => run::perform(arguments),
        Command::Inspect(arguments) => inspect::perform(&arguments),
        Command::Doctor => doctor::perform(),
        Command::Completions(arguments) => completions::perform(&arguments),
    }
}
