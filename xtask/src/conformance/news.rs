//! What a run has found that the document did not say before it.

use super::compare::Comparison;
use super::report::OTHERS;

/// What the document said of a crate under a backend.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Before {
    /// How many tests passed.
    passed: usize,
    /// Those that did not.
    losses: Vec<String>,
}

impl Before {
    /// Reads a crate's section; `other` is a backend that is not a process. `None`: it says nothing of this version there.
    pub(super) fn read(section: &str, title: &str, other: Option<&str>) -> Option<Self> {
        let (own, rows) = section.strip_prefix(title)?.split_once(OTHERS).unwrap_or((section, ""));
        let (text, beginnings) = match other {
            None => (own, ["Failed, ".to_owned(), "Not applicable, ".to_owned()]),
            Some(other) => (rows, [format!("Not under {other}: "), format!("Not under {other}, ")]),
        };
        let cells = |line: &str| line.split(" | ").map(str::to_owned).collect::<Vec<_>>();
        let rows = text.lines().filter(|line| line.starts_with("| ")).map(cells);
        let passed = match other {
            None => rows.filter_map(|row| row.get(1)?.parse().ok()).next()?,
            Some(other) => rows
                .filter(|row| row.get(1).is_some_and(|cell| cell == other))
                .find_map(|row| row.get(2)?.parse().ok())?,
        };
        let is_loss = |paragraph: &&str| beginnings.iter().any(|beginning| paragraph.starts_with(&**beginning));
        let losses = text.split("\n\n").filter(is_loss).flat_map(|paragraph| {
            let names = paragraph.trim().rsplit_once('\n').map_or(paragraph, |(_, names)| names);
            named(names).map(|(test, _)| test.to_owned()).collect::<Vec<_>>()
        });
        Some(Self { passed, losses: losses.collect() })
    }
}

/// Each name in a row of them, and what stands behind it in parentheses.
pub(super) fn named(names: &str) -> impl Iterator<Item = (&str, Option<&str>)> {
    let names = names.find('`').map_or("", |at| &names[at + 1..]);
    names.trim().trim_end_matches('.').split(", `").filter_map(|part| {
        let (test, how) = part.split_once('`')?;
        Some((test, how.trim().strip_prefix('(').and_then(|how| how.strip_suffix(')'))))
    })
}

/// A line for each thing that is new. `what` names the crate, and the backend if it is another one.
pub(super) fn of(what: &str, before: Option<&Before>, now: &Comparison) -> Vec<String> {
    let Some(before) = before else { return vec![format!("{what}: its first run: {}", now.summary())] };
    let fails = now.losses.iter().filter(|loss| !before.losses.contains(&loss.test));
    let mut lines: Vec<String> =
        fails.map(|loss| format!("{what}: {} {}, which was not so before", loss.test, loss.how)).collect();
    for test in before.losses.iter().filter(|test| !now.losses.iter().any(|loss| loss.test == **test)) {
        let is_not_on_linux = now.not_on_linux.iter().any(|line| line.split(' ').next() == Some(test));
        let how = if is_not_on_linux { "does not pass on Linux now" } else { "passes now" };
        lines.push(format!("{what}: {test} {how}"));
    }
    if now.passed != before.passed {
        lines.push(format!("{what}: {} tests pass; before it was {}", now.passed, before.passed));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::super::list::Subject;
    use super::super::run::{Results, Verdict};
    use super::*;

    const SECTION: &str = "x 1.0.0\n\n| x 1.0.0 | 9 | 2 | 1 | 81.8 % | 1.0 s | 2.0 s |\n\na date.\n\nFailed, 2: Old: `not a test`.\n\
                           `a::b` (hangs), `e::f`.\n\nNot applicable, 1: Never.\n`c::d`.\n\nUnder other backends:\n\n\
                           | x 1.0.0 | kvm | 8 | 1 | 0 | 1.0 s | 2.0 s | 2026-01-01 |\n\nNot under kvm: `g::h` (hangs).\n\n\
                           | x 1.0.0 | qemu/q35 | 7 | 0 | 0 | 1.0 s | 2.0 s | 2026-01-01 |";

    #[test]
    fn a_section_says_what_was_before() {
        let read = |other| Before::read(SECTION, "x 1.0.0\n", other);
        let of = |passed, losses: &[&str]| {
            Some(Before { passed, losses: losses.iter().map(|loss| (*loss).to_owned()).collect() })
        };
        assert_eq!(read(None), of(9, &["a::b", "e::f", "c::d"]));
        assert_eq!(read(Some("kvm")), of(8, &["g::h"]));
        assert_eq!(read(Some("qemu/q35")), of(7, &[]));
        assert_eq!(read(Some("qemu/microvm")), None);
        assert_eq!(Before::read(SECTION, "x 1.1.0\n", None), None);
    }

    #[test]
    fn what_is_new_is_said() {
        let subject: Subject = toml::from_str("name = \"x\"\nversion = \"1.0.0\"\nchecksum = \"\"").expect("a subject");
        let results = |failing: &str| {
            let verdict = |name: &str| if name == failing { Verdict::Failed("hangs".into()) } else { Verdict::Passed };
            let tests = ["a::b", "c::d"].map(|name| (name.to_owned(), verdict(name))).into();
            Results { tests, ..Results::default() }
        };
        let now = Comparison::new(&subject, &results(""), &results("a::b"), true);
        let before = |passed, loss: &str| Before { passed, losses: vec![loss.into()] };
        assert_eq!(of("x", Some(&before(1, "a::b")), &now), Vec::<String>::new());
        let lines = of("x", Some(&before(2, "c::d")), &now);
        let wanted =
            ["x: a::b hangs, which was not so before", "x: c::d passes now", "x: 1 tests pass; before it was 2"];
        assert_eq!(lines, wanted);
        assert_eq!(of("x", None, &now).len(), 1);
    }
}
