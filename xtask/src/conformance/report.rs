//! `docs/conformance.md`: a section for each crate, and a table made of the sections' sums. A run of some crates writes
//! their sections anew and leaves the others.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::compare::{Comparison, Loss};
use super::list::Subject;
use super::names::{folded, names};
use super::news::Before;

const HEAD: &str = "\
# Conformance

Other people's crates, with their own test suites: what passes on Linux, and what of it passes in a machine. Written by
`cargo xtask conformance`; do not edit. Sources are unmodified, as crates.io gives them, and run by `ampoule test` as a
process. A test counts if it passes on Linux on the same computer. Each that does not pass in the machine is named with its
cause. \"Not applicable\" are those whose cause is inherent in a machine: what they need cannot be there. Times are those of
the test programs that end by themselves in both places, debug builds, on two shared cores, beside other work.

| crate | passed | failed | not applicable | passed, of the applicable | time on Linux | in the machine |
|---|---|---|---|---|---|---|
";

const ELSEWHERE: &str = "
The same under other backends, where it was tried. There a test that does not pass has one of the causes below, too.

| crate | backend | passed | failed | not applicable | time on Linux | in the machine | on |
|---|---|---|---|---|---|---|---|
";

/// Begins the part of a section that is of other backends.
pub(super) const OTHERS: &str = "\nUnder other backends:\n";

/// Writes the section of `subject`; its row for `other`, where that is another backend than a process. `day` is that of
/// the run. Gives what it said before.
pub(super) fn put(
    file: &Path,
    subject: &Subject,
    comparison: &Comparison,
    other: Option<&str>,
    day: &str,
) -> Result<Option<Before>> {
    let title = format!("{} {}\n", subject.name, subject.version);
    let mut before = None;
    rewrite(file, &subject.name, |text| {
        before = Before::read(text, &title, other);
        let (own, rows) = text.split_once(OTHERS).unwrap_or((text, ""));
        // What was seen of another version says nothing.
        let rows = if own.starts_with(&title) { rows.to_owned() } else { String::new() };
        match other {
            None => Ok(section(subject, comparison, day)? + &others(&rows)),
            Some(other) => {
                let nothing = format!("{title}\nOf a process nothing yet.");
                let own = if own.starts_with(&title) { own.trim_end() } else { &nothing };
                let rows = with_row(&rows, other, &row(subject, comparison, other, day)?);
                Ok(format!("{own}\n{}", others(&rows)))
            }
        }
    })?;
    Ok(before)
}

/// Writes the document with another section of this crate, made of the old one.
pub(super) fn rewrite(file: &Path, name: &str, section: impl FnOnce(&str) -> Result<String>) -> Result<()> {
    // Another run may be about other crates.
    let opened = fs::File::options().create(true).append(true).open(file);
    let lock = opened.with_context(|| format!("cannot write {}", file.display()))?;
    lock.lock().with_context(|| format!("cannot lock {}", file.display()))?;
    let old = fs::read_to_string(file).unwrap_or_default();
    let mut sections: Vec<(String, String)> = old.split("\n## ").skip(1).filter_map(named).collect();
    let at = sections.iter().position(|(found, _)| found == name);
    let old = at.map_or_else(String::new, |at| sections.swap_remove(at).1);
    sections.push((name.to_owned(), section(&old)?));
    sections.sort();
    fs::write(file, document(&sections)).with_context(|| format!("cannot write {}", file.display()))
}

/// Writes the section of a crate none of whose tests is run, and why.
pub(super) fn put_bare(file: &Path, subject: &Subject, why: &str) -> Result<()> {
    let Subject { name, version, .. } = subject;
    rewrite(file, name, |_| Ok(format!("{name} {version}\n\n{why} ({}).", today()?)))
}

