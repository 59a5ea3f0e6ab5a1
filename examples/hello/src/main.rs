//! Prints a line: the smallest machine there is.

fn main() {
    println!("Hello from a sealed machine!");
}
