//! Standard input: lines until its end, then an exit code from main (9 and the number of lines).
#[cfg(feature = "line")]
use ampoule as _;
use std::io::Read;
use std::process::ExitCode;

fn main() -> ExitCode {
    let lines: Vec<String> = std::io::stdin().lines().map(|line| line.expect("text")).collect();
    println!("read {lines:?}");
    assert_eq!(std::io::stdin().read(&mut [0; 8]).expect("still the end"), 0);
    ExitCode::from(9 + lines.len() as u8)
}
