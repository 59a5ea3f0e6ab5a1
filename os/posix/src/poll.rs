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
#[inline(always)]
pub fn poll(entries: &mut [Entry], deadline_ns: Option<u64>) -> Result<usize> {
    if deadline_ns == Some(0) { look_once(entries) } else { look_and_wait(entries, deadline_ns) }
}

/// Apart from waiting, because std's start looks at descriptors 0, 1 and 2, and a program that does no more than that
/// needs no observers.
fn look_once(entries: &mut [Entry]) -> Result<usize> {
    let mut all = || -> usize {
        entries.iter_mut().map(|entry| usize::from(look_at(entry, table().get(entry.fd).ok().as_ref()))).sum()
    };
    match all() {
        0 if patience::look_at_devices() => Ok(all()),
        count => Ok(count),
    }
}

fn look_and_wait(entries: &mut [Entry], deadline_ns: Option<u64>) -> Result<usize> {
    let mut files: Vec<Option<Open>> = Vec::new();
    files.try_reserve_exact(entries.len()).map_err(|_| Errno::NOMEM)?;
    files.extend(entries.iter().map(|e| table().get(e.fd).ok()));
    match look(entries, &files) {
        0 => wait(entries, &files, deadline_ns),
        count => Ok(count),
    }
}

/// One look at all.
fn look(entries: &mut [Entry], files: &[Option<Open>]) -> usize {
    entries.iter_mut().zip(files).map(|(entry, file)| usize::from(look_at(entry, file.as_ref()))).sum()
}

/// One look at one: is there something to report?
fn look_at(entry: &mut Entry, file: Option<&Open>) -> bool {
    let asked = u32::from(entry.events) | ERR | HUP;
    let found = match file {
        Some(file) => file.file().ready_for(entry.events.into()) & asked,
        None if entry.fd < 0 => 0,
        None => NVAL,
    };
    entry.revents = found as u16;
    found != 0
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
