//! std's documentation of `fs`, case by case, in a directory of its own. Every line says what happened, errors by their
//! number. The same program runs on Linux, and the lines must be the same.

#[cfg(feature = "line")]
use ampoule as _;

mod directories;
mod fifos;
mod files;
mod mapping;
mod names;
mod records;
mod sockets;

use std::fmt::Debug;
use std::io::{Error, Result};

/// A case's line: the value, or the error's number.
fn say<T: Debug>(what: &str, result: Result<T>) {
    match result {
        Ok(value) => println!("{what}: {value:?}"),
        Err(error) => match error.raw_os_error() {
            Some(number) => println!("{what}: errno {number}"),
            None => println!("{what}: {:?}", error.kind()),
        },
    }
}

/// What a C function said that reports by `errno`.
fn by_errno(result: i64) -> Result<i64> {
    if result == -1 { Err(Error::last_os_error()) } else { Ok(result) }
}

fn main() {
    let own = std::env::temp_dir().join(format!("std-fs-{}", std::process::id()));
    std::fs::create_dir(&own).expect("a directory of our own");
    std::env::set_current_dir(&own).expect("it can be entered");
    files::run();
    names::run();
    directories::run();
    mapping::run();
    fifos::run();
    records::run();
    sockets::run();
    std::env::set_current_dir("/").expect("the root");
    say("all of it goes", std::fs::remove_dir_all(&own));
    println!("it is gone: {}", !own.exists());
}
