//! What small operations cost: `bench/programs/costs` in a machine and natively, in turns.

use super::start::run;
use super::subjects::finish;
use super::{Row, Subjects};
use anyhow::{Context, Result};
use std::collections::HashMap;
use std::process::Command;

const ROUNDS: usize = 5;
const FOLDER: &str = "bench/programs/costs";

pub(super) fn rows(subjects: &Subjects) -> Result<Vec<Row>> {
    let image = subjects.image(FOLDER, false)?;
    let native = subjects.native(FOLDER)?;
    let (mut inside, mut outside) = (HashMap::new(), HashMap::new());
    for _ in 0..ROUNDS {
        least(&mut inside, &finish(run(subjects, &image).args(["--on", "process"]))?)?;
        least(&mut outside, &finish(&mut Command::new(&native))?)?;
    }
    let row = |name: &str, what: &str, reach| {
        let measured = inside.get(name).map(|ns| format!("{ns:.1}")).context("the program printed no such line");
        let native = outside.get(name).map_or(String::from("–"), |ns| format!("native {ns:.1}"));
        Row::new(format!("{what}, ns"), measured, reach, native)
    };
    Ok(vec![
        row("pipe_read", "a `read` of one byte from a pipe", "≤ 30"),
        row("futex_wake", "an uncontended futex wake", "≤ 30"),
        row("clock_gettime", "`clock_gettime` (`Instant::now`)", "≤ 30"),
        row("malloc_free", "`malloc` and `free` of 100 bytes", "–"),
        row("spawn_join", "`thread::spawn` and join", "–"),
        row("channel_ping_pong", "a channel ping-pong", "–"),
    ])
}

/// Keeps the least value of each line.
fn least(best: &mut HashMap<String, f64>, output: &str) -> Result<()> {
    for line in output.lines() {
        let (name, value) = line.split_once(' ').context("a line of `costs` is no name and number")?;
        let value: f64 = value.parse()?;
        best.entry(name.to_owned()).and_modify(|b| *b = b.min(value)).or_insert(value);
    }
    Ok(())
}
