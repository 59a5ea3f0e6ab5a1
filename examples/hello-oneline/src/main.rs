//! The hello example, built the other way: with the one line. On Linux the line means nothing.

use ampoule as _;

fn main() {
    println!("Hello from a sealed machine!");
}
