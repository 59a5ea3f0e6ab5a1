//! The benchmark: every number of SPECIFICATION.md, each beside its reference, measured in one run.
//!
//! A row that cannot be measured here (no QEMU, no root for a tap) says why instead of a number. A slow result is a
//! result; only a run that measured nothing it should have is an error.

mod costs;
mod entropy;
mod fleet;
mod http;
mod memory;
mod monitor;
mod served;
mod sizes;
mod start;
mod subjects;
mod tcp;

pub use subjects::Subjects;
pub(crate) use subjects::finish;

use anyhow::Result;
use std::fmt::Write;

/// One line of the table.
pub struct Row {
    /// What was measured.
    pub what: String,
    /// What came out, with its unit.
    pub measured: String,
    /// The number to reach.
    pub reach: &'static str,
    /// What stands beside it, from the same run unless it says otherwise.
    pub reference: String,
}

impl Row {
    fn new(
        what: impl Into<String>,
        measured: Result<String>,
        reach: &'static str,
        reference: impl Into<String>,
    ) -> Self {
        let measured = measured.unwrap_or_else(|error| format!("not measured: {error:#}"));
        Row { what: what.into(), measured, reach, reference: reference.into() }
    }
}

/// Which part of the benchmark to run.
pub const PARTS: [&str; 9] = ["sizes", "start", "fleet", "crowd", "costs", "memory", "http", "tcp", "entropy"];

/// Runs the named parts (all, if none is named) and gives the table.
pub fn run(subjects: &Subjects, parts: &[String]) -> Result<String> {
    let wanted = |part: &str| parts.is_empty() || parts.iter().any(|p| p == part);
    let mut rows = Vec::new();
    for part in PARTS.into_iter().filter(|part| wanted(part)) {
        eprintln!("measuring: {part}");
        rows.extend(match part {
            "sizes" => sizes::rows(subjects)?,
            "start" => {
                let mut all = start::rows(subjects)?;
                all.extend(monitor::rows(subjects)?);
                all
            }
            "fleet" => fleet::rows(subjects)?,
            "crowd" => fleet::crowds(subjects)?,
            "costs" => costs::rows(subjects)?,
            "memory" => memory::rows(subjects)?,
            "tcp" => tcp::rows(subjects),
            "entropy" => entropy::rows(subjects)?,
            _ => http::rows(subjects)?,
        });
    }
    Ok(table(&rows))
}

fn table(rows: &[Row]) -> String {
    let mut text = String::from("| what | measured | reach | beside it |\n|---|---|---|---|\n");
    for row in rows {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "| {} | {} | {} | {} |", row.what, row.measured, row.reach, row.reference);
    }
    text
}
