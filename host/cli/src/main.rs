//! `ampoule`: seals ordinary Rust programs into virtual machines, and runs them.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    ampoule_cli::main(std::env::args_os())
}
