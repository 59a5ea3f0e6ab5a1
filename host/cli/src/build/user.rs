//! The user's own compiler flags: `RUSTFLAGS`, `[build] rustflags`, `[target.…] rustflags`, whatever cargo's rules choose
//! among them.
//!
//! Cargo has the rules (*The Cargo Book*, Configuration, `build.rustflags`), and no stable way to ask for their result. But
//! before it does anything for a target it asks rustc about the target, with the flags that the target's crates will get.
//! So cargo is given the tool as its `RUSTC_WRAPPER`, and the wrapper writes down what it was asked with. What cargo
//! remembers of earlier answers is left out for that once.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::flags::TARGET;

/// Says that the tool is called as a wrapper to find the flags, and names the file that they go to.
const ANSWER: &str = "AMPOULE_WRAPPER_ANSWER";
/// Parts flags, as in cargo's own `CARGO_ENCODED_RUSTFLAGS`.
const SEPARATOR: char = '\x1f';

/// Where the wrapper of one cargo writes.
#[derive(Debug)]
pub(super) struct Question {
    file: PathBuf,
}

impl Question {
    pub(super) fn new() -> Self {
        Self { file: env::temp_dir().join(format!("ampoule-{}.rustflags", std::process::id())) }
    }

    /// The environment for the cargo that is asked.
    pub(super) fn environment(&self) -> Result<Vec<(&'static str, OsString)>> {
        let tool = env::current_exe().context("cannot find the tool's own file")?;
        Ok(vec![
            ("RUSTC_WRAPPER", tool.into()),
            (ANSWER, self.file.clone().into()),
            ("CARGO_CACHE_RUSTC_INFO", "0".into()),
        ])
    }

    /// What it was told: flags for the crates of the target.
    pub(super) fn answer(&self) -> Result<Vec<String>> {
        let text = fs::read_to_string(&self.file).context("cargo does not say with which flags it compiles")?;
        Ok(text.split(SEPARATOR).filter(|flag| !flag.is_empty()).map(str::to_owned).collect())
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        _ = fs::remove_file(&self.file);
    }
}

/// As the wrapper: writes the flags down if `words`, rustc's command line, ask about the target.
pub(super) fn answer(words: &[OsString]) {
    let (Some(file), Some(flags)) = (env::var_os(ANSWER), asked_with(words)) else { return };
    // Whoever asked misses it and says so.
    _ = fs::write(Path::new(&file), flags.join(&SEPARATOR.to_string()));
}

/// Is it this kind of wrapper?
pub(super) fn is_asked() -> bool {
    env::var_os(ANSWER).is_some()
}

/// `rustc - --crate-name ___ --print=file-names FLAGS --target TRIPLE --crate-type …`.
fn asked_with(words: &[OsString]) -> Option<Vec<&str>> {
    let words: Vec<&str> = words.iter().map(|word| word.to_str()).collect::<Option<_>>()?;
    let first = words.iter().position(|word| *word == "--print=file-names")? + 1;
    let end = words.windows(2).rposition(|pair| pair == ["--target", TARGET])?;
    words.get(first..end).map(<[&str]>::to_vec)
}

/// The user's flags, and after them ours. What both say is said once, as we say it.
pub(super) fn joined(user: &[String], ours: Vec<String>) -> Vec<String> {
    user.iter().filter(|flag| !ours.contains(flag)).cloned().chain(ours.iter().cloned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(text: &str) -> Option<Vec<String>> {
        let words: Vec<OsString> = text.split(' ').map(OsString::from).collect();
        asked_with(&words).map(|flags| flags.into_iter().map(str::to_owned).collect())
    }

    #[test]
    fn flags_stand_between_the_questions() {
        let asked = "rustc - --crate-name ___ --print=file-names --cfg tokio_unstable -Cx=y --target \
                     x86_64-unknown-linux-gnu --crate-type bin --print=cfg";
        assert_eq!(flags(asked), Some(["--cfg", "tokio_unstable", "-Cx=y"].map(str::to_owned).to_vec()));
    }

    #[test]
    fn the_host_and_other_calls_are_no_answer() {
        assert_eq!(flags("rustc - --crate-name ___ --print=file-names --crate-type bin"), None);
        assert_eq!(flags("rustc -vV"), None);
    }

    #[test]
    fn what_both_say_is_said_once() {
        let user = ["-Cdebuginfo=1", "-Ctarget-feature=+crt-static"].map(str::to_owned);
        let ours = vec!["-Ctarget-feature=+crt-static".to_owned()];
        assert_eq!(joined(&user, ours), ["-Cdebuginfo=1", "-Ctarget-feature=+crt-static"]);
    }
}
