//! Who is told when a file becomes readier: threads that block in it, and the epoll and poll instances that watch it.
//!
//! Readiness is *pushed*: a file that changes calls [`Observers::notify`], and nobody ever walks all descriptors. To cost
//! nothing when nobody watches, a file asks [`Observers::watched`] first.
//!
//! # No wake-up is lost
//! A file changes its state and reads `watched` under its own lock; an observer registers (which sets `watched`) and
//! then looks at the state under the same lock. Whichever section comes first, the other sees what it did: either the
//! observer sees the new state, or the file sees the observer. Hence relaxed ordering is enough for `watched`.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use sync::SpinLock;
use thread::WaitQueue;

use crate::errno::{Errno, Result};

/// Is told of changes. MUST be short and MUST NOT call the file: the file's list is locked.
pub trait Observer: Send + Sync {
    /// The file may have become ready for `events` (0: for anything).
    fn notify(&self, events: u32);
}

/// The observers of one file.
pub struct Observers {
    watched: AtomicU32,
    threads: WaitQueue,
    list: SpinLock<Vec<Arc<dyn Observer>>>,
}

impl Observers {
    /// Nobody.
    pub const fn new() -> Self {
        Observers { watched: AtomicU32::new(0), threads: WaitQueue::new(), list: SpinLock::new(Vec::new()) }
    }

    /// Is there anybody to notify? See the module's "No wake-up is lost" for where to ask.
    #[inline]
    pub fn watched(&self) -> bool {
        self.watched.load(Relaxed) != 0
    }

    /// Tells everybody. MUST NOT be called with the file's lock held.
    pub fn notify(&self, events: u32) {
        self.threads.wake_all();
        for observer in self.list.lock().iter() {
            observer.notify(events);
        }
    }

    /// Adds one.
    pub fn add(&self, observer: Arc<dyn Observer>) -> Result<()> {
        let mut list = self.list.lock();
        list.try_reserve(1).map_err(|_| Errno::NOMEM)?;
        list.push(observer);
        self.watched.fetch_add(1, Relaxed);
        Ok(())
    }

    /// Removes one, told by its address.
    pub fn remove(&self, observer: *const ()) {
        let mut list = self.list.lock();
        let gone = list.iter().position(|o| core::ptr::addr_eq(Arc::as_ptr(o), observer)).map(|i| list.swap_remove(i));
        if gone.is_some() {
            self.watched.fetch_sub(1, Relaxed);
        }
        drop(list);
        drop(gone);
    }

    /// Parks the calling thread until `attempt` is true, trying again at each notification; false at the deadline
    /// (monotonic ns).
    pub fn wait(&self, deadline_ns: Option<u64>, attempt: &mut dyn FnMut() -> bool) -> bool {
        self.watched.fetch_add(1, Relaxed);
        let done = self.threads.wait_until(deadline_ns, || attempt().then_some(())).is_some();
        self.watched.fetch_sub(1, Relaxed);
        done
    }
}

impl Default for Observers {
    fn default() -> Self {
        Self::new()
    }
}

impl device::Watch for Observers {
    fn changed(&self) {
        if self.watched() {
            self.notify(0);
        }
    }
}
