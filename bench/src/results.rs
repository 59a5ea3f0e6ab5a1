//! What was measured, as it is kept: parts, each measured in one go on one computer; in them figures; in these lines.
//!
//! Parts that were measured at different times live in one file, so a page can be made from several runs, and each part
//! says when, where and on which sources it was measured. Samples are kept, not their medians: whoever reads the file can
//! ask them something else.

use crate::computer::Computer;
use crate::sample::Samples;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// Everything that is known, by the names of the parts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// The parts.
    pub parts: BTreeMap<String, Part>,
}

/// What one part of the benchmark measured, in one go.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// When it began, in UTC: `2026-11-27 21:04`.
    pub date: String,
    /// The commit, with a `+` where the tree had been changed.
    pub tree: String,
    /// Few samples, for trying: not to be trusted.
    pub is_quick: bool,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// How many processes wanted a CPU when it began (the load average of the minute before).
    pub load: f64,
    /// Where it was measured.
    pub computer: Computer,
    /// What came out.
    pub figures: Vec<Figure>,
}

/// One table and one picture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// Its name in files: `start-line`.
    pub name: String,
    /// What it is about: `Start to the first line`.
    pub title: String,
    /// How it was measured, in a few sentences.
    pub about: String,
    /// What was measured of each subject. The first column is the one in the picture, and the one that subjects are
    /// compared by.
    pub columns: Vec<Column>,
    /// How many samples each number must have to count.
    pub least: usize,
    /// The subjects.
    pub lines: Vec<Line>,
}

/// A quantity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// `first line`.
    pub name: String,
    /// `ms`.
    pub unit: String,
    /// Is less of it better?
    pub is_less_better: bool,
}

/// Whose number it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// Ours.
    Ours,
    /// The same program as a process of the host.
    Native,
    /// The same program in a Linux guest.
    Linux,
    /// Another program.
    Other,
}

/// One subject's numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// What the subjects did, where a figure has several such: `32 connections`. Else empty.
    pub group: String,
    /// `Ampoule, KVM`.
    pub who: String,
    /// Whose number it is.
    pub role: Role,
    /// Which subject of the same group it is compared with.
    pub against: Option<String>,
    /// The number to reach, of SPECIFICATION.md.
    pub reach: Option<String>,
    /// What came out.
    pub outcome: Outcome,
}

/// What came out for a subject.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Outcome {
    /// The samples of each column.
    Measured(Vec<Samples>),
    /// There is nothing to measure here, and why: no KVM, no right to make a tap.
    Absent(String),
    /// It should have worked and did not: the run is invalid.
    Failed(String),
}

impl Line {
    /// The samples of the first column, where there are any.
    pub fn first(&self) -> Option<&Samples> {
        match &self.outcome {
            Outcome::Measured(columns) => columns.first().filter(|samples| !samples.is_empty()),
            Outcome::Absent(_) | Outcome::Failed(_) => None,
        }
    }
}

impl Figure {
    /// The line that `line` is compared with.
    pub fn reference(&self, line: &Line) -> Option<&Line> {
        let against = line.against.as_ref()?;
        self.lines.iter().find(|other| other.group == line.group && other.who == *against)
    }

    /// The groups, in their order.
    pub fn groups(&self) -> Vec<&str> {
        let mut groups: Vec<&str> = Vec::new();
        for line in &self.lines {
            if !groups.contains(&line.group.as_str()) {
                groups.push(&line.group);
            }
        }
        groups
    }
}

impl Part {
    /// Why it is invalid, a sentence for each reason; empty if it is not. Numbers that are none, and fewer samples than
    /// there must be, are reasons too.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for figure in &self.figures {
            for line in &figure.lines {
                let name = [&*figure.title, &*line.group, &*line.who].join(", ").replace(", ,", ",");
                match &line.outcome {
                    Outcome::Absent(_) => {}
                    Outcome::Failed(why) => faults.push(format!("{name}: {why}")),
                    Outcome::Measured(columns) if columns.len() != figure.columns.len() => {
                        faults.push(format!("{name}: {} of {} columns", columns.len(), figure.columns.len()));
                    }
                    Outcome::Measured(columns) => {
                        for (column, samples) in figure.columns.iter().zip(columns) {
                            faults.extend(
                                samples.fault(figure.least).map(|why| format!("{name}: {}: {why}", column.name)),
                            );
                        }
                    }
                }
            }
        }
        faults
    }
}

impl Results {
    /// What a file holds; nothing if there is none.
    pub fn load(path: &Path) -> Result<Self> {
        match std::fs::read_to_string(path) {
            Ok(text) => serde_json::from_str(&text)
                .with_context(|| format!("{} is not a file of results; remove it and measure again", path.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    /// Writes the file, whole or not at all.
    pub fn save(&self, path: &Path) -> Result<()> {
        let beside = path.with_extension("json.new");
        let text = serde_json::to_string_pretty(self)? + "\n";
        std::fs::write(&beside, text).with_context(|| format!("cannot write {}", beside.display()))?;
        std::fs::rename(&beside, path).with_context(|| format!("cannot write {}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::example;

    #[test]
    fn what_is_saved_is_what_is_loaded() {
        let path = std::env::temp_dir().join(format!("ampoule-bench-results-{}.json", std::process::id()));
        let results = example::results();
        results.save(&path).expect("saved");
        let loaded = Results::load(&path);
        std::fs::remove_file(&path).expect("removed");
        assert_eq!(loaded.expect("loaded"), results);
        assert_eq!(Results::load(&path).expect("none is there"), Results::default());
    }

    #[test]
    fn a_part_says_why_it_is_invalid() {
        let mut part = example::results().parts.remove("start").expect("a part");
        assert_eq!(part.faults(), [] as [&str; 0]);
        part.figures[0].least = 100;
        assert_eq!(part.faults().len(), 4, "too few samples");
        part.figures[0].least = 3;
        part.figures[0].lines[1].outcome = Outcome::Failed("it answered 404".into());
        part.figures[0].lines[0].outcome = Outcome::Measured(vec![[1.0, f64::NAN, 2.0].into_iter().collect()]);
        let faults = part.faults();
        assert!(faults[0].ends_with("first line: a sample is not a number"), "{faults:?}");
        assert_eq!(faults[1], "Start to the first line, native: it answered 404");
    }
}
