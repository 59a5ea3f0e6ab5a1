//! What keeps a program that never blocks from never hearing anything.
//!
//! Devices are polled when no thread can run, and at the end of slices. A lone thread that spins on non-blocking calls
//! reaches neither, and on Linux it would still see its data arrive. So a call that found nothing to do looks at the
//! devices itself, every now and then: often enough for a spinning program, too rarely to cost a busy one.

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// One look in this many fruitless calls.
const CALLS_PER_LOOK: u32 = 8;

static CALLS: AtomicU32 = AtomicU32::new(0);

/// Counts a fruitless call; true if the devices were looked at, so that trying again makes sense.
pub(crate) fn look_at_devices() -> bool {
    let calls = CALLS.load(Relaxed).wrapping_add(1);
    CALLS.store(calls, Relaxed);
    let due = calls.is_multiple_of(CALLS_PER_LOOK);
    if due {
        thread::poll();
    }
    due
}
