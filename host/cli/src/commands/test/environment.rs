//! Which of the host's environment variables a test finds in its machine.
//!
//! The rule: all of them, as on Linux, for what a test reads is anybody's guess (`CARGO_PKG_NAME`, `RUST_BACKTRACE`,
//! `RUST_LOG`, `DATABASE_URL`), except
//! - those that speak of the host's own programs and folders, `LD_*` and `TMPDIR`: the machine has its own `/tmp`;
//! - those that the tool itself set for cargo;
//! - those that are no UTF-8.
//!
//! One is added. Std's harness runs as many tests at once as there are CPUs, and with one it runs them on the main thread.
//! So that a machine with its one CPU shows what Linux shows here, `RUST_TEST_THREADS` is the number of the host's, unless
//! it is set.

use std::ffi::OsString;
use std::thread;

const THREADS: &str = "RUST_TEST_THREADS";
/// What the tool sets for cargo.
const OURS: [&str; 2] = ["CARGO_ENCODED_RUSTFLAGS", "RUSTDOC"];

/// Entries `NAME=value` for the machine, of the variables that the tool finds.
pub(super) fn passed(variables: impl Iterator<Item = (OsString, OsString)>) -> Vec<String> {
    let texts = variables.filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let mut entries: Vec<String> =
        texts.filter(|(name, _)| is_passed(name)).map(|(name, value)| format!("{name}={value}")).collect();
    if !entries.iter().any(|entry| entry.starts_with("RUST_TEST_THREADS=")) {
        let count = thread::available_parallelism().map_or(1, usize::from);
        entries.push(format!("{THREADS}={count}"));
    }
    entries
}

fn is_passed(name: &str) -> bool {
    let is_of_the_host = name.starts_with("LD_") || name == "TMPDIR";
    !(name.is_empty() || is_of_the_host || name.starts_with("AMPOULE_") || OURS.contains(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_but_the_host_s_own_are_passed() {
        let all = [("CARGO_PKG_NAME", "x"), ("LD_LIBRARY_PATH", "/x"), ("AMPOULE_TEST_ON", "kvm"), ("A", "b=c")];
        let passed = passed(all.into_iter().map(|(name, value)| (name.into(), value.into())));
        assert_eq!(passed[..2], ["CARGO_PKG_NAME=x", "A=b=c"]);
        assert!(passed[2].starts_with("RUST_TEST_THREADS="), "{passed:?}");
        assert_eq!(passed.len(), 3);
    }

    #[test]
    fn the_user_s_number_of_threads_counts() {
        let all = [("RUST_TEST_THREADS", "1")];
        assert_eq!(passed(all.into_iter().map(|(n, v)| (n.into(), v.into()))), ["RUST_TEST_THREADS=1"]);
    }
}
