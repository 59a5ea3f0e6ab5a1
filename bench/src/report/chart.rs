//! A figure as a picture: SVG with a bar for each subject, in the colours of the day and of the night.
//!
//! Each group of subjects has its own scale, from nothing to its greatest value, because what is compared is the subjects
//! of a group. Every bar has its name and its number as text, so nothing is told by colour or by length alone, and the
//! whole is in the description that a screen reader reads. The file asks for nothing from elsewhere.

use super::compare::pair;
use super::number;
use crate::results::{Column, Figure, Line, Outcome, Role};
use std::fmt::Write;

const WIDTH: f64 = 820.0;
const MARGIN: f64 = 16.0;
/// Where bars begin, and how long the longest is. What stands beside them has the rest.
const BARS: f64 = 256.0;
const LONGEST: f64 = 330.0;
const ROW: f64 = 24.0;
const BAR: f64 = 14.0;
const HEAD: f64 = 64.0;
const GROUP: f64 = 30.0;

const STYLE: &str = "\
text{font:12px system-ui,-apple-system,'Segoe UI','DejaVu Sans',sans-serif;fill:#1f2328}\
.h{font-size:15px;font-weight:600}.g{font-weight:600}.m{fill:#59636e}\
.paper{fill:#fff}.axis{stroke:#d1d9e0}.spread{stroke:#1f2328}\
.ours{fill:#0969da}.native{fill:#848d97}.linux{fill:#bc4c00}.other{fill:#1a7f37}\
@media(prefers-color-scheme:dark){text{fill:#f0f6fc}.m{fill:#9198a1}\
.paper{fill:#0d1117}.axis{stroke:#3d444d}.spread{stroke:#f0f6fc}\
.ours{fill:#4493f8}.native{fill:#7d8590}.linux{fill:#db6d28}.other{fill:#3fb950}}";

/// The picture.
pub fn svg(figure: &Figure) -> String {
    let Some(column) = figure.columns.first() else { return String::new() };
    let mut body = String::new();
    let mut top = HEAD;
    for group in figure.groups() {
        if !group.is_empty() {
            text(&mut body, MARGIN, top + 18.0, "g", group);
            top += GROUP;
        }
        let lines: Vec<&Line> = figure.lines.iter().filter(|line| line.group == group).collect();
        let greatest = lines.iter().filter_map(|line| line.first()).map(|s| s.spread().1).fold(0.0, f64::max);
        let bottom = top + ROW * lines.len() as f64;
        // Writing to a string cannot fail, here and below.
        let _ = writeln!(body, "<path class=\"axis\" d=\"M{BARS:.1} {top:.1}V{bottom:.1}\"/>");
        for line in lines {
            row(&mut body, figure, line, greatest, top);
            top += ROW;
        }
        top += 8.0;
    }
    let (height, name) = (top + 8.0, &figure.name);
    let mut out = String::new();
    let _ = write!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH:.0} {height:.0}\" width=\"{WIDTH:.0}\" \
         height=\"{height:.0}\" role=\"img\" aria-labelledby=\"{name}-title {name}-description\">\n\
         <title id=\"{name}-title\">{}</title>\n<desc id=\"{name}-description\">{}</desc>\n<style>{STYLE}</style>\n\
         <rect class=\"paper\" width=\"{WIDTH:.0}\" height=\"{height:.0}\" rx=\"6\"/>\n",
        escape(&figure.title),
        escape(&description(figure, column)),
    );
    text(&mut out, MARGIN, 27.0, "h", &figure.title);
    text(&mut out, MARGIN, 47.0, "m", &legend(column));
    out + &body + "</svg>\n"
}

/// What bars and lines mean.
fn legend(column: &Column) -> String {
    let better = if column.is_less_better { "less" } else { "more" };
    let unit = if column.unit.is_empty() { String::new() } else { format!(", {}", column.unit) };
    format!("{}{unit}: {better} is better. Bars are medians, thin lines the 10th to the 90th percentile.", column.name)
}

/// All of it in words.
fn description(figure: &Figure, column: &Column) -> String {
    let mut out = legend(column);
    for group in figure.groups() {
        let lines = figure.lines.iter().filter(|line| line.group == group);
        let each = lines.map(|line| format!("{} {}", line.who, beside(figure, line))).collect::<Vec<_>>().join("; ");
        let _ = if group.is_empty() { write!(out, " {each}.") } else { write!(out, " {group}: {each}.") };
    }
    out
}

fn row(out: &mut String, figure: &Figure, line: &Line, greatest: f64, top: f64) {
    let middle = top + ROW / 2.0;
    let _ = writeln!(out, "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>", BARS - 8.0, middle + 4.0, {
        escape(&line.who)
    });
    let mut end = BARS;
    if let Some(samples) = line.first() {
        let scale = |value: f64| if greatest > 0.0 { value / greatest * LONGEST } else { 0.0 };
        let (low, high) = samples.spread();
        let class = match line.role {
            Role::Ours => "ours",
            Role::Native => "native",
            Role::Linux => "linux",
            Role::Other => "other",
        };
        let (y, length) = (middle - BAR / 2.0, scale(samples.median()).max(1.0));
        let _ = writeln!(
            out,
            "<rect class=\"{class}\" x=\"{BARS:.1}\" y=\"{y:.1}\" width=\"{length:.1}\" height=\"{BAR:.1}\" rx=\"2\"/>"
        );
        end += length.max(scale(high));
        if scale(high) - scale(low) >= 2.0 {
            let (from, to) = (BARS + scale(low), BARS + scale(high));
            let _ = writeln!(out, "<path class=\"spread\" d=\"M{from:.1} {middle:.1}H{to:.1}\"/>");
        }
    }
    let class = if line.first().is_some() { "" } else { "m" };
    text(out, end + 7.0, middle + 4.0, class, &beside(figure, line));
}

/// What stands at a bar's end.
fn beside(figure: &Figure, line: &Line) -> String {
    match (&line.outcome, line.first()) {
        (_, Some(samples)) => {
            let value = number::text(samples.median());
            match pair(figure, line) {
                Some(pair) => format!("{value} · {} {}", number::times(pair.ratio), short(&pair.reference.who)),
                None => value,
            }
        }
        (Outcome::Failed(_), _) => "failed".into(),
        _ => "not measured".into(),
    }
}

/// A subject's first word, which is enough beside another's number.
fn short(who: &str) -> &str {
    who.split([' ', ',']).next().unwrap_or(who)
}

fn text(out: &mut String, x: f64, y: f64, class: &str, words: &str) {
    let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
    let _ = writeln!(out, "<text{class} x=\"{x:.1}\" y=\"{y:.1}\">{}</text>", escape(words));
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
