//! What threads cost each other: starting, handing over, waiting for a lock.

use crate::least_of;
use std::hint::black_box;
use std::io::{Error, Result};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier, Condvar, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

const BATCHES: u32 = 40;

/// Prints all of them.
pub(crate) fn costs() -> Result<()> {
    println!("spawn_join {:.0}", spawn_join()?);
    println!("channel_ping_pong {:.0}", channel_ping_pong()?);
    println!("condvar_ping_pong {:.0}", condvar_ping_pong()?);
    println!("park_unpark {:.0}", park_unpark()?);
    for threads in [2, 8] {
        println!("mutex_{threads} {:.1}", contended_mutex(threads)?);
    }
    println!("mutex_alone {:.1}", contended_mutex(1)?);
    for micros in [100, 1000] {
        let late = oversleep(Duration::from_micros(micros));
        println!("sleep_{micros}_middle {:.0}", late[late.len() / 2].as_nanos());
        println!("sleep_{micros}_99 {:.0}", late[late.len() * 99 / 100].as_nanos());
    }
    Ok(())
}

fn panicked<T>(_: T) -> Error {
    Error::other("the thread panicked")
}

fn spawn_join() -> Result<f64> {
    least_of(BATCHES, 50, || thread::spawn(|| {}).join().map_err(panicked))
}

/// There and back.
fn channel_ping_pong() -> Result<f64> {
    let (to, from_main) = mpsc::channel::<u32>();
    let (back, from_thread) = mpsc::channel::<u32>();
    let echo = thread::spawn(move || from_main.iter().try_for_each(|value| back.send(value)));
    let cost = least_of(BATCHES, 500, || {
        to.send(1).map_err(Error::other)?;
        from_thread.recv().map_err(Error::other).map(drop)
    })?;
    drop(to);
    echo.join().map_err(panicked)?.map_err(Error::other)?;
    Ok(cost)
}

/// There and back.
fn condvar_ping_pong() -> Result<f64> {
    let shared = Arc::new((Mutex::new(0u32), Condvar::new()));
    const STOP: u32 = 2;
    let other = shared.clone();
    let echo = thread::spawn(move || {
        let (turn, changed) = &*other;
        let Ok(mut guard) = turn.lock() else { return };
        loop {
            match *guard {
                STOP => return,
                1 => {
                    *guard = 0;
                    changed.notify_one();
                }
                _ => match changed.wait(guard) {
                    Ok(next) => {
                        guard = next;
                        continue;
                    }
                    Err(_) => return,
                },
            }
        }
    });
    let (turn, changed) = &*shared;
    let cost = least_of(BATCHES, 500, || {
        let mut guard = turn.lock().map_err(panicked)?;
        *guard = 1;
        changed.notify_one();
        changed.wait_while(guard, |turn| *turn == 1).map_err(panicked).map(drop)
    })?;
    *turn.lock().map_err(panicked)? = STOP;
    changed.notify_one();
    echo.join().map_err(panicked)?;
    Ok(cost)
}

/// There and back.
fn park_unpark() -> Result<f64> {
    static ASKED: AtomicBool = AtomicBool::new(false);
    static STOP: AtomicBool = AtomicBool::new(false);
    let main = thread::current();
    let echo = thread::spawn(move || {
        while !STOP.load(Ordering::Acquire) {
            while ASKED.swap(false, Ordering::AcqRel) {
                main.unpark();
            }
            thread::park();
        }
    });
    let cost = least_of(BATCHES, 500, || {
        ASKED.store(true, Ordering::Release);
        echo.thread().unpark();
        while ASKED.load(Ordering::Acquire) {
            thread::park();
        }
        Ok(())
    })?;
    STOP.store(true, Ordering::Release);
    echo.thread().unpark();
    echo.join().map_err(panicked)?;
    Ok(cost)
}

/// Nanoseconds for one turn of one thread, where all of them want the mutex all the time: from the first one's start to
/// the last one's end, by all turns.
fn contended_mutex(threads: u32) -> Result<f64> {
    const TURNS: u32 = 100_000;
    let mut least = f64::INFINITY;
    for _ in 0..10 {
        let (count, barrier) = (Mutex::new(0u64), Barrier::new(threads as usize));
        let turn = || -> Result<(Instant, Instant)> {
            barrier.wait();
            let start = Instant::now();
            for _ in 0..TURNS {
                let mut count = count.lock().map_err(panicked)?;
                *count = black_box(*count + 1);
            }
            Ok((start, Instant::now()))
        };
        let times = thread::scope(|scope| {
            let threads: Vec<_> = (0..threads).map(|_| scope.spawn(turn)).collect();
            threads.into_iter().map(|thread| thread.join().map_err(panicked)?).collect::<Result<Vec<_>>>()
        })?;
        let took = times.iter().map(|time| time.1).max().zip(times.iter().map(|time| time.0).min());
        let took = took.map_or(0, |(end, start)| (end - start).as_nanos());
        let turns = count.into_inner().map_err(panicked)?;
        if turns != u64::from(threads * TURNS) {
            return Err(Error::other("turns were lost"));
        }
        least = least.min(took as f64 / turns as f64);
    }
    Ok(least)
}

/// How much longer than asked for the thread slept, in ascending order, with nothing else to do.
fn oversleep(wait: Duration) -> Vec<Duration> {
    let mut late: Vec<Duration> = (0..200)
        .map(|_| {
            let start = Instant::now();
            thread::sleep(wait);
            start.elapsed().saturating_sub(wait)
        })
        .collect();
    late.sort();
    late
}
