//! Links of the pages, and the book's table of contents.

use std::fs;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use super::markdown::{self, Page};
use crate::tool;

/// The book's contents.
const SUMMARY: &str = "docs/SUMMARY.md";

/// A link: its line, and where it leads.
type Link<'a> = (usize, &'a str);

/// Fails naming every link of a page that leads to no file of the tree, or to no heading there. Links to elsewhere are not
/// followed.
///
/// # Errors
/// Each with its line.
pub fn check(path: &str, page: &Page) -> Result<()> {
    let mut wrong = Vec::new();
    for (line, target) in all(page) {
        if let Err(error) = follow(path, page, target) {
            wrong.push(format!("{path}:{line}: `{target}`: {error:#}"));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

fn follow(path: &str, page: &Page, target: &str) -> Result<()> {
    if target.contains("://") || target.starts_with("mailto:") {
        return Ok(());
    }
    let (file, anchor) = target.split_once('#').map_or((target, None), |(file, anchor)| (file, Some(anchor)));
    let other = if file.is_empty() { None } else { Some(tool::root().join(place(path, file)?)) };
    if let Some(other) = &other {
        ensure!(other.exists(), "no such file");
        let is_within = !path.starts_with("docs/") || other.starts_with(tool::root().join("docs"));
        ensure!(
            is_within,
            "it leads out of docs/, and so nowhere in the site that mdBook makes; name the file instead"
        );
    }
    let Some(anchor) = anchor else { return Ok(()) };
    let anchors = match &other {
        Some(other) => markdown::read(&fs::read_to_string(other)?)?.anchors(),
        None => page.anchors(),
    };
    ensure!(anchors.iter().any(|known| known == anchor), "no such heading; there are {}", anchors.join(", "));
    Ok(())
}

/// Where a page's relative link leads, from the tree's top. Nothing leads out of the tree.
fn place(page: &str, file: &str) -> Result<PathBuf> {
    let mut place = PathBuf::from(page);
    place.pop();
    for part in Path::new(file).components() {
        match part {
            Component::Normal(name) => place.push(name),
            Component::CurDir => {}
            Component::ParentDir if place.pop() => {}
            _ => bail!("it leads out of the tree"),
        }
    }
    Ok(place)
}

/// All links: `[text](target)`, `![text](target)`, and `href` and `src` of HTML. What stands between backquotes is none.
fn all(page: &Page) -> Vec<Link<'_>> {
    let mut links = Vec::new();
    for (line, text) in &page.prose {
        for part in text.split('`').step_by(2) {
            for (open, close) in [("](", ')'), ("href=\"", '"'), ("src=\"", '"'), ("srcset=\"", '"')] {
                let targets = part.split(open).skip(1).filter_map(|rest| rest.split_once(close));
                links.extend(targets.map(|(target, _)| (*line, target)));
            }
        }
        // A link whose text is code: ``[`x`](y)``; its `](` follows a backquote, so it was seen above.
    }
    links
}

/// Fails unless the contents have the form that mdBook reads, and name each page of `docs/` once.
///
/// # Errors
/// The line that is wrong, or the pages that are missing.
pub fn check_contents() -> Result<()> {
    let text = fs::read_to_string(tool::root().join(SUMMARY)).with_context(|| format!("cannot read {SUMMARY}"))?;
    let mut named = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let entry = line.trim_start().strip_prefix("- ").unwrap_or(line);
        let link =
            entry.strip_prefix('[').and_then(|rest| rest.strip_suffix(')')).and_then(|rest| rest.split_once("]("));
        match link {
            Some((_, file)) => named.push(file.to_owned()),
            None if line.is_empty() || line == "---" || line.starts_with("# ") => {}
            None => bail!("{SUMMARY}:{number}: mdBook does not read this line: {line}"),
        }
    }
    let mut pages: Vec<String> =
        super::pages()?.iter().filter_map(|page| Some(page.strip_prefix("docs/")?.into())).collect();
    pages.retain(|page| page != "SUMMARY.md");
    named.sort();
    ensure!(named == pages, "{SUMMARY} names {}\nbut there are {}", named.join(", "), pages.join(", "));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_found() {
        let page = markdown::read("[a](b.md) and [`c`](d.md#e) `[x](y)`\n<img src=\"f.svg\">\n```text\n[x](y)\n```\n");
        let page = page.expect("reads");
        assert_eq!(all(&page), [(1, "b.md"), (1, "d.md#e"), (2, "f.svg")]);
    }

    #[test]
    fn dead_links_are_found() {
        let page = |link: &str| markdown::read(&format!("# A b\n[x]({link})\n")).expect("reads");
        for link in ["#a-b", "docs/README.md", "README.md#navigating", "https://example.org/"] {
            assert!(check("x.md", &page(link)).is_ok(), "{link}");
        }
        for link in ["#b", "../README.md", "READ.md", "gate.md#nowhere", "../../x.md", "/etc/passwd"] {
            assert!(check("docs/x.md", &page(link)).is_err(), "{link}");
        }
    }
}
