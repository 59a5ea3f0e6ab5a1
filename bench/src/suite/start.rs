//! How long a start takes: to the first line, to the first HTTP answer, and from a guest's entry to `main`.

use super::guest::{self, MEMORY, Net};
use super::place::Place;
use super::server::{Plan, run};
use super::subjects::{Program, Subjects};
use super::turns::{Contender, take};
use super::{figure, less};
use crate::ask::Kind;
use crate::command::{finish_within, outcome};
use crate::line;
use crate::results::{Figure, Line};
use anyhow::{Context, Result, bail};
use std::process::Command;
use std::time::Duration;

/// Starts of what takes about a millisecond, and of what takes some tens or more.
const ROUNDS: usize = 101;
const SLOW_ROUNDS: usize = 11;
const FAST: [Place; 3] = [Place::Process, Place::Kvm, Place::Native];
const SLOW: [Place; 3] = [Place::Microvm, Place::Q35, Place::Linux];
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) fn figures(subjects: &Subjects) -> Result<Vec<Figure>> {
    let hello = subjects.program("examples/hello", true)?;
    let web = subjects.program("examples/web", true)?;
    let (fast, slow) = (subjects.rounds(ROUNDS), subjects.rounds(SLOW_ROUNDS));
    let ms = || vec![less("time", "ms")];
    let mut first_lines = turns(subjects, &hello, first_line, &FAST, fast, false);
    first_lines.extend(turns(subjects, &hello, first_line, &SLOW, slow, false));
    let mut answers = turns(subjects, &web, first_answer, &FAST, fast, false);
    answers.extend(turns(subjects, &web, first_answer, &[Place::Q35, Place::Linux], slow, true));
    let guest = &hello;
    let entries = [Place::Process, Place::Kvm].map(|place| {
        let reach = if place == Place::Kvm { "≤ 100" } else { "≤ 20" };
        let measure = move || Ok(vec![vec![entry_to_main(subjects, guest, place)?]]);
        Contender::at(place, &hello, false, &[String::new()], measure).reach(reach)
    });
    Ok(vec![
        figure(
            "start-line",
            "Start to the first line",
            "From the start of `ampoule run hello.img`, of the native program or of QEMU until `hello` has printed its line.",
            ms(),
            slow,
            first_lines,
        ),
        figure(
            "start-answer",
            "Start to the first HTTP answer",
            "From the start of the tool, program or QEMU until `web` (tokio and axum) has answered a request; a client tries \
             to connect every 2 ms. QEMU's guests are on a tap, their addresses given.",
            ms(),
            slow,
            answers,
        ),
        figure(
            "start-entry",
            "From the guest's first instruction to `main`",
            "What the library OS itself takes of a start, by two marks that it leaves.",
            vec![less("time", "µs")],
            fast,
            take(fast, entries.into()),
        ),
    ])
}

/// The places in turns, by one way of measuring.
fn turns(
    subjects: &Subjects,
    program: &Program,
    measure: fn(&Subjects, &Program, Place) -> Result<f64>,
    places: &[Place],
    rounds: usize,
    needs_tap: bool,
) -> Vec<Line> {
    let contender = |place: &Place| {
        let place = *place;
        let measure = move || Ok(vec![vec![measure(subjects, program, place)?]]);
        let contender = Contender::at(place, program, needs_tap, &[String::new()], measure);
        match place {
            Place::Process if program.image.ends_with("hello-oneline.img") => contender.reach("≤ 2"),
            Place::Kvm if program.image.ends_with("hello-oneline.img") => contender.reach("≤ 3"),
            Place::Microvm => contender.reach("≤ 80"),
            _ => contender,
        }
    };
    take(rounds, places.iter().map(contender).collect())
}

fn first_line(subjects: &Subjects, hello: &Program, place: Place) -> Result<f64> {
    line::measure(&mut prints(subjects, hello, place, None)?, "Hello from a sealed machine!")
}

/// A program that serves nobody, in a place.
pub(super) fn prints(subjects: &Subjects, program: &Program, place: Place, memory: Option<u64>) -> Result<Command> {
    match place {
        Place::Native => Ok(Command::new(&program.native)),
        Place::Pinned => {
            let mut command = Command::new("taskset");
            command.args(["--cpu-list", "0"]).arg(&program.native);
            Ok(command)
        }
        Place::Q35 | Place::Linux => {
            let mut qemu = Command::new("qemu-system-x86_64");
            guest::arguments(&mut qemu, place, program, memory.unwrap_or(MEMORY), Net::None)?;
            Ok(qemu)
        }
        _ => {
            let mut command = run(subjects, &program.image, place);
            command.args(memory.map(|memory| format!("--memory={memory}M")));
            Ok(command)
        }
    }
}

fn first_answer(subjects: &Subjects, web: &Program, place: Place) -> Result<f64> {
    let (server, address, namespace) = Plan::new(place, web, Kind::Http).command(subjects)?;
    let mut command = match &namespace {
        Some(namespace) => namespace.command(&subjects.client),
        None => Command::new(&subjects.client),
    };
    command.arg("answer").arg(address.to_string());
    // Inside the namespace already, QEMU needs no `ip` before it.
    let skipped = namespace.as_ref().map_or(0, |namespace| namespace.prefix().len());
    let words: Vec<_> = [server.get_program()].into_iter().chain(server.get_args()).skip(skipped).collect();
    let text = finish_within(command.args(words), PATIENCE)?;
    text.trim().parse().with_context(|| format!("no number: {text}"))
}

/// The tool prints the two marks that the guest leaves in its vCPU block when this variable is set.
fn entry_to_main(subjects: &Subjects, hello: &Program, place: Place) -> Result<f64> {
    let mut command = run(subjects, &hello.image, place);
    let (status, _, said) = outcome(command.env("AMPOULE_MARKS", "1"), PATIENCE)?;
    if !status.success() {
        bail!("it ended with {status}: {}", said.trim());
    }
    let mark =
        said.lines().find_map(|line| line.strip_prefix("entry to main: ")).context("the tool printed no marks")?;
    Ok(mark.trim_end_matches(" ns").parse::<f64>()? / 1e3)
}