/// The whole of it: the tables are the sections' own rows.
fn document(sections: &[(String, String)]) -> String {
    let lines = |rows: Vec<&str>| rows.iter().map(|row| format!("{row}\n")).collect::<String>();
    let first = lines(sections.iter().filter_map(|(_, text)| row_of(text)).collect());
    let rows_elsewhere = sections.iter().filter_map(|(_, text)| text.split_once(OTHERS));
    let elsewhere =
        lines(rows_elsewhere.flat_map(|(_, rows)| rows.lines().filter(|row| row.starts_with("| "))).collect());
    let head = if elsewhere.is_empty() { String::new() } else { format!("{ELSEWHERE}{elsewhere}") };
    let sections: String = sections.iter().map(|(_, text)| format!("\n## {}\n", text.trim_end())).collect();
    format!("{HEAD}{first}{head}{sections}")
}

pub(super) fn others(rows: &str) -> String {
    if rows.trim().is_empty() { String::new() } else { format!("{OTHERS}\n{}\n", rows.trim()) }
}

/// The rows of other backends with this one's, which begins with the row and goes on to the next.
fn with_row(rows: &str, other: &str, row: &str) -> String {
    let is_its = |part: &str| part.split(" | ").nth(1) == Some(other);
    let old = rows.trim().split("\n| ").map(|part| part.trim_start_matches("| ").trim_end());
    let mut all: Vec<&str> = old.filter(|part| !part.is_empty() && !is_its(part)).collect();
    all.push(row);
    all.sort_unstable();
    all.iter().map(|part| format!("| {part}\n")).collect()
}

/// A row without its beginning, and what does not pass there.
fn row(subject: &Subject, comparison: &Comparison, other: &str, day: &str) -> Result<String> {
    let Comparison { passed, failed, not_applicable, time, .. } = comparison;
    let (linux, machine) = (time.0.as_secs_f64(), time.1.as_secs_f64());
    let title = format!("{} {}", subject.name, subject.version);
    let mut text = format!(
        "{title} | {other} | {passed} | {failed} | {not_applicable} | {linux:.1} s | {machine:.1} s | {day} |",
    );
    if !comparison.losses.is_empty() {
        let tests: Vec<String> = comparison.losses.iter().map(|loss| format!("{} ({})", loss.test, loss.how)).collect();
        write!(text, "\n\nNot under {other}: {}.\n", names(tests.iter().map(String::as_str)))?;
    }
    Ok(text)
}

/// A section's crate, and its text.
fn named(text: &str) -> Option<(String, String)> {
    Some((text.split(' ').next()?.to_owned(), text.to_owned()))
}

/// The table's row, which stands in the section.
fn row_of(text: &str) -> Option<&str> {
    text.lines().find(|line| line.starts_with("| ") && line.ends_with(" s |"))
}

fn section(subject: &Subject, comparison: &Comparison, day: &str) -> Result<String> {
    let Comparison { passed, failed, not_applicable, time, timed, .. } = comparison;
    let mut text = format!("{} {}\n\n", subject.name, subject.version);
    let seconds = |time: Duration| format!("{:.1} s", time.as_secs_f64());
    let times = (&*seconds(time.0), &*seconds(time.1));
    writeln!(text, "{}\n", first_row(subject, *passed, (*failed, *not_applicable), times))?;
    write!(text, "{day}, {}", toolchain()?)?;
    if !subject.features.is_empty() {
        let alone = if subject.default_features { "" } else { ", without the default ones" };
        write!(text, "; features {}{alone}", subject.features.join(", "))?;
    }
    if !subject.rustflags.is_empty() {
        write!(text, "; `{}`", subject.rustflags)?;
    }
    if !subject.without.is_empty() {
        write!(text, "; without the development dependencies {}", subject.without.join(", "))?;
    }
    if !subject.with.is_empty() {
        let names: Vec<&str> = subject.with.keys().map(String::as_str).collect();
        write!(text, "; with the development dependencies {}, which the package does not name", names.join(", "))?;
    }
    if timed.0 < timed.1 {
        write!(text, "; times of {} of {} programs", timed.0, timed.1)?;
    }
    text.push_str(".\n");
    if !subject.note.is_empty() {
        writeln!(text, "\n{}", subject.note)?;
    }
    if !comparison.not_on_linux.is_empty() {
        writeln!(text, "\nDo not pass on Linux: {}.", folded(&comparison.not_on_linux))?;
    }
    losses(&mut text, subject, &comparison.losses)?;
    Ok(text)
}

