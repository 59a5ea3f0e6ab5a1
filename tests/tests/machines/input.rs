//! Standard input reaches the program whole, and so does its end, at once or much later.

use std::io::Write;
use std::path::Path;
use std::thread;
use std::time::Duration;

use ampoule_tests::backend::Backend;
use ampoule_tests::harness::Case;
use ampoule_tests::machine::Machine;
use ampoule_tests::tool;
use anyhow::{Context, Result, ensure};

use crate::everywhere;

pub(crate) fn cases() -> Vec<Case> {
    everywhere("input and its end", input).collect()
}

fn input(backend: Backend) -> Result<()> {
    let abort = [("CARGO_PROFILE_RELEASE_PANIC", Path::new("abort"))];
    let image = tool::image_with("tests/guests/input", &[], &abort)?;
    // 200 KB in 100 lines: more than all buffers on the way hold.
    let long: Vec<String> = (0..100).map(|number| format!("{number:0>2000}")).collect();
    let (three, long) = (vec!["one", "two", "three"], long.iter().map(String::as_str).collect::<Vec<_>>());
    let all: [(&[&str], _); 3] = [
        (&["one\ntwo\nthree\n"], &three),
        (&["one\ntw", "o\nthree\n"], &three),
        (&[&format!("{}\n", long.join("\n"))], &long),
    ];
    for (pieces, lines) in all {
        let (machine, mut input) = Machine::start_fed(&image, backend, &[])?;
        for piece in pieces {
            input.write_all(piece.as_bytes()).context("the tool takes no input")?;
            thread::sleep(Duration::from_millis(100));
        }
        drop(input);
        let end = machine.end()?.with_status(9 + lines.len() as i32)?;
        ensure!(end.output == format!("read {lines:?}\n"), "of {} lines it read {:?}", lines.len(), end.output);
    }
    Ok(())
}
