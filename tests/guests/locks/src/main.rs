//! Mutex, RwLock, Condvar, Barrier, mpsc, Once, OnceLock, LazyLock.
#[cfg(feature = "line")]
use ampoule as _;
use std::sync::{Arc, Barrier, Condvar, LazyLock, Mutex, Once, RwLock, mpsc};
use std::time::Duration;

static LAZY: LazyLock<String> = LazyLock::new(|| "made once".into());

fn main() {
    let count = Mutex::new(0u64);
    std::thread::scope(|s| {
        for _ in 0..8 {
            s.spawn(|| (0..20_000).for_each(|_| *count.lock().unwrap() += 1));
        }
    });
    assert_eq!(*count.lock().unwrap(), 160_000);
    println!("mutex");

    let lock = RwLock::new(0u64);
    std::thread::scope(|s| {
        for i in 0..8 {
            let lock = &lock;
            s.spawn(move || {
                for _ in 0..2000 {
                    if i % 2 == 0 { *lock.write().unwrap() += 1 } else { assert!(*lock.read().unwrap() <= 8000) }
                }
            });
        }
    });
    assert_eq!(*lock.read().unwrap(), 8000);
    println!("read-write lock");

    let pair = Arc::new((Mutex::new(false), Condvar::new()));
    let other = pair.clone();
    let waiter = std::thread::spawn(move || {
        let guard = other.1.wait_while(other.0.lock().unwrap(), |ready| !*ready).unwrap();
        *guard
    });
    *pair.0.lock().unwrap() = true;
    pair.1.notify_all();
    assert!(waiter.join().unwrap());
    let (_held, late) = pair.1.wait_timeout(pair.0.lock().unwrap(), Duration::from_millis(5)).unwrap();
    assert!(late.timed_out());
    println!("condition variable");

    let barrier = Barrier::new(6);
    let leaders = Mutex::new(0);
    std::thread::scope(|s| {
        for _ in 0..6 {
            s.spawn(|| (0..50).for_each(|_| *leaders.lock().unwrap() += u32::from(barrier.wait().is_leader())));
        }
    });
    assert_eq!(*leaders.lock().unwrap(), 50);
    println!("barrier");

    let (send, receive) = mpsc::channel();
    let (back, forth) = mpsc::sync_channel(1);
    let echo = std::thread::spawn(move || receive.iter().for_each(|n: u64| back.send(n + 1).unwrap()));
    for n in 0..20_000 {
        send.send(n).unwrap();
        assert_eq!(forth.recv(), Ok(n + 1));
    }
    drop(send);
    echo.join().unwrap();
    assert!(forth.recv().is_err());
    let (kept, silent) = mpsc::channel::<()>();
    assert_eq!(silent.recv_timeout(Duration::from_millis(5)), Err(mpsc::RecvTimeoutError::Timeout));
    drop(kept);
    println!("channels");

    static ONCE: Once = Once::new();
    let runs = Mutex::new(0);
    std::thread::scope(|s| (0..8).for_each(|_| drop(s.spawn(|| ONCE.call_once(|| *runs.lock().unwrap() += 1)))));
    assert_eq!((*runs.lock().unwrap(), LAZY.as_str()), (1, "made once"));
    println!("once");
}
