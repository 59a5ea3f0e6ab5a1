//! Aborts; ends with 134, and what was printed before is there.
use ampoule as _;

fn main() {
    println!("before");
    std::process::abort();
}
