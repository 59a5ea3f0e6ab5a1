//! HashMap's random keys, and sorting, formatting, floats.
#[cfg(feature = "line")]
use ampoule as _;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};

fn main() {
    let hashes: HashSet<u64> = (0..4).map(|_| RandomState::new().hash_one(1u32)).collect();
    assert_eq!(hashes.len(), 4);
    let map: HashMap<String, usize> = (0..10_000).map(|i| (format!("key {i}"), i)).collect();
    assert!((0..10_000).all(|i| map[&format!("key {i}")] == i));
    let tree: BTreeMap<_, _> = map.iter().map(|(k, v)| (*v, k)).collect();
    assert_eq!(tree.keys().copied().collect::<Vec<_>>(), (0..10_000).collect::<Vec<_>>());
    assert_eq!(format!("{:.6} {:e}", 2f64.powf(0.5), 1e300f64.ln()), "1.414214 6.907755278982137e2");
    println!("maps");
}
