//! A thread as others see it: the shared handle, and what the scheduler keeps in it.

use crate::block::Block;
use crate::turn::{Runnable, Turn};
use crate::{WaitQueue, name_array, sched, timer};
use alloc::sync::Arc;
use core::cell::UnsafeCell;
use core::sync::atomic::Ordering;
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicUsize};
use sync::SpinLock;

/// Waits in the run queue.
pub(crate) const READY: u8 = 0;
/// Has the CPU.
pub(crate) const RUNNING: u8 = 1;
/// Waits for [`Thread::unpark`].
pub(crate) const PARKED: u8 = 2;
/// Has ended.
pub(crate) const DEAD: u8 = 3;

/// So many slices (4 ms each, seen at ticks only) a thread waits for a futex until it is let in out of turn. Once in that
/// time, not more often.
const PATIENCE_TICKS: u32 = 5;

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) id: u32,
    name: SpinLock<[u8; 16]>,
    pub(crate) entry: fn(usize) -> usize,
    pub(crate) argument: usize,
    /// Its memory, until it is reaped. Written before the thread is shared, taken after its end.
    pub(crate) block: UnsafeCell<Option<Block>>,
    pub(crate) stack: (usize, usize),
    /// These five are the scheduler's, under its lock.
    pub(crate) state: AtomicU8,
    pub(crate) token: AtomicBool,
    pub(crate) timed_out: AtomicBool,
    pub(crate) turn: Turn<Inner>,
    pub(crate) timer: UnsafeCell<timer::Node<Inner>>,
    /// The futex that it waited for last, and since which tick it has wanted that one.
    awaited: AtomicUsize,
    since: AtomicU32,
    pub(crate) done: AtomicBool,
    pub(crate) result: AtomicUsize,
    pub(crate) joiners: WaitQueue,
}

// SAFETY: `timer` is touched only under the scheduler's lock, `block` as its comment says; the rest is atomic or locked.
unsafe impl Sync for Inner {}
// SAFETY: nothing in it belongs to one thread.
unsafe impl Send for Inner {}

impl Runnable for Inner {
    #[inline]
    fn turn(&self) -> &Turn<Inner> {
        &self.turn
    }
}

/// A thread.
#[derive(Clone, Debug)]
pub struct Thread(pub(crate) Arc<Inner>);

impl Inner {
    pub(crate) fn new(name: &[u8], entry: fn(usize) -> usize, argument: usize, block: Block, state: u8) -> Arc<Inner> {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let stack = (block.stack.start, block.stack.len());
        Arc::new(Inner {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            name: SpinLock::new(name_array(name)),
            entry,
            argument,
            block: UnsafeCell::new(Some(block)),
            stack,
            state: AtomicU8::new(state),
            token: AtomicBool::new(false),
            timed_out: AtomicBool::new(false),
            turn: Turn::new(),
            timer: UnsafeCell::new(timer::Node::new()),
            awaited: AtomicUsize::new(0),
            since: AtomicU32::new(0),
            done: AtomicBool::new(false),
            result: AtomicUsize::new(0),
            joiners: WaitQueue::new(),
        })
    }
}

impl Thread {
    /// Its number; the first thread's is 1.
    pub fn id(&self) -> u32 {
        self.0.id
    }

    /// Its name, padded with zeros.
    pub fn name(&self) -> [u8; 16] {
        *self.0.name.lock()
    }

    /// The name, even if the dying thread holds its lock.
    pub(crate) fn peek_name(inner: &Inner) -> [u8; 16] {
        inner.name.try_lock().map_or(*b"?\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", |name| *name)
    }

    /// Renames it; at most 15 bytes are kept.
    pub fn set_name(&self, name: &[u8]) {
        *self.0.name.lock() = name_array(name);
    }

    /// The lowest address and the length of its stack, in bytes.
    pub fn stack(&self) -> (usize, usize) {
        self.0.stack
    }

    /// Has it parked, it goes on; otherwise its next [`crate::park`] returns at once.
    #[inline]
    pub fn unpark(&self) {
        sched::unpark(&self.0, false);
    }

    /// The same; with `first` it is the next to run.
    pub(crate) fn unpark_as(&self, first: bool) {
        sched::unpark(&self.0, first);
    }

    /// The running thread begins to wait for a futex. Has it waited for this one before, it goes on doing so: a lock that
    /// somebody else took in between.
    #[inline]
    pub(crate) fn waits_for(&self, key: usize) {
        if self.0.awaited.load(Ordering::Relaxed) != key {
            self.0.awaited.store(key, Ordering::Relaxed);
            self.0.since.store(sched::ticks(), Ordering::Relaxed);
        }
    }

    /// Has it wanted the futex that it waits for for [`PATIENCE_TICKS`]? Then its patience begins anew.
    #[inline]
    pub(crate) fn is_impatient(&self) -> bool {
        let impatient = sched::ticks().wrapping_sub(self.0.since.load(Ordering::Relaxed)) >= PATIENCE_TICKS;
        if impatient {
            self.0.awaited.store(0, Ordering::Relaxed);
        }
        impatient
    }

    /// Waits for its end, and gives what it returned. Any number of threads may wait.
    pub fn join(&self) -> usize {
        let done = || self.0.done.load(Ordering::Acquire).then(|| self.0.result.load(Ordering::Relaxed));
        self.0.joiners.wait_until(None, done).unwrap_or(0)
    }
}
