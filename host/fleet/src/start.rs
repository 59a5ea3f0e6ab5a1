//! `ampoule run --detach`: starts the supervisor, and waits until it says what became of the machine.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

use crate::link::Link;
use crate::{Error, IMAGE, Name, Protocol, ROLE, supervisor};

/// What is to be started.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Plan {
    /// Under which name.
    pub name: Wanted,
    /// The image's file, for people.
    pub image: String,
    /// The ports that the machine is expected to listen at, if any.
    pub awaited: Vec<(Protocol, u16)>,
}

/// Which name a machine is to have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wanted {
    /// This one.
    Exactly(Name),
    /// This one, or with a number behind it.
    Like(Name),
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// It runs, or it has run and ended with status 0.
    Started {
        /// Its name.
        name: Name,
        /// What else the operator should know.
        notes: Vec<String>,
    },
    /// It does not run, and nothing of it is left.
    Failed {
        /// The status that `ampoule run` would have ended with.
        status: u8,
        /// What it printed, its end if that is much.
        output: String,
        /// Why it does not run.
        reason: String,
    },
}

/// Starts a machine in the background, with the command line of this process and the image at `image`.
///
/// # Errors
/// The supervisor cannot be started, or ended without a word. What else can go wrong is in the [`Verdict`].
pub fn start(plan: &Plan, image: &Path) -> Result<Verdict, Error> {
    let (mut link, theirs) = Link::pair().map_err(Error::system("make a socket pair"))?;
    let mut child = itself();
    child.env(ROLE, supervisor::ROLE).env(IMAGE, image);
    child.stdin(Stdio::from(theirs)).stdout(Stdio::null()).stderr(Stdio::null());
    child.spawn().map_err(Error::system("start the supervising process"))?;
    drop(child); // and with it our copy of its end
    link.send(plan).map_err(|_| Error::NoVerdict)?;
    link.receive().map_err(|_| Error::NoVerdict)
}

/// This tool with this command line, once more. The path is that of the file that runs, even if another has its name now.
pub(crate) fn itself() -> Command {
    let mut words = std::env::args_os();
    let mut command = Command::new("/proc/self/exe");
    command.arg0(words.next().unwrap_or_else(|| "ampoule".into()));
    command.args(words);
    command
}
