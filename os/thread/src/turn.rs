//! Whose turn it is: two lines of threads that can run, and what each may take of the CPU before another goes first.
//!
//! # The rule
//! The **plain line** is first come, first served. As long as everybody in it gives the CPU up soon there is nothing else,
//! and nobody reads the clock. A thread that a tick of the slice timer finds running is **busy**: from then on it has the
//! CPU for a slice at a time, and goes to the line's end after it.
//!
//! While there are busy threads, one that has waited for something (a timer, data, a lock, another thread) and is woken
//! stands in the **fast line**, which goes first: at the next tick, or when the running thread gives the CPU up. It pays for
//! that. Each thread has credit, which grows while it waits by the share of the time that would be its own beside the busy
//! ones, up to [`CREDIT_NS`], and its time in the fast line is taken off. Without credit it stands in the plain line: who
//! sleeps a little and computes a lot gets no more than who only computes. A busy thread that is overtaken keeps its place
//! and what is left of its slice. Whoever is woken by a busy thread does not even wait for a tick ([`Turns::wake`]).
//!
//! Busy threads do not come in the same order for ever: what one of them leaves for all the others would always be found by
//! the one behind it. There are **rounds**, in which each has a slice: a thread whose slice is over goes to the head of the
//! next round or, as often, to its end. So none waits for more than two slices of each other one.
//!
//! Nobody starves: the fast line as a whole goes first for no more than a slice in a row, and gets that back only as the
//! plain one has its time. Linux's answer is the same in kind (a virtual deadline: Stoica and Abdel-Wahab, 1995), but wants
//! the clock at every switch, which here would cost more than the switch.
//!
//! Time is a parameter: nanoseconds of the monotonic clock. Invariant: a thread is in at most one line, and everything here
//! is touched under the scheduler's lock alone.

use crate::SLICE_NS;
use core::ptr::{null, null_mut};
use core::sync::atomic::{AtomicI64, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};

/// What a thread may save up for the fast line, ns.
const CREDIT_NS: i64 = 2_000_000;
/// A slice counts as used up from here on, ns: ticks come at the host's pace, not at ours.
const USED_NS: u32 = (SLICE_NS / 4 * 3) as u32;
const SLICE: i64 = SLICE_NS as i64;

/// Gives the CPU up soon, as far as is known.
const PLAIN: u8 = 0;
/// A tick found it running.
const BUSY: u8 = 1;
/// Stands in the fast line, or runs from there.
const FAST: u8 = 2;

/// The feedback of a linear-feedback shift register of 32 bits whose period is the longest there is (taps 32, 22, 2, 1).
const FEEDBACK: u32 = 0x8020_0003;

/// What the lines keep in a thread.
#[derive(Debug)]
pub(crate) struct Turn<T> {
    next: AtomicPtr<T>,
    rank: AtomicU8,
    /// How much of its slice a busy thread has used, ns.
    used: AtomicU32,
    /// ns; below 0 after more was taken than there was.
    credit: AtomicI64,
    /// The time up to which `credit` is reckoned.
    since: AtomicU64,
}

impl<T> Turn<T> {
    pub(crate) const fn new() -> Self {
        Turn {
            next: AtomicPtr::new(null_mut()),
            rank: AtomicU8::new(PLAIN),
            used: AtomicU32::new(0),
            credit: AtomicI64::new(CREDIT_NS),
            since: AtomicU64::new(0),
        }
    }

    #[inline]
    pub(crate) fn is_plain(&self) -> bool {
        self.rank.load(Relaxed) == PLAIN
    }

    #[inline]
    pub(crate) fn is_busy(&self) -> bool {
        self.rank.load(Relaxed) == BUSY
    }
}

/// Who has a [`Turn`].
pub(crate) trait Runnable: Sized {
    fn turn(&self) -> &Turn<Self>;
}

/// A first-come-first-served line.
#[derive(Debug)]
struct Line<T> {
    first: *mut T,
    last: *mut T,
}

/// Threads that can run.
#[derive(Debug)]
pub(crate) struct Turns<T> {
    plain: Line<T>,
    fast: Line<T>,
    /// The last of the plain line that is in this round, a busy thread; null if none is. It is so until it has
    /// run for a while ([`Turns::account`]).
    mark: *const Turn<T>,
    /// The coin that is tossed at the end of a slice: the register's complement, so that all begins with zeros.
    coin: u32,
    /// How many busy threads there are, running or in line.
    busy: u32,
    /// Time that the fast line has had and the plain one not yet, ns.
    ahead: i64,
    /// The last tick.
    ticked: u64,
}

// SAFETY note for the blocks below: whoever calls gives a thread that lives as long as it is in line (`sched`, "Who holds
// what"), and by the invariant nobody else touches its turn.
fn turn<'a, T: Runnable>(thread: *mut T) -> &'a Turn<T> {
    // SAFETY: as above.
    unsafe { (*thread).turn() }
}

impl<T: Runnable> Line<T> {
    const NEW: Self = Line { first: null_mut(), last: null_mut() };

    fn push(&mut self, thread: *mut T, first: bool) {
        let next = if first { self.first } else { null_mut() };
        turn(thread).next.store(next, Relaxed);
        if self.first.is_null() {
            (self.first, self.last) = (thread, thread);
        } else if first {
            self.first = thread;
        } else {
            turn(self.last).next.store(thread, Relaxed);
            self.last = thread;
        }
    }

