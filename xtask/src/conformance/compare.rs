//! What passes on Linux, and what became of it in the machine.

use std::time::Duration;

use super::list::Subject;
use super::run::{Results, Verdict};

/// A test that passes on Linux and not in the machine.
#[derive(Debug)]
pub(super) struct Loss {
    /// `TARGET::TEST`.
    pub(super) test: String,
    /// What it does.
    pub(super) how: String,
    /// Which of the subject's causes it is put down to.
    pub(super) cause: Option<usize>,
}

/// A suite's sums and losses.
#[derive(Debug)]
pub(super) struct Comparison {
    name: String,
    /// Tests that pass on both.
    pub(super) passed: usize,
    /// Tests that pass on Linux alone, for a cause that is ours.
    pub(super) failed: usize,
    /// The same, for an inherent cause.
    pub(super) not_applicable: usize,
    /// Tests that do not pass on Linux either.
    pub(super) not_on_linux: Vec<String>,
    /// All that pass on Linux alone.
    pub(super) losses: Vec<Loss>,
    /// Causes, by index, of which no test fails any more.
    stale: Vec<String>,
    /// What the programs took that came to their end in both places, on Linux and in the machine.
    pub(super) time: (Duration, Duration),
    /// How many programs those are, and how many there are.
    pub(super) timed: (usize, usize),
}

impl Comparison {
    /// `is_last_word`: tests that pass make their cause stale. Where the list was not made, another cause may hold.
    pub(super) fn new(subject: &Subject, linux: &Results, machine: &Results, is_last_word: bool) -> Self {
        let (mut passed, mut losses, mut not_on_linux) = (0, Vec::new(), Vec::new());
        for (test, verdict) in &linux.tests {
            match (verdict, machine.tests.get(test)) {
                (Verdict::Ignored, _) => {}
                (Verdict::Failed(how), _) => not_on_linux.push(format!("{test} ({how})")),
                (Verdict::Passed, Some(Verdict::Passed)) => passed += 1,
                (Verdict::Passed, other) => {
                    let how = match other {
                        Some(Verdict::Failed(how)) => how.clone(),
                        _ => "is not there".to_owned(),
                    };
                    let cause = subject.cause.iter().position(|cause| cause.is_of(test));
                    losses.push(Loss { test: test.clone(), how, cause });
                }
            }
        }
        let inherent = |loss: &&Loss| loss.cause.is_some_and(|cause| subject.cause[cause].inherent);
        let not_applicable = losses.iter().filter(inherent).count();
        let passes = |pattern: &str| {
            let one = super::list::Cause {
                tests: vec![pattern.into()],
                inherent: false,
                because: String::new(),
                sometimes: false,
            };
            !losses.iter().any(|loss| one.is_of(&loss.test))
        };
        let certain =
            subject.cause.iter().filter(|cause| is_last_word && !cause.sometimes).flat_map(|cause| &cause.tests);
        let stale = certain.filter(|pattern| passes(pattern)).cloned().collect();
        let both = || linux.time.iter().filter_map(|(name, time)| Some((*time, *machine.time.get(name)?)));
        Self {
            name: subject.name.clone(),
            passed,
            failed: losses.len() - not_applicable,
            not_applicable,
            not_on_linux,
            losses,
            stale,
            time: (both().map(|(linux, _)| linux).sum(), both().map(|(_, machine)| machine).sum()),
            timed: (both().count(), linux.time.len()),
        }
    }

    /// One line for a person.
    pub(super) fn summary(&self) -> String {
        format!(
            "{} passed, {} failed, {} not applicable, {} do not pass on Linux; {:.1} s, on Linux {:.1} s",
            self.passed,
            self.failed,
            self.not_applicable,
            self.not_on_linux.len(),
            self.time.1.as_secs_f64(),
            self.time.0.as_secs_f64(),
        )
    }

    /// What makes the command fail.
    pub(super) fn complaints(&self) -> Vec<String> {
        let without_cause = self.losses.iter().filter(|loss| loss.cause.is_none());
        let unexplained =
            without_cause.map(|loss| format!("{}: {} {}, without a cause", self.name, loss.test, loss.how));
        let stale = self.stale.iter().map(|tests| format!("{}: the cause of {tests} is no more: they pass", self.name));
        unexplained.chain(stale).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::list::Cause;
    use super::*;

    fn results(tests: &[(&str, Verdict)]) -> Results {
        let tests = tests.iter().map(|(name, verdict)| ((*name).to_owned(), verdict.clone())).collect();
        Results { tests, ..Results::default() }
    }

    fn subject(tests: &[&str], inherent: bool) -> Subject {
        let tests = tests.iter().map(|test| (*test).to_owned()).collect();
        let cause = Cause { tests, inherent, because: "a reason".into(), sometimes: false };
        let text = "name = \"x\"\nversion = \"1.0.0\"\nchecksum = \"\"";
        Subject { cause: vec![cause], ..toml::from_str(text).expect("a subject") }
    }

    #[test]
    fn a_failure_without_a_cause_is_a_complaint() {
        let linux =
            results(&[("a::x", Verdict::Passed), ("a::y", Verdict::Passed), ("a::z", Verdict::Failed("fails".into()))]);
        let machine = results(&[("a::x", Verdict::Passed), ("a::y", Verdict::Failed("hangs".into()))]);
        let comparison = Comparison::new(&subject(&["a::y"], true), &linux, &machine, true);
        assert_eq!((comparison.passed, comparison.failed, comparison.not_applicable), (1, 0, 1));
        assert!(comparison.complaints().is_empty());
        let elsewhere = Comparison::new(&subject(&["b::*"], false), &linux, &machine, false);
        assert_eq!(elsewhere.complaints().len(), 1, "{:?}", elsewhere.complaints());
        let comparison = Comparison::new(&subject(&["b::*"], false), &linux, &machine, true);
        assert_eq!((comparison.passed, comparison.failed, comparison.not_on_linux.len()), (1, 1, 1));
        assert_eq!(comparison.complaints().len(), 2, "{:?}", comparison.complaints());
    }

    #[test]
    fn a_test_that_is_not_there_has_failed() {
        let linux = results(&[("a::x", Verdict::Passed)]);
        let comparison = Comparison::new(&subject(&["a::*"], false), &linux, &results(&[]), true);
        assert_eq!((comparison.passed, comparison.failed), (0, 1));
    }
}
