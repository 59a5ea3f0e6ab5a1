//! Threads that want the CPU or a lock all the time leave room for each other, within stated bounds. The bounds are wide: the
//! host may be busy, and an emulated machine slow. What was measured is printed.
#[cfg(feature = "line")]
use ampoule as _;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, RwLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// No wait may take longer. A slice is 4 ms of the CPU time that the host gives the machine, which is a small part of its own
/// time where it is busy: on a quiet host the longest waits are some 0.1 s. A thread that is never let in waits for ever.
const BOUND: Duration = Duration::from_secs(4);

fn main() {
    shares();
    hogged_mutex();
    hogged_read_lock();
    preempted_holder();
    sleepers();
    overtakes();
    takers();
    woken_by_a_busy_one();
}

fn spin(time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time {
        std::hint::spin_loop();
    }
}

/// Eight busy threads: none has less than a quarter of what another has. Slices are times of the host, and what it gives to
/// others meanwhile is lost for the one whose slice it was.
fn shares() {
    let (stop, turns) = (AtomicBool::new(false), [const { AtomicU64::new(0) }; 8]);
    thread::scope(|s| {
        for count in &turns {
            s.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    count.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        thread::sleep(Duration::from_millis(2400));
        stop.store(true, Ordering::Relaxed);
    });
    let turns = turns.map(AtomicU64::into_inner);
    let share = *turns.iter().min().unwrap() as f64 / *turns.iter().max().unwrap() as f64;
    println!("eight busy threads: the least has {:.0} % of the most", share * 100.0);
    assert!(share > 0.25, "{turns:?}");
}

/// The time that something takes.
fn timed(f: impl FnOnce()) -> Duration {
    let start = Instant::now();
    f();
    start.elapsed()
}

/// Runs `hogs` of `hog` and one `wait` a dozen times; the longest time that it gave.
fn longest(hogs: usize, hog: impl Fn() + Sync, wait: impl Fn() -> Duration) -> Duration {
    let stop = AtomicBool::new(false);
    thread::scope(|s| {
        for _ in 0..hogs {
            s.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    hog();
                }
            });
        }
        thread::sleep(Duration::from_millis(30));
        // In between the others come to hold it again.
        let longest = (0..12).map(|_| (thread::sleep(Duration::from_millis(2)), wait()).1).max().unwrap();
        stop.store(true, Ordering::Relaxed);
        longest
    })
}

/// Threads that hold a mutex nearly always: whoever else wants it gets it.
fn hogged_mutex() {
    for hogs in [1, 4] {
        let mutex = Mutex::new(());
        let hog = || {
            let _held = mutex.lock();
            spin(Duration::from_micros(300));
        };
        let longest = longest(hogs, hog, || timed(|| drop(mutex.lock())));
        println!("a mutex that {hogs} threads hold nearly always: the longest wait took {longest:?}");
        assert!(longest < BOUND, "{longest:?}");
    }
}

/// The same with readers, and a writer that waits.
fn hogged_read_lock() {
    let lock = RwLock::new(());
    let hog = || {
        let _held = lock.read();
        spin(Duration::from_micros(300));
    };
    let longest = longest(4, hog, || timed(|| drop(lock.write())));
    println!("a lock that four threads read nearly always: the longest wait of a writer took {longest:?}");
    assert!(longest < BOUND, "{longest:?}");
}

/// A thread loses the CPU while it holds a lock that six others spin on: it gets it back in turn.
fn preempted_holder() {
    let held = AtomicBool::new(false);
    let spinner = || {
        while held.load(Ordering::Acquire) {
            std::hint::spin_loop();
        }
    };
    // 15 ms are more than some slices, so the holder is interrupted at least once.
    let longest = longest(6, spinner, || {
        held.store(true, Ordering::Release);
        let turn = timed(|| (0..15).for_each(|_| spin(Duration::from_millis(1))));
        held.store(false, Ordering::Release);
        turn
    });
    println!("a spin lock, held for 15 ms with six spinning: the longest turn took {longest:?}");
    assert!(longest < BOUND, "{longest:?}");
}

/// Four busy threads and one that sleeps for a millisecond.
fn sleepers() {
    let longest = longest(4, || spin(Duration::from_micros(50)), || timed(|| thread::sleep(Duration::from_millis(1))));
    println!("sleeping 1 ms beside four busy threads: the longest took {longest:?}");
    assert!(longest < BOUND, "{longest:?}");
}

