//! The same program on Linux, and what strace shows of it: the calls of its first thread that have to do with files and
//! sockets, by name and result. Names are the C functions' here and the kernel's there.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use ampoule_tests::backend::Backend;
use ampoule_tests::guests::Way;
use ampoule_tests::tool;
use anyhow::{Context, Result, ensure};

use super::{guest, lines, traced};

/// What is called otherwise by the kernel.
const NAMES: [(&str, &str); 3] = [("open", "openat"), ("send", "sendto"), ("recv", "recvfrom")];
/// What comes first and last of what the program does by itself.
const FIRST: &str = "\"/tmp/ampoule-traced\"";
const LAST: &str = "\"all of it was done\\n\"";
/// What is compared: files and sockets, not threads, signals and memory.
const WHAT: &str = "--trace=file,desc,net";
const WHAT_ON_LINUX: &str = "trace=%file,%desc,%network";
/// Descriptors' calls for strace that are memory's here.
const OTHERS: [&str; 1] = ["mmap"];

/// Why strace cannot be asked here, if so.
pub(super) fn lacks() -> Option<String> {
    let tried = Command::new("strace").args(["-o", "/dev/null", "true"]).output();
    let why = match tried {
        Ok(output) if output.status.success() => return None,
        Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Err(error) => error.to_string(),
    };
    Some(format!("no strace that works here (apt-get install strace): {}", why.trim()))
}

/// Fails unless both did the same.
pub(super) fn compare(backend: Backend) -> Result<()> {
    let (_, here) = traced(&guest("guest-traced")?.traced_image(Way::Line)?, backend, &[WHAT])?;
    let first = here.first().context("an empty trace")?.thread;
    let here = here.iter().filter(|line| line.thread == first).map(|line| line.text.clone()).collect();
    let there = strace(&program()?)?;
    let (here, there) = (done(here), done(there));
    ensure!(here.len() > 50, "too little to compare: {here:?}");
    let other = here.iter().zip(&there).find(|(here, there)| here != there);
    ensure!(here == there, "first of all {other:?}; here:\n{here:#?}\non Linux:\n{there:#?}");
    Ok(())
}

fn program() -> Result<std::path::PathBuf> {
    let package = ["--release", "--package", "guest-traced", "--no-default-features"];
    tool::executable(&tool::root().join("tests/guests"), &package, "guest-traced")
}

/// What strace writes of the program's first thread, calls that were interrupted put together.
fn strace(program: &Path) -> Result<Vec<String>> {
    let file = program.with_extension("strace");
    let mut command = Command::new("strace");
    command.args(["-f", "-e", WHAT_ON_LINUX, "-o"]).arg(&file).arg(program).stdin(Stdio::null());
    let output = command.output().context("cannot start strace")?;
    ensure!(output.status.success(), "under strace: {}", String::from_utf8_lossy(&output.stderr));
    let text = fs::read_to_string(&file)?;
    let lines = text.lines().filter_map(|line| line.split_once(' ').map(|(thread, text)| (thread, text.trim_start())));
    let lines: Vec<(&str, &str)> = lines.collect();
    let first = lines.first().context("strace has written nothing")?.0;
    let mut out: Vec<String> = Vec::new();
    let mut begun = String::new();
    for (_, text) in lines.iter().filter(|(thread, _)| *thread == first) {
        match (text.strip_suffix(" <unfinished ...>"), text.split_once(" resumed>")) {
            (Some(text), _) => begun = text.to_owned(),
            (_, Some((_, rest))) => out.push(std::mem::take(&mut begun) + rest),
            _ => out.push((*text).to_owned()),
        }
    }
    Ok(out)
}

/// Name and result of each call that the program makes by itself.
fn done(lines: Vec<String>) -> Vec<String> {
    let begin = lines.iter().position(|line| line.contains(FIRST)).unwrap_or(0);
    let end = lines.iter().position(|line| line.contains(LAST)).unwrap_or(lines.len());
    let own = lines.get(begin..end).unwrap_or_default().iter();
    own.filter_map(|line| {
        let name = line.split('(').next()?;
        let name = NAMES.iter().find(|(here, _)| *here == name).map_or(name, |(_, there)| there);
        let is_call = !line.starts_with("---") && !OTHERS.contains(&name);
        is_call.then(|| format!("{name} = {}", lines::result(line)))
    })
    .collect()
}
