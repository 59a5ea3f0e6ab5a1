//! The runner's side: `ampoule run` as it always is, which besides tells its supervisor what happens.
//!
//! In a process that has no supervisor all of this does nothing.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::{Mutex, OnceLock};

use rustix::process::{Signal, getppid, set_parent_process_death_signal};

use crate::link::{Event, Link};
use crate::{COUNTERS, Error, FILE_MODE, FOLDER, IMAGE};

/// What the role's variable begins with; the supervisor's process number follows.
pub(crate) const ROLE: &str = "runner:";

static SUPERVISOR: OnceLock<Mutex<Link>> = OnceLock::new();

/// Becomes the runner of the supervisor `pid`: dies with it, and finds it at its standard input.
pub(crate) fn become_one(pid: &str) -> Result<(), Error> {
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(Error::system("die with the supervising process"))?;
    // It may have died before; then somebody else is the parent.
    if getppid().map(|parent| parent.as_raw_nonzero().to_string()).as_deref() != Some(pid) {
        return Err(Error::NoVerdict);
    }
    let link = Link::from_stdin().map_err(Error::system("reach the supervising process"))?;
    let _ = SUPERVISOR.set(Mutex::new(link));
    Ok(())
}

/// Has this process a supervisor? Then this is the image to run.
pub fn image() -> Option<PathBuf> {
    SUPERVISOR.get()?;
    std::env::var_os(IMAGE).map(PathBuf::from)
}

/// Where a supervised machine is to keep its counters. The file is there.
pub fn counters() -> Option<PathBuf> {
    SUPERVISOR.get()?;
    let path = PathBuf::from(std::env::var_os(FOLDER)?).join(COUNTERS);
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(FILE_MODE).open(&path).ok()?;
    Some(path)
}

/// Tells the supervisor, if there is one.
pub fn tell(event: &Event) {
    if let Some(Ok(mut link)) = SUPERVISOR.get().map(Mutex::lock) {
        // Without a supervisor this process is being killed.
        let _ = link.send(event);
    }
}
