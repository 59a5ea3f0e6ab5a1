//! A walk through std's documentation, module by module: each case prints its name and what it saw.
//!
//! The test runs the same program on Linux, and the lines must be equal; so a case prints a property where the value
//! may differ (addresses, ports, times, numbers of threads and processes). `~N` before a line's name allows each of its
//! numbers to be N units in the last place off. Everything goes to standard output: some machines have one console.
//!
//! With another first argument than the manifest's it ends in one of the ways of [`ends`].
#[cfg(feature = "line")]
use ampoule as _;

mod alloc;
mod atomics;
mod channels;
mod collections;
mod ends;
mod env;
mod errors;
mod fds;
mod io;
mod locals;
mod locks;
mod maths;
mod names;
mod numbers;
mod once;
mod panics;
mod stdio;
mod tcp;
mod threads;
mod time;
mod udp;
mod unix;

use std::io::Error;
use std::process::ExitCode;

/// A case: its name, and what it does.
type Case = (&'static str, fn());

/// Prints what a case saw.
#[macro_export]
macro_rules! saw {
    ($name:expr, $value:expr) => {
        println!("  {}: {:?}", $name, $value)
    };
}

/// An error as a program sees it.
fn said(error: &Error) -> String {
    format!("{:?}, {:?}, {error}", error.kind(), error.raw_os_error())
}

/// A result, its error as a program sees it.
fn outcome<T: std::fmt::Debug>(result: std::io::Result<T>) -> String {
    match result {
        Ok(value) => format!("{value:?}"),
        Err(error) => said(&error),
    }
}

fn main() -> ExitCode {
    let first = std::env::args().nth(1);
    if let Some(how) = first.filter(|first| first != "one") {
        return ends::end(&how);
    }
    panics::print_to_output();
    let modules: [&[Case]; 21] = [
        stdio::CASES,
        threads::CASES,
        locals::CASES,
        locks::CASES,
        once::CASES,
        channels::CASES,
        atomics::CASES,
        tcp::CASES,
        udp::CASES,
        names::CASES,
        time::CASES,
        env::CASES,
        io::CASES,
        errors::CASES,
        fds::CASES,
        unix::CASES,
        collections::CASES,
        panics::CASES,
        alloc::CASES,
        numbers::CASES,
        maths::CASES,
    ];
    for (name, case) in modules.into_iter().flatten() {
        println!("{name}");
        case();
    }
    locals::leave_one_for_the_end();
    ExitCode::SUCCESS
}
