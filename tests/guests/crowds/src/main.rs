//! Many threads in 128 MiB: 4,000 that are parked at once, ten times a thousand, as many as fit and a clear error for the
//! next, a hundred thousand one after the other; the memory comes back each time.
#[cfg(feature = "line")]
use ampoule as _;
use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, Builder, JoinHandle};
use std::time::Instant;

static GO: AtomicBool = AtomicBool::new(false);
static RUNNING: AtomicUsize = AtomicUsize::new(0);

fn main() {
    let before = room();
    for round in 0..2 {
        parked(round, 4000);
    }
    let before_crowds = room();
    for _ in 0..10 {
        crowd(1000);
    }
    // What an ended thread had comes back, whoever ends beside it: a thread is cleared away by another.
    let after = room();
    assert!(after * 100 >= before_crowds * 98, "room for {after} pieces is left of {before_crowds}");
    let most = until_none_fit();
    println!("{most} threads of 64 KiB fit, and the next is refused: the program goes on");
    let again = until_none_fit();
    assert!(again * 100 >= most * 98, "{again} the second time, {most} the first");
    let start = Instant::now();
    for n in 0..100_000usize {
        assert_eq!(thread::spawn(move || n).join().unwrap(), n);
    }
    println!("100,000 threads, one after the other, in {:?}", start.elapsed());
    let after = room();
    assert!(after * 100 >= before * 85, "room for {after} pieces is left of {before}");
    println!("room for {before} pieces of 128 KiB at first, {after} at the end");
}

/// How many pieces of 128 KiB can be had at once. Small blocks of the heap, which stay where they are, may lie in between.
fn room() -> usize {
    let mut pieces: Vec<Vec<u8>> = Vec::with_capacity(1024);
    loop {
        let mut piece = Vec::new();
        if piece.try_reserve_exact(1 << 17).is_err() {
            return pieces.len();
        }
        pieces.push(piece);
    }
}

fn spawn_parked() -> std::io::Result<JoinHandle<()>> {
    Builder::new().stack_size(16 << 10).spawn(|| {
        RUNNING.fetch_add(1, Ordering::Relaxed);
        while !GO.load(Ordering::Acquire) {
            thread::park();
        }
    })
}

fn release(threads: Vec<JoinHandle<()>>) {
    GO.store(true, Ordering::Release);
    threads.iter().for_each(|thread| thread.thread().unpark());
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    GO.store(false, Ordering::Release);
    RUNNING.store(0, Ordering::Relaxed);
}

/// Threads that are parked at once, and end together.
fn crowd(count: usize) {
    release((0..count).map(|n| spawn_parked().unwrap_or_else(|e| panic!("thread {n}: {e}"))).collect());
}

fn parked(round: u32, count: usize) {
    let start = Instant::now();
    let threads: Vec<_> = (0..count).map(|n| spawn_parked().unwrap_or_else(|e| panic!("thread {n}: {e}"))).collect();
    while RUNNING.load(Ordering::Relaxed) < count {
        thread::yield_now();
    }
    let started = start.elapsed();
    let answer = thread::spawn(|| 6 * 7).join().unwrap();
    release(threads);
    println!(
        "round {round}: {count} parked threads and a lively one ({answer}): {started:?}, ended {:?}",
        start.elapsed()
    );
}

/// As many as there is memory for; the error of the next is the documented one.
fn until_none_fit() -> usize {
    let mut threads = Vec::new();
    let error = loop {
        match Builder::new().stack_size(64 << 10).spawn(|| {
            while !GO.load(Ordering::Acquire) {
                thread::park();
            }
        }) {
            Ok(thread) => threads.push(thread),
            Err(error) => break error,
        }
    };
    assert_eq!((error.kind(), error.raw_os_error()), (ErrorKind::WouldBlock, Some(11)), "{error}");
    let count = threads.len();
    release(threads);
    count
}
