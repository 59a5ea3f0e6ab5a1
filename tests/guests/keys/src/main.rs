//! Says of each byte of its input that it came, and when, until the input's end or a q.
#[cfg(feature = "line")]
use ampoule as _;
use std::io::Read;

fn main() {
    for byte in std::io::stdin().lock().bytes() {
        let byte = byte.expect("input");
        println!("key {byte}");
        if byte == b'q' {
            return;
        }
    }
    println!("no more keys");
}
