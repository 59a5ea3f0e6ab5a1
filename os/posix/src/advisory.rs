//! Advisory locks of an open file: the whole file's (`flock`) and those on ranges of bytes (`fcntl`).
//!
//! `F_OFD_SETLK` and its like lock a range for the open file. `F_SETLK` locks it for the process: there is one, so nobody
//! could find such a lock in his way but an open file of its own, and it is not written down; what it asks is whether an open
//! file's lock is in *its* way.

use core::ptr;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

use fs::{Handle, LAST, Lock, Range};
use sync::SpinLock;
use thread::WaitQueue;

use crate::errno::{Errno, Result};
use crate::file::{ACCESS_MODE, READ_ONLY, WRITE_ONLY};
use crate::names::Record;

/// Those who wait for an advisory lock, of whatever file.
static WAITING: WaitQueue = WaitQueue::new();
/// The process, among those who have ranges; an open file has its own address.
const PROCESS: u64 = 0;
/// `F_RDLCK`, `F_WRLCK`, `F_UNLCK`.
const KINDS: [Lock; 3] = [Lock::Shared, Lock::Exclusive, Lock::None];

/// An open file's part of the file's advisory locks.
pub(crate) struct Advisory {
    whole: SpinLock<Lock>,
    /// May it have ranges?
    has_ranges: AtomicBool,
}

impl Advisory {
    pub(crate) const fn new() -> Self {
        Advisory { whole: SpinLock::new(Lock::None), has_ranges: AtomicBool::new(false) }
    }

    /// `flock`. A lock that is to become another is given up first where it has to wait, as on Linux.
    pub(crate) fn change(&self, handle: &Handle, wants: Lock, wait: bool) -> Result<()> {
        let attempt = || {
            let mut has = self.whole.lock();
            let changed = handle.lock(*has, wants);
            let gave_up = changed.is_err() && *has != Lock::None;
            if changed.is_ok() {
                *has = wants;
            } else if gave_up {
                _ = handle.lock(*has, Lock::None);
                *has = Lock::None;
            }
            drop(has);
            if gave_up || changed.is_ok() {
                WAITING.wake_all();
            }
            changed
        };
        patiently(wait, &attempt)
    }

    /// `fcntl` about a range of the file, whose offset is `current`. Gives what is in the way, or what it was asked.
    pub(crate) fn record(
        &self,
        handle: &Handle,
        current: u64,
        (command, flags): (i32, u32),
        record: Record,
    ) -> Result<Record> {
        let is_question = matches!(command, Record::GET | Record::OPEN_GET);
        let is_of_file = command >= Record::OPEN_GET;
        let wants = *usize::try_from(record.kind).ok().and_then(|kind| KINDS.get(kind)).ok_or(Errno::INVAL)?;
        if is_of_file && record.process != 0 || is_question && wants == Lock::None {
            return Err(Errno::INVAL);
        }
        let is_closed_to = match wants {
            Lock::Shared => flags & ACCESS_MODE == WRITE_ONLY,
            Lock::Exclusive => flags & ACCESS_MODE == READ_ONLY,
            Lock::None => false,
        };
        if is_closed_to && !is_question {
            return Err(Errno::BADF);
        }
        let base = match record.whence {
            0 => 0,
            1 => current,
            2 => handle.length(),
            _ => return Err(Errno::INVAL),
        };
        let range = range(base, record.start, record.length)?;
        let owner = if is_of_file { ptr::from_ref(self).addr() as u64 } else { PROCESS };
        if is_question {
            let blocker = handle.blocker(owner, range, wants);
            return Ok(blocker.map_or(Record { kind: Record::UNLOCKED, ..record }, told));
        }
        let attempt = || {
            if !is_of_file {
                return handle.blocker(owner, range, wants).map_or(Ok(()), |_| Err(fs::Error::WouldBlock));
            }
            self.has_ranges.store(true, Relaxed);
            let changed = handle.lock_range(owner, range, wants);
            // Others may have waited for what was exclusive and is shared now, or nothing.
            if changed.is_ok() && wants != Lock::Exclusive {
                WAITING.wake_all();
            }
            changed
        };
        patiently(matches!(command, Record::WAIT | Record::OPEN_WAIT), &attempt).map(|()| record)
    }

    /// The open file is closed.
    pub(crate) fn release(&self, handle: &Handle) {
        if *self.whole.lock() != Lock::None {
            _ = self.change(handle, Lock::None, false);
        }
        if self.has_ranges.load(Relaxed) {
            handle.release_ranges(ptr::from_ref(self).addr() as u64);
            WAITING.wake_all();
        }
    }
}

/// Tries, and waits for another try if it is to wait.
fn patiently(wait: bool, attempt: &dyn Fn() -> fs::Result<()>) -> Result<()> {
    match attempt() {
        Err(fs::Error::WouldBlock) if wait => {
            let done = || match attempt() {
                Err(fs::Error::WouldBlock) => None,
                done => Some(done),
            };
            WAITING.wait_until(None, done).unwrap_or(Err(fs::Error::WouldBlock)).map_err(Errno::from)
        }
        done => done.map_err(Errno::from),
    }
}

/// The bytes that `l_start` and `l_len` mean; a negative length is before the start, none goes on for ever
/// (fcntl(2), "Advisory record locking").
fn range(base: u64, start: i64, length: i64) -> Result<Range> {
    let base = i64::try_from(base).map_err(|_| Errno::OVERFLOW)?;
    let start = base.checked_add(start).ok_or(Errno::OVERFLOW)?;
    let (first, last) = match length {
        0 => (start, LAST as i64),
        1.. => (start, start.checked_add(length - 1).ok_or(Errno::OVERFLOW)?),
        _ => (start.checked_add(length).ok_or(Errno::INVAL)?, start - 1),
    };
    let place = |offset: i64| u64::try_from(offset).map_err(|_| Errno::INVAL);
    Ok(Range { first: place(first)?, last: place(last)? })
}

/// Another open file's lock, as it is told.
fn told((range, lock): (Range, Lock)) -> Record {
    let kind = if lock == Lock::Exclusive { 1 } else { 0 };
    let length = if range.last == LAST { 0 } else { range.last - range.first + 1 };
    // An open file's lock is no process's.
    Record { kind, whence: 0, start: range.first as i64, length: length as i64, process: -1 }
}
