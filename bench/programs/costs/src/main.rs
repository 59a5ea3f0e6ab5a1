//! What small operations cost, in nanoseconds: the same program natively and in a machine.
//!
//! Prints a line for each: its name and the least mean of many batches, so that a neighbour's noise does not count.

#[cfg(feature = "ampoule")]
use ampoule as _;

mod threads;

use std::cell::Cell;
use std::hint::black_box;
use std::io::{Read, Write};
use std::time::Instant;

const BATCH: u32 = 1000;
const BATCHES: u32 = 200;

fn main() -> std::io::Result<()> {
    let (mut reader, mut writer) = std::io::pipe()?;
    let mut byte = [0];
    let mut reads = f64::INFINITY;
    for _ in 0..BATCHES {
        writer.write_all(&[1; BATCH as usize])?;
        reads = reads.min(mean(|| reader.read_exact(black_box(&mut byte)))?);
    }
    println!("pipe_read {reads:.1}");

    let word = std::sync::atomic::AtomicU32::new(0);
    let wake = least(|| {
        // SAFETY: FUTEX_WAKE does not even read the word; nobody waits on it.
        let woken =
            unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG, 1) };
        if woken == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
    })?;
    println!("futex_wake {wake:.1}");

    let now = least(|| {
        black_box(Instant::now());
        Ok(())
    })?;
    println!("clock_gettime {now:.1}");

    let allocate = least(|| {
        black_box(Vec::<u8>::with_capacity(black_box(100)));
        Ok(())
    })?;
    println!("malloc_free {allocate:.1}");

    thread_local!(static LOCAL: Cell<u64> = const { Cell::new(0) });
    let local = least(|| {
        LOCAL.set(black_box(LOCAL.get() + 1));
        Ok(())
    })?;
    println!("thread_local {local:.2}");
    threads::costs()
}

fn least(operation: impl FnMut() -> std::io::Result<()>) -> std::io::Result<f64> {
    least_of(BATCHES, BATCH, operation)
}

fn least_of(batches: u32, batch: u32, mut operation: impl FnMut() -> std::io::Result<()>) -> std::io::Result<f64> {
    let mut least = f64::INFINITY;
    for _ in 0..batches {
        least = least.min(mean_of(batch, &mut operation)?);
    }
    Ok(least)
}

fn mean(operation: impl FnMut() -> std::io::Result<()>) -> std::io::Result<f64> {
    mean_of(BATCH, operation)
}

fn mean_of(batch: u32, mut operation: impl FnMut() -> std::io::Result<()>) -> std::io::Result<f64> {
    let start = Instant::now();
    for _ in 0..batch {
        operation()?;
    }
    Ok(start.elapsed().as_nanos() as f64 / f64::from(batch))
}
