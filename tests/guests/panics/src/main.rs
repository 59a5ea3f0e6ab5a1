//! A panic with a backtrace; ends with 101 (unwind) or 134 (abort).
#[cfg(feature = "line")]
use ampoule as _;

#[inline(never)]
fn outer(n: u32) -> u32 {
    inner(n) + 1
}

#[inline(never)]
fn inner(n: u32) -> u32 {
    assert!(n < 100, "a panic on purpose, {n}");
    n
}

fn main() {
    // SAFETY: one thread.
    unsafe { std::env::set_var("RUST_BACKTRACE", "1") };
    println!("before");
    println!("{}", outer(std::hint::black_box(100)));
}
