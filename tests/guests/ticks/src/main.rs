//! A timer every 50 ms, for a test that stops the machine for seconds in between; alone it runs for a second. Each line is a
//! tick: its number, both clocks in ms since the start, and how often the timer had been late by more than a second.
//!
//! Time goes on while the machine stands still. A sleep that ended meanwhile ends once, and what repeats is not repeated for
//! each time that was missed: after a jump the next ticks come 50 ms apart.
#[cfg(feature = "line")]
use ampoule as _;
use std::time::{Duration, Instant, SystemTime};

const STEP: Duration = Duration::from_millis(50);

fn main() {
    let ticks: u32 = std::env::args().nth(1).map_or(20, |count| count.parse().expect("a number"));
    let (start, wall) = (Instant::now(), SystemTime::now());
    let (mut last, mut jumps, mut early) = (start, 0, 0);
    // Another thread sleeps across the jump, too, and one is busy.
    let sleeper = std::thread::spawn(move || (0..ticks / 4).for_each(|_| std::thread::sleep(4 * STEP)));
    for tick in 0..ticks {
        std::thread::sleep(STEP);
        let now = Instant::now();
        jumps += u32::from(now - last > Duration::from_secs(1));
        early += u32::from(now - last < STEP);
        last = now;
        let since = SystemTime::now().duration_since(wall).unwrap_or_default();
        println!(
            "tick {tick}: {} ms, {} ms, {jumps} jumps, {early} early",
            (now - start).as_millis(),
            since.as_millis()
        );
    }
    sleeper.join().expect("joins");
    println!("{ticks} ticks in {} ms, {jumps} jumps, {early} early", start.elapsed().as_millis());
    assert!(early == 0 && jumps <= 1, "a sleep was too short, or a jump was seen twice");
}
