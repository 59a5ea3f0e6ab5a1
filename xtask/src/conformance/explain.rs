//! `cargo xtask conformance --explain`: puts the failures that the document names to the causes that the list gives, without
//! a run. For working on the causes: a run takes minutes a crate.

use std::path::Path;

use anyhow::{Context, Result};

use super::compare::Loss;
use super::list::Subject;
use super::news::named;
use super::report;

/// Begins a paragraph about failures: a cause on the first line, names on the next.
const KINDS: [&str; 2] = ["Failed, ", "Not applicable, "];

/// Writes the section anew. Gives what still has no cause.
///
/// # Errors
/// The document has no section of this version, or it is not as a run writes it.
pub(super) fn explain(file: &Path, subject: &Subject) -> Result<Vec<String>> {
    let mut unexplained = Vec::new();
    report::rewrite(file, &subject.name, |text| {
        let title = format!("{} {}\n", subject.name, subject.version);
        let section = text.strip_prefix(&title).with_context(|| format!("no run of {} yet", title.trim_end()))?;
        let (own, others) = section.split_once(report::OTHERS).unwrap_or((section, ""));
        let paragraphs: Vec<&str> = own.trim().split("\n\n").collect();
        let is_loss = |paragraph: &str| KINDS.iter().any(|kind| paragraph.starts_with(kind));
        let losses: Vec<Loss> =
            paragraphs.iter().filter(|paragraph| is_loss(paragraph)).flat_map(|text| names(text, subject)).collect();
        unexplained = losses.iter().filter(|loss| loss.cause.is_none()).map(|loss| loss.test.clone()).collect();
        let mut written = title;
        for paragraph in paragraphs.iter().filter(|paragraph| !is_loss(paragraph)) {
            let is_row = paragraph.starts_with("| ");
            let row = if is_row { row(paragraph, &losses, subject)? } else { (*paragraph).to_owned() };
            written.push_str(&format!("\n{row}\n"));
        }
        report::losses(&mut written, subject, &losses)?;
        Ok(written + &report::others(others))
    })?;
    Ok(unexplained)
}

/// The tests that a paragraph names, each put to its cause.
fn names(paragraph: &str, subject: &Subject) -> Vec<Loss> {
    let loss = |(test, how): (&str, Option<&str>)| {
        let cause = subject.cause.iter().position(|cause| cause.is_of(test));
        Loss { test: test.to_owned(), how: how.unwrap_or("fails").to_owned(), cause }
    };
    paragraph.split_once('\n').map_or_else(Vec::new, |(_, names)| named(names).map(loss).collect())
}

/// The row, with other sums.
fn row(old: &str, losses: &[Loss], subject: &Subject) -> Result<String> {
    let cells: Vec<&str> = old.trim_matches('|').split('|').map(str::trim).collect();
    let [_, passed, _, _, _, linux, machine] = cells[..] else { anyhow::bail!("{}: what row is {old}?", subject.name) };
    let inherent = losses.iter().filter(|loss| loss.cause.is_some_and(|cause| subject.cause[cause].inherent)).count();
    let passed = passed.parse().with_context(|| format!("{}: what row is {old}?", subject.name))?;
    Ok(report::first_row(subject, passed, (losses.len() - inherent, inherent), (linux, machine)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_find_the_causes_of_the_list() {
        let file = std::env::temp_dir().join(format!("ampoule-explain-{}", std::process::id()));
        let old = "# X\n\n## x 1.0.0\n\n| x 1.0.0 | 9 | 3 | 0 | 75.0 % | 1.0 s | 2.0 s |\n\na date.\n\nFailed, 1: Old.\n`a::b` (hangs).\n\
                   \nFailed, 2, without a known cause:\n`c::d`, `e::f` (ends its program).\n";
        std::fs::write(&file, old).expect("written");
        let list = "name = \"x\"\nversion = \"1.0.0\"\nchecksum = \"\"\n[[cause]]\ntests = [\"a::*\"]\nbecause = \"New.\"\n\
                    [[cause]]\ntests = [\"e::*\"]\nbecause = \"Never.\"\ninherent = true";
        let subject: Subject = toml::from_str(list).expect("a subject");
        assert_eq!(explain(&file, &subject).expect("explained"), ["c::d"]);
        let text = std::fs::read_to_string(&file).expect("there");
        let wanted = "\n## x 1.0.0\n\n| x 1.0.0 | 9 | 2 | 1 | 81.8 % | 1.0 s | 2.0 s |\n\na date.\n\nFailed, 1: New.\n`a::b` (hangs).\n\
                      \nNot applicable, 1: Never.\n`e::f` (ends its program).\n\nFailed, 1, without a known cause:\n`c::d`.\n";
        assert!(text.ends_with(wanted), "{text}");
        explain(&file, &subject).expect("explained");
        assert_eq!(std::fs::read_to_string(&file).expect("there"), text, "once is enough");
        let other = Subject { version: "2.0.0".into(), ..subject };
        assert!(explain(&file, &other).is_err());
        std::fs::remove_file(&file).expect("removed");
    }
}
