//! Standard input reaches the program whole, and so does its end, at once or much later.

use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use ampoule_tests::backend::Backend;
use ampoule_tests::harness::Case;
use ampoule_tests::machine::{Machine, PATIENCE};
use ampoule_tests::tool;
use anyhow::{Context, Result, ensure};
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};

use crate::everywhere;

pub(crate) fn cases() -> Vec<Case> {
    everywhere("input and its end", input).chain(everywhere("each key of a raw terminal", keys)).collect()
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

/// A key arrives without a line's end behind it, unechoed, and the terminal is afterwards as it was.
fn keys(backend: Backend) -> Result<()> {
    let abort = [("CARGO_PROFILE_RELEASE_PANIC", Path::new("abort"))];
    let image = tool::image_with("tests/guests/keys", &[], &abort)?;
    let (mut keyboard, terminal) = terminal()?;
    let before = format!("{:?}", tcgetattr(&terminal)?);
    let mut machine = Machine::start_on(terminal.try_clone()?, &image, backend, &["--raw"])?;
    // Typed before the tool has the terminal, keys would be a line that has not ended.
    let deadline = Instant::now() + PATIENCE;
    while tcgetattr(&terminal)?.local_modes.contains(LocalModes::ICANON) {
        ensure!(Instant::now() < deadline, "the terminal still has lines");
        thread::sleep(Duration::from_millis(5));
    }
    for key in [b'a', b'\r', 4, 0x1b] {
        keyboard.write_all(&[key])?;
        machine.expect(&format!("key {key}"))?;
    }
    keyboard.write_all(b"q")?;
    machine.end()?.with_status(0)?;
    ensure!(format!("{:?}", tcgetattr(&terminal)?) == before, "the terminal is not as it was");
    Ok(())
}

/// A terminal, and the keyboard before it.
fn terminal() -> Result<(File, OwnedFd)> {
    let keyboard = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
    grantpt(&keyboard)?;
    unlockpt(&keyboard)?;
    let name = ptsname(&keyboard, Vec::new())?;
    let terminal = rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty())?;
    Ok((File::from(keyboard), terminal))
}
