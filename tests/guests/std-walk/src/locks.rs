//! `std::sync`: Mutex, RwLock, Condvar, Barrier.

use crate::{Case, saw};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Barrier, Condvar, Mutex, PoisonError, RwLock, TryLockError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

pub(crate) const CASES: &[Case] = &[
    ("Mutex", mutex),
    ("Mutex, contended", contended),
    ("Mutex, poisoned", poisoned),
    ("RwLock", rwlock),
    ("RwLock, poisoned", rwlock_poisoned),
    ("RwLock, readers and writers", readers_and_writers),
    ("Condvar::wait and wait_while", condvar),
    ("Condvar::wait_timeout and wait_timeout_while", condvar_timeout),
    ("Condvar::notify_one and notify_all", notify),
    ("Barrier", barrier),
    ("Arc and Weak", arc),
];

fn mutex() {
    let mut mutex = Mutex::new(vec![1]);
    mutex.lock().unwrap().push(2);
    mutex.get_mut().unwrap().push(3);
    {
        let held = mutex.lock().unwrap();
        saw!("try_lock while held", matches!(mutex.try_lock(), Err(TryLockError::WouldBlock)));
        saw!("its error", mutex.try_lock().map(drop).unwrap_err().to_string());
        saw!("debug while held", format!("{mutex:?}"));
        drop(held);
    }
    saw!("try_lock while free", mutex.try_lock().map(|v| v.len()).ok());
    saw!("debug", format!("{mutex:?}"));
    saw!("into_inner", mutex.into_inner().unwrap());
    saw!("default, from", (Mutex::<u8>::default(), Mutex::from(5)));
}

fn contended() {
    let count = Mutex::new(0u64);
    thread::scope(|s| {
        for _ in 0..6 {
            s.spawn(|| (0..5000).for_each(|_| *count.lock().unwrap() += 1));
        }
    });
    saw!("sum", count.into_inner().unwrap());
    let held = Mutex::new(());
    let guard = held.lock().unwrap();
    thread::scope(|s| {
        let waiter = s.spawn(|| drop(held.lock()));
        thread::sleep(Duration::from_millis(5));
        saw!("waits", !waiter.is_finished());
        drop(guard);
    });
}

fn poisoned() {
    let mutex = Arc::new(Mutex::new(1));
    let other = mutex.clone();
    let panicked = thread::spawn(move || {
        let mut guard = other.lock().unwrap();
        *guard = 2;
        panic!("while holding the mutex");
    });
    saw!("join", panicked.join().is_err());
    saw!("is_poisoned", mutex.is_poisoned());
    saw!("lock", mutex.lock().map(|v| *v).map_err(|e| e.to_string()));
    saw!("try_lock", mutex.try_lock().map(|v| *v).map_err(|e| e.to_string()));
    saw!("the value behind", *mutex.lock().unwrap_or_else(PoisonError::into_inner));
    saw!("debug", format!("{mutex:?}"));
    mutex.clear_poison();
    saw!("cleared", (mutex.is_poisoned(), mutex.lock().map(|v| *v).ok()));
    let mutex = Mutex::new(7);
    let caught = catch_unwind(AssertUnwindSafe(|| {
        let _guard = mutex.lock();
        panic!("caught, and still poisoned");
    }));
    saw!("catch_unwind", (caught.is_err(), mutex.into_inner().map_err(|e| e.into_inner())));
}

fn rwlock() {
    let mut lock = RwLock::new(5);
    {
        let (a, b) = (lock.read().unwrap(), lock.read().unwrap());
        saw!("two readers", *a + *b);
        saw!("try_write beside them", lock.try_write().map(drop).map_err(|e| e.to_string()));
        saw!("try_read beside them", lock.try_read().map(|v| *v).ok());
    }
    {
        let mut writer = lock.write().unwrap();
        *writer += 1;
        saw!("try_read beside a writer", lock.try_read().map(|v| *v).map_err(|e| e.to_string()));
    }
    *lock.get_mut().unwrap() += 1;
    saw!("debug", format!("{lock:?}"));
    saw!("into_inner", lock.into_inner().unwrap());
}

fn rwlock_poisoned() {
    let lock = RwLock::new(1);
    let by_reader = catch_unwind(AssertUnwindSafe(|| {
        let _guard = lock.read();
        panic!("a reader's panic does not poison");
    }));
    saw!("reader", (by_reader.is_err(), lock.is_poisoned()));
    let by_writer = catch_unwind(AssertUnwindSafe(|| {
        *lock.write().unwrap() = 3;
        let _guard = lock.write();
        panic!("a writer's does");
    }));
    saw!("writer", (by_writer.is_err(), lock.is_poisoned()));
    saw!("read", lock.read().map(|v| *v).map_err(|e| *e.into_inner()));
    lock.clear_poison();
    saw!("cleared", lock.write().map(|v| *v).ok());
}

fn readers_and_writers() {
    let lock = RwLock::new((0u32, 0u32));
    let torn = AtomicU32::new(0);
    thread::scope(|s| {
        for _ in 0..4 {
            s.spawn(|| {
                for _ in 0..500 {
                    let pair = lock.read().unwrap();
                    torn.fetch_add(u32::from(pair.0 != pair.1), Ordering::Relaxed);
                }
            });
        }
        for _ in 0..2 {
            s.spawn(|| {
                for _ in 0..500 {
                    let mut pair = lock.write().unwrap();
                    pair.0 += 1;
                    thread::yield_now();
                    pair.1 += 1;
                }
            });
        }
    });
    saw!("torn", torn.into_inner());
    saw!("value", lock.into_inner().unwrap());
    let lock = RwLock::new(());
    let reader = lock.read().unwrap();
    thread::scope(|s| {
        let writer = s.spawn(|| drop(lock.write()));
        thread::sleep(Duration::from_millis(5));
        saw!("a writer waits", !writer.is_finished());
        drop(reader);
    });
}