/// The table's row: tests that passed, that failed and that are not applicable, and times.
pub(super) fn first_row(subject: &Subject, passed: usize, not: (usize, usize), times: (&str, &str)) -> String {
    let Subject { name, version, .. } = subject;
    // Not all, unless it is all.
    let share = (1000.0 * passed as f64 / (passed + not.0).max(1) as f64).floor() / 10.0;
    format!("| {name} {version} | {passed} | {} | {} | {share:.1} % | {} | {} |", not.0, not.1, times.0, times.1)
}

/// Those that did not pass, by causes.
pub(super) fn losses(text: &mut String, subject: &Subject, losses: &[Loss]) -> Result<()> {
    let shown = |loss: &Loss| format!("{} ({})", loss.test, loss.how);
    for (index, cause) in subject.cause.iter().enumerate() {
        let tests: Vec<String> = losses.iter().filter(|loss| loss.cause == Some(index)).map(shown).collect();
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
    let unexplained: Vec<String> = losses.iter().filter(|loss| loss.cause.is_none()).map(shown).collect();
    if !unexplained.is_empty() {
        let names = names(unexplained.iter().map(String::as_str));
        writeln!(text, "\nFailed, {}, without a known cause:\n{names}.", unexplained.len())?;
    }
    Ok(())
}

pub(super) fn today() -> Result<String> {
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

#[cfg(test)]
mod tests {
    use super::super::run::{Results, Verdict};
    use super::*;

    fn subject(version: &str) -> Subject {
        toml::from_str(&format!("name = \"x\"\nversion = \"{version}\"\nchecksum = \"\"")).expect("a subject")
    }

    fn comparison(subject: &Subject, failing: &[&str]) -> Comparison {
        let results = |failing: &[&str]| {
            let verdict = |name: &str| match failing.contains(&name) {
                true => Verdict::Failed("hangs".into()),
                false => Verdict::Passed,
            };
            let tests = ["a::b", "c::d"].map(|name| (name.to_owned(), verdict(name))).into();
            Results { tests, time: [("a".to_owned(), Duration::from_secs(1))].into() }
        };
        Comparison::new(subject, &results(&[]), &results(failing), true)
    }

    #[test]
    fn each_backend_s_row_stays_when_another_is_written() {
        let file = std::env::temp_dir().join(format!("ampoule-report-{}", std::process::id()));
        let (old, new) = (subject("1.0.0"), subject("1.1.0"));
        put(&file, &old, &comparison(&old, &[]), None, "2026-01-01").expect("written");
        put(&file, &old, &comparison(&old, &["a::b"]), Some("qemu/q35"), "2026-01-01").expect("written");
        put(&file, &old, &comparison(&old, &[]), Some("kvm"), "2026-01-01").expect("written");
        put(&file, &old, &comparison(&old, &[]), None, "2026-01-01").expect("written");
        let text = fs::read_to_string(&file).expect("there");
        let count = |text: &str, what: &str| text.matches(what).count();
        // In the table above, and in the section.
        assert_eq!(count(&text, "| x 1.0.0 | 2 | 0 | 0 | 100.0 % | 1.0 s | 1.0 s |"), 2, "{text}");
        assert_eq!(count(&text, "| x 1.0.0 | kvm | 2 | 0 | 0 | 1.0 s | 1.0 s |"), 2, "{text}");
        assert_eq!(count(&text, "| x 1.0.0 | qemu/q35 | 1 | 1 | 0 | 1.0 s | 1.0 s |"), 2, "{text}");
        assert_eq!(count(&text, "Not under qemu/q35: `a::b` (hangs)."), 1, "{text}");
        put(&file, &old, &comparison(&old, &[]), Some("qemu/q35"), "2026-01-01").expect("written");
        let better = fs::read_to_string(&file).expect("there");
        assert_eq!((count(&better, "Not under"), count(&better, "| qemu/q35 | 2 |")), (0, 2), "{better}");
        put(&file, &new, &comparison(&new, &[]), None, "2026-01-01").expect("written");
        let text = fs::read_to_string(&file).expect("there");
        assert_eq!((count(&text, "kvm"), count(&text, "1.0.0"), count(&text, "## x")), (0, 0, 1), "{text}");
        fs::remove_file(&file).expect("removed");
    }
}
