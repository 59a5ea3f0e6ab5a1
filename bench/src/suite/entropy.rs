//! How random are the places where things lie, and the seed? Measured over many boots of one image.

use super::{Row, Subjects};
use crate::randomness::Randomness;
use crate::suite::subjects::finish;
use anyhow::{Context, Result};
use std::path::Path;
use std::process::Command;

/// Boots of each backend: its name, the tool's flags, how often.
const BACKENDS: [(&str, &[&str], usize); 3] = [
    ("process", &["--on", "process"], 1000),
    ("microvm", &["--on", "qemu", "--machine", "microvm"], 200),
    ("q35", &["--on", "qemu", "--machine", "q35"], 50),
];
/// What the guest says of itself: the word that its line begins with, and what it is.
const VALUES: [(&str, &str); 6] = [
    ("image", "where the image lies"),
    ("stack", "where the first stack lies"),
    ("arena", "where the arena lies"),
    ("heap", "where a first heap block lies"),
    ("gate", "where the gate's code lies"),
    ("seed", "the seed's first 8 bytes"),
];

pub(super) fn rows(subjects: &Subjects) -> Result<Vec<Row>> {
    let image = subjects.image("tests/guests/attacks", false)?;
    let mut rows = Vec::new();
    for (backend, flags, boots) in BACKENDS {
        match (0..boots).map(|_| boot(subjects, &image, flags)).collect::<Result<Vec<_>>>() {
            Ok(boots) => rows.extend(VALUES.iter().enumerate().map(|(index, (_, what))| {
                let values: Vec<u64> = boots.iter().map(|boot| boot[index]).collect();
                let measured = Randomness::of(&values).map(|r| r.to_string()).context("too few boots");
                Row::new(format!("{backend}: {what}"), measured, "", "")
            })),
            Err(error) => rows.push(Row::new(format!("{backend}: randomness"), Err(error), "", "")),
        }
    }
    Ok(rows)
}

/// Boots once and reads what the guest says, in the order of [`VALUES`].
fn boot(subjects: &Subjects, image: &Path, flags: &[&str]) -> Result<[u64; VALUES.len()]> {
    let text = finish(Command::new(&subjects.tool).arg("run").arg(image).args(flags).args(["--", "where"]))?;
    let mut values = [0; VALUES.len()];
    for (value, (word, _)) in values.iter_mut().zip(VALUES) {
        let line = text.lines().find_map(|line| line.trim_end().strip_prefix(word)?.strip_prefix(" 0x"));
        let digits = line.with_context(|| format!("the guest does not say where its {word} is: {text}"))?;
        *value = u64::from_str_radix(digits.get(..16).unwrap_or(digits), 16)?;
    }
    Ok(values)
}
