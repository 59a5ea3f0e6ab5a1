//! What can go wrong with machines in the background.

use std::path::{Path, PathBuf};

/// What can go wrong with machines in the background.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// the folder for running machines is not safe to use
    #[error("{} {why}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        why: String,
    },
    /// a file could not be used
    #[error("cannot {what} {}: {cause}", path.display())]
    File {
        /// What was tried.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        cause: std::io::Error,
    },
    /// a call to the host's kernel failed
    #[error("cannot {what}: {cause}")]
    System {
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        cause: std::io::Error,
    },
    /// somebody holds the lock over all names
    #[error("another ampoule has held {} for {seconds} s; end it (fuser -v names it) and try again", path.display())]
    Busy {
        /// The lock's file.
        path: PathBuf,
        /// How long it was waited for.
        seconds: u64,
    },
    /// the name is a running machine's
    #[error("a machine named {0} is running; stop it (ampoule stop {0}) or give another name (--name)")]
    Running(String),
    /// the name is that of a machine that has ended
    #[error(
        "a machine named {0} has ended and is still listed; remove it (ampoule rm {0}) or give another name (--name)"
    )]
    Taken(String),
    /// no machine has the name
    #[error("no machine is named {0}; `ampoule ps --all` lists them")]
    Unknown(String),
    /// a machine that runs cannot be removed
    #[error("{0} is running; stop it first (ampoule stop {0}), or remove it all the same (ampoule rm --force {0})")]
    StillRunning(String),
    /// the machine's record cannot be read
    #[error("what is written about {0} cannot be read; remove it (ampoule rm --force {0})")]
    Unreadable(String),
    /// its processes cannot be seen from here
    #[error("{0} runs in another container (another PID namespace); give the command there")]
    Elsewhere(String),
    /// it does not end although it was killed
    #[error("{0} was killed and has not ended after {1} s; its process waits in the kernel, for a disk perhaps")]
    Undying(String, u64),
    /// the supervising process ended without a word
    #[error("the supervising process ended before it could say whether the machine runs")]
    NoVerdict,
}

impl Error {
    /// For `map_err`: a call that names a file.
    pub(crate) fn file<E: Into<std::io::Error>>(what: &'static str, path: &Path) -> impl FnOnce(E) -> Error {
        let path = path.to_owned();
        move |cause| Error::File { what, path, cause: cause.into() }
    }

    /// For `map_err`: a call that does not.
    pub(crate) fn system<E: Into<std::io::Error>>(what: &'static str) -> impl FnOnce(E) -> Error {
        move |cause| Error::System { what, cause: cause.into() }
    }
}
