//! Clocks and sleeping.

use crate::errno;
use core::ffi::{c_int, c_long};
use machine::clock;

const NS: u64 = 1_000_000_000;
/// `CLOCK_REALTIME`.
pub const CLOCK_REALTIME: c_int = 0;
/// `CLOCK_MONOTONIC`.
pub const CLOCK_MONOTONIC: c_int = 1;
const CLOCK_REALTIME_COARSE: c_int = 5;
const CLOCK_LAST: c_int = 7;
const TIMER_ABSTIME: c_int = 1;

/// `struct timespec`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timespec {
    /// Seconds.
    pub seconds: i64,
    /// Nanoseconds.
    pub nanoseconds: c_long,
}

/// `struct timeval`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Timeval {
    /// Seconds.
    pub seconds: i64,
    /// Microseconds.
    pub microseconds: c_long,
}

impl Timespec {
    fn from_ns(ns: u64) -> Self {
        Timespec { seconds: (ns / NS) as i64, nanoseconds: (ns % NS) as c_long }
    }

    /// In nanoseconds, as far as that goes; `None` if it is no valid time.
    pub(crate) fn ns(&self) -> Option<u64> {
        let valid = self.seconds >= 0 && (0..NS as c_long).contains(&self.nanoseconds);
        valid.then(|| (self.seconds as u64).saturating_mul(NS).saturating_add(self.nanoseconds as u64))
    }

    /// As an absolute time on `clock`, in nanoseconds of the monotonic clock. A time before it began is 0.
    pub(crate) fn deadline(&self, clock: c_int) -> u64 {
        let ns = self.ns().unwrap_or(0);
        match clock {
            CLOCK_REALTIME | CLOCK_REALTIME_COARSE => ns.saturating_sub(machine::boot().clock.wall_base_ns),
            _ => ns,
        }
    }
}

fn now(clock: c_int) -> Option<u64> {
    match clock {
        CLOCK_REALTIME | CLOCK_REALTIME_COARSE => Some(clock::wall_ns()),
        // CPU-time clocks count the machine's whole time.
        CLOCK_MONOTONIC..=CLOCK_LAST => Some(clock::monotonic_ns()),
        _ => None,
    }
}

/// POSIX clock_gettime. All clocks have the same resolution; CPU-time clocks count from the machine's start.
///
/// # Safety
/// `out` may be written.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn clock_gettime(clock: c_int, out: *mut Timespec) -> c_int {
    match now(clock) {
        Some(ns) => {
            // SAFETY: the caller's pointer.
            unsafe { out.write(Timespec::from_ns(ns)) };
            0
        }
        None => errno::fail(errno::EINVAL),
    }
}

/// POSIX clock_getres: a nanosecond.
///
/// # Safety
/// `out` is null or may be written.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn clock_getres(clock: c_int, out: *mut Timespec) -> c_int {
    if now(clock).is_none() {
        return errno::fail(errno::EINVAL);
    }
    if !out.is_null() {
        // SAFETY: the caller's pointer.
        unsafe { out.write(Timespec { seconds: 0, nanoseconds: 1 }) };
    }
    0
}

/// POSIX clock_settime: the machine's clock is the far side's.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub extern "C" fn clock_settime(_clock: c_int, _time: *const Timespec) -> c_int {
    errno::fail(errno::EPERM)
}

/// Sleeps until `deadline_ns` on the monotonic clock.
pub(crate) fn sleep_until(deadline_ns: u64) {
    while thread::park(Some(deadline_ns)) != thread::Wake::TimedOut {}
}

/// POSIX clock_nanosleep; the result is the error.
///
/// # Safety
/// `request` is readable; `rest` is null or may be written.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn clock_nanosleep(
    clock: c_int,
    flags: c_int,
    request: *const Timespec,
    _rest: *mut Timespec,
) -> c_int {
    // SAFETY: the caller's pointer.
    let request = unsafe { *request };
    let (Some(ns), Some(_)) = (request.ns(), now(clock)) else { return errno::EINVAL };
    sleep_until(match flags & TIMER_ABSTIME {
        0 => clock::monotonic_ns().saturating_add(ns),
        _ => request.deadline(clock),
    });
    0
}

/// POSIX nanosleep. Nothing interrupts it.
///
/// # Safety
/// As [`clock_nanosleep`].
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn nanosleep(request: *const Timespec, rest: *mut Timespec) -> c_int {
    // SAFETY: passed on.
    match unsafe { clock_nanosleep(CLOCK_MONOTONIC, 0, request, rest) } {
        0 => 0,
        code => errno::fail(code),
    }
}

/// POSIX sleep.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub extern "C" fn sleep(seconds: u32) -> u32 {
    sleep_until(clock::monotonic_ns().saturating_add(u64::from(seconds) * NS));
    0
}

/// POSIX usleep.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub extern "C" fn usleep(microseconds: u32) -> c_int {
    sleep_until(clock::monotonic_ns().saturating_add(u64::from(microseconds) * 1000));
    0
}

/// C time.
///
/// # Safety
/// `out` is null or may be written.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn time(out: *mut i64) -> i64 {
    let seconds = (clock::wall_ns() / NS) as i64;
    if !out.is_null() {
        // SAFETY: the caller's pointer.
        unsafe { out.write(seconds) };
    }
    seconds
}

/// POSIX gettimeofday.
///
/// # Safety
/// `out` may be written.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn gettimeofday(out: *mut Timeval, _zone: *mut u8) -> c_int {
    let ns = clock::wall_ns();
    // SAFETY: the caller's pointer.
    unsafe { out.write(Timeval { seconds: (ns / NS) as i64, microseconds: (ns % NS / 1000) as c_long }) };
    0
}
