//! The tool as cargo's `rustdoc`: the tests in documentation are compiled and linked by rustdoc itself, which knows nothing
//! of cargo's flags for crates. It gets ours here, after whatever flags of the user's cargo gives it.
//!
//! Since Rust 1.89 cargo hands rustdoc its runner, too (`--test-runtool`), so the programs come back to us as all others do.
//! Where rustdoc has put several tests into one program (edition 2024) they run in one machine, in the same process as
//! rustdoc calls it, as they do on Linux with a runner.

use std::env;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};

/// Says that the tool is called as rustdoc, and has our flags for it.
const FLAGS: &str = "AMPOULE_RUSTDOC_FLAGS";
/// The rustdoc that the user had set.
const INNER: &str = "AMPOULE_RUSTDOC_INNER";

/// Has `cargo` call this program for rustdoc.
pub(super) fn set(cargo: &mut Command, tool: &Path, flags: &[String]) {
    cargo.env(FLAGS, flags.join("\x1f")).env("RUSTDOC", tool);
    cargo.env(INNER, env::var_os("RUSTDOC").unwrap_or_else(|| "rustdoc".into()));
}

/// Runs rustdoc instead of the tool, if that is what we are called for: cargo names no command of ours.
pub fn take_role(words: &[OsString]) -> Option<ExitCode> {
    let flags = env::var(FLAGS).ok()?;
    let inner = env::var_os(INNER)?;
    let is_asked = |word: &OsString| word == "-vV" || word == "--test" || word == "--print";
    if super::runner::is_called(words) || !words.iter().skip(1).any(is_asked) {
        return None;
    }
    let mut command = Command::new(&inner);
    command.args(&words[1..]).env_remove(FLAGS);
    // A procedural macro's tests are of the compiler's world, for which cargo names no target.
    let names = |option: &str| words.iter().any(|word| word == option);
    if names("--test") && names("--target") {
        command.args(flags.split('\x1f').filter(|flag| !flag.is_empty()));
    }
    let error = command.exec();
    eprintln!("error: cannot start {}: {error}", inner.display());
    Some(ExitCode::FAILURE)
}
