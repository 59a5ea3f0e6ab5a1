//! The least memory with which a program does its work, and what a machine costs beside its guest's.

use super::place::Place;
use super::server::{Plan, Server};
use super::start::prints;
use super::subjects::{Program, Subjects};
use super::turns::{Contender, grouped, take};
use super::{figure, less};
use crate::ask::Kind;
use crate::command::outcome;
use crate::results::{Figure, Line, Outcome};
use crate::smaps;
use anyhow::{Context, Result, bail};
use std::time::Duration;

/// Sizes to try, in MiB, ascending.
const SIZES: [u64; 24] = [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 20, 24, 28, 32, 36, 40, 48, 56, 64, 72, 80, 96, 128];
/// How often the size that is named must have worked, one time after the other.
const TIMES: usize = 3;
/// A guest with too little memory may end, or hang.
const PATIENCE: Duration = Duration::from_secs(8);
/// The guest's memory where what is beside it is measured.
const GUEST_MIB: u64 = 64;

pub(super) fn figures(subjects: &Subjects) -> Result<Vec<Figure>> {
    let hello = subjects.program("examples/hello", true)?;
    let web = subjects.program("examples/web", true)?;
    let mut lines = Vec::new();
    for place in [Place::Process, Place::Kvm, Place::Microvm, Place::Q35, Place::Linux] {
        let prints = |size| prints_hello(subjects, &hello, place, size);
        let answers = |size| answers_thousand(subjects, &web, place, size);
        lines.push(least(subjects, place, "`hello` prints", &hello, false, prints));
        lines.push(least(subjects, place, "`web` answers 1,000 requests", &web, true, answers));
    }
    let rounds = subjects.rounds(5);
    let guest = &web;
    let beside = [Place::Process, Place::Kvm].map(|place| {
        let mut line = place.line("");
        line.against = None;
        let contender = Contender::new(vec![line], move || Ok(vec![beside_guest(subjects, guest, place)?]));
        match place.lacks(false) {
            Some(why) => contender.without(why),
            None => contender.reach("≤ 3"),
        }
    });
    Ok(vec![
        figure(
            "memory-least",
            "Least memory",
            "The smallest of these sizes with which it worked three times of three: 1 to 8, 10, 12, 16 to 40 by fours, 48 to \
             80 by eights, 96, 128 MiB. Half of the thousand requests came on connections of their own, the others from 32 \
             connections at once.",
            vec![less("memory", "MiB")],
            1,
            grouped(lines),
        ),
        figure(
            "memory-beside",
            "Memory beside the guest's",
            "What the machine's process has resident without the 64 MiB of its guest, when `web` has answered once; how much of \
             that nobody else has; and the same of the tool, its parent.",
            ["machine", "machine, private", "tool", "tool, private"].map(|name| less(name, "MiB")).into(),
            rounds,
            take(rounds, beside.into()),
        ),
    ])
}

/// The least of the sizes that works in a place, by bisection.
fn least(
    subjects: &Subjects,
    place: Place,
    group: &str,
    program: &Program,
    needs_tap: bool,
    works: impl Fn(u64) -> Result<()>,
) -> Line {
    let mut line = place.line(group);
    // How much a program and its system need is no matter of who runs them, and a native process has no least of its own.
    if place != Place::Linux {
        line.against = Some(Place::Linux.who());
    }
    line.outcome = match (place.lacks(needs_tap), place.fails(program)) {
        (Some(why), _) => Outcome::Absent(why),
        (None, Some(why)) => Outcome::Failed(why),
        (None, None) => match reliably(works, subjects.rounds(TIMES)) {
            Ok(size) => Outcome::Measured(vec![[size as f64].into_iter().collect()]),
            Err(error) => Outcome::Failed(format!("{error:#}")),
        },
    };
    line
}

/// The least size that works so many times in a row.
fn reliably(works: impl Fn(u64) -> Result<()>, times: usize) -> Result<u64> {
    let found = bisect(&works)?;
    // The first time was while it was looked for.
    let again = |size: u64| (1..times).try_for_each(|_| works(size));
    let mut enough = SIZES.into_iter().filter(|size| *size >= found).filter(|size| again(*size).is_ok());
    enough.next().context("no size works each time")
}

/// The least size that works, if all above it do.
fn bisect(works: impl Fn(u64) -> Result<()>) -> Result<u64> {
    let (mut low, mut high) = (0, SIZES.len() - 1);
    works(SIZES[high]).with_context(|| format!("not even with {} MiB", SIZES[high]))?;
    while low < high {
        let middle = (low + high) / 2;
        match works(SIZES[middle]) {
            Ok(()) => high = middle,
            Err(_) => low = middle + 1,
        }
    }
    Ok(SIZES[high])
}

fn prints_hello(subjects: &Subjects, hello: &Program, place: Place, size: u64) -> Result<()> {
    let (status, output, errors) = outcome(&mut prints(subjects, hello, place, Some(size))?, PATIENCE)?;
    if !output.contains("Hello from a sealed machine!") {
        bail!("it ended with {status}: {}", errors.trim());
    }
    Ok(())
}

fn answers_thousand(subjects: &Subjects, web: &Program, place: Place, size: u64) -> Result<()> {
    let plan = Plan { memory: Some(size), ..Plan::new(place, web, Kind::Http) };
    let server = plan.start_within(subjects, PATIENCE)?;
    server.ask(subjects, "requests", &["1000"], PATIENCE * 4)?;
    Ok(())
}

/// MiB: the machine's process without its guest, resident and of that private; the tool's, the same.
fn beside_guest(subjects: &Subjects, web: &Program, place: Place) -> Result<Vec<f64>> {
    let plan = Plan { memory: Some(GUEST_MIB), ..Plan::new(place, web, Kind::Http) };
    let server: Server = plan.start(subjects)?;
    let tool = server.running.0.id();
    let machine = smaps::children(tool, &smaps::parents()?).next().context("the tool has no child")?;
    let (machine, tool) = (smaps::beside_guest(machine, GUEST_MIB << 20)?, smaps::of(tool)?);
    let mib = |kib: u64| kib as f64 / 1024.0;
    Ok([machine.resident, machine.private, tool.resident, tool.private].map(mib).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_size_is_found() {
        for expected in SIZES {
            let found = bisect(|size| if size >= expected { Ok(()) } else { bail!("too little") });
            assert_eq!(found.expect("found"), expected);
        }
        let tries = std::cell::RefCell::new(0);
        let shaky = |size: u64| {
            *tries.borrow_mut() += 1;
            let is_second_of_five = size == 5 && *tries.borrow() > SIZES.len().ilog2() as usize + 2;
            if size < 5 || is_second_of_five { bail!("too little") } else { Ok(()) }
        };
        assert_eq!(reliably(shaky, 3).expect("found"), 6, "five works once, and not each time");
        assert!(bisect(|_| bail!("never")).is_err_and(|error| error.to_string().contains("128 MiB")));
    }
}
