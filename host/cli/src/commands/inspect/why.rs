//! `ampoule inspect IMAGE --why NAME`.

use std::fmt::Write;

use image::contents::graph::How;
use image::contents::why::{Step, Why, why};
use serde::Serialize;

use super::{Subject, print};
use crate::Failure;
use crate::size::Size;

/// Prints the way.
pub(super) fn perform(subject: &Subject, name: &str, json: bool) -> Result<u8, Failure> {
    let answer = why(subject.contents()?, name)
        .map_err(|error| Failure::input(format!("{}: {error}", subject.path.display())))?;
    print(&if json { as_json(&answer) } else { as_text(&answer) })?;
    Ok(0)
}

fn as_text(why: &Why) -> String {
    let mut text = String::new();
    for (depth, step) in why.steps.iter().enumerate() {
        let how = if depth == 0 { "starts at" } else { verb(step) };
        _ = write!(text, "{how:>11}  {}", step.name);
        if let Some((file, line)) = &step.line {
            _ = write!(text, "\n             at {file}:{line}");
        }
        text.push('\n');
    }
    _ = match why.matches {
        1 => writeln!(text, "\n{} is one function or object", why.found),
        n => writeln!(text, "\n{} is in {n} functions and objects; this is the way to the nearest", why.found),
    };
    if why.brings > 0 {
        _ = writeln!(text, "without it, {} would not be in the image", Size(why.brings));
    }
    text
}

/// How a step is reached from the one before.
fn verb(step: &Step) -> &'static str {
    match step.how {
        _ if step.is_inlined => "contains",
        Some(How::Calls) => "calls",
        Some(How::FallsInto) => "goes on in",
        Some(How::Points) => "points to",
        Some(How::Refers) | None => "refers to",
    }
}

fn as_json(why: &Why) -> String {
    #[derive(Serialize)]
    struct Line<'a> {
        how: &'a str,
        name: &'a str,
        bytes: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        file: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        line: Option<u32>,
    }
    let steps: Vec<Line<'_>> = why
        .steps
        .iter()
        .enumerate()
        .map(|(depth, step)| Line {
            how: if depth == 0 { "starts at" } else { verb(step) },
            name: &step.name,
            bytes: step.bytes,
            file: step.line.as_ref().map(|(file, _)| file.as_str()),
            line: step.line.as_ref().map(|(_, line)| *line),
        })
        .collect();
    let value = serde_json::json!({
        "schema": super::facts::SCHEMA,
        "found": why.found,
        "matches": why.matches,
        "brings": why.brings,
        "steps": steps,
    });
    format!("{value:#}\n")
}
