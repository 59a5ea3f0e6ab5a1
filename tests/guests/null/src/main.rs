//! Dereferences a null pointer on thread "reader"; ends with 139.
#[cfg(feature = "line")]
use ampoule as _;

#[inline(never)]
fn read(address: usize) -> u8 {
    // SAFETY: none; it is meant to fault.
    unsafe { (address as *const u8).read_volatile() }
}

fn main() {
    println!("before");
    let reader = std::thread::Builder::new().name("reader".into());
    println!("{:?}", reader.spawn(|| read(std::hint::black_box(16))).expect("spawns").join());
}
