//! Tables in Markdown.

use super::compare::{Pair, pair, pairs};
use super::number::{samples, text, times};
use crate::results::{Figure, Line, Outcome, Role};
use std::fmt::Write;

/// A figure's lines: what, who, each column, and how it stands beside its reference.
pub fn figure(figure: &Figure) -> String {
    let has_groups = figure.lines.iter().any(|line| !line.group.is_empty());
    let has_reach = figure.lines.iter().any(|line| line.reach.is_some());
    let mut head: Vec<String> = Vec::new();
    head.extend(has_groups.then(|| "what".into()));
    head.push("who".into());
    head.extend(figure.columns.iter().map(|column| {
        if column.unit.is_empty() { column.name.clone() } else { format!("{}, {}", column.name, column.unit) }
    }));
    head.push("beside its reference".into());
    head.extend(has_reach.then(|| "to reach".into()));
    let mut out = row(&head) + &rule(head.len());
    let mut last = None;
    for line in &figure.lines {
        let mut cells: Vec<String> = Vec::new();
        if has_groups {
            let is_new = last.replace(&line.group) != Some(&line.group);
            cells.push(if is_new { line.group.clone() } else { String::new() });
        }
        cells.push(if line.role == Role::Ours { format!("**{}**", line.who) } else { line.who.clone() });
        cells.extend(values(figure, line));
        cells.push(pair(figure, line).map(|p| format!("{} {}", times(p.ratio), p.reference.who)).unwrap_or_default());
        cells.extend(has_reach.then(|| line.reach.clone().unwrap_or_default()));
        out += &row(&cells);
    }
    out
}

/// A cell for each column.
fn values(figure: &Figure, line: &Line) -> Vec<String> {
    let count = figure.columns.len();
    let all = |first: &str| [first].into_iter().chain(std::iter::repeat("–")).take(count).map(str::to_owned).collect();
    match &line.outcome {
        Outcome::Measured(columns) => columns.iter().map(samples).collect(),
        Outcome::Absent(_) => all("not measured"),
        Outcome::Failed(_) => all("failed"),
    }
}

/// Everything of ours that is worse than what it is compared with, the worst first.
pub(super) fn slower<'a>(figures: impl Iterator<Item = &'a Figure>) -> String {
    let mut pairs: Vec<Pair<'_>> = figures.flat_map(pairs).filter(Pair::is_worse).collect();
    if pairs.is_empty() {
        return "Nowhere, in what was measured.\n".into();
    }
    pairs.sort_by(|a, b| b.worse.total_cmp(&a.worse));
    let head = ["what", "Ampoule", "reference", "worse by"].map(str::to_owned);
    pairs.iter().fold(row(&head) + &rule(head.len()), |out, pair| out + &row(&sides(pair, times(pair.worse))))
}

/// Everything of ours that was measured beside a Linux guest, in the order of the figures.
pub(super) fn linux<'a>(figures: impl Iterator<Item = &'a Figure>) -> String {
    let pairs: Vec<Pair<'_>> = figures.flat_map(pairs).filter(|pair| pair.reference.role == Role::Linux).collect();
    if pairs.is_empty() {
        return "Not measured.\n".into();
    }
    let head = ["what", "Ampoule", "Linux guest", "better by"].map(str::to_owned);
    pairs.iter().fold(row(&head) + &rule(head.len()), |out, pair| out + &row(&sides(pair, times(1.0 / pair.worse))))
}

/// What, both medians with their owners, and a factor.
fn sides(pair: &Pair<'_>, factor: String) -> [String; 4] {
    let unit = pair.figure.columns.first().map_or("", |column| &column.unit);
    let side = |line: &Line| {
        let value = line.first().map(|samples| text(samples.median())).unwrap_or_default();
        format!("{value} {unit} ({})", line.who).replace("  ", " ")
    };
    let title = &pair.figure.title;
    let what = if pair.ours.group.is_empty() { title.clone() } else { format!("{title}: {}", pair.ours.group) };
    [what, side(pair.ours), side(pair.reference), factor]
}

/// Every line without a number, and why it has none.
pub(super) fn missing<'a>(figures: impl Iterator<Item = &'a Figure>) -> String {
    let mut out = String::new();
    let mut said: Vec<(&str, &str, &str)> = Vec::new();
    for figure in figures {
        for line in &figure.lines {
            let (how, why) = match &line.outcome {
                Outcome::Measured(_) => continue,
                Outcome::Absent(why) => ("not measured", why),
                Outcome::Failed(why) => ("**failed**", why),
            };
            // Of a figure's groups one line is enough.
            if !said.contains(&(&figure.title, &line.who, why)) {
                said.push((&figure.title, &line.who, why));
                let why = why.replace('\n', " ");
                // Writing to a string cannot fail.
                let _ = writeln!(out, "- {}, {}: {how}: {why}", figure.title, line.who);
            }
        }
    }
    out
}

/// A line of a table.
pub(super) fn row(cells: &[String]) -> String {
    let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|").replace('<', "&lt;")).collect();
    format!("| {} |\n", cells.join(" | "))
}

/// What lies between a table's head and its body.
pub(super) fn rule(columns: usize) -> String {
    format!("|{}\n", "---|".repeat(columns))
}
