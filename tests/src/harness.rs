//! A small test harness. The standard one cannot say that a test was skipped, and why.

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use anyhow::Result;

/// What became of a test that did not fail.
pub enum Verdict {
    /// It held.
    Passed,
    /// It cannot be tried here, for this reason.
    Skipped(String),
}

/// A test.
pub struct Case {
    /// Its name.
    pub name: String,
    run: Box<dyn Fn() -> Result<Verdict> + Send + Sync>,
}

impl Case {
    /// A test that passes if it returns.
    pub fn new(name: impl Into<String>, run: impl Fn() -> Result<Verdict> + Send + Sync + 'static) -> Self {
        Self { name: name.into(), run: Box::new(run) }
    }
}

/// Runs those whose names contain one of the command line's words (all, without any), as many at once as there are CPUs,
/// and prints what the standard harness prints.
pub fn main(cases: Vec<Case>) -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.iter().any(|word| word == "--list") {
        cases.iter().for_each(|case| println!("{}: test", case.name));
        return ExitCode::SUCCESS;
    }
    let filters: Vec<&String> = words.iter().filter(|word| !word.starts_with('-')).collect();
    let wanted = |case: &Case| filters.is_empty() || filters.iter().any(|filter| case.name.contains(*filter));
    let (cases, others): (Vec<Case>, Vec<Case>) = cases.into_iter().partition(wanted);
    let start = Instant::now();
    println!("\nrunning {} tests", cases.len());
    let next = AtomicUsize::new(0);
    let sums = Mutex::new([0usize; 3]);
    let failures = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let slot = perform(case, &failures);
                    if let Ok(mut sums) = sums.lock() {
                        sums[slot] += 1;
                    }
                }
            });
        }
    });
    for (name, error) in failures.into_inner().unwrap_or_default() {
        println!("\n---- {name} ----\n{error}");
    }
    let [passed, failed, skipped] = sums.into_inner().unwrap_or_default();
    println!(
        "\ntest result: {}. {passed} passed; {failed} failed; {skipped} ignored; 0 measured; {} filtered out; finished in \
         {:.2}s\n",
        if failed == 0 { "ok" } else { "FAILED" },
        others.len(),
        start.elapsed().as_secs_f64(),
    );
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs one and says where it counts: passed, failed or skipped.
fn perform(case: &Case, failures: &Mutex<Vec<(String, String)>>) -> usize {
    let start = Instant::now();
    let result = (case.run)();
    let seconds = start.elapsed().as_secs_f64();
    match result {
        Ok(Verdict::Passed) => {
            println!("test {} ... ok ({seconds:.1} s)", case.name);
            0
        }
        Ok(Verdict::Skipped(reason)) => {
            println!("test {} ... ignored, {reason}", case.name);
            2
        }
        Err(error) => {
            println!("test {} ... FAILED ({seconds:.1} s)", case.name);
            if let Ok(mut failures) = failures.lock() {
                failures.push((case.name.clone(), format!("{error:#}")));
            }
            1
        }
    }
}
