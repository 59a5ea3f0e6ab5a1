//! What a block of a page is for: [`super`] has the table.

use anyhow::{Context, Result, bail, ensure};

use super::markdown::{self, Fence, without_comment};

/// How the first line of a block that is not run begins; the reason follows.
const NOT_RUN: &str = "# not run by the tests: ";

/// A block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Block {
    /// Commands, and what they print.
    Session(Vec<Step>),
    /// Commands that the page says are not run, and its reason.
    NotRun(String, Vec<Step>),
    /// A file: path and text.
    File(String, String),
    /// A manifest.
    Manifest(String),
    /// Nothing to do.
    Inert,
}

/// A command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// Its line in the page.
    pub(super) line: usize,
    /// The command, without a comment and without a final `&`.
    pub(super) command: String,
    /// Does it stay in the background?
    pub(super) is_background: bool,
    /// What it prints; empty: anything.
    pub(super) expected: Vec<String>,
    /// Must it succeed? Not where the next command asks for its status.
    pub(super) must_succeed: bool,
}

/// All of a page's blocks, with their lines.
pub(super) fn blocks(text: &str) -> Result<Vec<(usize, Block)>> {
    let fences = markdown::read(text)?.fences;
    fences.iter().map(|fence| Ok((fence.line, read(fence).with_context(|| format!("line {}", fence.line))?))).collect()
}

fn read(fence: &Fence) -> Result<Block> {
    match fence.info.as_str() {
        "console" => session(fence, &fence.lines, 1).map(Block::Session),
        "console,no-run" => {
            let reason = fence.lines.first().and_then(|line| line.strip_prefix(NOT_RUN));
            let reason = reason.filter(|reason| !reason.trim().is_empty());
            let reason = reason.with_context(|| format!("the block's first line does not say why: `{NOT_RUN}…`"))?;
            Ok(Block::NotRun(reason.to_owned(), session(fence, &fence.lines[1..], 2)?))
        }
        "rust" | "toml" | "text" | "ini" | "json" | "gdb" => {
            let command = fence.lines.iter().find(|line| line.starts_with("$ "));
            ensure!(command.is_none(), "a command in a block of `{}`, which nobody runs", fence.info);
            Ok(quiet(fence))
        }
        other => {
            bail!("nobody understands blocks of `{other}`; there are console, rust, toml, text, ini, json and gdb")
        }
    }
}

/// A block without commands.
fn quiet(fence: &Fence) -> Block {
    let text = fence.lines.join("\n") + "\n";
    let comment = match fence.info.as_str() {
        "rust" => Some("// "),
        "toml" => Some("# "),
        _ => None,
    };
    let first = fence.lines.first().zip(comment).and_then(|(line, comment)| line.strip_prefix(comment));
    let is_path = |line: &&str| line.contains('/') && !line.contains(' ') && !line.ends_with('/');
    match first.filter(is_path) {
        Some(path) => Block::File(path.to_owned(), text),
        None if fence.info == "toml" && text.contains("[package.metadata.ampoule]") => Block::Manifest(text),
        None => Block::Inert,
    }
}

/// The commands of these lines, of which the first is the block's `offset`th below its fence.
fn session(fence: &Fence, lines: &[String], offset: usize) -> Result<Vec<Step>> {
    let mut steps: Vec<Step> = Vec::new();
    for (line, text) in (fence.line + offset..).zip(lines) {
        match (text.strip_prefix("$ "), steps.last_mut()) {
            (Some(command), last) => {
                let command = without_comment(command);
                if let (Some(last), "echo $?") = (last, command) {
                    last.must_succeed = false;
                }
                let (command, is_background) = match command.strip_suffix('&').filter(|rest| rest.ends_with(' ')) {
                    Some(rest) => (rest.trim_end(), true),
                    None => (command, false),
                };
                let command = command.to_owned();
                steps.push(Step { line, command, is_background, expected: Vec::new(), must_succeed: true });
            }
            (None, Some(last)) => last.expected.push(text.trim_end().to_owned()),
            (None, None) => bail!("the block does not begin with a command (`$ …`)"),
        }
    }
    for step in &mut steps {
        // An empty line sets commands apart.
        while step.expected.last().is_some_and(String::is_empty) {
            step.expected.pop();
        }
        let line = step.line;
        ensure!(
            !step.is_background || !step.expected.is_empty(),
            "line {line}: it does not say what the server prints"
        );
    }
    ensure!(!steps.is_empty(), "a block of no commands");
    Ok(steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Result<Block> {
        Ok(blocks(text)?.remove(0).1)
    }

    #[test]
    fn sessions_are_read() {
        let text = "```console\n$ a 'b # c'  # d\nx\n\n$ e &    # f\ny\n$ g\n$ echo $?\n7\n```";
        let Ok(Block::Session(steps)) = one(text) else { panic!("no session") };
        let read: Vec<_> =
            steps.iter().map(|s| (s.line, s.command.as_str(), s.is_background, s.must_succeed)).collect();
        let expected =
            [(2, "a 'b # c'", false, true), (5, "e", true, true), (7, "g", false, false), (8, "echo $?", false, true)];
        assert_eq!(read, expected);
        assert_eq!(steps[0].expected, ["x"]);
    }

    #[test]
    fn files_and_manifests_are_told_apart() {
        assert_eq!(one("```rust\n// a/b.rs\nx\n```").ok(), Some(Block::File("a/b.rs".into(), "// a/b.rs\nx\n".into())));
        assert_eq!(one("```rust\n// a and b\n```").ok(), Some(Block::Inert));
        assert!(matches!(one("```toml\n[package.metadata.ampoule]\n```"), Ok(Block::Manifest(_))));
    }

    #[test]
    fn what_nobody_understands_is_refused() {
        for text in [
            "```\n$ a\n```",
            "```sh\na\n```",
            "```text\n$ a\n```",
            "```console\na\n```",
            "```console\n```",
            "```console\n$ a &\n```",
            "```console,no-run\n$ a\n```",
            "```console,no-run\n# not run by the tests: \n$ a\n```",
            "```console,skip\n$ a\n```",
        ] {
            assert!(one(text).is_err(), "{text}");
        }
    }
}
