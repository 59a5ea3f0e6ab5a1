//! Prints the times of the things that must be fast, in nanoseconds each.
#[cfg(feature = "line")]
use ampoule as _;
use std::hint::black_box;
use std::sync::{Mutex, mpsc};
use std::time::Instant;

fn each(name: &str, count: u32, mut f: impl FnMut()) {
    (0..count / 10).for_each(|_| f());
    let started = Instant::now();
    (0..count).for_each(|_| f());
    println!("{name}: {:.1}", started.elapsed().as_nanos() as f64 / f64::from(count));
}

fn main() {
    each("Instant::now", 1_000_000, || {
        black_box(Instant::now());
    });
    each("malloc and free of 64", 1_000_000, || drop(black_box(Vec::<u8>::with_capacity(64))));
    each("malloc and free of 1000", 1_000_000, || drop(black_box(Vec::<u8>::with_capacity(1000))));
    each("malloc and free of 20000", 300_000, || drop(black_box(Vec::<u8>::with_capacity(20_000))));
    each("malloc and free of 1 MiB", 30_000, || drop(black_box(Vec::<u8>::with_capacity(1 << 20))));
    let mut live: Vec<Vec<u8>> = (0..1000).map(|i| Vec::with_capacity(i % 500 + 8)).collect();
    let mut seed = 1u64;
    each("replace one of 1000 blocks", 1_000_000, || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        live[(seed >> 33) as usize % 1000] = Vec::with_capacity((seed >> 45) as usize % 500 + 8);
    });
    let mutex = Mutex::new(0);
    each("uncontended mutex", 1_000_000, || *mutex.lock().unwrap() += 1);
    each("yield_now alone", 1_000_000, std::thread::yield_now);
    unsafe extern "C" {
        fn syscall(number: i64, word: *const u32, operation: i64, count: i64) -> i64;
    }
    let word = 0u32;
    // SAFETY: FUTEX_WAKE on a word of our own.
    each("futex wake of nobody", 1_000_000, || {
        black_box(unsafe { syscall(202, &word, 129, 1) });
    });
    let (there, here) = mpsc::channel::<u32>();
    let (back, forth) = mpsc::channel::<u32>();
    let echo = std::thread::spawn(move || here.iter().for_each(|n| back.send(n).unwrap()));
    each("mpsc there and back", 100_000, || {
        there.send(1).unwrap();
        forth.recv().unwrap();
    });
    drop(there);
    echo.join().unwrap();
    each("spawn and join", 10_000, || std::thread::spawn(|| ()).join().unwrap());
    for size in [8, 24, 100, 1000, 16_384] {
        let (from, mut to) = (vec![1u8; size], vec![0u8; size]);
        each(&format!("memcpy {size}"), 300_000, || black_box(&mut to).copy_from_slice(black_box(&from)));
    }
}
