//! Wait queues: threads that wait until a condition holds, which others make true and say so.

use crate::list::{List, Node};
use crate::{Wake, current, park};
use sync::SpinLock;

/// A queue of threads that wait for something.
#[derive(Debug)]
pub struct WaitQueue {
    waiters: SpinLock<List>,
}

impl WaitQueue {
    /// An empty queue.
    pub const fn new() -> Self {
        WaitQueue { waiters: SpinLock::new(List::new()) }
    }

    /// Asks `ready` again and again, sleeping in between until somebody wakes the queue, and returns its answer; `None`
    /// when the deadline passes first. No wake is lost: the thread is in the queue before `ready` is asked.
    pub fn wait_until<R>(&self, deadline_ns: Option<u64>, mut ready: impl FnMut() -> Option<R>) -> Option<R> {
        if let Some(result) = ready() {
            return Some(result);
        }
        let mut node = Node::new(current(), 0, u32::MAX);
        loop {
            // SAFETY: it is off the list (new, or taken off below), and stays here until `leave`.
            unsafe { self.waiters.lock().push(&raw mut node) };
            if let Some(result) = ready() {
                self.leave(&mut node);
                return Some(result);
            }
            let wake = park(deadline_ns);
            let left_by_itself = self.leave(&mut node);
            if wake == Wake::TimedOut {
                let result = ready();
                if result.is_none() && !left_by_itself {
                    // A wake came with the deadline and was not used: it is somebody else's.
                    self.wake_one();
                }
                return result;
            }
        }
    }

    /// Takes the node off; true if nobody had woken it.
    fn leave(&self, node: &mut Node) -> bool {
        let mut waiters = self.waiters.lock();
        let queued = node.queued;
        if queued {
            // SAFETY: queued, and only ever in this list.
            unsafe { waiters.remove(node) };
        }
        queued
    }

    /// Wakes the thread that waits longest.
    pub fn wake_one(&self) {
        self.waiters.lock().wake(1, 0, u32::MAX, false);
    }

    /// Wakes all threads that wait.
    pub fn wake_all(&self) {
        self.waiters.lock().wake(usize::MAX, 0, u32::MAX, false);
    }
}

impl Default for WaitQueue {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn everyone_gets_one() {
        static QUEUE: WaitQueue = WaitQueue::new();
        static TOKENS: AtomicU32 = AtomicU32::new(0);
        let take = || TOKENS.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).ok();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| assert!(QUEUE.wait_until(None, take).is_some()));
            }
            for _ in 0..8 {
                TOKENS.fetch_add(1, Ordering::SeqCst);
                QUEUE.wake_one();
            }
        });
        assert!(QUEUE.waiters.lock().is_empty());
    }

    #[test]
    fn a_deadline_in_the_past_asks_once_more() {
        let queue = WaitQueue::new();
        let mut asked = 0;
        let answer = queue.wait_until(Some(0), || {
            asked += 1;
            (asked == 3).then_some("late")
        });
        assert_eq!(answer, Some("late"));
        assert_eq!(queue.wait_until(Some(0), || None::<()>), None);
    }
}
