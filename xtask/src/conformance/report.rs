//! `docs/conformance.md`: a section for each crate, and a table made of the sections' sums. A run of some crates writes
//! their sections anew and leaves the others.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::compare::Comparison;
use super::list::Subject;

const HEAD: &str = "\
# Conformance

Other people's crates, with their own test suites: what passes on Linux, and what of it passes in a machine. Written by
`cargo xtask conformance`; do not edit. Sources are unmodified, as crates.io gives them, and run by `ampoule test` as a
process. A test counts if it passes on Linux on the same computer. Each that does not pass in the machine is named with its
cause. \"Not applicable\" are those whose cause is inherent in a machine: what they need cannot be there. Times are those of
the test programs that end by themselves in both places, debug builds, on two shared cores.

| crate | passed | failed | not applicable | passed, of the applicable | time on Linux | in the machine |
|---|---|---|---|---|---|---|
";

/// Writes the section of `subject`.
pub(super) fn put(file: &Path, subject: &Subject, comparison: &Comparison) -> Result<()> {
    let old = fs::read_to_string(file).unwrap_or_default();
    let mut sections: Vec<(String, String)> = old.split("\n## ").skip(1).filter_map(named).collect();
    let text = section(subject, comparison)?;
    match sections.iter_mut().find(|(name, _)| *name == subject.name) {
        Some(section) => section.1 = text,
        None => sections.push((subject.name.clone(), text)),
    }
    sections.sort();
    let rows: String = sections.iter().filter_map(|(_, text)| row_of(text)).map(|row| format!("{row}\n")).collect();
    let sections: String = sections.iter().map(|(_, text)| format!("\n## {}\n", text.trim_end())).collect();
    fs::write(file, format!("{HEAD}{rows}{sections}")).with_context(|| format!("cannot write {}", file.display()))
}

/// A section's crate, and its text.
fn named(text: &str) -> Option<(String, String)> {
    Some((text.split(' ').next()?.to_owned(), text.to_owned()))
}

/// The table's row, which stands in the section.
fn row_of(text: &str) -> Option<&str> {
    text.lines().find(|line| line.starts_with("| ") && line.ends_with(" s |"))
}

fn section(subject: &Subject, comparison: &Comparison) -> Result<String> {
    let Comparison { passed, failed, not_applicable, time, timed, .. } = comparison;
    let mut text = format!("{} {}\n\n", subject.name, subject.version);
    let share = 100.0 * *passed as f64 / (passed + failed).max(1) as f64;
    writeln!(
        text,
        "| {} {} | {passed} | {failed} | {not_applicable} | {:.1} % | {:.1} s | {:.1} s |\n",
        subject.name,
        subject.version,
        // Not all, unless it is all.
        (share * 10.0).floor() / 10.0,
        time.0.as_secs_f64(),
        time.1.as_secs_f64(),
    )?;
    write!(text, "{}, {}", today()?, toolchain()?)?;
    if !subject.features.is_empty() {
        write!(text, "; features {}", subject.features.join(", "))?;
    }
    if !subject.rustflags.is_empty() {
        write!(text, "; `{}`", subject.rustflags)?;
    }
    if !subject.without.is_empty() {
        write!(text, "; without the development dependencies {}", subject.without.join(", "))?;
    }
    if timed.0 < timed.1 {
        write!(text, "; times of {} of {} programs", timed.0, timed.1)?;
    }
    text.push_str(".\n");
    if !subject.note.is_empty() {
        writeln!(text, "\n{}", subject.note)?;
    }
    if !comparison.not_on_linux.is_empty() {
        writeln!(text, "\nDo not pass on Linux: {}.", names(comparison.not_on_linux.iter().map(String::as_str)))?;
    }
    losses(&mut text, subject, comparison)?;
    Ok(text)
}

fn losses(text: &mut String, subject: &Subject, comparison: &Comparison) -> Result<()> {
    for (index, cause) in subject.cause.iter().enumerate() {
        let of_it = comparison.losses.iter().filter(|loss| loss.cause == Some(index));
        let tests: Vec<String> = of_it.map(|loss| format!("{} ({})", loss.test, loss.how)).collect();
        if !tests.is_empty() {
            let kind = if cause.inherent { "Not applicable" } else { "Failed" };
            writeln!(
                text,
                "\n{kind}, {}: {}\n{}.",
                tests.len(),
                cause.because.trim(),
                names(tests.iter().map(String::as_str))
            )?;
        }
    }
    let unexplained: Vec<&str> =
        comparison.losses.iter().filter(|loss| loss.cause.is_none()).map(|loss| loss.test.as_str()).collect();
    if !unexplained.is_empty() {
        writeln!(text, "\nFailed, {}, without a known cause:\n{}.", unexplained.len(), names(unexplained.into_iter()))?;
    }
    Ok(())
}

/// Names in a row; how they fail is left out where they just fail.
fn names<'a>(tests: impl Iterator<Item = &'a str>) -> String {
    tests
        .map(|test| format!("`{}`", test.trim_end_matches(" (fails)")).replace(" (", "` (").replace(")`", ")"))
        .collect::<Vec<_>>()
        .join(", ")
}

fn today() -> Result<String> {
    output(Command::new("date").args(["-u", "+%Y-%m-%d"]))
}

fn toolchain() -> Result<String> {
    let all = output(Command::new("rustc").arg("-V"))?;
    Ok(all.split(" (").next().unwrap_or_default().to_owned())
}

fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot start {}", command.get_program().display()))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
