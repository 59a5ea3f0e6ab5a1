//! The benchmark: every number of SPECIFICATION.md and more, each beside its reference, measured in one run.
//!
//! What cannot be had on a computer (no KVM, no root for a tap) says why instead of a number. What can be had and does not
//! work, a wrong answer, a reference that could not be set up, too few samples: these make a run invalid. A slow result is
//! a result.

mod build;
mod costs;
mod crowd;
mod entropy;
mod guest;
mod http;
mod idle;
mod interrupt;
mod many;
mod memory;
mod nginx;
mod place;
mod server;
mod sizes;
mod start;
mod subjects;
mod tcp;
mod turns;
mod udp;

pub use subjects::Subjects;

use crate::command::finish;
use crate::computer::{self, Computer};
use crate::results::{Column, Figure, Line, Part};
use anyhow::{Result, bail};
use std::process::Command;
use std::time::Instant;

/// Measures one part.
pub fn measure(subjects: &Subjects, part: &str) -> Result<Part> {
    let date = finish(Command::new("date").args(["-u", "+%Y-%m-%d %H:%M"]))?.trim().to_owned();
    let (load, start) = (computer::load(), Instant::now());
    let figures = match part {
        "sizes" => sizes::figures(subjects)?,
        "start" => start::figures(subjects)?,
        "memory" => memory::figures(subjects)?,
        "idle" => idle::figures(subjects)?,
        "costs" => costs::figures(subjects)?,
        "http" => http::figures(subjects)?,
        "tcp" => tcp::figures(subjects)?,
        "udp" => udp::figures(subjects)?,
        "many" => many::figures(subjects)?,
        "build" => build::figures(subjects)?,
        "entropy" => entropy::figures(subjects)?,
        _ => bail!("no part `{part}`"),
    };
    let seconds = start.elapsed().as_secs_f64().round();
    let (tree, is_quick, computer) = (tree(subjects), subjects.is_quick, Computer::this()?);
    Ok(Part { date, tree, is_quick, seconds, load, computer, figures })
}

/// The commit, with a `+` where the tree was changed; `unknown` without git.
pub fn tree(subjects: &Subjects) -> String {
    let git = |words: &[&str]| finish(Command::new("git").arg("-C").arg(&subjects.root).args(words));
    // The page is written after each part, and is not what is measured.
    let changes = git(&["status", "--porcelain", "--untracked-files=no", "--", ".", ":!docs"]);
    match (git(&["rev-parse", "--short=10", "HEAD"]), changes) {
        (Ok(commit), Ok(changes)) => commit.trim().to_owned() + if changes.trim().is_empty() { "" } else { "+" },
        _ => "unknown".into(),
    }
}

/// A figure.
fn figure(name: &str, title: &str, about: &str, columns: Vec<Column>, least: usize, lines: Vec<Line>) -> Figure {
    Figure { name: name.into(), title: title.into(), about: about.into(), columns, least, lines }
}

/// A quantity of which less is better.
fn less(name: &str, unit: &str) -> Column {
    Column { name: name.into(), unit: unit.into(), is_less_better: true }
}

/// A quantity of which more is better.
fn more(name: &str, unit: &str) -> Column {
    Column { name: name.into(), unit: unit.into(), is_less_better: false }
}
