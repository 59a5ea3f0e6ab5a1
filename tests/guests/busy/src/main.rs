//! A busy loop starves nobody: not a thread that computes, not one that sleeps, not the first.
#[cfg(feature = "line")]
use ampoule as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

static STOP: AtomicBool = AtomicBool::new(false);
static TURNS: [AtomicU64; 3] = [const { AtomicU64::new(0) }; 3];

fn main() {
    let loops: Vec<_> = (0..3)
        .map(|i| {
            std::thread::spawn(move || {
                let mut x = 1.0f64;
                while !STOP.load(Ordering::Relaxed) {
                    x = std::hint::black_box(x * 1.000_001);
                    TURNS[i].fetch_add(1, Ordering::Relaxed);
                }
                x
            })
        })
        .collect();
    let started = Instant::now();
    for _ in 0..5 {
        std::thread::sleep(Duration::from_millis(30));
    }
    let took = started.elapsed();
    STOP.store(true, Ordering::Relaxed);
    assert!(loops.into_iter().all(|l| l.join().expect("joins").is_finite()));
    assert!(TURNS.iter().all(|t| t.load(Ordering::Relaxed) > 1000), "{TURNS:?}");
    assert!(took < Duration::from_secs(3), "sleeping took {took:?}");
    println!("three busy loops and a sleeper shared the machine");
}
