//! Overflows the stack of a named thread: the guard page catches it, and the report names the thread.

use std::hint::black_box;
use std::thread;

fn main() {
    let worker = thread::Builder::new().name("digger".into()).stack_size(256 << 10).spawn(|| dig(0));
    match worker.map(thread::JoinHandle::join) {
        Ok(Ok(depth)) => println!("came back from {depth}, which nobody does"),
        Ok(Err(_)) | Err(_) => println!("no thread"),
    }
}

#[inline(never)]
fn dig(depth: u64) -> u64 {
    let shovel = black_box([depth; 32]);
    if depth == u64::MAX { depth } else { dig(depth + 1).max(shovel[7]) }
}
