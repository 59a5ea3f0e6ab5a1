//! The command line of `ampoule test`: few words are ours, all others are cargo's, and they may be mixed.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::Failure;

/// Our own options that take a value.
const OURS: [&str; 3] = ["--on", "--machine", "--memory"];
/// Cargo's options that say which project and how to read it, each with a value.
const PROJECT: [&str; 2] = ["--manifest-path", "--config"];
/// The same, without one.
const PROJECT_SWITCHES: [&str; 3] = ["--locked", "--offline", "--frozen"];

/// `ampoule test WORDS`, sorted: our own options, `--`, and cargo's words as they are. Other commands are left alone.
pub fn sorted(words: Vec<OsString>) -> Vec<OsString> {
    if words.get(1).is_none_or(|word| word != "test") {
        return words;
    }
    let (mut ours, mut cargo) = (words[..2].to_vec(), vec![OsString::from("--")]);
    let mut rest = words.into_iter().skip(2);
    while let Some(word) = rest.next() {
        let text = word.to_str().unwrap_or_default();
        let name = text.split_once('=').map_or(text, |(name, _)| name);
        if text == "--" {
            cargo.push(word);
            break;
        } else if OURS.contains(&name) {
            let has_value = name.len() < text.len();
            ours.push(word);
            ours.extend((!has_value).then(|| rest.next()).flatten());
        } else if ["-h", "--help"].contains(&text) {
            ours.push(word);
        } else {
            cargo.push(word);
        }
    }
    cargo.extend(rest);
    ours.extend(cargo);
    ours
}

/// Cargo's words, as far as they are our business.
#[derive(Debug, Default)]
pub(super) struct Words {
    /// Those that say which project.
    pub(super) project: Vec<String>,
    /// Where the user wants it built.
    pub(super) target_folder: Option<PathBuf>,
    /// All but the target folder, for `cargo test`.
    pub(super) others: Vec<OsString>,
}

/// Looks through them.
pub(super) fn of_cargo(words: &[OsString]) -> Result<Words, Failure> {
    let mut found = Words::default();
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        let text = word.to_str().unwrap_or_default();
        let (name, mut value) = match text.split_once('=') {
            Some((name, value)) if text.starts_with("--") => (name, Some(value.to_owned())),
            _ => (text, None),
        };
        if text == "--" {
            found.others.push(word.clone());
            break;
        }
        let takes_value = PROJECT.contains(&name) || ["--target-dir", "--target"].contains(&name);
        let mut all = vec![word.clone()];
        if takes_value && value.is_none() {
            let next = rest.next().ok_or_else(|| Failure::input(format!("{name} wants a value")))?;
            value = next.to_str().map(str::to_owned);
            all.push(next.clone());
        }
        match (name, value) {
            ("--target", value) => {
                if value.as_deref() != Some("x86_64-unknown-linux-gnu") {
                    return Err(Failure::input("--target: machines are of x86_64-unknown-linux-gnu alone"));
                }
                continue;
            }
            ("--target-dir", value) => {
                found.target_folder = value.map(PathBuf::from);
                continue;
            }
            (name, Some(value)) if PROJECT.contains(&name) => found.project.extend([name.to_owned(), value]),
            (name, None) if PROJECT_SWITCHES.contains(&name) => found.project.push(name.to_owned()),
            _ => {}
        }
        found.others.extend(all);
    }
    found.others.extend(rest.cloned());
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<OsString> {
        text.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn ours_come_first_wherever_they_stand() {
        let mixed = words("ampoule test --release --on kvm a::b --memory=1G -p x -- --nocapture --on x");
        let right = words("ampoule test --on kvm --memory=1G -- --release a::b -p x -- --nocapture --on x");
        assert_eq!(sorted(mixed), right);
        assert_eq!(sorted(words("ampoule test -- --list")), words("ampoule test -- -- --list"));
        assert_eq!(sorted(words("ampoule run x -- test --on y")), words("ampoule run x -- test --on y"));
    }

    #[test]
    fn the_project_is_found_as_cargo_finds_it() {
        let found =
            of_cargo(&words("--manifest-path=a/Cargo.toml --offline --target-dir out -F x -- --manifest-path b"));
        let found = found.expect("reads");
        assert_eq!(found.project, ["--manifest-path", "a/Cargo.toml", "--offline"]);
        assert_eq!(found.target_folder, Some("out".into()));
        assert_eq!(found.others, words("--manifest-path=a/Cargo.toml --offline -F x -- --manifest-path b"));
        assert!(of_cargo(&words("--target wasm32-wasip1")).is_err());
    }
}