fn condvar() {
    let pair = (Mutex::new(0), Condvar::new());
    let seen = thread::scope(|s| {
        let waiter = s.spawn(|| {
            let mut value = pair.0.lock().unwrap();
            while *value == 0 {
                value = pair.1.wait(value).unwrap();
            }
            *value
        });
        *pair.0.lock().unwrap() = 5;
        pair.1.notify_one();
        waiter.join().unwrap()
    });
    saw!("wait", seen);
    let seen = thread::scope(|s| {
        let waiter = s.spawn(|| *pair.1.wait_while(pair.0.lock().unwrap(), |value| *value < 8).unwrap());
        for _ in 0..3 {
            thread::sleep(Duration::from_millis(1));
            *pair.0.lock().unwrap() += 1;
            pair.1.notify_one();
        }
        waiter.join().unwrap()
    });
    saw!("wait_while", seen);
}

fn condvar_timeout() {
    let (mutex, condvar) = (Mutex::new(false), Condvar::new());
    let start = Instant::now();
    let (guard, result) = condvar.wait_timeout(mutex.lock().unwrap(), Duration::from_millis(15)).unwrap();
    saw!("timed out", (result.timed_out(), start.elapsed() >= Duration::from_millis(15)));
    let (guard, result) = condvar.wait_timeout_while(guard, Duration::from_millis(15), |ready| !*ready).unwrap();
    saw!("while, timed out", (result, *guard, start.elapsed() >= Duration::from_millis(30)));
    let (guard, result) = condvar.wait_timeout_while(guard, Duration::ZERO, |ready| !*ready).unwrap();
    saw!("no time at all", result.timed_out());
    drop(guard);
    thread::scope(|s| {
        s.spawn(|| {
            *mutex.lock().unwrap() = true;
            condvar.notify_all();
        });
        let guard = mutex.lock().unwrap();
        let (guard, result) = condvar.wait_timeout_while(guard, Duration::from_secs(30), |ready| !*ready).unwrap();
        saw!("in time", (*guard, result.timed_out(), start.elapsed() < Duration::from_secs(20)));
    });
    let (_guard, result) = condvar.wait_timeout_while(mutex.lock().unwrap(), Duration::MAX, |ready| !*ready).unwrap();
    saw!("for ever, but true already", result.timed_out());
}

fn notify() {
    let (state, condvar) = (Mutex::new((0u32, 0u32)), Condvar::new());
    condvar.notify_one();
    condvar.notify_all();
    thread::scope(|s| {
        for _ in 0..5 {
            s.spawn(|| {
                let mut state = state.lock().unwrap();
                state.0 += 1;
                while state.1 == 0 {
                    state = condvar.wait(state).unwrap();
                }
                state.1 -= 1;
                state.0 -= 1;
            });
        }
        while state.lock().unwrap().0 < 5 {
            thread::yield_now();
        }
        for left in [4, 3] {
            state.lock().unwrap().1 = 1;
            condvar.notify_one();
            while state.lock().unwrap().0 != left {
                thread::yield_now();
            }
        }
        saw!("two were let through", *state.lock().unwrap());
        state.lock().unwrap().1 = 3;
        condvar.notify_all();
    });
    saw!("all were", state.into_inner().unwrap());
}

fn barrier() {
    let (barrier, leaders, phase) = (Barrier::new(5), AtomicU32::new(0), AtomicU32::new(0));
    let early = AtomicU32::new(0);
    thread::scope(|s| {
        for _ in 0..5 {
            s.spawn(|| {
                for round in 0..20 {
                    phase.fetch_add(1, Ordering::SeqCst);
                    leaders.fetch_add(u32::from(barrier.wait().is_leader()), Ordering::Relaxed);
                    early.fetch_add(u32::from(phase.load(Ordering::SeqCst) < 5 * (round + 1)), Ordering::Relaxed);
                    barrier.wait();
                }
            });
        }
    });
    saw!("leaders", leaders.into_inner());
    saw!("gone through early", early.into_inner());
    saw!("of one", Barrier::new(1).wait().is_leader());
}

fn arc() {
    let (sent, dropped) = mpsc::channel();
    struct Tells(mpsc::Sender<&'static str>);
    impl Drop for Tells {
        fn drop(&mut self) {
            self.0.send("dropped").unwrap();
        }
    }
    let shared = Arc::new(Tells(sent));
    let weak = Arc::downgrade(&shared);
    saw!("counts", (Arc::strong_count(&shared), Arc::weak_count(&shared)));
    let threads: Vec<_> = (0..8)
        .map(|_| {
            thread::spawn({
                let shared = shared.clone();
                move || Arc::strong_count(&shared) > 0
            })
        })
        .collect();
    saw!("threads", threads.into_iter().map(|t| t.join().unwrap()).collect::<Vec<_>>());
    saw!("upgrade", weak.upgrade().is_some());
    saw!("still there", dropped.try_recv());
    drop(shared);
    saw!("gone", (dropped.recv(), weak.upgrade().is_none(), weak.strong_count()));
    let mut own = Arc::new(5);
    *Arc::make_mut(&mut own) += 1;
    let other = own.clone();
    saw!("try_unwrap", Arc::try_unwrap(own).map_err(|a| *a));
    saw!("into_inner", Arc::into_inner(other));
    let cycle = Arc::<Mutex<u8>>::new_cyclic(|weak| Mutex::new(weak.strong_count() as u8));
    saw!("new_cyclic", *cycle.lock().unwrap());
    let slice: Arc<[u8]> = Arc::from(vec![1, 2, 3]);
    saw!("slices", (slice.len(), Arc::<str>::from("text")));
}
