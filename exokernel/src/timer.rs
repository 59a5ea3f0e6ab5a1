//! The one timer's two uses: slices, and the end of a sleep.
//!
//! Each store to the timer's registers costs an emulator more than a thread switch costs the guest, so it is left alone
//! wherever it may be: a timer that is set to an earlier time than the one wanted rings early and is set again then, and
//! one that nobody wants any more rings once, for nothing.

use crate::{apic, clock};
use abi::gate::WAIT_FOREVER;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The length of the slices that the guest asked for, ns, or 0.
static SLICE: AtomicU64 = AtomicU64::new(0);
/// The timer rings every so many ns, or 0.
static PERIOD: AtomicU64 = AtomicU64::new(0);
/// The timer rings once, by this time (ns since boot), or 0.
static ONCE: AtomicU64 = AtomicU64::new(0);

/// The shortest slice, ns: what is shorter would leave the guest, and an emulator's other work, no time between two.
const SHORTEST: u64 = 1_000_000;

/// Slices of this length from now on, or of the shortest; 0 for none. Those that run already are stopped by their next
/// ring.
pub fn set_slices(ns: u64) {
    SLICE.store(if ns == 0 { 0 } else { ns.max(SHORTEST) }, Relaxed);
    resume();
}

/// Has the guest asked for slices?
pub fn slices_run() -> bool {
    SLICE.load(Relaxed) != 0
}

/// Has the slices run again that a sleep may have stopped.
pub fn resume() {
    let slice = SLICE.load(Relaxed);
    if slice != 0 && PERIOD.swap(slice, Relaxed) != slice {
        ONCE.store(0, Relaxed);
        apic::repeat(clock::timer_ticks(slice));
    }
}

/// The timer rang. `asleep`: nothing ran.
pub fn rang(asleep: bool) {
    ONCE.store(0, Relaxed);
    if (asleep || !slices_run()) && PERIOD.swap(0, Relaxed) != 0 {
        apic::repeat(0);
    }
}

/// Rings by `until_ns`, or earlier; then this is to be asked again.
pub fn wake_by(until_ns: u64, now_ns: u64) {
    let (period, once) = (PERIOD.load(Relaxed), ONCE.load(Relaxed));
    let rings_before = if period != 0 { until_ns - now_ns > period } else { once > now_ns && once <= until_ns };
    if until_ns != WAIT_FOREVER && !rings_before {
        PERIOD.store(0, Relaxed);
        ONCE.store(until_ns, Relaxed);
        apic::once(clock::timer_ticks(until_ns - now_ns));
    }
}
