//! The book, `docs/` and the README, tried out: what its chapters tell a reader to type is typed, and what they say comes of
//! it is compared with what came.
//!
//! A chapter is one reader in one new folder, from its first block to its last. What he may find there:
//!
//! | block | what it is |
//! |---|---|
//! | `console` | lines that begin with `$ ` are commands of bash. What follows up to the next one is what it prints, both outputs together; nothing: that is not compared. `...` stands for anything, on a line of its own for any lines |
//! | `console,no-run` | the same, only read. Its first line says why: `# not run by the tests: it takes an hour` |
//! | `rust`, `toml` | where the first line is a comment that is a path (`// web/src/main.rs`), that file, written to the folder. Other `toml` with a manifest is read as one |
//! | `text`, `ini`, `json`, `gdb`, others of `rust` and `toml` | to look at; commands have no place there |
//!
//! Every other kind is refused, so nothing goes untried by a slip of the pen. A command must succeed, unless the next one is
//! `echo $?`. One that ends with `&` is a server: it is awaited until it has printed what stands below it, and stays until
//! `kill %N` or the chapter's end. `cd` is remembered, variables are not. `examples/…` are the tree's own, and where the
//! reader stands in his first folder, `cargo` runs in the tree.
//!
//! Ports are other ones than the book's, so that nobody needs a free 8080: those of `--publish` and of `127.0.0.1:…` in
//! commands are changed, and in what is printed they are changed back. A block with `--on kvm`, `--on qemu` or a program that
//! this computer lacks is not run, and the test says so.

mod block;
mod command;
mod job;
pub mod links;
pub mod markdown;
mod matching;
mod names;
mod session;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::tool;
use block::Block;
use session::Session;

pub use names::Known;

/// Every page with commands for a reader, by its path in the tree: the README and all of `docs/`.
///
/// # Errors
/// `docs/` cannot be listed.
pub fn pages() -> Result<Vec<String>> {
    let mut pages = vec!["README.md".to_owned()];
    let entries = fs::read_dir(tool::root().join("docs")).context("cannot list docs")?;
    for entry in entries {
        let name = entry?.file_name().into_string().ok().context("a page of docs has a name of UTF-8")?;
        if name.ends_with(".md") && name != "SUMMARY.md" {
            pages.push(format!("docs/{name}"));
        }
    }
    pages.sort();
    Ok(pages)
}

/// A page's text.
///
/// # Errors
/// It cannot be read.
pub fn text(page: &str) -> Result<String> {
    fs::read_to_string(tool::root().join(page)).with_context(|| format!("cannot read {page}"))
}

/// Does what a page says, in order. Gives what was not run, and why.
///
/// # Errors
/// A block that nobody understands, a command that fails or prints something else than the page says.
pub fn follow(page: &str) -> Result<Vec<String>> {
    let blocks = block::blocks(&text(page)?).with_context(|| page.to_owned())?;
    let mut left = Vec::new();
    let mut session = None;
    for (line, block) in blocks {
        let place = || format!("{page}:{line}");
        match block {
            Block::Inert => {}
            Block::NotRun(reason, steps) => {
                for step in &steps {
                    command::check(&step.command).with_context(place)?;
                }
                left.push(format!("{}: {reason}", place()));
            }
            Block::Manifest(text) => {
                let read = ampoule_cli::manifest::parse(Path::new(page), &text, "page", "0.1.0")
                    .and_then(|_| ampoule_cli::manifest::parse_files(Path::new(page), &text));
                read.with_context(place)?;
            }
            Block::File(path, text) => begun(&mut session)?.write(&path, &text).with_context(place)?,
            Block::Session(steps) => match steps.iter().find_map(|step| command::lacks(&step.command)) {
                Some(reason) => left.push(format!("{}: {reason}", place())),
                None => {
                    for step in &steps {
                        begun(&mut session)?.perform(step).with_context(|| format!("{page}:{}", step.line))?;
                    }
                }
            },
        }
    }
    if let Some(session) = session {
        session.end().with_context(|| page.to_owned())?;
    }
    Ok(left)
}

fn begun(session: &mut Option<Session>) -> Result<&mut Session> {
    if session.is_none() {
        *session = Some(Session::new()?);
    }
    match session {
        Some(session) => Ok(session),
        None => bail!("no session"),
    }
}

/// The folder that all chapters' paths are below.
fn tree() -> PathBuf {
    tool::root().to_owned()
}
