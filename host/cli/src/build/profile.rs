//! The workspace's release profile: what the build has to know of it, and how it goes along to a program that lies elsewhere.

use std::env;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use toml::de::{DeTable, DeValue};

/// What a panic does, as the package's profile says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Panic {
    /// It ends the machine; no unwinder is linked.
    Abort,
    /// It unwinds its thread, with the toolchain's unwinder.
    Unwind,
}

/// What the tool sets itself, by variables, which count less than cargo's `--config`.
const OURS: [&str; 4] = ["debug", "panic", "split-debuginfo", "strip"];

/// What the workspace's release profile, or the variable that overrides it, says of panics.
pub(super) fn panic(workspace: &Path) -> Result<Panic> {
    let value = match env::var("CARGO_PROFILE_RELEASE_PANIC") {
        Ok(value) => Some(value),
        Err(_) => profile_panic(&text(workspace)?),
    };
    Ok(if value.as_deref() == Some("abort") { Panic::Abort } else { Panic::Unwind })
}

/// Does the workspace's release profile, or the variable that overrides it, ask for the smallest code?
pub(super) fn is_small(workspace: &Path, name: &str) -> Result<bool> {
    let level = env::var("CARGO_PROFILE_RELEASE_OPT_LEVEL").ok();
    Ok(profile_level(&text(workspace)?, name).or(level).as_deref() == Some("z"))
}

/// The workspace's release profile as cargo's `--config` takes it, line by line, for a build in another folder.
pub(super) fn carried(workspace: &Path) -> Result<Vec<String>> {
    Ok(profile_carried(&text(workspace)?))
}

fn text(workspace: &Path) -> Result<String> {
    let file = workspace.join("Cargo.toml");
    fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))
}

/// `[profile.release]`, for `with`.
fn release<T>(cargo_toml: &str, with: impl FnOnce(&DeTable<'_>) -> Option<T>) -> Option<T> {
    let document = DeTable::parse(cargo_toml).ok()?;
    with(document.get_ref().get("profile")?.get_ref().as_table()?.get("release")?.get_ref().as_table()?)
}

/// The level of the package `name`, where it is a letter.
fn profile_level(cargo_toml: &str, name: &str) -> Option<String> {
    let level = |table: &DeTable<'_>| table.get("opt-level")?.get_ref().as_str().map(str::to_owned);
    release(cargo_toml, |release| {
        let own = || release.get("package")?.get_ref().as_table()?.get(name)?.get_ref().as_table();
        own().and_then(level).or_else(|| level(release))
    })
}

fn profile_panic(cargo_toml: &str) -> Option<String> {
    release(cargo_toml, |release| release.get("panic")?.get_ref().as_str().map(str::to_owned))
}

fn profile_carried(cargo_toml: &str) -> Vec<String> {
    let mut lines = Vec::new();
    release(cargo_toml, |table| {
        flatten("profile.release", table, &mut lines);
        Some(())
    });
    lines.retain(|line| !OURS.iter().any(|key| line.starts_with(&format!("profile.release.\"{key}\"="))));
    lines
}

/// Cargo takes no tables there, but keys with dots.
fn flatten(before: &str, table: &DeTable<'_>, lines: &mut Vec<String>) {
    for (key, value) in table {
        let key = format!("{before}.{:?}", key.get_ref());
        match value.get_ref() {
            DeValue::Table(table) => flatten(&key, table, lines),
            DeValue::String(text) => lines.push(format!("{key}={text:?}")),
            DeValue::Integer(number) => lines.push(format!("{key}={number}")),
            DeValue::Boolean(yes) => lines.push(format!("{key}={yes}")),
            // No key of a profile has another kind of value.
            DeValue::Float(_) | DeValue::Datetime(_) | DeValue::Array(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_package_s_own_level_counts() {
        let text = "[profile.release]\nopt-level = \"s\"\n[profile.release.package.a]\nopt-level = \"z\"";
        assert_eq!(profile_level(text, "a").as_deref(), Some("z"));
        assert_eq!(profile_level(text, "b").as_deref(), Some("s"));
        assert_eq!(profile_level("[profile.release]\nopt-level = 3", "a"), None);
    }

    #[test]
    fn the_profile_says_what_a_panic_does() {
        assert_eq!(profile_panic("[profile.release]\npanic = \"abort\"").as_deref(), Some("abort"));
        assert_eq!(profile_panic("[profile.release]\nlto = true"), None);
        assert_eq!(profile_panic("[package]\nname = \"x\""), None);
    }

    #[test]
    fn the_profile_goes_along_but_for_what_the_tool_sets() {
        let text = "[profile.release]\nopt-level = 1\nlto = \"fat\"\npanic = \"abort\"\nstrip = true\n\
                    [profile.release.package.\"*\"]\nopt-level = 3";
        let release = |rest: &str| format!("profile.release.{rest}");
        let carried = [r#""lto"="fat""#, r#""opt-level"=1"#, r#""package"."*"."opt-level"=3"#].map(release);
        assert_eq!(profile_carried(text), carried);
        assert!(profile_carried("[profile.release]\npanic = \"abort\"").is_empty());
        assert!(profile_carried("[package]\nname = \"x\"").is_empty());
    }
}
