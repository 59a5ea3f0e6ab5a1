//! The lock by which a supervisor is known to live.
//!
//! It is a record lock (fcntl_locking(2)): it belongs to one process, is not inherited by a fork, ends with the process
//! however that ends, and the kernel tells others who holds it without taking it themselves. That last point is why it is
//! not flock(2): there one could only try, and each look would for a moment keep a supervisor from its own lock.
//!
//! A process loses all its record locks on a file when it closes any descriptor of that file, so a supervisor opens its own
//! lock once and never asks who holds it.

use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{FlockOperation, fcntl_lock};
use rustix::process::{Flock, FlockType, Pid, fcntl_getlk};

use crate::Error;

/// The file's name in the machine's folder.
const FILE: &str = "lock";

/// The lock, held while this value lives.
#[derive(Debug)]
pub(crate) struct Life {
    _file: File,
}

/// Who holds a machine's lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    /// Nobody: no supervisor lives.
    Nobody,
    /// This process, which was alive when the kernel was asked.
    Process(Pid),
    /// A process that has no number here.
    Elsewhere,
}

/// Takes the lock of a machine's folder, which nobody else may hold.
pub(crate) fn take(folder: &Path) -> Result<Life, Error> {
    let path = folder.join(FILE);
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(crate::FILE_MODE);
    let file = options.open(&path).map_err(Error::file("make", &path))?;
    fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive).map_err(Error::file("lock", &path))?;
    Ok(Life { _file: file })
}

/// Who holds it. Not to be asked by the one who does.
pub(crate) fn holder(folder: &Path) -> Result<Holder, Error> {
    let path = folder.join(FILE);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Holder::Nobody),
        Err(error) => return Err(Error::file("open", &path)(error)),
    };
    let found = fcntl_getlk(&file, &Flock::from(FlockType::WriteLock)).map_err(Error::file("ask who locks", &path))?;
    Ok(match found.map(|lock| lock.pid) {
        None => Holder::Nobody,
        Some(Some(pid)) => Holder::Process(pid),
        Some(None) => Holder::Elsewhere,
    })
}
