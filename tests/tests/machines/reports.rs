//! A machine that dies tells where: the frames of the program's own functions, one by one, with file and line.

use std::fs;

use ampoule_tests::backend::Backend;
use ampoule_tests::guests::{Guest, Way};
use ampoule_tests::harness::Case;
use ampoule_tests::machine::Machine;
use ampoule_tests::tool;
use anyhow::{Context, Result, ensure};

use crate::everywhere;

const SOURCE: &str = "tests/guests/crashes/src/main.rs";

/// How the guest comes to grief, the function that does it, the status, and what the report says of it.
const WAYS: [(&str, &str, i32, &str); 7] = [
    ("panic", "panics", 134, "' aborted"),
    ("abort", "aborts", 134, "' aborted"),
    ("null", "reads_null", 139, "' tried to read address 0x10 (a null pointer)"),
    ("illegal", "runs_nothing", 139, "' executed an invalid instruction"),
    ("seal-write", "writes_code", 139, "' tried to write to address"),
    ("seal-constant", "writes_constant", 139, "' tried to write to address"),
    ("seal-run", "runs_data", 139, "' tried to execute address"),
];

pub(crate) fn cases() -> Vec<Case> {
    let mut cases: Vec<_> = everywhere("reports name each frame, by line", |backend| all(Way::Line, backend)).collect();
    cases.extend(everywhere("reports name each frame, by libc.a", |backend| all(Way::Archive, backend)));
    cases
}

fn all(way: Way, backend: Backend) -> Result<()> {
    WAYS.iter().try_for_each(|grief| frames(way, backend, grief))
}

fn frames(way: Way, backend: Backend, (argument, function, status, said): &(&str, &str, i32, &str)) -> Result<()> {
    let guest = Guest::all()?.into_iter().find(|guest| guest.name == "guest-crashes").context("no guest-crashes")?;
    let image = guest.image(way)?;
    let source = fs::read_to_string(tool::root().join(SOURCE))?;
    let line = |mark: &str| -> Result<String> {
        let end = format!("// {mark}");
        let at = source.lines().position(|line| line.ends_with(&end));
        Ok((at.with_context(|| format!("{SOURCE} has no mark `{mark}`"))? + 1).to_string())
    };
    // That a thread's stack is another one than main's matters alike to all ways; two stand for them.
    let threads = if ["abort", "seal-write"].contains(argument) { 2 } else { 1 };
    let places = [("main", "on main", None), ("worker", "in a thread", Some("thread"))];
    for (thread, mark, more) in places.into_iter().take(threads) {
        let arguments: Vec<&str> = ["--", argument].into_iter().chain(more).collect();
        let end = Machine::start(&image, backend, &arguments)?.end()?.with_status(*status)?;
        let said = format!("thread '{thread}{said}");
        let end = end.with_text(&[&said]).with_context(|| argument.to_string())?;
        let all = end.all();
        let places = all.split("crashes/src/main.rs:").skip(1).map(|rest| rest.split('\n').next().unwrap_or_default());
        // What std says of a panic has a column as well.
        let lines: Vec<&str> =
            places.filter(|place| !place.contains(':')).map(|place| place.trim_end_matches(')')).collect();
        let expected: Vec<String> =
            [*function, "middle", "outer", mark].into_iter().map(line).collect::<Result<_>>()?;
        ensure!(
            lines.ends_with(&expected.iter().map(String::as_str).collect::<Vec<_>>()),
            "{argument}: lines {lines:?} of {SOURCE}, and not {expected:?}:\n{all}"
        );
    }
    Ok(())
}
