//! Timers: a pairing heap of parked threads, ordered by deadline, whose links lie in the threads themselves.
//!
//! Inserting is constant time, taking the first or any other logarithmic (amortised; Fredman et al., 1986), and nothing
//! allocates: a thread has at most one deadline.
//!
//! Invariant: a node that is `queued` is in exactly one heap, does not move, and is touched only under that heap's lock.

use core::ptr::null_mut;

/// A node's links.
#[derive(Debug)]
pub(crate) struct Node<T> {
    pub(crate) deadline: u64,
    pub(crate) owner: *const T,
    queued: bool,
    child: *mut Node<T>,
    sibling: *mut Node<T>,
    /// The sibling before, or the parent of a first child.
    previous: *mut Node<T>,
}

impl<T> Node<T> {
    pub(crate) const fn new() -> Self {
        Node {
            deadline: 0,
            owner: core::ptr::null(),
            queued: false,
            child: null_mut(),
            sibling: null_mut(),
            previous: null_mut(),
        }
    }
}

/// The heap.
#[derive(Debug)]
pub(crate) struct Heap<T> {
    root: *mut Node<T>,
}

impl<T> Heap<T> {
    pub(crate) const fn new() -> Self {
        Heap { root: null_mut() }
    }

    /// The first deadline.
    #[inline]
    pub(crate) fn first(&self) -> Option<u64> {
        // SAFETY: by the invariant.
        (!self.root.is_null()).then(|| unsafe { (*self.root).deadline })
    }

    /// # Safety
    /// The node is in no heap, and stays where it is until it is off this one.
    pub(crate) unsafe fn insert(&mut self, node: *mut Node<T>, owner: *const T, deadline: u64) {
        // SAFETY: the caller gives the node.
        unsafe {
            *node = Node { deadline, owner, queued: true, ..Node::new() };
            self.root = meld(self.root, node);
        }
    }

    /// Takes the first node off if its deadline has passed.
    pub(crate) fn take_due(&mut self, now: u64) -> Option<*const T> {
        if self.first()? > now {
            return None;
        }
        let root = self.root;
        // SAFETY: by the invariant.
        unsafe {
            self.root = meld_pairs((*root).child);
            (*root).queued = false;
            Some((*root).owner)
        }
    }

    /// Takes a node off, if it is in here.
    ///
    /// # Safety
    /// If it is queued, then in this heap.
    pub(crate) unsafe fn remove(&mut self, node: *mut Node<T>) {
        // SAFETY: by the invariant; `previous` leads to the link that leads here.
        unsafe {
            if !(*node).queued {
                return;
            }
            (*node).queued = false;
            let below = meld_pairs((*node).child);
            if node == self.root {
                self.root = below;
                return;
            }
            let Node { previous, sibling, .. } = *node;
            match (*previous).child == node {
                true => (*previous).child = sibling,
                false => (*previous).sibling = sibling,
            }
            if !sibling.is_null() {
                (*sibling).previous = previous;
            }
            self.root = meld(self.root, below);
        }
    }
}

/// # Safety
/// Both are roots (or null) of disjoint trees.
unsafe fn meld<T>(a: *mut Node<T>, b: *mut Node<T>) -> *mut Node<T> {
    if a.is_null() || b.is_null() {
        return if a.is_null() { b } else { a };
    }
    // SAFETY: the caller gives the trees.
    unsafe {
        let (top, low) = if (*b).deadline < (*a).deadline { (b, a) } else { (a, b) };
        (*low).sibling = (*top).child;
        if !(*low).sibling.is_null() {
            (*(*low).sibling).previous = low;
        }
        (*low).previous = top;
        (*top).child = low;
        (*top).sibling = null_mut();
        (*top).previous = null_mut();
        top
    }
}

/// # Safety
/// `first` heads a list of sibling trees (or is null), which nobody else refers to any more.
unsafe fn meld_pairs<T>(mut first: *mut Node<T>) -> *mut Node<T> {
    let mut pairs: *mut Node<T> = null_mut();
    // SAFETY: the caller gives the list; every tree is cut out of it before it is melded.
    unsafe {
        while !first.is_null() {
            let second = (*first).sibling;
            let rest = if second.is_null() { null_mut() } else { (*second).sibling };
            cut(first);
            if !second.is_null() {
                cut(second);
            }
            let pair = meld(first, second);
            (*pair).sibling = pairs;
            pairs = pair;
            first = rest;
        }
        let mut root = null_mut();
        while !pairs.is_null() {
            let next = (*pairs).sibling;
            cut(pairs);
            root = meld(root, pairs);
            pairs = next;
        }
        root
    }
}

/// # Safety
/// `tree` is valid.
unsafe fn cut<T>(tree: *mut Node<T>) {
    // SAFETY: the caller gives it.
    unsafe {
        (*tree).sibling = null_mut();
        (*tree).previous = null_mut();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn behaves_like_a_sorted_list() {
        let mut nodes: Vec<Node<usize>> = (0..200).map(|_| Node::new()).collect();
        let owners: Vec<usize> = (0..200).collect();
        let (mut heap, mut model, mut seed) = (Heap::new(), Vec::<(u64, usize)>::new(), 7u64);
        for _ in 0..20_000 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let (random, index) = ((seed >> 33) % 1000, (seed >> 44) as usize % 200);
            let here = model.iter().position(|m| m.1 == index);
            match (seed >> 60) % 3 {
                // SAFETY: the vector is never resized, and the model knows what is queued.
                0 if here.is_none() => unsafe {
                    heap.insert(&raw mut nodes[index], &owners[index], random);
                    model.push((random, index));
                },
                // SAFETY: as above; removing what is not queued does nothing.
                1 => unsafe {
                    heap.remove(&raw mut nodes[index]);
                    here.map(|at| model.swap_remove(at));
                },
                _ => {
                    let first = model.iter().map(|m| m.0).min();
                    assert_eq!(heap.first(), first);
                    if let Some(owner) = heap.take_due(random) {
                        // SAFETY: it points into `owners`.
                        let owner = unsafe { *owner };
                        let at = model.iter().position(|m| m.1 == owner).expect("was queued");
                        assert_eq!(Some(model.swap_remove(at).0), first);
                    } else {
                        assert!(first.is_none_or(|f| f > random));
                    }
                }
            }
        }
    }
}
