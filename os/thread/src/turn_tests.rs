//! The lines on a simulated CPU: threads that compute and sleep by a plan, ticks every so often, and a clock that nobody
//! else moves.

use super::*;

const TICK: u64 = 1_000_000;

/// Computes for `work` ns, sleeps for `rest` ns, and so on; 0: never sleeps.
struct Thread {
    turn: Turn<Thread>,
    work: u64,
    rest: u64,
    left: u64,
    /// When it is to wake, if it sleeps.
    wakes: Option<u64>,
    /// CPU time so far, and the longest wait for the CPU after a wake.
    had: u64,
    ready_since: u64,
    longest: u64,
}

fn thread(work: u64, rest: u64) -> Thread {
    Thread { turn: Turn::new(), work, rest, left: work, wakes: None, had: 0, ready_since: 0, longest: 0 }
}

impl Runnable for Thread {
    fn turn(&self) -> &Turn<Thread> {
        &self.turn
    }
}

/// Runs the threads for `length` ns, as the scheduler does it: deadlines are looked at at ticks and when the CPU is given up.
fn simulate(threads: &mut [Thread], tick: u64, length: u64) {
    let all: Vec<*mut Thread> = threads.iter_mut().map(|t| &raw mut *t).collect();
    let mut turns = Turns::new();
    for thread in &all {
        turns.wake(*thread, false, || 0);
    }
    let (mut now, mut next_tick) = (0, tick);
    let mut running = turns.pop(|| now);
    while now < length {
        let wake = |turns: &mut Turns<Thread>, now: u64| {
            for thread in &all {
                // SAFETY: they outlive the simulation, and nobody else looks at them meanwhile.
                let one = unsafe { &mut **thread };
                if one.wakes.is_some_and(|at| at <= now) {
                    one.ready_since = one.wakes.take().expect("it sleeps");
                    turns.wake(*thread, false, || now);
                }
            }
        };
        if running.is_null() {
            // SAFETY: as above.
            now = all.iter().filter_map(|t| unsafe { (**t).wakes }).min().expect("somebody sleeps").max(now);
            wake(&mut turns, now);
            running = turns.pop(|| now);
            continue;
        }
        // SAFETY: as above.
        let one = unsafe { &mut *running };
        if one.left == one.work {
            one.longest = one.longest.max(now - one.ready_since);
        }
        let until = if one.rest == 0 { next_tick } else { next_tick.min(now + one.left) };
        let until = until.max(now);
        one.had += until - now;
        one.left = if one.rest == 0 { 0 } else { one.left - (until - now) };
        now = until;
        if one.rest != 0 && one.left == 0 {
            leave(&mut turns, one, now);
            (one.wakes, one.left) = (Some(now + one.rest), one.work);
            wake(&mut turns, now);
            running = turns.pop(|| now);
        }
        if now >= next_tick {
            next_tick = now + tick;
            wake(&mut turns, now);
            if !running.is_null() {
                running = at_tick(&mut turns, running, now);
            }
        }
    }
}

/// As the scheduler does it: who goes on.
fn at_tick(turns: &mut Turns<Thread>, running: *mut Thread, now: u64) -> *mut Thread {
    if turns.tick(running, now) { running } else { turns.pop(|| now) }
}

/// As the scheduler does it.
fn leave(turns: &mut Turns<Thread>, thread: &Thread, now: u64) {
    if !thread.turn.is_plain() {
        turns.settle(&thread.turn, now);
    }
}

fn shares(threads: &[Thread]) -> Vec<f64> {
    let all: u64 = threads.iter().map(|t| t.had).sum();
    threads.iter().map(|t| t.had as f64 / all as f64).collect()
}

#[test]
fn a_sleeper_overtakes_busy_threads_at_the_next_tick() {
    for tick in [TICK, 4 * TICK] {
        for busy in [1, 4, 16] {
            let mut threads: Vec<_> = (0..busy).map(|_| thread(0, 0)).collect();
            threads.push(thread(10_000, 100_000));
            simulate(&mut threads, tick, 4_000_000_000);
            let sleeper = threads.pop().expect("it is the last");
            // Some ten microseconds a tick are far less than its share; the first time nobody is known to be busy.
            assert!(sleeper.had >= 4_000_000_000 / tick * 9_000, "{busy} busy: {} ns", sleeper.had);
            assert!(sleeper.longest <= (busy + 1) * SLICE_NS, "{busy} busy: {}", sleeper.longest);
            let shares = shares(&threads);
            let fair = 1.0 / busy as f64;
            assert!(shares.iter().all(|s| (s / fair - 1.0).abs() < 0.1), "{shares:?}");
        }
    }
}

#[test]
fn who_sleeps_a_little_and_computes_a_lot_gets_a_share_and_no_more() {
    for tick in [TICK, 4 * TICK] {
        for busy in [1, 4] {
            let mut threads: Vec<_> = (0..busy).map(|_| thread(0, 0)).collect();
            threads.push(thread(900_000, 10_000));
            simulate(&mut threads, tick, 8_000_000_000);
            let fair = 1.0 / (busy + 1) as f64;
            let greedy = shares(&threads).pop().expect("it is the last");
            assert!(greedy < 1.6 * fair && greedy > 0.4 * fair, "tick {tick}, {busy} busy: {greedy}");
        }
    }
}

