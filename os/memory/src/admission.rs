//! Whether there is memory for one more connection, so that those that are served do not suffer for a new one.
//!
//! What the network takes for a connection is taken at once. What the program will take for it (a task, buffers) is seen
//! only when the program has read a request: until then a crowd would find memory enough for every one of them. So each
//! admitted connection is promised a share for the program, and holds it until the program sends its first bytes on it; by
//! then the program has what it needs, and the free memory tells by itself. A connection that never asks for anything keeps
//! its share, because it may ask at any time.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// What a program is thought to take for a connection, in bytes: measured with hyper, whose buffers and task take 27 KiB.
const SHARE: usize = 32 << 10;

/// What is promised to the connections of one stack, in bytes.
#[derive(Debug, Default)]
pub struct Admission {
    promised: Arc<AtomicUsize>,
}

/// A connection's share; dropping it gives it back.
#[derive(Debug)]
pub struct Promise(Arc<AtomicUsize>);

impl Admission {
    /// With `free` bytes, may another connection be admitted, for which the network takes `own` bytes now, such that
    /// `reserve` bytes are left when every promise has been kept?
    pub fn admit(&self, free: usize, own: usize, reserve: usize) -> Option<Promise> {
        let promised = self.promised.load(Relaxed).saturating_add(SHARE);
        if free < reserve.saturating_add(own).saturating_add(promised) {
            return None;
        }
        self.promised.fetch_add(SHARE, Relaxed);
        Some(Promise(self.promised.clone()))
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        self.0.fetch_sub(SHARE, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crowd_is_admitted_as_far_as_its_shares_go() {
        let admission = Admission::default();
        let crowd = |free| (0..100).map_while(|_| admission.admit(free, 4096, 10_000)).collect::<Vec<_>>();
        let mut first = crowd(10_000 + 4096 + 5 * SHARE);
        assert_eq!(first.len(), 5);
        assert_eq!(crowd(10_000 + 4096 + 5 * SHARE).len(), 0);
        first.pop();
        assert_eq!(crowd(10_000 + 4095 + 5 * SHARE).len(), 0);
        assert_eq!(crowd(10_000 + 4096 + 5 * SHARE).len(), 1);
    }
}
