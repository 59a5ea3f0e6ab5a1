//! `poll` (POSIX): one look at several descriptors, or one wait for any of them.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::errno::{Errno, Result};
use crate::events::{self, ERR, HUP, NVAL};
use crate::file::Open;
use crate::observe::{Observer, Observers};
use crate::patience;
use crate::table::table;

/// One entry, laid out as `struct pollfd`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// The descriptor; a negative one is skipped.
    pub fd: i32,
    /// What is asked for.
    pub events: u16,
    /// What is so.
    pub revents: u16,
}

/// Passes notifications on to the thread that polls.
struct Waiter(Observers);

impl Observer for Waiter {
    fn notify(&self, events: u32) {
        self.0.notify(events);
    }
}

/// Waits until an entry has something to report or `deadline_ns` (monotonic; `Some(0)` only looks) has passed; gives
/// the number of entries with something to report.
pub fn poll(entries: &mut [Entry], deadline_ns: Option<u64>) -> Result<usize> {
    let mut files: Vec<Option<Open>> = Vec::new();
    files.try_reserve_exact(entries.len()).map_err(|_| Errno::NOMEM)?;
    files.extend(entries.iter().map(|e| table().get(e.fd).ok()));
    let count = look(entries, &files);
    if count > 0 || deadline_ns == Some(0) {
        return Ok(if count == 0 && patience::look_at_devices() { look(entries, &files) } else { count });
    }
    wait(entries, &files, deadline_ns)
}

/// One look.
fn look(entries: &mut [Entry], files: &[Option<Open>]) -> usize {
    let mut count = 0;
    for (entry, file) in entries.iter_mut().zip(files) {
        let asked = u32::from(entry.events) | ERR | HUP;
        let found = match file {
            Some(file) => file.file().ready_for(entry.events.into()) & asked,
            None if entry.fd < 0 => 0,
            None => NVAL,
        };
        entry.revents = found as u16;
        count += usize::from(found != 0);
    }
    count
}

fn wait(entries: &mut [Entry], files: &[Option<Open>], deadline_ns: Option<u64>) -> Result<usize> {
    let waiter = Arc::new(Waiter(Observers::new()));
    let watched = || files.iter().flatten().filter_map(|file| file.file().observers());
    let result = watched().try_for_each(|observers| observers.add(waiter.clone()));
    let mut count = 0;
    if result.is_ok() {
        waiter.0.wait(deadline_ns, &mut || {
            count = look(entries, files);
            count > 0
        });
    }
    for observers in watched() {
        observers.remove(Arc::as_ptr(&waiter).cast());
    }
    result.map(|()| count)
}

/// What `select` calls readable, writable and exceptional, in `poll`'s bits.
pub const SELECT_BITS: [u32; 3] =
    [events::IN | events::RDNORM | HUP | ERR, events::OUT | events::WRNORM | ERR, events::PRI];
