//! `std::collections`, as far as they touch the system: seeds. The rest is here to be run at all.

use crate::{Case, saw};
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet, LinkedList, VecDeque};
use std::hash::{BuildHasher, RandomState};

pub(crate) const CASES: &[Case] = &[("HashMap's seeds", seeds), ("collections", pure)];

fn seeds() {
    let hashes: HashSet<u64> = (0..16).map(|_| RandomState::new().hash_one("the same")).collect();
    saw!("differ from map to map", hashes.len());
    let state = RandomState::new();
    saw!("and stay in one", state.hash_one(5) == state.clone().hash_one(5));
    let others: HashSet<u64> = (0..8)
        .map(|_| std::thread::spawn(|| RandomState::new().hash_one("the same")).join().unwrap())
        .chain(hashes)
        .collect();
    saw!("and from thread to thread", others.len());
}

/// A number that differs from run to run.
pub(crate) fn seed() -> u64 {
    RandomState::new().hash_one(0)
}

fn pure() {
    let mut map: HashMap<String, usize> = (0..5000).map(|n| (format!("key {n}"), n)).collect();
    map.retain(|_, n| *n % 3 == 0);
    saw!("HashMap", (map.len(), map.remove("key 4998"), map.get("key 1")));
    let tree: BTreeMap<u32, u32> = (0..1000).map(|n| (n * 7919 % 1009, n)).collect();
    saw!("BTreeMap", (tree.len(), tree.range(500..).next(), tree.last_key_value()));
    let set: BTreeSet<u32> = tree.values().map(|n| n % 10).collect();
    saw!("BTreeSet", set);
    let mut heap: BinaryHeap<u32> = (0..100).map(|n| n * 37 % 101).collect();
    saw!("BinaryHeap", (heap.pop(), heap.len(), heap.into_sorted_vec()[..3].to_vec()));
    let mut queue: VecDeque<u32> = (0..10).collect();
    queue.rotate_left(3);
    saw!("VecDeque", (queue.pop_back(), queue.pop_front(), queue.make_contiguous().len()));
    let mut list: LinkedList<u32> = (0..4).collect();
    list.append(&mut LinkedList::from([9]));
    saw!("LinkedList", list);
}
