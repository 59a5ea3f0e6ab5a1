//! Overflows a stack: the report names the thread "digger"; ends with 139.
#[cfg(feature = "line")]
use ampoule as _;

#[inline(never)]
fn dig(depth: u64) -> u64 {
    let space = std::hint::black_box([depth; 64]);
    if depth == u64::MAX { 0 } else { dig(depth + 1) + space[3] }
}

fn main() {
    println!("before");
    if std::env::args().nth(1).as_deref() == Some("main") {
        println!("{}", dig(0));
    }
    let digger = std::thread::Builder::new().name("digger".into());
    println!("{:?}", digger.spawn(|| dig(0)).expect("spawns").join());
}
