//! `cargo xtask bench`: the numbers of SPECIFICATION.md, measured beside their references in one run.

use anyhow::{Context, Result, bail};
use bench::suite::{self, PARTS, Subjects};
use cargo_metadata::MetadataCommand;

use crate::{setup, steps};

/// Measures the parts named (all, if none is), and prints a table.
pub(crate) fn run(parts: &[&str]) -> Result<()> {
    if let Some(unknown) = parts.iter().find(|part| !PARTS.contains(part)) {
        bail!("no part `{unknown}`; there are {}", PARTS.join(", "));
    }
    setup::install();
    let metadata = MetadataCommand::new().no_deps().exec()?;
    let cache = steps::target_folder().join("bench");
    std::fs::create_dir_all(&cache).with_context(|| format!("cannot make {}", cache.display()))?;
    let subjects = Subjects {
        tool: steps::built("ampoule-cli", "ampoule")?,
        load: steps::built("ampoule-bench", "bench-load")?,
        bulk: steps::built("ampoule-bench", "bench-bulk")?,
        init: steps::built("ampoule-bench-init", "bench-init")?,
        cache: cache.canonicalize()?,
        root: metadata.workspace_root.into_std_path_buf(),
    };
    let parts: Vec<String> = parts.iter().map(|part| (*part).to_owned()).collect();
    print!("{}", suite::run(&subjects, &parts)?);
    Ok(())
}
