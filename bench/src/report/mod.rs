//! What is made of results: a page of tables, and pictures. Nothing here measures, and the same results give the same bytes.

mod chart;
mod compare;
pub mod example;
mod number;
mod page;
mod tables;

pub use chart::svg;
pub use tables::figure as table;

use crate::results::{Figure, Results};
use anyhow::{Context, Result};
use std::fs;
use std::path::Path;

/// The page's name, below the folder of the documentation.
pub const PAGE: &str = "benchmarks.md";
/// The folder of the pictures and of the results, below the folder of the documentation.
pub const FOLDER: &str = "benchmarks";
/// The results' name in that folder.
pub const RESULTS: &str = "results.json";

/// The page.
pub fn page(results: &Results) -> String {
    page::page(results)
}

/// The page and the pictures as files: each one's path below the folder of the documentation, and what it holds.
pub fn files(results: &Results) -> Vec<(String, String)> {
    let pictures = figures(results).map(|figure| (format!("{FOLDER}/{}.svg", figure.name), svg(figure)));
    [(PAGE.to_owned(), page(results))].into_iter().chain(pictures).collect()
}

/// Writes them into the folder `docs`, and removes the pictures that were there and are not made any more.
pub fn write(results: &Results, docs: &Path) -> Result<()> {
    let folder = docs.join(FOLDER);
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let files = files(results);
    for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        let is_picture = path.extension().is_some_and(|extension| extension == "svg");
        if is_picture && !files.iter().any(|(name, _)| docs.join(name) == path) {
            fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    for (name, text) in files {
        let path = docs.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// All figures, in the order of the parts.
fn figures(results: &Results) -> impl Iterator<Item = &Figure> {
    crate::parts::PARTS.iter().filter_map(|part| results.parts.get(part.name)).flat_map(|part| &part.figures)
}

#[cfg(test)]
mod tests;
