//! Comes to grief four calls deep, as its argument says, so that a report can be held to its frames; without one the ways are
//! listed. `tests/tests/machines/reports.rs` has the lines on which the calls are, and keeps this file's marks.
#[cfg(feature = "line")]
use ampoule as _;

use std::hint::black_box;

/// A way to come to grief, as it is called.
type Way = (&'static str, fn());

const WAYS: [Way; 7] = [
    ("panic", panics),
    ("abort", aborts),
    ("null", reads_null),
    ("illegal", runs_nothing),
    ("seal-write", writes_code),
    ("seal-constant", writes_constant),
    ("seal-run", runs_data),
];

/// Read-only from the linker on.
static CONSTANT: [u8; 64] = [0xc3; 64];

fn main() {
    match std::env::args().nth(1) {
        None => WAYS.iter().for_each(|(name, _)| println!("{name}")),
        Some(name) if std::env::args().count() > 2 => {
            let thread = std::thread::Builder::new().name("worker".into());
            thread.spawn(move || outer(&name)).expect("it starts").join().expect("it does not end"); // in a thread
        }
        Some(name) => outer(&name), // on main
    }
}

#[inline(never)]
fn outer(name: &str) {
    middle(name); // outer
    black_box(());
}

#[inline(never)]
fn middle(name: &str) {
    let way = WAYS.iter().find(|(known, _)| *known == name).expect("a way");
    way.1(); // middle
    black_box(());
}

#[inline(never)]
fn panics() {
    panic!("on purpose"); // panics
}

#[inline(never)]
fn aborts() {
    black_box(());
    std::process::abort(); // aborts
}

#[inline(never)]
fn reads_null() {
    let address = black_box(16) as *const u8;
    // SAFETY: none; it is meant to fault.
    black_box(unsafe { address.read_volatile() }); // reads_null
}

#[inline(never)]
fn runs_nothing() {
    // SAFETY: none; the instruction is undefined for ever (SDM, UD2).
    unsafe { std::arch::asm!("ud2") }; // runs_nothing
}

#[inline(never)]
fn writes_code() {
    let address = black_box(outer as *const () as *mut u8);
    // SAFETY: none; code is sealed, and it is meant to fault.
    unsafe { address.write_volatile(0xc3) }; // writes_code
}

#[inline(never)]
fn writes_constant() {
    let address = black_box(CONSTANT.as_ptr().cast_mut());
    // SAFETY: none; constants are sealed, and it is meant to fault.
    unsafe { address.write_volatile(0) }; // writes_constant
}

#[inline(never)]
fn runs_data() {
    let code = Box::new([0xc3_u8; 64]);
    // SAFETY: none; data cannot be run, and it is meant to fault.
    let function: fn() = unsafe { std::mem::transmute(black_box(code.as_ptr())) };
    function(); // runs_data
    black_box(());
}
