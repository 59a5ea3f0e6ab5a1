//! What small operations cost: `bench/programs/costs` in a machine and natively, in turns; natively with all CPUs and with
//! one, which is what a machine has.

use super::start::run;
use super::subjects::finish;
use super::{Row, Subjects};
use anyhow::{Context, Result};
use std::collections::HashMap;
use std::process::Command;

const ROUNDS: usize = 5;
const FOLDER: &str = "bench/programs/costs";

/// Where the program ran: the values by their names.
type Values = HashMap<String, f64>;

pub(super) fn rows(subjects: &Subjects) -> Result<Vec<Row>> {
    let image = subjects.image(FOLDER, false)?;
    let native = subjects.native(FOLDER)?;
    let mut no_kvm = None;
    let [mut process, mut machine, mut free, mut pinned] = [const { None }; 4];
    for _ in 0..ROUNDS {
        least(&mut process, &finish(run(subjects, &image).args(["--on", "process"]))?)?;
        match finish(run(subjects, &image).args(["--on", "kvm"])) {
            Ok(output) => least(&mut machine, &output)?,
            Err(error) => no_kvm = Some(format!("not measured: {error:#}")),
        }
        least(&mut free, &finish(&mut Command::new(&native))?)?;
        least(&mut pinned, &finish(Command::new("taskset").args(["--cpu-list", "0"]).arg(&native))?)?;
    }
    let value = |values: &Option<Values>, name: &str| {
        let value = values.as_ref()?.get(name)?;
        Some(if *value < 1000.0 { format!("{value:.1}") } else { format!("{value:.0}") })
    };
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let row = |name: &str, what: &str, reach| {
        let kvm = value(&machine, name).or_else(|| no_kvm.clone()).unwrap_or_default();
        let measured = value(&process, name).context("the program printed no such line");
        let beside = [(&free, format!("native on {cpus} CPUs")), (&pinned, "on one".to_owned())];
        let beside = beside.map(|(values, whose)| format!("{whose} {}", value(values, name).unwrap_or("–".into())));
        Row::new(format!("{what}, ns"), measured.map(|ns| format!("{ns}; KVM {kvm}")), reach, beside.join(", "))
    };
    Ok(vec![
        row("pipe_read", "a `read` of one byte from a pipe", "≤ 30"),
        row("futex_wake", "an uncontended futex wake", "≤ 30"),
        row("clock_gettime", "`clock_gettime` (`Instant::now`)", "≤ 30"),
        row("malloc_free", "`malloc` and `free` of 100 bytes", "–"),
        row("thread_local", "a change of a thread-local value", "–"),
        row("spawn_join", "`thread::spawn` and join", "≤ native"),
        row("channel_ping_pong", "a channel ping-pong", "≤ native"),
        row("condvar_ping_pong", "a condition variable's ping-pong", "–"),
        row("park_unpark", "`park` and `unpark`, there and back", "–"),
        row("mutex_alone", "a turn of a mutex that nobody else wants", "–"),
        row("mutex_2", "a turn of a mutex, 2 threads", "≤ native"),
        row("mutex_8", "a turn of a mutex, 8 threads", "≤ native"),
        row("sleep_100_middle", "a sleep of 100 µs is longer by, at the median", "–"),
        row("sleep_100_99", "… at the 99th percentile", "–"),
        row("sleep_1000_middle", "a sleep of 1 ms is longer by, at the median", "–"),
        row("sleep_1000_99", "… at the 99th percentile", "–"),
    ])
}

/// Keeps the least value of each line.
fn least(best: &mut Option<Values>, output: &str) -> Result<()> {
    let best = best.get_or_insert_default();
    for line in output.lines() {
        let (name, value) = line.split_once(' ').context("a line of `costs` is no name and number")?;
        let value: f64 = value.parse()?;
        best.entry(name.to_owned()).and_modify(|b| *b = b.min(value)).or_insert(value);
    }
    Ok(())
}
