//! `ampoule inspect --diff BEFORE AFTER`.

use std::fmt::Write;

use image::contents::diff::{Change, Diff, diff};

use super::{Subject, print};
use crate::Failure;

/// How many functions a person is shown.
const FUNCTIONS: usize = 40;

/// Prints what grew.
pub(super) fn perform(before: &Subject, after: &Subject, json: bool) -> Result<u8, Failure> {
    let length = |subject: &Subject| subject.image.bytes().len() as u64;
    let diff = diff((before.contents()?, length(before)), (after.contents()?, length(after)));
    print(&if json { as_json(&diff) } else { as_text(&diff) })?;
    Ok(0)
}

fn as_text(diff: &Diff) -> String {
    let mut text = format!("{:>10} {:>10} {:>9}\n", "before", "after", "growth");
    line(&mut text, &diff.file);
    section(&mut text, "Crates, by text and data", &diff.crates, usize::MAX);
    section(&mut text, "Functions", &diff.functions, FUNCTIONS);
    text
}

fn section(text: &mut String, title: &str, changes: &[Change], most: usize) {
    _ = writeln!(text, "\n{title}");
    // Of a long list, what grew and what shrank the most.
    let (first, last) = match changes.len() > most {
        true => (most / 2, changes.len() - most / 2),
        false => (changes.len(), changes.len()),
    };
    changes[..first].iter().for_each(|change| line(text, change));
    if first < last {
        _ = writeln!(text, "{:>31}  {} more; --json has them", "", last - first);
    }
    changes[last..].iter().for_each(|change| line(text, change));
    if changes.is_empty() {
        _ = writeln!(text, "{:>31}  nothing", "");
    }
}

fn line(text: &mut String, change: &Change) {
    _ = writeln!(text, "{:>10} {:>10} {:>+9}  {}", change.before, change.after, change.growth(), change.name);
}

fn as_json(diff: &Diff) -> String {
    let change = |change: &Change| {
        serde_json::json!({
            "name": change.name, "before": change.before, "after": change.after, "growth": change.growth(),
        })
    };
    let all = |changes: &[Change]| changes.iter().map(change).collect::<Vec<_>>();
    let value = serde_json::json!({
        "schema": super::facts::SCHEMA,
        "file": change(&diff.file),
        "crates": all(&diff.crates),
        "functions": all(&diff.functions),
    });
    format!("{value:#}\n")
}
