//! Which calls are to be told of: the operator's word, read once, as a bit a call.

use abi::trace::{CALLS, Filter, VARIABLE};
use core::sync::atomic::{AtomicU8, AtomicU64, Ordering};

const UNREAD: u8 = 0;
const NONE: u8 = 1;
const SOME: u8 = 2;
static STATE: AtomicU8 = AtomicU8::new(UNREAD);

const WORDS: usize = CALLS.len().div_ceil(64);
static WANTED: [AtomicU64; WORDS] = [const { AtomicU64::new(0) }; WORDS];

/// Is anything to be told?
#[inline(always)]
pub(crate) fn any() -> bool {
    match STATE.load(Ordering::Acquire) {
        UNREAD => read(),
        state => state == SOME,
    }
}

/// Is the call in this row?
#[inline(always)]
pub(crate) fn wants(row: usize) -> bool {
    WANTED[row / 64].load(Ordering::Relaxed) & 1 << (row % 64) != 0
}

/// Two threads that come at once find the same.
#[cold]
#[inline(never)]
fn read() -> bool {
    let Some(text) = entry() else {
        STATE.store(NONE, Ordering::Release);
        return false;
    };
    let filter = Filter::of_known(text);
    for (row, _) in CALLS.iter().enumerate().filter(|(_, call)| filter.wants(call)) {
        WANTED[row / 64].fetch_or(1 << (row % 64), Ordering::Relaxed);
    }
    STATE.store(SOME, Ordering::Release);
    true
}

/// The value of [`VARIABLE`], among the strings that the machine was started with.
fn entry() -> Option<&'static str> {
    let boot = machine::boot();
    let count = (boot.argument_count + boot.environment_count) as usize;
    crate::peek::strings(boot.strings, count)
        .skip(boot.argument_count as usize)
        .filter_map(|string| core::str::from_utf8(string).ok())
        .find_map(|entry| entry.strip_prefix(VARIABLE)?.strip_prefix('='))
}
