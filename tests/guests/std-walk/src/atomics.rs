//! `std::sync::atomic`.

use crate::{Case, saw};
use std::sync::atomic::{
    AtomicBool, AtomicI64, AtomicPtr, AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicUsize, Ordering, compiler_fence,
    fence,
};
use std::thread;

pub(crate) const CASES: &[Case] =
    &[("atomic operations", operations), ("atomics between threads", shared), ("atomic fences", fences)];

fn operations() {
    let flag = AtomicBool::new(true);
    saw!("bool", (flag.fetch_and(false, Ordering::SeqCst), flag.fetch_xor(true, Ordering::SeqCst), flag.into_inner()));
    let byte = AtomicU8::new(250);
    saw!("u8 wraps", (byte.fetch_add(10, Ordering::SeqCst), byte.load(Ordering::SeqCst)));
    let word = AtomicU16::new(0b1010);
    saw!("u16", (word.fetch_or(1, Ordering::AcqRel), word.fetch_nand(3, Ordering::AcqRel), word.into_inner()));
    let number = AtomicI64::new(-5);
    saw!("i64", (number.fetch_max(3, Ordering::Relaxed), number.fetch_min(-9, Ordering::Relaxed), number.into_inner()));
    let number = AtomicU32::new(1);
    let (acquire, relaxed) = (Ordering::Acquire, Ordering::Relaxed);
    saw!(
        "compare_exchange",
        (number.compare_exchange(1, 2, acquire, relaxed), number.compare_exchange(1, 3, acquire, relaxed))
    );
    saw!("fetch_update", number.fetch_update(acquire, relaxed, |n| (n < 5).then_some(n * 10)));
    let mut value = 7;
    let pointer = AtomicPtr::new(&raw mut value);
    saw!("pointer", pointer.swap(std::ptr::null_mut(), Ordering::AcqRel) == &raw mut value);
}

fn shared() {
    let (sum, exchanged) = (AtomicU64::new(0), AtomicUsize::new(0));
    thread::scope(|s| {
        for _ in 0..6 {
            s.spawn(|| {
                for _ in 0..2000 {
                    sum.fetch_add(3, Ordering::Relaxed);
                    let mut seen = exchanged.load(Ordering::Relaxed);
                    while let Err(now) =
                        exchanged.compare_exchange_weak(seen, seen + 1, Ordering::AcqRel, Ordering::Relaxed)
                    {
                        seen = now;
                    }
                }
            });
        }
    });
    saw!("sums", (sum.into_inner(), exchanged.into_inner()));
}

fn fences() {
    let (data, ready) = (AtomicU32::new(0), AtomicBool::new(false));
    let seen = thread::scope(|s| {
        let reader = s.spawn(|| {
            while !ready.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
            fence(Ordering::Acquire);
            data.load(Ordering::Relaxed)
        });
        data.store(42, Ordering::Relaxed);
        fence(Ordering::Release);
        ready.store(true, Ordering::Relaxed);
        compiler_fence(Ordering::SeqCst);
        fence(Ordering::SeqCst);
        reader.join().unwrap()
    });
    saw!("published", seen);
}
