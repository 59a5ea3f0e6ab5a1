//! epoll and timer descriptors.
#![cfg_attr(not(ampoule_image), allow(dead_code, reason = "only an image has the C names"))]

use super::fd::{done, door, give_int, put, value};
use super::poll::{Time, deadline_ms, deadline_of};
use alloc::sync::Arc;
use core::ffi::{c_int, c_void};
use posix::epoll::{Control, Epoll, Event};
use posix::errno::{Errno, Result};
use posix::file::{CLOSE_ON_EXEC, Kind, NON_BLOCKING};
use posix::table::{spare, table};
use posix::timerfd::{Setting, Timer};

/// `struct epoll_event`: packed on this architecture.
#[repr(C, packed)]
#[derive(Clone, Copy, Default)]
pub(crate) struct WireEvent {
    events: u32,
    data: u64,
}

/// Events that one call gives at most.
const EVENTS_MAX: usize = 256;

fn instance(fd: c_int) -> Result<Arc<Epoll>> {
    match table().get(fd)?.file().kind() {
        Kind::Epoll(epoll) => Ok(epoll.clone()),
        _ => Err(Errno::INVAL),
    }
}

pub(crate) fn do_epoll_create(flags: c_int) -> Result<i64> {
    if flags as u32 & !CLOSE_ON_EXEC != 0 {
        return Err(Errno::INVAL);
    }
    spare()?;
    table().insert(posix::epoll::epoll(), flags != 0).map(i64::from)
}

pub(crate) unsafe fn do_epoll_ctl(epfd: c_int, operation: c_int, fd: c_int, event: *const WireEvent) -> Result<i64> {
    let file = table().get(fd)?;
    let epoll = instance(epfd)?;
    // SAFETY: the caller's contract.
    let event = || unsafe { value(event) }.map(|e| Event { events: e.events, data: e.data });
    let control = match operation {
        1 => Control::Add(event()?),
        2 => Control::Delete,
        3 => Control::Modify(event()?),
        _ => return Err(Errno::INVAL),
    };
    done(epoll.control(fd, &file, control))
}

pub(crate) unsafe fn do_epoll_wait(
    epfd: c_int,
    events: *mut WireEvent,
    count: c_int,
    deadline_ns: Option<u64>,
) -> Result<i64> {
    let room = usize::try_from(count).ok().filter(|c| *c > 0).ok_or(Errno::INVAL)?.min(EVENTS_MAX);
    if events.is_null() {
        return Err(Errno::FAULT);
    }
    let mut found = [Event::default(); EVENTS_MAX];
    let count = instance(epfd)?.wait(&mut found[..room], deadline_ns);
    for (i, event) in found[..count].iter().enumerate() {
        // SAFETY: the caller has room for `room` events, and `i` is below that.
        unsafe { put(events.add(i), WireEvent { events: event.events, data: event.data }) }?;
    }
    Ok(count as i64)
}

pub(crate) unsafe fn do_epoll_pwait2(
    epfd: c_int,
    events: *mut WireEvent,
    count: c_int,
    timeout: *const Time,
) -> Result<i64> {
    // SAFETY: the caller's contract.
    unsafe { do_epoll_wait(epfd, events, count, deadline_of(timeout)?) }
}

/// `struct itimerspec`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct TimerSetting {
    interval: Time,
    value: Time,
}

impl TimerSetting {
    fn setting(self) -> Result<Setting> {
        Ok(Setting { value_ns: self.value.ns()?, interval_ns: self.interval.ns()? })
    }

    fn of(setting: Setting) -> TimerSetting {
        TimerSetting { interval: Time::from_ns(setting.interval_ns), value: Time::from_ns(setting.value_ns) }
    }
}

fn timer(fd: c_int) -> Result<Arc<Timer>> {
    match table().get(fd)?.file().kind() {
        Kind::Timer(timer) => Ok(timer.clone()),
        _ => Err(Errno::INVAL),
    }
}

pub(crate) fn do_timerfd_create(clock: c_int, flags: c_int) -> Result<i64> {
    let wall = match clock {
        0 | 8 => true,
        1 | 7 | 9 => false,
        _ => return Err(Errno::INVAL),
    };
    spare()?;
    let flags = flags as u32;
    let file = posix::timerfd::timerfd(wall, flags & NON_BLOCKING)?;
    table().insert(file, flags & CLOSE_ON_EXEC != 0).map(i64::from)
}

pub(crate) unsafe fn do_timerfd_settime(
    fd: c_int,
    flags: c_int,
    new: *const TimerSetting,
    old: *mut TimerSetting,
) -> Result<i64> {
    let timer = timer(fd)?;
    // SAFETY: the caller's contract.
    let before = timer.set(unsafe { value(new) }?.setting()?, flags as u32)?;
    if !old.is_null() {
        // SAFETY: the caller's contract.
        unsafe { put(old, TimerSetting::of(before)) }?;
    }
    Ok(0)
}

pub(crate) unsafe fn do_timerfd_gettime(fd: c_int, setting: *mut TimerSetting) -> Result<i64> {
    // SAFETY: the caller's contract.
    done(unsafe { put(setting, TimerSetting::of(timer(fd)?.get())) })
}

door! {
    /// Linux `epoll_create`: the size is a hint of old.
    fn epoll_create(size: c_int) -> c_int {
        give_int(if size > 0 { do_epoll_create(0) } else { Err(Errno::INVAL) })
    }

    /// Linux `epoll_create1`.
    fn epoll_create1(flags: c_int) -> c_int {
        give_int(do_epoll_create(flags))
    }

    /// Linux `epoll_ctl`.
    fn epoll_ctl(epfd: c_int, operation: c_int, fd: c_int, event: *mut WireEvent) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { do_epoll_ctl(epfd, operation, fd, event) })
    }

    /// Linux `epoll_wait`.
    fn epoll_wait(epfd: c_int, events: *mut WireEvent, count: c_int, timeout: c_int) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { do_epoll_wait(epfd, events, count, deadline_ms(timeout)) })
    }

    /// Linux `epoll_pwait`. The mask is not swapped: handlers do not interrupt waits here.
    fn epoll_pwait(epfd: c_int, events: *mut WireEvent, count: c_int, timeout: c_int, _mask: *const c_void) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { do_epoll_wait(epfd, events, count, deadline_ms(timeout)) })
    }

    /// Linux `epoll_pwait2`.
    fn epoll_pwait2(
        epfd: c_int, events: *mut WireEvent, count: c_int, timeout: *const Time, _mask: *const c_void,
    ) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { do_epoll_pwait2(epfd, events, count, timeout) })
    }

    /// Linux `timerfd_create`.
    fn timerfd_create(clock: c_int, flags: c_int) -> c_int {
        give_int(do_timerfd_create(clock, flags))
    }

    /// Linux `timerfd_settime`.
    fn timerfd_settime(fd: c_int, flags: c_int, new: *const TimerSetting, old: *mut TimerSetting) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { do_timerfd_settime(fd, flags, new, old) })
    }

    /// Linux `timerfd_gettime`.
    fn timerfd_gettime(fd: c_int, setting: *mut TimerSetting) -> c_int {
        // SAFETY: the caller's contract.
        give_int(unsafe { do_timerfd_gettime(fd, setting) })
    }
}
