//! Clocks and timers of a machine that stands still for seconds, as when its host is suspended or it is stopped by a signal:
//! `tests/guests/ticks` in the background of the host's own clock.

use std::time::{Duration, Instant};

use ampoule_tests::backend::Backend;
use ampoule_tests::guests::{Guest, Way};
use ampoule_tests::harness::Case;
use ampoule_tests::machine::Machine;
use anyhow::{Context, Result, ensure};
use rustix::process::Signal;

use crate::everywhere;

const STOPPED: Duration = Duration::from_secs(3);
const TICKS: u64 = 40;
const STEP_MS: u64 = 50;

pub(crate) fn cases() -> Vec<Case> {
    everywhere("time goes on while a machine stands still", stands_still).collect()
}

fn stands_still(backend: Backend) -> Result<()> {
    let guests = Guest::all()?;
    let guest = guests.iter().find(|guest| guest.name == "guest-ticks").context("there is no such guest")?;
    let image = guest.image(Way::Line)?;
    let start = Instant::now();
    let mut machine = Machine::start(&image, backend, &["--", &TICKS.to_string()])?;
    machine.expect("tick 9:")?;
    // All of its processes: the tool, what runs the machine, and QEMU, where that is it.
    machine.signal_all(Signal::STOP)?;
    let stopped = Instant::now();
    std::thread::sleep(STOPPED);
    machine.signal_all(Signal::CONT)?;
    let stopped = stopped.elapsed();
    let end = machine.end()?.with_status(0)?;
    let whole = start.elapsed();
    let last = end.output.lines().last().context("it prints")?;
    let [ticks, took, jumps, early] = numbers(last)[..] else { anyhow::bail!("not four numbers: {last}") };
    ensure!((ticks, early) == (TICKS, 0), "{last}\n{}", end.output);
    // The time that it stood still is in it, once: ticks that were missed are not made up for.
    let least = stopped.as_millis() as u64 - STEP_MS + (TICKS - 1) * STEP_MS;
    ensure!(jumps == 1 && took >= least, "{took} ms, at least {least}; {jumps} jumps\n{}", end.output);
    ensure!(u128::from(took) <= whole.as_millis(), "{took} ms of {whole:?}");
    for line in end.output.lines().filter(|line| line.starts_with("tick ")) {
        let [tick, monotonic, wall, ..] = numbers(line)[..] else { anyhow::bail!("no times: {line}") };
        ensure!(monotonic.abs_diff(wall) <= 20, "the clocks come apart at tick {tick}\n{}", end.output);
    }
    Ok(())
}

fn numbers(line: &str) -> Vec<u64> {
    line.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect()
}
