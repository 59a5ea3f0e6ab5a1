//! Lists of waiting threads, whose nodes lie on the waiters' own stacks.
//!
//! Invariant: a node that is `queued` belongs to exactly one list, is touched only under that list's lock, and does not
//! move or die: its owner takes it off before it returns. So a list never owns memory and waiting never allocates.

use crate::Thread;
use core::marker::PhantomPinned;
use core::ptr::null_mut;

/// One waiter.
#[derive(Debug)]
pub(crate) struct Node {
    next: *mut Node,
    previous: *mut Node,
    pub(crate) queued: bool,
    /// What it waits for: a futex's address; 0 in a queue.
    pub(crate) key: usize,
    /// Futex bits; all of them in a queue.
    pub(crate) bits: u32,
    thread: Thread,
    _pinned: PhantomPinned,
}

impl Node {
    pub(crate) fn new(thread: Thread, key: usize, bits: u32) -> Self {
        if key != 0 {
            thread.waits_for(key);
        }
        Node { next: null_mut(), previous: null_mut(), queued: false, key, bits, thread, _pinned: PhantomPinned }
    }
}

/// Waiters, first come first.
#[derive(Debug)]
pub(crate) struct List {
    first: *mut Node,
    last: *mut Node,
}

// SAFETY: the nodes are only touched under the lock that the list is in.
unsafe impl Send for List {}

impl List {
    pub(crate) const fn new() -> Self {
        List { first: null_mut(), last: null_mut() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_null()
    }

    /// # Safety
    /// The node is in no list, and stays where it is until it is off this one.
    pub(crate) unsafe fn push(&mut self, node: *mut Node) {
        // SAFETY: by the invariant, and the caller gives the node.
        unsafe {
            (*node).queued = true;
            (*node).next = null_mut();
            (*node).previous = self.last;
            match self.last.is_null() {
                true => self.first = node,
                false => (*self.last).next = node,
            }
            self.last = node;
        }
    }

    /// # Safety
    /// The node is in this list.
    pub(crate) unsafe fn remove(&mut self, node: *mut Node) {
        // SAFETY: by the invariant.
        unsafe {
            let Node { next, previous, .. } = *node;
            match previous.is_null() {
                true => self.first = next,
                false => (*previous).next = next,
            }
            match next.is_null() {
                true => self.last = previous,
                false => (*next).previous = previous,
            }
            (*node).queued = false;
        }
    }

    /// Takes up to `count` waiters for `key` off that share a bit, and unparks them; with `hand_over` those that have waited
    /// for too long are the next to run. How many it were, and whether one of them is to be let in at once.
    pub(crate) fn wake(&mut self, count: usize, key: usize, bits: u32, hand_over: bool) -> (usize, bool) {
        let (mut woken, mut impatient, mut node) = (0, false, self.first);
        while !node.is_null() && woken < count {
            // SAFETY: by the invariant; the thread behind a queued node is alive, and stays so until it takes the lock
            // that the caller holds.
            unsafe {
                let next = (*node).next;
                if (*node).key == key && (*node).bits & bits != 0 {
                    self.remove(node);
                    let thread = &(*node).thread;
                    let first = hand_over && thread.is_impatient();
                    thread.unpark_as(first);
                    impatient |= first;
                    woken += 1;
                }
                node = next;
            }
        }
        (woken, impatient)
    }
}