    #[inline]
    fn pop(&mut self) -> *mut T {
        let thread = self.first;
        if !thread.is_null() {
            self.first = turn(thread).next.load(Relaxed);
        }
        thread
    }
}

impl<T: Runnable> Turns<T> {
    pub(crate) const fn new() -> Self {
        Turns { plain: Line::NEW, fast: Line::NEW, mark: null(), coin: 0, busy: 0, ahead: 0, ticked: 0 }
    }

    /// Can none run?
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.plain.first.is_null() && self.fast.first.is_null()
    }

    /// A thread that can go on lets others go first, or (`first`) only one.
    #[inline]
    pub(crate) fn push(&mut self, thread: *mut T, first: bool) {
        self.plain.push(thread, first);
    }

    /// A thread that waited can go on; with `first` before all others. Does it stand in the fast line now?
    #[inline]
    pub(crate) fn wake(&mut self, thread: *mut T, first: bool, now: impl FnOnce() -> u64) -> bool {
        if self.busy != 0 {
            return self.wake_beside_busy(thread, first, now());
        }
        self.plain.push(thread, first);
        false
    }

    #[cold]
    #[inline(never)]
    fn wake_beside_busy(&mut self, thread: *mut T, first: bool, now: u64) -> bool {
        let turn = turn(thread);
        let waited = now.saturating_sub(turn.since.swap(now, Relaxed)) / u64::from(self.busy + 1);
        let credit = turn.credit.load(Relaxed).saturating_add_unsigned(waited).min(CREDIT_NS);
        turn.credit.store(credit, Relaxed);
        let fast = first || credit > 0;
        if fast {
            turn.rank.store(FAST, Relaxed);
            self.fast.push(thread, first);
        } else {
            self.plain.push(thread, false);
        }
        fast
    }

    /// The next to run; null if there is none.
    #[inline]
    pub(crate) fn pop(&mut self, now: impl FnOnce() -> u64) -> *mut T {
        if self.fast.first.is_null() || self.ahead >= SLICE && !self.plain.first.is_null() {
            return self.plain.pop();
        }
        self.pop_fast(now())
    }

    #[cold]
    #[inline(never)]
    fn pop_fast(&mut self, now: u64) -> *mut T {
        let thread = self.fast.pop();
        turn(thread).since.store(now, Relaxed);
        thread
    }

    /// A running thread that is not plain gives the CPU up by itself.
    #[cold]
    #[inline(never)]
    pub(crate) fn settle(&mut self, turn: &Turn<T>, now: u64) {
        self.account(turn, now);
        self.busy -= u32::from(turn.rank.swap(PLAIN, Relaxed) == BUSY);
    }

    /// Reckons what a running thread has had, in ns, and whether from the fast line. It is not in line, and so no end of a
    /// round.
    #[cold]
    #[inline(never)]
    fn account(&mut self, turn: &Turn<T>, now: u64) -> (i64, bool) {
        if core::ptr::eq(self.mark, turn) {
            self.mark = null();
        }
        let fast = turn.rank.load(Relaxed) == FAST;
        let since = turn.since.swap(now, Relaxed);
        let ran = now.saturating_sub(if fast { since } else { self.ticked }).min(SLICE_NS) as i64;
        if fast {
            self.ahead += ran;
        }
        turn.credit.store((turn.credit.load(Relaxed) - ran).max(-SLICE), Relaxed);
        (ran, fast)
    }

    /// A tick, or an event that may have woken somebody, found `running` at work. Does it go on? Otherwise it is in line.
    pub(crate) fn tick(&mut self, running: *mut T, now: u64) -> bool {
        let turn = turn(running);
        let (ran, fast) = self.account(turn, now);
        self.ticked = now;
        if !fast {
            self.ahead = (self.ahead - ran).max(0);
        } else if turn.credit.load(Relaxed) > 0 {
            return true;
        }
        if turn.rank.swap(BUSY, Relaxed) != BUSY {
            self.busy += 1;
            turn.used.store(0, Relaxed);
        }
        let used = turn.used.load(Relaxed).saturating_add(ran as u32);
        turn.used.store(used, Relaxed);
        if used >= USED_NS && !self.plain.first.is_null() {
            turn.used.store(0, Relaxed);
            self.push_behind(running);
        } else if self.fast.first.is_null() || self.ahead >= SLICE {
            return true;
        } else {
            self.plain.push(running, true);
        }
        false
    }

    /// A busy thread goes into the next round, at its head or end; the line is not empty.
    fn push_behind(&mut self, thread: *mut T) {
        let head = !self.coin & 1;
        self.coin = !((!self.coin >> 1) ^ (FEEDBACK * head));
        let (new, last) = (turn(thread), turn(self.plain.last));
        let after = match self.mark.is_null() || head == 0 {
            true => last,
            // SAFETY: it is in line, since whoever leaves the line is reckoned with ([`Turns::account`]).
            false => unsafe { &*self.mark },
        };
        if self.mark.is_null() {
            self.mark = new;
        }
        new.next.store(after.next.load(Relaxed), Relaxed);
        after.next.store(thread, Relaxed);
        if core::ptr::eq(after, last) {
            self.plain.last = thread;
        }
    }
}

#[cfg(test)]
#[path = "turn_tests.rs"]
mod tests;
