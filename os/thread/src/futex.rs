//! Futexes: a thread sleeps while a word has a value, and others wake those that sleep on it.
//!
//! The meaning is Linux's `FUTEX_WAIT_BITSET` and `FUTEX_WAKE_BITSET` (futex(2)). Waiters stand in one of a few lists,
//! chosen by the word's address.

use crate::list::{List, Node};
use crate::{Wake, current, park, stand_back};
use core::sync::atomic::{AtomicU32, Ordering};
use sync::SpinLock;

const LISTS: usize = 64;
static WAITERS: [SpinLock<List>; LISTS] = [const { SpinLock::new(List::new()) }; LISTS];

/// Matches every waiter and every waker.
pub const ANY: u32 = u32::MAX;

/// Why a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Somebody woke it.
    Woken,
    /// The word did not have the expected value.
    Changed,
    /// The deadline passed.
    TimedOut,
    /// A signal came. Nothing interrupts a wait today.
    Interrupted,
}

fn list(key: usize) -> &'static SpinLock<List> {
    // Words are four bytes; neighbours should differ.
    &WAITERS[(key >> 2 ^ key >> 8) % LISTS]
}

/// Sleeps while `word` is `expected`, until woken or the deadline (ns).
pub fn wait(word: &AtomicU32, expected: u32, deadline_ns: Option<u64>) -> Outcome {
    wait_bits(word, expected, deadline_ns, ANY)
}

/// As [`wait`], woken only by wakers that share a bit.
pub fn wait_bits(word: &AtomicU32, expected: u32, deadline_ns: Option<u64>, bits: u32) -> Outcome {
    if word.load(Ordering::SeqCst) != expected {
        return Outcome::Changed;
    }
    let key = core::ptr::from_ref(word) as usize;
    let mut node = Node::new(current(), key, bits);
    {
        let mut waiters = list(key).lock();
        if word.load(Ordering::SeqCst) != expected {
            return Outcome::Changed;
        }
        // SAFETY: new, and it stays here until it is off the list.
        unsafe { waiters.push(&raw mut node) };
    }
    loop {
        let wake = park(deadline_ns);
        let mut waiters = list(key).lock();
        if !node.queued {
            return Outcome::Woken;
        }
        if wake == Wake::TimedOut {
            // SAFETY: queued, in this list.
            unsafe { waiters.remove(&raw mut node) };
            return Outcome::TimedOut;
        }
    }
}

/// Wakes up to `count` threads that wait on `word`; how many it were.
#[inline]
pub fn wake(word: &AtomicU32, count: u32) -> u32 {
    wake_bits(word, count, ANY)
}

/// As [`wake`] of one thread, for whoever gives a lock free: where the one that waits longest has waited for two ends of
/// time slices, it runs at once, and the caller after it. Otherwise the caller, who still has the CPU, may take the lock again
/// and again, and the waiter finds it taken whenever its turn comes. MUST NOT be called with upcalls masked.
///
/// A hand-over at every wake would be fair, too, but then each turn of a contended lock is a switch.
#[inline]
pub fn wake_one(word: &AtomicU32) -> u32 {
    let (woken, impatient) = wake_list(word, 1, ANY, true);
    if impatient {
        stand_back();
    }
    woken
}

/// As [`wake`], those that share a bit.
pub fn wake_bits(word: &AtomicU32, count: u32, bits: u32) -> u32 {
    wake_list(word, count, bits, false).0
}

fn wake_list(word: &AtomicU32, count: u32, bits: u32, hand_over: bool) -> (u32, bool) {
    let key = core::ptr::from_ref(word) as usize;
    let mut waiters = list(key).lock();
    if waiters.is_empty() {
        return (0, false);
    }
    let (woken, impatient) = waiters.wake(count as usize, key, bits, hand_over);
    (woken as u32, impatient)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changed_timed_out_woken() {
        let word = AtomicU32::new(1);
        assert_eq!(wait(&word, 2, None), Outcome::Changed);
        assert_eq!(wait(&word, 1, Some(0)), Outcome::TimedOut);
        assert_eq!(wake(&word, 1), 0);
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| wait_bits(&word, 1, None, 0b10));
            while wake_bits(&word, 1, 0b01) + wake_bits(&word, 1, 0b10) == 0 {
                std::thread::yield_now();
            }
            assert_eq!(waiter.join().expect("joins"), Outcome::Woken);
        });
    }
}
