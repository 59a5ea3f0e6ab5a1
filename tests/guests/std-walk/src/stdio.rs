//! `std::io`: standard input, output and error.

use crate::{Case, outcome, saw};
use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::thread;

pub(crate) const CASES: &[Case] =
    &[("io::stdin", input), ("io::stdout", output), ("IsTerminal", terminals), ("threads that print", threads)];

fn input() {
    let mut line = String::new();
    saw!("read_line", (outcome(io::stdin().read_line(&mut line)), &line));
    let mut second = Vec::new();
    saw!("read_until", (outcome(io::stdin().lock().read_until(b'\n', &mut second)), second));
    let lines = io::stdin().lines().take(2).collect::<Result<Vec<_>, _>>();
    saw!("lines", lines.map_err(|e| e.to_string()));
    let mut three = [0; 3];
    saw!("read_exact", (outcome(io::stdin().read_exact(&mut three)), three));
    saw!("fill_buf and consume", {
        let mut input = io::stdin().lock();
        let first = input.fill_buf().map(|b| b.first().copied());
        input.consume(1);
        outcome(first)
    });
    let mut rest = String::new();
    saw!("read_to_string", (outcome(io::stdin().read_to_string(&mut rest)), rest));
    saw!("at the end", outcome(io::stdin().read(&mut three)));
    saw!("read_line at the end", outcome(io::stdin().read_line(&mut String::new())));
    saw!("read_to_end", outcome(io::stdin().lock().read_to_end(&mut Vec::new())));
}

fn output() {
    let mut lock = io::stdout().lock();
    lock.write_all(b"  written in ").unwrap();
    lock.write_all(b"two pieces\n").unwrap();
    writeln!(lock, "  formatted: {:>5}|{:<5}|{:^5}|{:#06x}|{:+.3e}", 1, 2, 3, 255, 1234.5).unwrap();
    print!("  a part, ");
    drop(lock);
    io::stdout().flush().unwrap();
    println!("and its end");
    let long = "x".repeat(5000);
    println!("  {long}");
    saw!("write of nothing", outcome(io::stdout().write(&[])));
    saw!("a write to stderr of nothing", outcome(io::stderr().write(&[])));
    saw!("bytes that are no text", outcome(io::stdout().write_all("  ünï→\n".as_bytes())));
}

fn terminals() {
    saw!("stdin", io::stdin().is_terminal());
    saw!("stdout", io::stdout().is_terminal());
    saw!("a pipe", std::fs::File::from(std::os::fd::OwnedFd::from(io::pipe().unwrap().0)).is_terminal());
}

/// Each line stays whole.
fn threads() {
    let counted = std::sync::atomic::AtomicU32::new(0);
    thread::scope(|s| {
        for _ in 0..4 {
            s.spawn(|| {
                for _ in 0..50 {
                    println!("  a line of one of four threads, and none of them is torn");
                    counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                }
            });
        }
    });
    saw!("lines", counted.into_inner());
}
