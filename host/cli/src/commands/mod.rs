//! What each command does. Each file is one command, or a few of a kind; each gives the tool's exit status.

mod build;
mod completions;
mod detach;
mod doctor;
mod end;
mod inspect;
mod logs;
mod new;
mod ps;
mod run;
mod table;
mod target;
pub mod test;
pub mod timeline;
mod top;
mod trace;
mod verify;

use crate::Failure;
use crate::arguments::Command;

/// Does what the command line asks for, and gives the status to exit with.
pub fn perform(command: Command) -> Result<u8, Failure> {
    match command {
        Command::New(arguments) => new::perform(&arguments),
        Command::Build(arguments) => build::perform(&arguments),
        Command::Run(arguments) => run::perform(*arguments),
        Command::Test(arguments) => test::perform(&arguments),
        Command::Ps(arguments) => ps::perform(&arguments),
        Command::Top(arguments) => top::perform(&arguments),
        Command::Logs(arguments) => logs::perform(&arguments),
        Command::Stop(arguments) => end::stop(&arguments),
        Command::Kill(arguments) => end::kill(&arguments),
        Command::Rm(arguments) => end::rm(&arguments),
        Command::Inspect(arguments) => inspect::perform(&arguments),
        Command::Verify(arguments) => verify::perform(&arguments),
        Command::Doctor => doctor::perform(),
        Command::Completions(arguments) => completions::perform(&arguments),
    }
}
