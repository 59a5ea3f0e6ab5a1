//! How programs end, as on Linux: `tests/guests/std-walk` ended in each of its ways. Status and standard output must be
//! Linux's, and what a panic says must be there.

use ampoule_tests::backend::Backend;
use ampoule_tests::guests::{Guest, Way};
use ampoule_tests::harness::Case;
use ampoule_tests::machine::Machine;
use anyhow::{Context, Result, ensure};

use crate::everywhere;

/// The way's name, and what it says on standard error, which is the same stream where there is one console.
const ENDS: [(&str, &[&str]); 14] = [
    ("exit", &[]),
    ("exit-300", &[]),
    ("exit-negative", &[]),
    ("exit-in-a-thread", &[]),
    ("abort", &[]),
    ("panic", &["thread 'main'", "ends.rs", "the program's end"]),
    ("panic-in-a-panic", &["a first one", "a second one", "panic in a destructor during cleanup"]),
    ("code", &[]),
    ("failure", &[]),
    ("error", &["Error: a failure of ours"]),
    ("backtrace-0", &[]),
    ("backtrace-1", &[]),
    ("backtrace-full", &[]),
    ("other-threads", &[]),
];

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    cases.extend(everywhere("programs end as on Linux", ends));
    cases.extend(everywhere("maps are seeded anew in every machine", seeds));
    cases
}

fn walk() -> Result<Guest> {
    Guest::all()?.into_iter().find(|guest| guest.name == "guest-std-walk").context("there is no std-walk")
}

fn ends(backend: Backend) -> Result<()> {
    let guest = walk()?;
    let (image, linux) = (guest.image(Way::Line)?, guest.linux().context("it is for Linux, too")?);
    for (way, errors) in ENDS {
        let expected = linux.run(Some(&[way]), "")?;
        let end = Machine::start(&image, backend, &["--", way])?.end()?;
        let said = || format!("{way}: {end:?}\nOn Linux: {expected:?}");
        ensure!(end.status == expected.status, "another status\n{}", said());
        // Where there is one console, standard error stands between the lines.
        let same = if backend.has_frames() {
            expected.output.lines().all(|line| end.output.contains(line))
        } else {
            end.output == expected.output
        };
        ensure!(same, "another output\n{}", said());
        ensure!(errors.iter().all(|text| end.all().contains(text)), "no {errors:?}\n{}", said());
    }
    Ok(())
}

fn seeds(backend: Backend) -> Result<()> {
    let image = walk()?.image(Way::Line)?;
    let run =
        || Ok::<_, anyhow::Error>(Machine::start(&image, backend, &["--", "seed"])?.end()?.with_status(0)?.output);
    let runs = [run()?, run()?, run()?];
    ensure!(runs[0] != runs[1] && runs[1] != runs[2] && runs[0] != runs[2], "the same: {runs:?}");
    Ok(())
}
