//! `cargo ampoule`: the same tool as `ampoule`.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    ampoule_cli::cargo_main(std::env::args_os())
}
