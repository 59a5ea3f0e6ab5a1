//! `std::sync`: Once, OnceLock, LazyLock.

use crate::{Case, saw};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, Once, OnceLock};
use std::thread;
use std::time::Duration;

pub(crate) const CASES: &[Case] =
    &[("Once", once), ("Once, poisoned", poisoned), ("OnceLock", once_lock), ("LazyLock", lazy_lock)];

fn once() {
    let (once, runs) = (Once::new(), AtomicU32::new(0));
    saw!("before", once.is_completed());
    thread::scope(|s| {
        for _ in 0..8 {
            s.spawn(|| {
                once.call_once(|| {
                    thread::sleep(Duration::from_millis(2));
                    runs.fetch_add(1, Ordering::Relaxed);
                });
                assert!(once.is_completed());
            });
        }
    });
    saw!("runs", (runs.into_inner(), once.is_completed()));
    once.wait();
    let late = Once::new();
    thread::scope(|s| {
        s.spawn(|| late.wait());
        thread::sleep(Duration::from_millis(2));
        late.call_once(|| ());
    });
    saw!("wait", late.is_completed());
}

fn poisoned() {
    let once = Once::new();
    let first = catch_unwind(AssertUnwindSafe(|| once.call_once(|| panic!("in the initialiser"))));
    saw!("first", (first.is_err(), once.is_completed()));
    let second = catch_unwind(AssertUnwindSafe(|| once.call_once(|| ())));
    saw!("second", second.unwrap_err().downcast_ref::<&str>());
    once.call_once_force(|state| saw!("forced, poisoned", state.is_poisoned()));
    saw!("afterwards", once.is_completed());
    let (waiting, inside) = (Once::new(), AtomicU32::new(0));
    let caught = thread::scope(|s| {
        let slow = s.spawn(|| {
            waiting.call_once(|| {
                inside.store(1, Ordering::Release);
                while inside.load(Ordering::Acquire) == 1 {
                    thread::yield_now();
                }
                thread::sleep(Duration::from_millis(30));
                panic!("while another waits");
            });
        });
        let other = s.spawn(|| {
            while inside.load(Ordering::Acquire) == 0 {
                thread::yield_now();
            }
            inside.store(2, Ordering::Release);
            waiting.call_once(|| ());
        });
        (slow.join().is_err(), other.join().is_err())
    });
    saw!("those who wait", caught);
}

fn once_lock() {
    let mut cell = OnceLock::new();
    saw!("get", cell.get());
    saw!("set", (cell.set(5), cell.set(6), cell.get().copied()));
    *cell.get_mut().unwrap() += 1;
    saw!("take", (cell.take(), cell.get()));
    let runs = AtomicU32::new(0);
    let values: Vec<u32> = thread::scope(|s| {
        let make = || *cell.get_or_init(|| runs.fetch_add(1, Ordering::Relaxed) + 10);
        let threads: Vec<_> = (0..8).map(|_| s.spawn(make)).collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    saw!("get_or_init", (values, runs.into_inner()));
    let retry: OnceLock<u8> = OnceLock::new();
    let caught = catch_unwind(AssertUnwindSafe(|| retry.get_or_init(|| panic!("not poisoned by this"))));
    saw!("after a panic", (caught.is_err(), retry.get_or_init(|| 3)));
    saw!("debug, into_inner", (format!("{retry:?}"), retry.into_inner()));
}

static MADE: AtomicU32 = AtomicU32::new(0);
static LAZY: LazyLock<Vec<u32>> = LazyLock::new(|| vec![MADE.fetch_add(1, Ordering::Relaxed); 3]);

fn lazy_lock() {
    saw!("not made yet", MADE.load(Ordering::Relaxed));
    let lengths: Vec<usize> = thread::scope(|s| {
        let threads: Vec<_> = (0..6).map(|_| s.spawn(|| LAZY.len())).collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    saw!("made once", (lengths, MADE.load(Ordering::Relaxed)));
    let bad: LazyLock<u32> = LazyLock::new(|| panic!("in a LazyLock"));
    for turn in ["first", "second"] {
        let caught = catch_unwind(AssertUnwindSafe(|| *bad)).unwrap_err();
        saw!(turn, caught.downcast_ref::<&str>());
    }
}
