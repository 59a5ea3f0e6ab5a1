//! Timers as descriptors (Linux `timerfd_create(2)`).
//!
//! Armed timers stand in one list whose earliest deadline the scheduler asks for before it sleeps (as a
//! [`thread::Poller`]); expiry counts are worked out when somebody reads.

use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use sync::{Once, SpinLock};

use crate::errno::{Errno, Result};
use crate::events;
use crate::file::{Description, File, Kind, NON_BLOCKING, Open, READ_WRITE};
use crate::observe::Observers;
use crate::stat::Stat;

/// `TFD_TIMER_ABSTIME`
pub const ABSOLUTE: u32 = 1;

/// When a timer goes off, in ns; 0 and 0 is disarmed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Setting {
    /// First expiry: from now, or on the timer's clock with [`ABSOLUTE`]. 0 disarms.
    pub value_ns: u64,
    /// Time between further expiries, 0 for none.
    pub interval_ns: u64,
}

/// A timer.
pub struct Timer {
    wall: bool,
    state: SpinLock<State>,
    observers: Observers,
}

#[derive(Clone, Copy, Default)]
struct State {
    /// The next expiry that nobody has read, monotonic ns; 0 when disarmed.
    next_ns: u64,
    interval_ns: u64,
    /// The observers know of the expiry.
    told: bool,
}

impl State {
    /// Takes the expiries up to `now_ns`.
    fn take(&mut self, now_ns: u64) -> u64 {
        if self.next_ns == 0 || now_ns < self.next_ns {
            return 0;
        }
        self.told = false;
        let Some(further) = (now_ns - self.next_ns).checked_div(self.interval_ns) else {
            self.next_ns = 0;
            return 1;
        };
        self.next_ns += (further + 1) * self.interval_ns;
        further + 1
    }

    fn remaining(&self, now_ns: u64) -> Setting {
        let value_ns = if self.next_ns == 0 { 0 } else { self.next_ns.saturating_sub(now_ns).max(1) };
        Setting { value_ns, interval_ns: self.interval_ns }
    }
}

/// A new timer on the wall clock (`CLOCK_REALTIME`) or on the monotonic one.
pub fn timerfd(wall: bool, flags: u32) -> Result<Open> {
    let timer = Timer { wall, state: SpinLock::new(State::default()), observers: Observers::new() };
    Ok(Description::open(TimerFile(Arc::new(timer)), READ_WRITE | flags & NON_BLOCKING))
}

impl Timer {
    /// Sets it, and gives what was left before.
    pub fn set(self: &Arc<Self>, setting: Setting, flags: u32) -> Result<Setting> {
        let now = machine::clock::monotonic_ns();
        let delay = match (setting.value_ns, flags & ABSOLUTE != 0) {
            (0, _) => 0,
            (delay, false) => delay,
            (time, true) if self.wall => time.saturating_sub(machine::clock::wall_ns()).max(1),
            (time, true) => time.saturating_sub(now).max(1),
        };
        let next_ns = if delay == 0 { 0 } else { now.saturating_add(delay) };
        let mut state = self.state.lock();
        let before = state.remaining(now);
        *state = State { next_ns, interval_ns: setting.interval_ns, told: false };
        drop(state);
        if next_ns != 0 {
            Clockwork::get().add(self)?;
        }
        Ok(before)
    }

    /// What is left.
    pub fn get(&self) -> Setting {
        self.state.lock().remaining(machine::clock::monotonic_ns())
    }
}

struct TimerFile(Arc<Timer>);

impl File for TimerFile {
    fn read(&self, buffer: &mut [u8]) -> Result<usize> {
        let buffer = buffer.first_chunk_mut::<8>().ok_or(Errno::INVAL)?;
        match self.0.state.lock().take(machine::clock::monotonic_ns()) {
            0 => Err(Errno::AGAIN),
            count => {
                *buffer = count.to_ne_bytes();
                Ok(8)
            }
        }
    }

    fn ready(&self) -> u32 {
        let state = *self.0.state.lock();
        if state.next_ns != 0 && machine::clock::monotonic_ns() >= state.next_ns { events::READABLE } else { 0 }
    }

    fn observers(&self) -> Option<&Observers> {
        Some(&self.0.observers)
    }

    fn stat(&self) -> Stat {
        Stat::special(0o600)
    }

    fn kind(&self) -> Kind<'_> {
        Kind::Timer(&self.0)
    }
}

/// The list of armed timers.
struct Clockwork {
    timers: SpinLock<Vec<Weak<Timer>>>,
}

impl Clockwork {
    fn get() -> &'static Clockwork {
        static CLOCKWORK: Clockwork = Clockwork { timers: SpinLock::new(Vec::new()) };
        static REGISTERED: Once<()> = Once::new();
        REGISTERED.get_or_init(|| thread::register_poller(&CLOCKWORK));
        &CLOCKWORK
    }

    fn add(&self, timer: &Arc<Timer>) -> Result<()> {
        let mut timers = self.timers.lock();
        timers.retain(|t| t.strong_count() > 0);
        if !timers.iter().any(|t| core::ptr::eq(t.as_ptr(), Arc::as_ptr(timer))) {
            timers.try_reserve(1).map_err(|_| Errno::NOMEM)?;
            timers.push(Arc::downgrade(timer));
        }
        Ok(())
    }

    /// The earliest expiry that observers do not know of yet.
    fn earliest(&self) -> Option<u64> {
        let timers = self.timers.lock();
        let times = timers.iter().filter_map(Weak::upgrade).map(|t| *t.state.lock());
        times.filter(|s| s.next_ns != 0 && !s.told).map(|s| s.next_ns).min()
    }
}

impl thread::Poller for Clockwork {
    fn poll(&self) -> bool {
        let now = machine::clock::monotonic_ns();
        if self.earliest().is_none_or(|time| time > now) {
            return false;
        }
        let due: Vec<Arc<Timer>> = self.timers.lock().iter().filter_map(Weak::upgrade).collect();
        for timer in due {
            let mut state = timer.state.lock();
            let tell = state.next_ns != 0 && !state.told && state.next_ns <= now;
            state.told |= tell;
            drop(state);
            if tell {
                timer.observers.notify(events::READABLE);
            }
        }
        true
    }

    fn arm(&self) -> bool {
        false
    }

    fn deadline(&self) -> Option<u64> {
        self.earliest()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_the_expiries_since_the_last_read() {
        let mut state = State { next_ns: 100, interval_ns: 10, told: true };
        assert_eq!(state.take(99), 0);
        assert_eq!(state.take(125), 3);
        assert_eq!((state.next_ns, state.told), (130, false));
        assert_eq!(state.remaining(125), Setting { value_ns: 5, interval_ns: 10 });
    }

    #[test]
    fn a_single_shot_disarms_itself() {
        let mut state = State { next_ns: 100, interval_ns: 0, told: false };
        assert_eq!((state.take(500), state.take(500)), (1, 0));
        assert_eq!(state.remaining(500), Setting::default());
    }
}
