//! Something to look at with a debugger: a function with arguments, called from another, a loop that goes on until somebody
//! stops it (with an argument), and an end of its own.
#[cfg(feature = "line")]
use ampoule as _;

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};

/// What the scales show; a debugger may read and write it.
static SHOWN: AtomicU64 = AtomicU64::new(0);

fn main() {
    let apples = black_box(40);
    println!("weighed {}", basket(apples));
    if std::env::args().any(|argument| argument == "turn") {
        turn();
    }
    std::process::exit(7);
}

#[inline(never)]
fn basket(apples: u64) -> u64 {
    let all = weigh(apples, 2);
    SHOWN.store(all, Ordering::Relaxed);
    black_box(all)
}

#[inline(never)]
fn weigh(apples: u64, pears: u64) -> u64 {
    black_box(apples) + black_box(pears)
}

/// Until the scales show nothing any more.
#[inline(never)]
fn turn() {
    println!("turning");
    while SHOWN.load(Ordering::Relaxed) != 0 {
        std::hint::spin_loop();
    }
    println!("turned");
}
