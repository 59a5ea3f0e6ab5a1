//! What a command printed, beside what the page says that it prints.

/// Stands for anything: on a line of its own for any lines, within a line for any text.
const ANYTHING: &str = "...";

/// Is the output what the page says?
pub(super) fn is(expected: &[String], output: &[&str]) -> bool {
    match expected.split_first() {
        None => output.is_empty(),
        Some((first, rest)) if first == ANYTHING => (0..=output.len()).any(|skipped| is(rest, &output[skipped..])),
        Some((first, rest)) => {
            output.split_first().is_some_and(|(line, others)| is_line(first, line.trim_end()) && is(rest, others))
        }
    }
}

/// Has the output what the page says, whatever comes before and behind it?
pub(super) fn contains(expected: &[String], output: &[&str]) -> bool {
    (0..=output.len()).any(|start| (start..=output.len()).any(|end| is(expected, &output[start..end])))
}

fn is_line(expected: &str, line: &str) -> bool {
    let Some((head, tail)) = expected.split_once(ANYTHING) else { return expected == line };
    let Some(rest) = line.strip_prefix(head) else { return false };
    let ends = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
    ends.into_iter().any(|at| is_line(tail, &rest[at..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn outputs_are_compared() {
        let check = |expected: &str, output: &str| is(&lines(expected), &output.lines().collect::<Vec<_>>());
        assert!(check("a\nb", "a\nb "));
        assert!(check("a\n...\nd", "a\nb\nc\nd"));
        assert!(check("a\n...", "a"));
        assert!(check("took ... ms (...)", "took 1.5 ms (x)"));
        assert!(!check("a", "a\nb"));
        assert!(!check("a\nb", "a"));
        assert!(!check("...\nd", "a\nb"));
        assert!(!check("took ... ms", "took 1.5 s"));
        assert!(contains(&lines("b"), &["a", "b", "c"]));
        assert!(!contains(&lines("b\nd"), &["a", "b", "c", "d"]));
    }
}
