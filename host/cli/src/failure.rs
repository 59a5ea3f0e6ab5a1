//! How the tool ends when something goes wrong: two statuses, as `clap` and the shell tools have them.

use std::fmt;

/// What went wrong, and whose fault it is.
#[derive(Debug)]
pub enum Failure {
    /// The command line, or the image it names, makes no sense: status 2.
    Input(anyhow::Error),
    /// The work failed: status 1.
    Work(anyhow::Error),
}

impl Failure {
    /// A wrong command line or image.
    pub fn input(message: impl fmt::Display) -> Self {
        Failure::Input(anyhow::anyhow!("{message}"))
    }

    /// The tool's exit status.
    pub fn status(&self) -> u8 {
        match self {
            Failure::Input(_) => 2,
            Failure::Work(_) => 1,
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Failure::Work(error)
    }
}

/// The message and its causes, on one line: `cannot build x: cannot start cargo: No such file or directory`.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Failure::Input(error) | Failure::Work(error)) = self;
        write!(f, "{error:#}")
    }
}
