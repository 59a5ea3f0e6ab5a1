//! Prints what no two boots have in common: how a map is seeded, where code and heap lie, and bytes of the entropy device
//! where there is one.
#[cfg(feature = "line")]
use ampoule as _;
use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

fn main() {
    let hashes: HashSet<u64> = (0..100).map(|_| RandomState::new().hash_one(0)).collect();
    assert_eq!(hashes.len(), 100, "each map is seeded by itself");
    println!("seed {:016x}", RandomState::new().hash_one(0));
    println!("code {:#x}", main as fn() as usize);
    #[cfg(feature = "line")]
    device_bytes();
}

#[cfg(feature = "line")]
fn device_bytes() {
    let Some(device) = device::entropy() else { return };
    // More than it has at a time, so that it is asked again.
    let mut bytes = [[0u8; 100]; 2];
    for half in &mut bytes {
        assert!(device.fill(half), "the device has nothing");
        assert!(half.as_chunks::<4>().0.iter().all(|word| *word != [0; 4]), "it left a part out: {half:?}");
    }
    assert_ne!(bytes[0], bytes[1]);
    println!("device {:02x?}", &bytes[0][..8]);
}
