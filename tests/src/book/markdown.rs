//! As much of Markdown as tells prose from blocks of code.

use anyhow::{Result, bail, ensure};

/// A fenced block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fence {
    /// The line of its opening fence, from 1.
    pub line: usize,
    /// What stands behind the opening fence: language, and flags after commas.
    pub info: String,
    /// The lines between the fences.
    pub lines: Vec<String>,
}

/// A page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Its fenced blocks, in order.
    pub fences: Vec<Fence>,
    /// All other lines, with their numbers from 1.
    pub prose: Vec<(usize, String)>,
}

/// Takes a page apart.
///
/// # Errors
/// A fence that nobody closes.
pub fn read(text: &str) -> Result<Page> {
    let mut page = Page::default();
    let mut open: Option<Fence> = None;
    for (line, content) in (1..).zip(text.lines()) {
        match (content.trim_start().strip_prefix("```"), open.take()) {
            (Some(info), None) => open = Some(Fence { line, info: info.trim().to_owned(), lines: Vec::new() }),
            (Some(""), Some(fence)) => page.fences.push(fence),
            (Some(_), Some(fence)) => bail!("line {line}: a block begins in the one of line {}", fence.line),
            (None, Some(mut fence)) => {
                fence.lines.push(content.to_owned());
                open = Some(fence);
            }
            (None, None) => page.prose.push((line, content.to_owned())),
        }
    }
    match open {
        Some(fence) => bail!("line {}: the block has no end", fence.line),
        None => Ok(page),
    }
}

impl Page {
    /// The anchors that GitHub and mdBook give its headings: lower case, spaces to `-`, punctuation gone; a second one of
    /// the same name gets `-1`.
    pub fn anchors(&self) -> Vec<String> {
        let mut anchors: Vec<String> = Vec::new();
        for (_, line) in &self.prose {
            let Some(title) = line.strip_prefix('#').map(|rest| rest.trim_start_matches('#').trim()) else { continue };
            let slug: String = title.chars().filter_map(slug).collect();
            let taken = |anchor: &str| anchors.iter().any(|other| other == anchor);
            let numbered = (1..).map(|number| format!("{slug}-{number}"));
            let free = std::iter::once(slug.clone()).chain(numbered).find(|anchor| !taken(anchor));
            anchors.extend(free);
        }
        anchors
    }

    /// The commands (`$ …`) in its blocks, with the blocks' lines.
    pub fn commands(&self) -> impl Iterator<Item = (usize, &str)> {
        self.fences.iter().flat_map(|fence| {
            let commands = fence.lines.iter().filter_map(|text| text.strip_prefix("$ "));
            commands.map(|command| (fence.line, without_comment(command)))
        })
    }

    /// What stands between backquotes in its prose, with the lines' numbers.
    pub fn quoted(&self) -> impl Iterator<Item = (usize, &str)> {
        self.prose.iter().flat_map(|(number, line)| line.split('`').skip(1).step_by(2).map(|text| (*number, text)))
    }
}

/// What stands in the column where no command measures a number: it was measured by hand.
const NO_COMMAND: &str = "recorded once";

/// Fails where a table with a column `command` has a row without one that does not say so.
///
/// # Errors
/// Each such row.
pub fn has_commands(page: &Page) -> Result<()> {
    let mut column = None;
    let mut rows = 0;
    for (line, text) in &page.prose {
        let Some(row) = text.strip_prefix("| ") else {
            column = if text.starts_with('|') { column } else { None };
            continue;
        };
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        match column {
            None => column = Some(cells.iter().position(|cell| *cell == "command")),
            Some(None) => {}
            Some(Some(at)) => {
                let cell = cells.get(at).copied().unwrap_or_default();
                ensure!(
                    cell.contains('`') || cell == NO_COMMAND,
                    "line {line}: no command in the column of commands: {text}"
                );
                rows += 1;
            }
        }
    }
    ensure!(rows > 0, "no table has a column of commands");
    Ok(())
}

/// A command without the comment behind it: what follows a `#` after a space, outside of quotes.
pub(super) fn without_comment(command: &str) -> &str {
    let (mut quote, mut before) = (None, ' ');
    for (at, c) in command.char_indices() {
        match (quote, c) {
            (None, '#') if before == ' ' => return command[..at].trim_end(),
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), _) if open == c => quote = None,
            _ => {}
        }
        before = c;
    }
    command.trim_end()
}

fn slug(c: char) -> Option<char> {
    match c {
        ' ' => Some('-'),
        '-' | '_' => Some(c),
        _ if c.is_alphanumeric() => c.to_lowercase().next(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_taken_apart() {
        let page = read("# A `b`, c\nx `y z`\n```console,no-run\n$ a\n```\n## A b c\n").expect("reads");
        assert_eq!(page.fences, [Fence { line: 3, info: "console,no-run".into(), lines: vec!["$ a".into()] }]);
        assert_eq!(page.anchors(), ["a-b-c", "a-b-c-1"]);
        assert_eq!(page.quoted().collect::<Vec<_>>(), [(1, "b"), (2, "y z")]);
    }

    #[test]
    fn open_fences_are_refused() {
        assert!(read("```text\nx").is_err());
        assert!(read("```text\n```console\n```").is_err());
    }
}
