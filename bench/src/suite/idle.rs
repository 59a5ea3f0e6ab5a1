//! Servers that have nothing to do: the CPU time that they take all the same, how often they wake, and their memory.
//!
//! All of them are there at the same time, each asked once and then left alone. The kernel counts for each process by itself,
//! so they need not take turns.

use super::nginx;
use super::place::Place;
use super::server::{Plan, Server};
use super::subjects::{Program, Subjects};
use super::{figure, less};
use crate::activity;
use crate::ask::Kind;
use crate::results::{Figure, Line, Outcome};
use crate::sample::Samples;
use crate::smaps::{self, Memory};
use anyhow::Result;
use std::thread;
use std::time::{Duration, Instant};

const ROUNDS: usize = 3;
/// How long they are watched, and left alone before that.
const WATCH: Duration = Duration::from_secs(10);
const SETTLE: Duration = Duration::from_secs(3);

/// A subject that is there: its processes, and what was seen of it.
struct Idler {
    /// Ends the server when it goes.
    _server: Server,
    family: Vec<u32>,
    /// Milliseconds of CPU time and wake-ups, in ten seconds.
    activity: Vec<Samples>,
}

pub(super) fn figures(subjects: &Subjects) -> Result<Vec<Figure>> {
    let web = subjects.program("examples/web", true)?;
    let places = [Place::Process, Place::Kvm, Place::Native, Place::Q35, Place::Linux];
    let mut idlers: Vec<(Line, Result<Idler, Outcome>)> =
        places.into_iter().map(|place| (place.line(""), idler(subjects, place, &web))).collect();
    idlers.push((nginx::line(""), nginx(subjects)));
    thread::sleep(SETTLE);
    let watch = if subjects.is_quick { WATCH / 5 } else { WATCH };
    let rounds = subjects.rounds(ROUNDS);
    for _ in 0..rounds {
        look(&mut idlers, watch);
    }
    let memory = idlers.iter().map(|(line, idler)| {
        let outcome = match idler {
            Ok(idler) => resident(&idler.family).unwrap_or_else(|error| Outcome::Failed(format!("{error:#}"))),
            Err(outcome) => outcome.clone(),
        };
        Line { outcome, ..line.clone() }
    });
    let memory: Vec<Line> = memory.collect();
    let activity = idlers.into_iter().map(|(line, idler)| {
        let outcome = idler.map_or_else(|outcome| outcome, |idler| Outcome::Measured(idler.activity));
        Line { outcome, ..line }
    });
    Ok(vec![
        figure(
            "idle-cpu",
            "CPU time of an idle server",
            "`web` has answered once and nobody asks any more. For each subject all its processes count: a machine's and the \
             tool's, QEMU's threads, nginx's workers. CPU time is the kernel's account of their threads in ten seconds, \
             wake-ups are how often a thread that had waited went on: with none, nothing came out of the machine either.",
            vec![less("CPU time", "ms in 10 s"), less("wake-ups", "in 10 s")],
            rounds,
            activity.collect(),
        ),
        figure(
            "idle-memory",
            "Memory of an idle server",
            "The same servers' memory: resident pages, those shared with other processes counted in parts (Pss), then only \
             what no other process has. A machine has 64 MiB by its manifest, a guest of QEMU 128. What the host's kernel \
             keeps for them is in none of these.",
            vec![less("memory", "MiB"), less("private", "MiB")],
            1,
            memory,
        ),
    ])
}

fn idler(subjects: &Subjects, place: Place, web: &Program) -> Result<Idler, Outcome> {
    if let Some(why) = place.lacks(true) {
        return Err(Outcome::Absent(why));
    }
    if let Some(why) = place.fails(web) {
        return Err(Outcome::Failed(why));
    }
    watched(Plan::new(place, web, Kind::Http).start(subjects))
}

fn nginx(subjects: &Subjects) -> Result<Idler, Outcome> {
    match nginx::lacks() {
        Some(why) => Err(Outcome::Absent(why)),
        None => watched(nginx::start(subjects)),
    }
}

fn watched(server: Result<Server>) -> Result<Idler, Outcome> {
    let idler = server.and_then(|server| {
        let family = activity::family(server.running.0.id())?;
        Ok(Idler { _server: server, family, activity: vec![Samples::default(); 2] })
    });
    idler.map_err(|error| Outcome::Failed(format!("{error:#}")))
}

/// Watches all that are there for a while.
fn look(idlers: &mut [(Line, Result<Idler, Outcome>)], watch: Duration) {
    let accounts = |idler: &Result<Idler, Outcome>| idler.as_ref().ok().map(|idler| activity::of(&idler.family));
    let (start, before): (Instant, Vec<_>) =
        (Instant::now(), idlers.iter().map(|(_, idler)| accounts(idler)).collect());
    thread::sleep(watch);
    let after: Vec<_> = idlers.iter().map(|(_, idler)| accounts(idler)).collect();
    let tens = start.elapsed().as_secs_f64() / 10.0;
    for ((_, idler), (before, after)) in idlers.iter_mut().zip(before.into_iter().zip(after)) {
        match (idler.as_mut(), before, after) {
            (Ok(idler), Some(Ok(before)), Some(Ok(after))) => {
                let [cpu, wakes] = [after.cpu_ns - before.cpu_ns, after.wakes - before.wakes].map(|n| n as f64 / tens);
                idler.activity[0].push(cpu / 1e6);
                idler.activity[1].push(wakes);
            }
            (Ok(_), Some(Err(error)), _) | (Ok(_), _, Some(Err(error))) => {
                *idler = Err(Outcome::Failed(format!("{error:#}")));
            }
            _ => {}
        }
    }
}

/// MiB of all processes of a subject: by parts of what is shared, and what is its own.
fn resident(family: &[u32]) -> Result<Outcome> {
    let sum = family.iter().try_fold(Memory::default(), |sum, process| anyhow::Ok(sum.and(smaps::of(*process)?)))?;
    let mib = [sum.proportional, sum.private].map(|kib| kib as f64 / 1024.0);
    Ok(Outcome::Measured(mib.map(|mib| [mib].into_iter().collect()).into()))
}
