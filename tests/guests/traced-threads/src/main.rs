//! Many threads that ask for something all the time, for traces of it (`tests/machines/trace.rs`): each writes lines of its own,
//! and now and then gives the CPU away. Every tenth one keeps busy long enough to be pre-empted.
#[cfg(feature = "line")]
use ampoule as _;
use std::fs::File;
use std::io::Write;
use std::thread;

const THREADS: usize = 16;
const LINES: usize = 50;

fn main() {
    let threads = (0..THREADS).map(|number| thread::spawn(move || write(number)));
    for thread in threads.collect::<Vec<_>>() {
        thread.join().expect("no panic");
    }
    println!("all have written");
}

fn write(number: usize) {
    let mut file = File::options().write(true).open("/dev/null").expect("it is always there");
    for line in 0..LINES {
        let text = format!("thread {number:02} line {line:03}");
        assert_eq!(file.write(text.as_bytes()).expect("it takes everything"), text.len());
        if line.is_multiple_of(10) {
            thread::yield_now();
            std::hint::black_box((0..if number.is_multiple_of(10) { 200_000_u64 } else { 0 }).sum::<u64>());
        }
    }
}
