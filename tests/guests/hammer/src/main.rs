//! Many threads hammer the heap, locks, channels, thread-locals and the console while slices end among them.
#[cfg(feature = "line")]
use ampoule as _;
use std::collections::HashMap;
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

fn main() {
    let seconds = std::env::args().nth(1).and_then(|a| a.parse().ok()).unwrap_or(2);
    let until = Instant::now() + Duration::from_secs(seconds);
    let shared = Mutex::new(HashMap::<u64, Vec<u8>>::new());
    let (send, receive) = mpsc::channel::<Vec<u64>>();
    let total: u64 = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..12u64)
            .map(|id| {
                let (shared, send) = (&shared, send.clone());
                scope.spawn(move || {
                    let (mut seed, mut rounds, mut sum) = (id + 1, 0u64, 0.0f64);
                    let mut kept: Vec<Vec<u8>> = Vec::new();
                    while Instant::now() < until {
                        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                        let size = (seed >> 40) as usize % 20_000;
                        let block = vec![seed as u8; size];
                        sum += block.iter().map(|b| f64::from(*b)).sum::<f64>();
                        kept.push(block);
                        if kept.len() > 20 {
                            let old = kept.swap_remove(seed as usize % 20);
                            assert!(old.windows(2).all(|w| w[0] == w[1]), "a block changed under us");
                        }
                        shared.lock().unwrap().insert(seed % 100, kept[0].clone());
                        send.send(vec![seed; 10]).unwrap();
                        if seed.is_multiple_of(64) {
                            std::thread::spawn(move || std::hint::black_box(seed)).join().unwrap();
                        }
                        rounds += 1;
                        if rounds.is_multiple_of(1000) {
                            println!("thread {id} round {rounds}");
                        }
                    }
                    assert!(sum.is_finite());
                    rounds
                })
            })
            .collect();
        drop(send);
        let received = receive.iter().map(|m| m.len() as u64).sum::<u64>();
        let rounds: u64 = workers.into_iter().map(|w| w.join().unwrap()).sum();
        assert_eq!(received, rounds * 10);
        rounds
    });
    assert!(total > 0);
    println!("hammered {} rounds", if total > 100 { "many" } else { "few" });
}
