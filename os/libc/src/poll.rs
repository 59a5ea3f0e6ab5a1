//! `poll` and `select`.
#![cfg_attr(not(ampoule_image), allow(dead_code, reason = "only an image has the C names"))]

use super::fd::{door, give_int, put, value};
use alloc::vec::Vec;
use core::ffi::{c_int, c_ulong, c_void};
use posix::errno::{Errno, Result};
use posix::poll::{Entry, SELECT_BITS};

/// `struct timespec`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Time {
    pub(crate) seconds: i64,
    pub(crate) nanoseconds: i64,
}

impl Time {
    /// As ns; `EINVAL` for what is no time.
    pub(crate) fn ns(self) -> Result<u64> {
        let seconds = u64::try_from(self.seconds).map_err(|_| Errno::INVAL)?;
        if !(0..1_000_000_000).contains(&self.nanoseconds) {
            return Err(Errno::INVAL);
        }
        Ok(seconds.saturating_mul(1_000_000_000).saturating_add(self.nanoseconds as u64))
    }

    pub(crate) fn from_ns(ns: u64) -> Time {
        Time { seconds: (ns / 1_000_000_000) as i64, nanoseconds: (ns % 1_000_000_000) as i64 }
    }
}

/// The deadline that is `timeout_ns` from now; `Some(0)` for no waiting at all.
#[inline(always)]
pub(crate) fn deadline(timeout_ns: u64) -> Option<u64> {
    match timeout_ns {
        0 => Some(0),
        ns => machine::clock::monotonic_ns().checked_add(ns),
    }
}

/// The deadline of a timeout in ms; a negative one is none.
#[inline(always)]
pub(crate) fn deadline_ms(timeout: c_int) -> Option<u64> {
    let timeout = u64::try_from(timeout).ok()?;
    deadline(timeout * 1_000_000)
}

/// The deadline of a `struct timespec`, null for none.
///
/// # Safety
/// `timeout` is null or valid for reading.
pub(crate) unsafe fn deadline_of(timeout: *const Time) -> Result<Option<u64>> {
    if timeout.is_null() {
        return Ok(None);
    }
    // SAFETY: passed on to the caller.
    Ok(deadline(unsafe { value(timeout) }?.ns()?))
}

#[inline(always)]
pub(crate) unsafe fn do_poll(entries: *mut Entry, count: c_ulong, deadline_ns: Option<u64>) -> Result<i64> {
    let entries = match count {
        0 => &mut [],
        _ if count as usize > posix::table::DESCRIPTORS_MAX => return Err(Errno::INVAL),
        _ if entries.is_null() => return Err(Errno::FAULT),
        // SAFETY: the caller's contract; not null, and of a sensible length.
        _ => unsafe { core::slice::from_raw_parts_mut(entries, count as usize) },
    };
    posix::poll::poll(entries, deadline_ns).map(|n| n as i64)
}

pub(crate) unsafe fn do_ppoll(entries: *mut Entry, count: c_ulong, timeout: *const Time) -> Result<i64> {
    // SAFETY: the caller's contract.
    unsafe { do_poll(entries, count, deadline_of(timeout)?) }
}

/// Descriptors in an `fd_set`, and its words.
const SET_SIZE: usize = 1024;
type Set = [u64; SET_SIZE / 64];

unsafe fn do_select(count: c_int, sets: [*mut Set; 3], deadline_ns: Option<u64>) -> Result<i64> {
    let count = usize::try_from(count).ok().filter(|c| *c <= SET_SIZE).ok_or(Errno::INVAL)?;
    let mut asked = [[0; SET_SIZE / 64]; 3];
    for (copy, set) in asked.iter_mut().zip(sets).filter(|(_, set)| !set.is_null()) {
        // SAFETY: the caller's contract; not null.
        *copy = unsafe { value(set) }?;
    }
    let mut entries: Vec<Entry> = Vec::new();
    for fd in 0..count {
        let bits = (0..3).filter(|i| asked[*i][fd / 64] >> (fd % 64) & 1 != 0);
        let events = bits.fold(0, |events, i| events | SELECT_BITS[i] as u16);
        if events != 0 {
            entries.push(Entry { fd: fd as c_int, events, revents: 0 });
        }
    }
    posix::poll::poll(&mut entries, deadline_ns)?;
    let mut found: [Set; 3] = [[0; SET_SIZE / 64]; 3];
    let mut total = 0;
    for entry in &entries {
        if u32::from(entry.revents) & posix::events::NVAL != 0 {
            return Err(Errno::BADF);
        }
        let fd = entry.fd as usize;
        for i in 0..3 {
            let is_asked = asked[i][fd / 64] >> (fd % 64) & 1 != 0;
            if is_asked && u32::from(entry.revents) & SELECT_BITS[i] != 0 {
                found[i][fd / 64] |= 1 << (fd % 64);
                total += 1;
            }
        }
    }
    for (set, result) in sets.into_iter().zip(found).filter(|(set, _)| !set.is_null()) {
        // SAFETY: the caller's contract; not null.
        unsafe { put(set, result) }?;
    }
    Ok(total)
}

