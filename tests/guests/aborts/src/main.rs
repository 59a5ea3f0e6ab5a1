//! Aborts; ends with 134, and what was printed before is there.
#[cfg(feature = "line")]
use ampoule as _;

fn main() {
    println!("before");
    std::process::abort();
}
