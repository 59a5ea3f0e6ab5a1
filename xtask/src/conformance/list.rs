//! `xtask/conformance.toml`: the crates whose suites are run, each with an exact version and the checksum of what
//! crates.io gives for it, and the causes of what does not pass.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

/// The file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    subject: Vec<Subject>,
}

/// A crate.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Subject {
    /// Its name on crates.io.
    pub(super) name: String,
    /// Its exact version.
    pub(super) version: String,
    /// SHA-256 of the `.crate` file, in hexadecimal.
    pub(super) checksum: String,
    /// Are its default features on?
    #[serde(default = "yes")]
    pub(super) default_features: bool,
    /// Features to test with, besides the default ones.
    #[serde(default)]
    pub(super) features: Vec<String>,
    /// Compiler flags that its own CI tests with.
    #[serde(default)]
    pub(super) rustflags: String,
    /// Arguments for cargo that choose targets; without any, all but documentation.
    #[serde(default)]
    pub(super) targets: Vec<String>,
    /// Development dependencies that are left out, with the targets that need them.
    #[serde(default)]
    pub(super) without: Vec<String>,
    /// Development dependencies that its tests use and the package does not name, with their versions: crates of the same
    /// repository, which cargo leaves out of what it publishes.
    #[serde(default)]
    pub(super) with: BTreeMap<String, String>,
    /// Does the package carry no tests, as crates.io gives it? Its sources are searched for some, and none is run.
    #[serde(default)]
    pub(super) carries_no_tests: bool,
    /// A folder that the package is published without, and its tests do not build without, on Linux either. The compiler has
    /// to say so, and none is run.
    #[serde(default)]
    pub(super) lacks: String,
    /// What has to be said of how it is tested.
    #[serde(default)]
    pub(super) note: String,
    /// Why tests do not pass.
    #[serde(default)]
    pub(super) cause: Vec<Cause>,
}

/// Why some tests do not pass inside.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cause {
    /// Which: `TARGET::TEST`, where `*` stands for any characters.
    pub(super) tests: Vec<String>,
    /// Is it inherent in a machine? Then the tests are not applicable; otherwise they have failed.
    #[serde(default)]
    pub(super) inherent: bool,
    /// The cause.
    pub(super) because: String,
    /// May the tests pass, too? For those whose result depends on time.
    #[serde(default)]
    pub(super) sometimes: bool,
}

fn yes() -> bool {
    true
}

impl Cause {
    /// Is it a cause of this test's?
    pub(super) fn is_of(&self, test: &str) -> bool {
        self.tests.iter().any(|pattern| matches(pattern, test))
    }
}

/// Reads it.
pub(super) fn read(file: &Path) -> Result<Vec<Subject>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let list: List = toml::from_str(&text).with_context(|| format!("cannot read {}", file.display()))?;
    for subject in &list.subject {
        for cause in &subject.cause {
            ensure!(!cause.because.trim().is_empty(), "{}: {:?} have an empty cause", subject.name, cause.tests);
        }
    }
    Ok(list.subject)
}

/// `*` stands for any characters, also for none.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((before, after)) = pattern.split_once('*') else { return pattern == text };
    let Some(rest) = text.strip_prefix(before) else { return false };
    (0..=rest.len()).any(|at| rest.is_char_boundary(at) && matches(after, &rest[at..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_a_shell() {
        for (pattern, text) in
            [("a::b", "a::b"), ("a::*", "a::b::c"), ("*::b*", "x::bc"), ("*", ""), ("p_*::*", "p_1::x")]
        {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("a::b", "a::bc"), ("a::*", "b::a::c"), ("p_*::x", "p_1::y")] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn the_list_can_be_read() {
        let file = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/conformance.toml"));
        assert!(!read(file).expect("it reads").is_empty());
    }
}
