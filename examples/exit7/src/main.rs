//! Ends with status 7.

use std::process::ExitCode;

fn main() -> ExitCode {
    eprintln!("ending with status 7");
    ExitCode::from(7)
}
