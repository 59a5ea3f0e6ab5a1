//! The book: its commands, its links, and what it and the other pages name. `ampoule_tests::book` says how a page is read.

use ampoule_tests::book::{self, Known, links, markdown};
use ampoule_tests::harness::{Case, Verdict};
use anyhow::{Context, Result, ensure};

/// Pages beside those of the book that are looked through.
const OTHERS: [&str; 3] = ["ARCHITECTURE.md", "CHANGELOG.md", "SPECIFICATION.md"];
/// Pages that name files of other projects' trees, too.
const FOREIGN: [&str; 1] = ["docs/security.md"];

/// `others` are the names of all other tests.
pub(crate) fn cases(others: Vec<String>) -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    for page in book::pages()? {
        let name = format!("the book's commands: {page}");
        cases.push(Case::new(name, move || follow(&page).map(|()| Verdict::Passed)));
    }
    cases.push(Case::new("the book's links and contents", || linked().map(|()| Verdict::Passed)));
    let all: Vec<String> = others.into_iter().chain(cases.iter().map(|case| case.name.clone())).collect();
    cases.push(Case::new("what SPECIFICATION.md and the book name", move || named(&all).map(|()| Verdict::Passed)));
    Ok(cases)
}

fn follow(page: &str) -> Result<()> {
    for left in book::follow(page)? {
        println!("not run: {left}");
    }
    Ok(())
}

fn pages() -> Result<Vec<(String, markdown::Page)>> {
    let pages = book::pages()?.into_iter().chain(OTHERS.map(str::to_owned));
    pages.map(|page| Ok((page.clone(), markdown::read(&book::text(&page)?).with_context(|| page.clone())?))).collect()
}

fn linked() -> Result<()> {
    for (path, page) in pages()? {
        links::check(&path, &page)?;
    }
    links::check_contents()
}

fn named(cases: &[String]) -> Result<()> {
    let known = Known::find()?;
    let mut wrong = Vec::new();
    for (path, page) in pages()? {
        let mut checked = known.check(&page, cases, !FOREIGN.contains(&path.as_str()));
        if path == "SPECIFICATION.md" {
            checked = checked.and_then(|()| markdown::has_commands(&page));
        }
        wrong.extend(checked.err().map(|error| format!("{path}:\n{error:#}")));
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}
