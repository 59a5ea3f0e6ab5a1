//! Prints a line.
#[cfg(feature = "line")]
use ampoule as _;

fn main() {
    println!("hello from an ampoule");
}
