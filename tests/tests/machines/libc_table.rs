//! `docs/libc.md` says what is there: every symbol that `libc.a` defines and every system call of the dispatcher has its row,
//! and every row has its symbol or call.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use ampoule_tests::harness::{Case, Verdict};
use ampoule_tests::tool;
use anyhow::{Context, Result, ensure};

/// Where the tool leaves it when it has built an image without the one line.
const ARCHIVE: &str = "target/ampoule-os/archive/x86_64-unknown-linux-gnu/image/libc.a";
const TABLE: &str = "docs/libc.md";
const DISPATCHER: &str = "os/libc/src/syscall.rs";

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::new("docs/libc.md has the symbols of libc.a", || symbols().map(|()| Verdict::Passed)),
        Case::new("docs/libc.md has the system calls", || calls().map(|()| Verdict::Passed)),
    ]
}

/// The first columns of the tables' rows: of the system calls, or of the symbols.
fn first_columns(of_calls: bool) -> Result<Vec<String>> {
    let text = fs::read_to_string(tool::root().join(TABLE))?;
    let (symbols, calls) = text.split_once("\n## System calls").context("no heading `System calls`")?;
    let rows = if of_calls { calls } else { symbols }.lines().filter_map(|line| line.strip_prefix("| "));
    Ok(rows.filter_map(|row| Some(row.split_once(" |")?.0.to_owned())).collect())
}

fn symbols() -> Result<()> {
    tool::image("examples/hello")?;
    let defined = defined()?;
    let mut listed = BTreeSet::new();
    for name in first_columns(false)?.iter().flat_map(|column| column.split('`')).filter(|name| is_name(name)) {
        ensure!(listed.insert(name.to_owned()) || name == "symbols", "{TABLE} has `{name}` twice");
    }
    listed.remove("symbols");
    let missing: Vec<String> = defined.difference(&listed).map(|name| row(name)).collect();
    ensure!(missing.is_empty(), "{TABLE} lacks these rows:\n{}", missing.join("\n"));
    let gone: Vec<&String> = listed.difference(&defined).collect();
    ensure!(gone.is_empty(), "{TABLE} has rows of symbols that libc.a does not define: {gone:?}");
    Ok(())
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// The C names that `libc.a` gives to programs. The project's own begin with `ampoule_`; those of the compiler's run-time
/// library, which Rust brings along, are not ours to list.
fn defined() -> Result<BTreeSet<String>> {
    let archive = tool::root().join(ARCHIVE);
    let output = Command::new("nm").args(["--defined-only", "--extern-only", "--format=posix"]).arg(&archive).output();
    let output = output.context("cannot start nm (binutils)")?;
    ensure!(output.status.success(), "nm {}: {}", archive.display(), String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout)?;
    // "name type value size", the type a letter. A member's own line is not like that, nor what nm says of itself.
    let names = text.lines().filter_map(|line| {
        let (name, rest) = line.split_once(' ')?;
        rest.split(' ').next().filter(|kind| kind.len() == 1).map(|_| name)
    });
    let ours = |name: &&str| {
        is_name(name) && !name.starts_with("_R") && !name.starts_with("_ZN") && !name.starts_with("ampoule_")
    };
    let names: BTreeSet<String> = names.filter(ours).filter(|name| !is_compilers(name)).map(str::to_owned).collect();
    ensure!(names.contains("malloc") && names.len() > 300, "nm shows {} symbols alone", names.len());
    Ok(names)
}

/// Is it one of the compiler's run-time library, such as `__popcountdi2`: two underscores, a machine mode, and a digit?
fn is_compilers(name: &str) -> bool {
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let modes = ["si", "di", "ti", "sf", "df", "sc", "dc"];
    name.starts_with("__compilerrt")
        || (name.starts_with("__") && stem.len() + 1 == name.len() && modes.iter().any(|mode| stem.ends_with(mode)))
}

/// A missing row, with what the symbol's own comment says.
fn row(name: &str) -> String {
    let comment = comment(name).unwrap_or_default();
    let page = comment.split([' ', ':']).next().unwrap_or_default().to_owned();
    let note = comment.split_once([':', ';']).map_or("", |(_, note)| note.trim().trim_end_matches('.'));
    format!("| `{name}` | {page} | {note} |  |")
}

/// The first line of the comment above the function or macro line that defines a symbol.
fn comment(name: &str) -> Option<String> {
    let folders = [tool::root().join("os/libc/src"), tool::root().join("os/libc/src/pthread")];
    let files = folders.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten();
    files.filter_map(|file| fs::read_to_string(file.path()).ok()).find_map(|text| {
        let mut first = None;
        for line in text.lines().map(str::trim) {
            match line.strip_prefix("///") {
                Some(words) => _ = first.get_or_insert(words.trim().to_owned()),
                None if line.contains(&format!("fn {name}(")) => return first,
                None if line.starts_with("#[") => {}
                None => first = None,
            }
        }
        None
    })
}

fn calls() -> Result<()> {
    let source = fs::read_to_string(tool::root().join(DISPATCHER))?;
    let mut dispatched = BTreeSet::from([202]);
    for table in ["few", "files", "sockets", "rest"] {
        let start = format!("\nunsafe fn {table}(");
        let (_, body) = source.split_once(&start).with_context(|| format!("{DISPATCHER} has no table `{table}`"))?;
        let (body, _) = body.split_once("\n}\n").context("a function ends")?;
        dispatched.extend(body.lines().filter_map(numbers).flatten());
    }
    ensure!(dispatched.len() > 80, "only {} calls are found in {DISPATCHER}", dispatched.len());
    let rows = first_columns(true)?;
    let listed: BTreeSet<usize> = rows.iter().filter_map(|column| column.parse().ok()).collect();
    ensure!(listed.len() + 1 == rows.len(), "{TABLE} has a system call twice, or a row without a number");
    let missing: Vec<String> = dispatched.difference(&listed).map(|n| format!("| {n} | `NAME` |  |")).collect();
    ensure!(missing.is_empty(), "{TABLE} lacks these rows:\n{}", missing.join("\n"));
    let gone: Vec<&usize> = listed.difference(&dispatched).collect();
    ensure!(gone.is_empty(), "{TABLE} has rows of system calls that are not dispatched: {gone:?}");
    Ok(())
}

/// The numbers of an arm of a table's own `match`, which stands at its place in formatted code.
fn numbers(line: &str) -> Option<Vec<usize>> {
    let arm = line.strip_prefix("            ").filter(|arm| arm.starts_with(|c: char| c.is_ascii_digit()))?;
    let pattern = arm.split_once(" =>")?.0;
    let pattern = pattern.split_once(" if ").map_or(pattern, |(pattern, _)| pattern);
    let ranges = pattern.split(" | ").map(|part| {
        let (first, last) = part.split_once("..=").unwrap_or((part, part));
        Some(first.parse().ok()?..=last.parse().ok()?)
    });
    Some(ranges.collect::<Option<Vec<_>>>()?.into_iter().flatten().collect())
}
