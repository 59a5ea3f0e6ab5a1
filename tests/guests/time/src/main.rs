//! Instant, SystemTime, sleep.
#[cfg(feature = "line")]
use ampoule as _;
use std::time::{Duration, Instant, SystemTime};

fn main() {
    let mut last = Instant::now();
    for _ in 0..100_000 {
        let now = Instant::now();
        assert!(now >= last);
        last = now;
    }
    println!("monotonic");
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    println!("wall clock: year {}", 1970 + since.as_secs() / 31_556_952);
    for wanted in [0, 1, 20, 60].map(Duration::from_millis) {
        let started = Instant::now();
        std::thread::sleep(wanted);
        assert!(started.elapsed() >= wanted);
    }
    println!("sleep");
    let sleepers: Vec<_> =
        (0..50u64).map(|i| std::thread::spawn(move || std::thread::sleep(Duration::from_millis(50 - i)))).collect();
    sleepers.into_iter().for_each(|s| s.join().expect("joins"));
    println!("fifty sleepers");
}
