//! A trace's lines, taken apart.

use anyhow::{Context, Result};

/// One of them: `[THREAD] SECONDS TEXT <SECONDS>`.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) thread: u32,
    /// The call with its result, without times.
    pub(super) text: String,
}

impl Line {
    /// Fails if it is none, whole from its first byte to its last.
    pub(super) fn parse(line: &str) -> Result<Self> {
        let parse = || {
            let (thread, rest) = line.strip_prefix('[')?.split_once("] ")?;
            let (seconds, text) = rest.split_once(' ')?;
            let is_time = |text: &str| {
                let (whole, micros) = text.split_once('.')?;
                let are_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
                (are_digits(whole) && are_digits(micros) && micros.len() == 6).then_some(())
            };
            is_time(seconds)?;
            let text = match text.strip_suffix('>').and_then(|text| text.rsplit_once(" <")) {
                Some((_, "unfinished ...")) => text,
                Some((text, took)) => {
                    is_time(took)?;
                    text.split_once(") = ")?;
                    text
                }
                // It does not come back, or is a signal.
                None if text.ends_with(") = ?") || text.starts_with("--- SIG") => text,
                None => return None,
            };
            Some(Self { thread: thread.parse().ok()?, text: text.to_owned() })
        };
        parse().with_context(|| format!("no whole line of a trace: {line:?}"))
    }

    /// What is called.
    pub(super) fn name(&self) -> &str {
        self.text.split('(').next().unwrap_or_default()
    }

    /// What it came to: a number, an error's name; what cannot be the same elsewhere is left out.
    pub(super) fn result(&self) -> &str {
        result(&self.text)
    }
}

/// The result in a text that ends with it: the error's name, where there is one.
pub(super) fn result(text: &str) -> &str {
    let result = text.rsplit_once(" = ").map_or("", |(_, result)| result).trim();
    let result = result.split(" (").next().unwrap_or_default();
    result.strip_prefix("-1 ").unwrap_or(result)
}

/// All lines of a trace, and how it says that the machine ended. What the program wrote to the same stream is left out.
pub(super) fn parse(trace: &str) -> Result<(Vec<Line>, i32)> {
    let (lines, end) = trace.trim_end().rsplit_once('\n').context("a trace of two lines at least")?;
    let status = end.strip_prefix("+++ exited with ").and_then(|end| end.strip_suffix(" +++"));
    let status = status.and_then(|status| status.parse().ok()).with_context(|| format!("no end: {end:?}"))?;
    Ok((lines.lines().map(Line::parse).collect::<Result<_>>()?, status))
}

/// As text that is the same on every run: thread by thread, numbered in the order in which they come, without addresses and
/// without port numbers that the system picks.
pub(super) fn stable(lines: &[Line]) -> String {
    let mut threads: Vec<u32> = lines.iter().map(|line| line.thread).collect();
    threads.sort_unstable();
    threads.dedup();
    let of = |thread: &u32| lines.iter().filter(|line| line.thread == *thread).collect::<Vec<_>>();
    let numbered =
        threads.iter().enumerate().flat_map(|(number, thread)| of(thread).into_iter().map(move |l| (number, l)));
    numbered.map(|(number, line)| format!("[{}] {}\n", number + 1, blank(&line.text))).collect()
}

/// Addresses, which begin with `0x` and are long, and ports of five digits become dots.
fn blank(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = ["0x", "htons("].iter().filter_map(|mark| Some(rest.find(mark)? + mark.len())).min() {
        let (before, after) = rest.split_at(at);
        let digits = after.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(after.len());
        out.push_str(before);
        out.push_str(if digits > 4 { "…" } else { &after[..digits] });
        rest = &after[digits..];
    }
    out + rest
}
