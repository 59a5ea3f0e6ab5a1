//! Threads: spawn, scoped, names, park, stack sizes, thread-local destructors, many at once.
#[cfg(feature = "line")]
use ampoule as _;
use std::cell::RefCell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

static DROPPED: AtomicUsize = AtomicUsize::new(0);

struct Noisy;

impl Drop for Noisy {
    fn drop(&mut self) {
        DROPPED.fetch_add(1, Ordering::SeqCst);
    }
}

thread_local!(static LOCAL: RefCell<Vec<Noisy>> = const { RefCell::new(Vec::new()) });
thread_local!(static NUMBER: std::cell::Cell<u64> = const { std::cell::Cell::new(41) });

fn deep(levels: usize) -> usize {
    let space = std::hint::black_box([levels as u8; 1000]);
    if levels == 0 { 0 } else { deep(levels - 1) + usize::from(space[levels % 1000] == levels as u8) }
}

fn main() {
    let named = std::thread::Builder::new().name("worker".into());
    let name = named.spawn(|| std::thread::current().name().map(String::from)).expect("spawns").join();
    assert_eq!(name.expect("joins").as_deref(), Some("worker"));
    println!("names");

    let mut data = [1, 2, 3];
    std::thread::scope(|scope| data.iter_mut().for_each(|d| drop(scope.spawn(move || *d *= 2))));
    assert_eq!(data, [2, 4, 6]);
    println!("scoped");

    let big = std::thread::Builder::new().stack_size(8 << 20);
    assert_eq!(big.spawn(|| deep(6000)).expect("spawns").join().expect("joins"), 6000);
    println!("stack sizes");

    let threads: Vec<_> = (0..10)
        .map(|_| {
            std::thread::spawn(|| {
                LOCAL.with_borrow_mut(|l| l.extend([Noisy, Noisy]));
                NUMBER.set(NUMBER.get() + 1);
                NUMBER.get()
            })
        })
        .collect();
    assert!(threads.into_iter().all(|t| t.join().expect("joins") == 42));
    assert_eq!(DROPPED.load(Ordering::SeqCst), 20);
    println!("thread-local values and their destructors");

    // In a thread that nobody has unparked: a scope's last thread may unpark its owner after the scope has ended.
    let timed = std::thread::spawn(|| {
        let started = Instant::now();
        std::thread::park_timeout(Duration::from_millis(20));
        started.elapsed()
    });
    assert!(timed.join().expect("joins") >= Duration::from_millis(20));
    let main = std::thread::current();
    std::thread::spawn(move || main.unpark());
    std::thread::park();
    println!("park");

    let sum: u64 = (0..2000).map(|i| std::thread::spawn(move || i).join().expect("joins")).sum();
    assert_eq!(sum, 1_999_000);
    println!("two thousand threads, one after the other");
    let many: Vec<_> = (0..100u64).map(|i| std::thread::spawn(move || i)).collect();
    assert_eq!(many.into_iter().map(|t| t.join().expect("joins")).sum::<u64>(), 4950);
    println!("a hundred threads at once");
}
