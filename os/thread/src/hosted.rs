//! Not in an image: threads of the host, for unit tests of the crates above.

use crate::{Spawn, SpawnError, Wake, name_array, poller};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

#[derive(Debug)]
struct Inner {
    id: u32,
    name: Mutex<[u8; 16]>,
    token: Mutex<bool>,
    woken: Condvar,
    result: Mutex<Option<usize>>,
    done: Condvar,
}

/// A thread.
#[derive(Clone, Debug)]
pub struct Thread(Arc<Inner>);

std::thread_local! {
    static CURRENT: Thread = Thread::new(b"hosted");
    static SLOTS: &'static [AtomicUsize; 4] = Box::leak(Box::new([const { AtomicUsize::new(0) }; 4]));
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Thread {
    fn new(name: &[u8]) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        Thread(Arc::new(Inner {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            name: Mutex::new(name_array(name)),
            token: Mutex::new(false),
            woken: Condvar::new(),
            result: Mutex::new(None),
            done: Condvar::new(),
        }))
    }

    /// Its number; the first thread's is 1.
    pub fn id(&self) -> u32 {
        self.0.id
    }

    /// Its name, padded with zeros.
    pub fn name(&self) -> [u8; 16] {
        *lock(&self.0.name)
    }

    /// Renames it.
    pub fn set_name(&self, name: &[u8]) {
        *lock(&self.0.name) = name_array(name);
    }

    /// The lowest address and the length of its stack; unknown on a host.
    pub fn stack(&self) -> (usize, usize) {
        (0, 0)
    }

    /// Has it parked, it goes on; otherwise its next [`park`] returns at once.
    pub fn unpark(&self) {
        *lock(&self.0.token) = true;
        self.0.woken.notify_one();
    }

    pub(crate) fn unpark_as(&self, _first: bool) {
        self.unpark();
    }

    pub(crate) fn waits_for(&self, _key: usize) {}

    pub(crate) fn is_impatient(&self) -> bool {
        false
    }

    /// Waits for its end, and gives what it returned.
    pub fn join(&self) -> usize {
        let mut result = lock(&self.0.result);
        loop {
            if let Some(value) = *result {
                return value;
            }
            result = self.0.done.wait(result).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// The running thread.
pub fn current() -> Thread {
    CURRENT.with(Clone::clone)
}

/// The running thread's number.
pub fn current_id() -> u32 {
    current().id()
}

/// A word of the running thread's own, for the libc door.
pub fn slot(index: usize) -> &'static AtomicUsize {
    SLOTS.with(|slots| &slots[index])
}

/// Becomes the first thread.
pub fn start(main: fn() -> !) -> ! {
    main()
}

/// Starts a thread.
pub fn spawn(spawn: Spawn<'_>) -> Result<Thread, SpawnError> {
    let thread = Thread::new(spawn.name);
    let (inner, entry, argument) = (thread.clone(), spawn.entry, spawn.argument);
    std::thread::spawn(move || {
        CURRENT.with(|_| ());
        let result = entry(argument);
        *lock(&inner.0.result) = Some(result);
        inner.0.done.notify_all();
    });
    Ok(thread)
}

pub(crate) fn spawn_system(_spawn: Spawn<'_>) -> Result<Thread, SpawnError> {
    Err(SpawnError::NoMemory)
}

/// Ends the running thread.
pub fn exit(_result: usize) -> ! {
    loop {
        std::thread::park();
    }
}

/// Lets others run.
pub fn yield_now() {
    std::thread::yield_now();
}

pub(crate) fn stand_back() {
    yield_now();
}

/// Sleeps until [`Thread::unpark`] or the deadline.
pub fn park(deadline_ns: Option<u64>) -> Wake {
    let me = current();
    loop {
        let _ = (poller::ask(), poller::any() && poller::arm(), poller::deadline());
        let mut token = lock(&me.0.token);
        if std::mem::take(&mut *token) {
            return Wake::Woken;
        }
        let left = deadline_ns.map_or(u64::MAX, |d| d.saturating_sub(machine::clock::monotonic_ns()));
        if left == 0 {
            return Wake::TimedOut;
        }
        drop(me.0.woken.wait_timeout(token, Duration::from_nanos(left.min(1_000_000))));
    }
}
