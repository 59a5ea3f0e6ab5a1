//! `cargo xtask`: what developers and CI run. `test` is everything, `prepush` the quick part of it, `bench` the numbers.
#![forbid(unsafe_code)]

mod bench;
mod conformance;
mod layers;
mod nested;
mod reproduce;
mod setup;
mod steps;
mod unsafety;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask COMMAND

  test [FILTER]    everything that CI checks; with FILTER only the integration tests whose names contain it
  prepush          the quick part: format, lints, layers, unsafe code, unit tests
  layers           may each crate depend on what it depends on?
  unsafe-check     does unsafe code stay where it belongs, and does every file say what it is?
  bench [--quick] [--resume] [PART]...
                   measures speed, size and memory beside their references, and writes docs/benchmarks.md (20 minutes);
                   --list tells the parts, --render writes the page of what was measured before
  reproduce [EXAMPLE]...  builds examples twice, in other folders, times, languages, as other users, and compares bytes
  conformance [CRATE]... [--on BACKEND] [--machine MACHINE] [--resume | --explain]
                   crates' own test suites on Linux and in machines, side by side; writes docs/conformance.md (minutes a
                   crate); --resume runs only what has not been run with these sources
  gibibyte         a GiB over each simulated bad link, and each way over each bad link between a machine and Linux
                   (half an hour)
  nested           the guests on the KVM of an emulated AMD CPU, with and without nested page tables (minutes)";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["test"] => steps::test(None),
        ["test", filter] => steps::test(Some(filter)),
        ["prepush"] => steps::prepush(),
        ["layers"] => layers::check(),
        ["unsafe-check"] => unsafety::check(),
        ["gibibyte"] => steps::gibibyte(),
        ["nested"] => nested::run(),
        ["reproduce", examples @ ..] => reproduce::run(examples),
        ["conformance", words @ ..] => conformance::run(words),
        ["bench", words @ ..] => return bench::main(words),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
