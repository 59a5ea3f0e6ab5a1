//! What small operations cost: `bench/programs/costs` in every place, natively with all CPUs and with one, as a machine has.

use super::place::Place;
use super::start::prints;
use super::subjects::{Program, Subjects};
use super::turns::{Contender, take};
use super::{figure, less};
use crate::command::outcome;
use crate::results::{Figure, Line};
use anyhow::{Context, Result, bail};
use std::collections::HashMap;
use std::time::Duration;

const ROUNDS: usize = 5;
/// Rounds of QEMU's guests, which take longer.
const SLOW_ROUNDS: usize = 3;
const PATIENCE: Duration = Duration::from_secs(90);
const FAST: [Place; 4] = [Place::Process, Place::Kvm, Place::Native, Place::Pinned];
const SLOW: [Place; 2] = [Place::Q35, Place::Linux];

/// What the program prints, what it is, what is to be reached.
type Operation = (&'static str, &'static str, Option<&'static str>);
const CALLS: [Operation; 5] = [
    ("pipe_read", "a `read` of one byte from a pipe", Some("≤ 30")),
    ("futex_wake", "a futex wake that wakes nobody", Some("≤ 30")),
    ("clock_gettime", "`Instant::now`", Some("≤ 30")),
    ("malloc_free", "`malloc` and `free` of 100 bytes", None),
    ("thread_local", "a change of a thread-local value", None),
];
const THREADS: [Operation; 7] = [
    ("spawn_join", "`thread::spawn` and join", Some("≤ native")),
    ("channel_ping_pong", "a channel, there and back", Some("≤ native")),
    ("condvar_ping_pong", "a condition variable, there and back", None),
    ("park_unpark", "`park` and `unpark`, there and back", None),
    ("mutex_alone", "a turn of a mutex that nobody else wants", None),
    ("mutex_2", "a turn of a mutex that 2 threads want", Some("≤ native")),
    ("mutex_8", "a turn of a mutex that 8 threads want", Some("≤ native")),
];
const SLEEPS: [Operation; 4] = [
    ("sleep_100_middle", "a sleep of 100 µs, at the median", None),
    ("sleep_100_99", "a sleep of 100 µs, at the 99th percentile", None),
    ("sleep_1000_middle", "a sleep of 1 ms, at the median", None),
    ("sleep_1000_99", "a sleep of 1 ms, at the 99th percentile", None),
];

pub(super) fn figures(subjects: &Subjects) -> Result<Vec<Figure>> {
    let program = subjects.program("bench/programs/costs", false)?;
    let operations: Vec<Operation> = CALLS.into_iter().chain(THREADS).chain(SLEEPS).collect();
    let groups: Vec<String> = operations.iter().map(|(_, what, _)| (*what).to_owned()).collect();
    let contender = |place: &Place| {
        let place = *place;
        Contender::at(place, &program, false, &groups, {
            let (program, operations) = (&program, &operations);
            move || values(subjects, program, place, operations)
        })
    };
    let mut lines = take(subjects.rounds(ROUNDS), FAST.iter().map(contender).collect());
    lines.extend(take(subjects.rounds(SLOW_ROUNDS), SLOW.iter().map(contender).collect()));
    for line in lines.iter_mut().filter(|line| line.against == Some(Place::Native.who())) {
        let operation = operations.iter().find(|(_, what, _)| *what == line.group);
        line.reach = operation.and_then(|(_, _, reach)| reach.map(str::to_owned));
    }
    let of = |some: &[Operation]| -> Vec<Line> {
        let ours = |line: &&Line| some.iter().any(|(_, what, _)| *what == line.group);
        super::turns::grouped(lines.iter().filter(ours).cloned())
    };
    let least = subjects.rounds(SLOW_ROUNDS);
    let how = "Each sample is a run of the program, which times many batches and prints the mean of the quickest.";
    Ok(vec![
        figure("costs-calls", "What calls cost", how, vec![less("time", "ns")], least, of(&CALLS)),
        figure("costs-threads", "What threads cost each other", how, vec![less("time", "ns")], least, of(&THREADS)),
        figure(
            "costs-sleep",
            "How late a sleeper wakes",
            "By how much a sleep is longer than asked for, of 200 in a run, with nothing else to do.",
            vec![less("late by", "ns")],
            least,
            of(&SLEEPS),
        ),
    ])
}

/// One run: the values of the operations, in their order.
fn values(subjects: &Subjects, program: &Program, place: Place, operations: &[Operation]) -> Result<Vec<Vec<f64>>> {
    let (status, output, errors) = outcome(&mut prints(subjects, program, place, None)?, PATIENCE)?;
    let words = output.lines().filter_map(|line| line.trim().split_once(' '));
    let found: HashMap<&str, f64> = words.filter_map(|(name, value)| Some((name, value.parse().ok()?))).collect();
    let value = |(name, ..): &Operation| {
        let value = found.get(name).with_context(|| format!("no line `{name}`; it ended with {status}"));
        value.map(|value| vec![*value]).with_context(|| errors.trim().to_owned())
    };
    if found.is_empty() {
        bail!("it printed nothing, and ended with {status}: {}", errors.trim());
    }
    operations.iter().map(value).collect()
}