/// `struct timeval` is a [`Time`] in µs.
unsafe fn deadline_of_micros(timeout: *const Time) -> Result<Option<u64>> {
    if timeout.is_null() {
        return Ok(None);
    }
    // SAFETY: the caller's contract.
    let time = unsafe { value(timeout) }?;
    let nanoseconds = time.nanoseconds.checked_mul(1000).ok_or(Errno::INVAL)?;
    Ok(deadline(Time { nanoseconds, ..time }.ns()?))
}

/// `poll` of three descriptors without waiting, which is how std asks, before `main`, whether 0, 1 and 2 are there. A
/// machine starts with all three, so nothing is wrong with them. Only `revents` is written, so that a constant question is
/// one for the optimiser too, whatever comes after it.
///
/// # Safety
/// Three entries are there.
#[inline(always)]
unsafe fn poll_three(entries: *mut Entry) -> c_int {
    // SAFETY: the caller's contract. Field by field, here and below: so they stay as small as a store is.
    let is_asked = |at: usize| unsafe { (*entries.add(at)).fd == at as c_int && (*entries.add(at)).events == 0 };
    let mut found = [0; 3];
    let mut result = 0;
    if !(is_asked(0) && is_asked(1) && is_asked(2)) {
        // SAFETY: the caller's contract.
        let copy =
            |at: usize| unsafe { Entry { fd: (*entries.add(at)).fd, events: (*entries.add(at)).events, revents: 0 } };
        let mut all = [copy(0), copy(1), copy(2)];
        result = give_int(posix::poll::poll(&mut all, Some(0)).map(|n| n as i64));
        found = all.map(|entry| entry.revents);
    }
    // SAFETY: the caller's contract.
    unsafe {
        (*entries).revents = found[0];
        (*entries.add(1)).revents = found[1];
        (*entries.add(2)).revents = found[2];
    }
    result
}

door! {
    /// POSIX `poll`.
    ///
    /// Always inlined: a caller with timeout 0 does not bring the waiting along, and std's question when it starts
    /// ([`poll_three`]) is answered when the image is linked. What std would do about a missing
    /// descriptor, open `/dev/null`, is then not in the image, and no look-up of names with it.
    #[inline(always)]
    fn poll(entries: *mut Entry, count: c_ulong, timeout: c_int) -> c_int {
        if count == 3 && timeout == 0 && !entries.is_null() {
            // SAFETY: the caller's contract.
            return unsafe { poll_three(entries) };
        }
        // SAFETY: the caller's contract.
        give_int(unsafe { do_poll(entries, count, deadline_ms(timeout)) })
    }

    /// POSIX `ppoll`. The mask is not swapped: handlers do not interrupt waits here.
    fn ppoll(entries: *mut Entry, count: c_ulong, timeout: *const Time, _mask: *const c_void) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { do_ppoll(entries, count, timeout) })
    }

    /// POSIX `select`.
    fn select(count: c_int, read: *mut Set, write: *mut Set, except: *mut Set, timeout: *mut Time) -> c_int {
        // SAFETY: the caller's contract.
        let deadline = unsafe { deadline_of_micros(timeout) };
        // SAFETY: the caller's contract.
        give_int(deadline.and_then(|deadline| unsafe { do_select(count, [read, write, except], deadline) }))
    }

    /// POSIX `pselect`.
    fn pselect(
        count: c_int, read: *mut Set, write: *mut Set, except: *mut Set, timeout: *const Time, _mask: *const c_void,
    ) -> c_int {
        // SAFETY: the caller's contract.
        let deadline = unsafe { deadline_of(timeout) };
        // SAFETY: the caller's contract.
        give_int(deadline.and_then(|deadline| unsafe { do_select(count, [read, write, except], deadline) }))
    }
}
