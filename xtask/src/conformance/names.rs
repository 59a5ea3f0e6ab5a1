//! Tests' names in a row, as the document has them: each in backquotes, how it fails behind it in parentheses.

use std::collections::BTreeMap;

/// So many tests of one module that fail alike are told by their module.
const MANY: usize = 20;

/// Names in a row; how they fail is left out where they just fail.
pub(super) fn names<'a>(tests: impl Iterator<Item = &'a str>) -> String {
    tests
        .map(|test| format!("`{}`", test.trim_end_matches(" (fails)")).replace(" (", "` (").replace(")`", ")"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// The same for a reader alone: many of one module in one.
pub(super) fn folded(tests: &[String]) -> String {
    let mut groups: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for test in tests {
        let (name, how) = test.split_once(" (").unwrap_or((test, "fails)"));
        groups.entry((name.rsplit_once("::").map_or("", |(module, _)| module), how)).or_default().push(test);
    }
    let told = groups.iter().map(|((module, how), tests)| match tests.len() {
        MANY.. => format!("{} tests `{module}::*`{}", tests.len(), behind(how)),
        _ => names(tests.iter().copied()),
    });
    told.collect::<Vec<_>>().join(", ")
}

/// How they fail, unless they just do.
fn behind(how: &str) -> String {
    if how == "fails)" { String::new() } else { format!(" ({how}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_of_one_module_are_one() {
        let mut tests: Vec<String> = (0..MANY).map(|number| format!("lib::m::t{number} (fails)")).collect();
        tests.extend(["lib::m::slow (hangs)".to_owned(), "it::a (fails)".to_owned()]);
        assert_eq!(folded(&tests), "`it::a`, 20 tests `lib::m::*`, `lib::m::slow` (hangs)");
        assert_eq!(folded(&tests[1..3]), "`lib::m::t1`, `lib::m::t2`");
    }
}