#[test]
fn a_crowd_that_wakes_all_the_time_starves_nobody() {
    let mut threads: Vec<_> = (0..200).map(|n| thread(300_000, 50_000 + n * 1_000)).collect();
    threads.push(thread(0, 0));
    simulate(&mut threads, TICK, 8_000_000_000);
    let least = threads.iter().map(|t| t.had).min().expect("there are some");
    assert!(least > 8_000_000_000 / 201 / 4, "{least}");
}

#[test]
fn without_busy_threads_it_is_one_line_and_no_clock() {
    let threads = [1; 8].map(|work| thread(work, 1));
    let all = threads.each_ref().map(|t| std::ptr::from_ref(t).cast_mut());
    let (mut turns, no_clock) = (Turns::new(), || -> u64 { panic!("looked at the clock") });
    assert!(turns.is_empty());
    assert!(all.iter().all(|t| !turns.wake(*t, false, no_clock)));
    let (first, second) = (turns_pop(&mut turns), turns_pop(&mut turns));
    turns.push(first, false);
    turns.wake(second, true, no_clock);
    let order: Vec<_> = std::iter::from_fn(|| Some(turns_pop(&mut turns)).filter(|t| !t.is_null())).collect();
    let expected: Vec<_> = (1..8).chain([0]).map(|n| all[n]).collect();
    assert_eq!(order, expected);
    assert!(turns.is_empty());
}

fn turns_pop(turns: &mut Turns<Thread>) -> *mut Thread {
    turns.pop(|| panic!("looked at the clock"))
}

/// Slices of `count` threads that never wait: who had each of them.
fn slices(count: usize, length: usize) -> Vec<usize> {
    let threads: Vec<_> = (0..count).map(|_| thread(0, 0)).collect();
    let all: Vec<*mut Thread> = threads.iter().map(|t| std::ptr::from_ref(t).cast_mut()).collect();
    let mut turns = Turns::new();
    assert!(all.iter().all(|t| !turns.wake(*t, false, || 0)));
    let mut running = turns_pop(&mut turns);
    let mut next = |slice: usize| {
        let had = all.iter().position(|t| *t == running).expect("somebody runs");
        running = at_tick(&mut turns, running, (slice as u64 + 1) * SLICE_NS);
        had
    };
    (0..length).map(&mut next).collect()
}

#[test]
fn busy_threads_wait_for_two_slices_of_each_other_at_most() {
    for count in [2, 3, 9, 40] {
        let (slices, mut last, mut had) = (slices(count, 40_000), vec![0; count], vec![0; count]);
        for (slice, thread) in slices.into_iter().enumerate() {
            assert!(slice - last[thread] <= 2 * (count - 1) + 1, "{count}: {} slices", slice - last[thread]);
            (last[thread], had[thread]) = (slice, had[thread] + 1);
        }
        let (least, most) = (had.iter().min(), had.iter().max());
        assert!(most.zip(least).is_some_and(|(most, least)| most - least <= 2), "{had:?}");
    }
}

#[test]
fn every_busy_thread_comes_behind_every_other_soon() {
    for count in [3, 9, 20] {
        // The last of m coupons with equal chances is expected after m × (ln m + 0.6) of them; thrice that.
        let pairs = (count * (count - 1)) as f64;
        let slices = slices(count, (3.0 * pairs * (pairs.ln() + 0.6)) as usize);
        let pairs: std::collections::HashSet<_> = slices.windows(2).map(|pair| (pair[0], pair[1])).collect();
        assert!(
            (0..count * count).all(|n| n / count == n % count || pairs.contains(&(n / count, n % count))),
            "{count}"
        );
    }
}

/// Anything in any order: nobody is lost, nobody is in line twice, and the count of busy threads is right.
#[test]
fn nobody_is_lost() {
    let threads: Vec<_> = (0..20).map(|_| thread(0, 0)).collect();
    let all: Vec<*mut Thread> = threads.iter().map(|t| std::ptr::from_ref(t).cast_mut()).collect();
    let (mut turns, mut seed, mut now) = (Turns::new(), 11u64, 0u64);
    let mut asleep = all.clone();
    let mut running: *mut Thread = null_mut();
    for _ in 0..200_000 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let random = (seed >> 33) as usize;
        now += (random % 3_000_000) as u64;
        match random % 7 {
            0 | 1 if !asleep.is_empty() => {
                let thread = asleep.swap_remove(random % asleep.len());
                turns.wake(thread, random & 64 != 0, || now);
            }
            // SAFETY: it points into `threads`.
            2 if !running.is_null() => unsafe {
                leave(&mut turns, &*running, now);
                asleep.push(running);
                running = null_mut();
            },
            // SAFETY: as above.
            3 if !running.is_null() => unsafe {
                leave(&mut turns, &*running, now);
                turns.push(running, random & 64 != 0);
                running = null_mut();
            },
            _ if !running.is_null() => running = at_tick(&mut turns, running, now),
            _ => {}
        }
        if running.is_null() {
            running = turns.pop(|| now);
            assert_eq!(running.is_null(), asleep.len() == all.len());
        }
        let busy = threads.iter().filter(|t| t.turn.is_busy()).count();
        assert_eq!(busy, turns.busy as usize);
    }
    let mut left = asleep.len() + usize::from(!running.is_null());
    while !turns.pop(|| now).is_null() {
        left += 1;
    }
    assert_eq!(left, all.len());
}
