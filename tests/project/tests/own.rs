//! A test without std's harness: it is a program, and its exit status is the result.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    println!("a harness of its own, with the arguments {arguments:?}");
    eprintln!("and a standard error");
    ExitCode::from(3)
}