/// Four busy threads beside one that sleeps for 100 µs again and again, and one that answers it: those two have had less, and
/// do not wait for everybody's slice. Counted is how often the CPU goes from one busy thread to another, which is no matter
/// of time.
fn overtakes() {
    const ROUNDS: usize = 100;
    let (stop, last, changes) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let (ask, asked) = mpsc::channel::<mpsc::Sender<u64>>();
    let turns = [const { AtomicU64::new(0) }; 4];
    let [asleep, answered] = thread::scope(|s| {
        for (count, me) in turns.iter().zip(1..) {
            let (stop, last, changes) = (&stop, &last, &changes);
            s.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    count.fetch_add(1, Ordering::Relaxed);
                    if last.swap(me, Ordering::Relaxed) != me {
                        changes.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        s.spawn(move || asked.into_iter().for_each(|back| back.send(1).expect("somebody waits")));
        // Until all of them are known to be busy.
        thread::sleep(Duration::from_millis(100));
        let rounds = |round: &dyn Fn()| {
            let before = changes.load(Ordering::Relaxed);
            (0..ROUNDS).for_each(|_| round());
            (changes.load(Ordering::Relaxed) - before) as f64 / ROUNDS as f64
        };
        let asleep = rounds(&|| thread::sleep(Duration::from_micros(100)));
        let answered = rounds(&|| {
            thread::sleep(Duration::from_micros(100));
            let (back, answer) = mpsc::channel();
            ask.send(back).expect("the other runs");
            assert_eq!(answer.recv(), Ok(1));
        });
        stop.store(true, Ordering::Relaxed);
        drop(ask);
        [asleep, answered]
    });
    println!(
        "beside four busy threads, of those so many had the CPU for each sleep of 100 µs: {asleep:.1}, with an answer {answered:.1}"
    );
    // A busy one may have the CPU before, and its slice may end; in one line it would be four or more.
    assert!(asleep < 2.5 && answered < 2.5, "{asleep} {answered}");
    let turns = turns.map(AtomicU64::into_inner);
    let share = *turns.iter().min().unwrap() as f64 / *turns.iter().max().unwrap() as f64;
    println!("the least busy of them has {:.0} % of the most", share * 100.0);
    assert!(share > 0.2, "{turns:?}");
}

/// One thread leaves something for whoever comes, and eight take all that there is; none of them ever waits. Each of the
/// eight finds some: they do not come in the same order again and again.
fn takers() {
    let (left, stop, found) = (AtomicUsize::new(0), AtomicBool::new(false), [const { AtomicUsize::new(0) }; 8]);
    let took = thread::scope(|s| {
        for found in &found {
            s.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    found.fetch_add(left.swap(0, Ordering::Relaxed), Ordering::Relaxed);
                }
            });
        }
        let took = timed(|| {
            while found.iter().any(|found| found.load(Ordering::Relaxed) == 0) {
                left.fetch_add(1, Ordering::Relaxed);
            }
        });
        stop.store(true, Ordering::Relaxed);
        took
    });
    println!("after {took:?} each of eight has found what one left");
}

/// A busy thread wakes another, which has had less: that one runs at once, and not at the next tick.
fn woken_by_a_busy_one() {
    const ROUNDS: usize = 200;
    let (awake, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let at_once = thread::scope(|s| {
        let sleeper = s.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                thread::park();
                awake.fetch_add(1, Ordering::Relaxed);
            }
        });
        // From then on this one is known to be busy.
        spin(Duration::from_millis(50));
        let round = |round: usize| {
            sleeper.thread().unpark();
            let at_once = awake.load(Ordering::Relaxed) > round;
            // It is to be parked again, and to have earned what it takes.
            while awake.load(Ordering::Relaxed) <= round {
                std::hint::spin_loop();
            }
            spin(Duration::from_micros(50));
            at_once
        };
        let at_once = (0..ROUNDS).filter(|n| round(*n)).count();
        stop.store(true, Ordering::Relaxed);
        sleeper.thread().unpark();
        at_once
    });
    println!("of {ROUNDS} whom a busy thread woke, {at_once} ran at once");
    assert!(at_once > ROUNDS / 2, "{at_once}");
}
