//! HTTP: the same two programs in every place, with one connection, 32 and 256; nginx beside them.

use super::nginx;
use super::place::Place;
use super::server::Plan;
use super::subjects::{Program, Subjects};
use super::turns::{Contender, grouped, take};
use super::{figure, less, more};
use crate::ask::Kind;
use crate::results::{Column, Figure, Line, Outcome, Role};
use crate::sample::Samples;
use anyhow::{Context, Result};
use std::cell::RefCell;
use std::time::Duration;

const ROUNDS: usize = 7;
/// Rounds of QEMU's guests, which take longer.
const SLOW_ROUNDS: usize = 3;
const CONNECTIONS: [&str; 3] = ["1", "32", "256"];
const PATIENCE: Duration = Duration::from_secs(30);
const FAST: [Place; 3] = [Place::Process, Place::Kvm, Place::Native];
const SLOW: [Place; 2] = [Place::Q35, Place::Linux];

pub(super) fn figures(subjects: &Subjects) -> Result<Vec<Figure>> {
    let (fast, slow) = (subjects.rounds(ROUNDS), subjects.rounds(SLOW_ROUNDS));
    let exits = RefCell::new(Vec::new());
    let mut figures = Vec::new();
    for (folder, name, title, with_nginx) in [
        ("examples/web", "http-tokio", "HTTP, tokio and axum", true),
        ("bench/programs/threads", "http-threads", "HTTP, a thread a connection", false),
    ] {
        let program = subjects.program(folder, folder.starts_with("examples"))?;
        let counted = RefCell::new(Samples::default());
        let contender = |place: &Place| {
            let (place, program, counted) = (*place, &program, &counted);
            let contender =
                Contender::at(place, program, true, &groups(), move || loads(subjects, program, place, counted));
            match place {
                Place::Process => contender.reach("≥ 70 % of native"),
                Place::Q35 => contender.reach("≥ 1.5 × Linux"),
                _ => contender,
            }
        };
        let mut contenders: Vec<Contender<'_>> = FAST.iter().map(contender).collect();
        if with_nginx {
            contenders.push(beside(subjects));
        }
        let mut lines = take(fast, contenders);
        lines.extend(take(slow, SLOW.iter().map(contender).collect()));
        exits.borrow_mut().push(exits_line(title, &counted.borrow()));
        figures.push(figure(
            name,
            title,
            "As many connections as it says, kept alive, one request under way on each, for 1 s (QEMU's guests: 2 s) after half \
             a second of warming up; each round starts the server anew. The client is one thread on the same computer. \
             Latencies are of single requests, in µs: so many of a hundred took no longer. QEMU's guests are on a tap.",
            columns(),
            slow,
            grouped(lines),
        ));
    }
    figures.push(figure(
        "http-exits",
        "Exits of the KVM monitor's guest",
        "How often the guest came out to the monitor in its whole life, its start and its idle moments included, by all \
         requests that it answered under the three loads. With one connection it waits, and so comes out, for each request.",
        vec![less("exits", "a request")],
        fast,
        exits.into_inner(),
    ));
    Ok(figures)
}

/// How long a load lasts: on the host many short ones, so that the subjects' turns are short.
fn seconds(place: Place) -> &'static str {
    if SLOW.contains(&place) { "2" } else { "1" }
}

fn groups() -> Vec<String> {
    CONNECTIONS.iter().map(|n| format!("{n} connection{}", if *n == "1" { "" } else { "s" })).collect()
}

fn columns() -> Vec<Column> {
    let latency = |name: &str| less(name, "µs");
    vec![more("requests", "1/s"), latency("50 %"), latency("90 %"), latency("99 %"), latency("99.9 %")]
}

/// One server under each load in turn.
fn loads(subjects: &Subjects, program: &Program, place: Place, exits: &RefCell<Samples>) -> Result<Vec<Vec<f64>>> {
    let server = Plan::new(place, program, Kind::Http).start(subjects)?;
    let (mut all, mut answers) = (Vec::new(), 0.0);
    for connections in CONNECTIONS {
        let mut numbers = server.ask(subjects, "http", &[connections, seconds(place)], PATIENCE)?;
        answers += numbers.pop().context("no number of answers")?;
        all.push(numbers);
    }
    if place == Place::Kvm {
        let said = server.stop()?;
        let count = said.lines().find_map(|line| line.strip_prefix("exits: "));
        let count: f64 = count.with_context(|| format!("the tool does not say how many exits: {said}"))?.parse()?;
        exits.borrow_mut().push(count / answers);
    }
    Ok(all)
}

fn beside(subjects: &Subjects) -> Contender<'_> {
    let lines = groups().iter().map(|group| nginx::line(group)).collect();
    let contender = Contender::new(lines, move || {
        let server = nginx::start(subjects)?;
        let load = |connections: &&str| {
            let mut numbers = server.ask(subjects, "http", &[connections, seconds(Place::Native)], PATIENCE)?;
            numbers.pop();
            Ok(numbers)
        };
        CONNECTIONS.iter().map(load).collect()
    });
    match nginx::lacks() {
        Some(why) => contender.without(why),
        None => contender,
    }
}

fn exits_line(program: &str, counted: &Samples) -> Line {
    let outcome = match Place::Kvm.lacks(false) {
        Some(why) => Outcome::Absent(why),
        None => Outcome::Measured(vec![counted.clone()]),
    };
    let who = Place::Kvm.who();
    let reach = Some("≤ 0.5".into());
    Line { group: program.into(), who, role: Role::Ours, against: None, reach, outcome }
}
