//! Many machines: how many a second can be started, and how many serve at once, beside native processes and Linux guests.

use super::crowd::{self, Crowd};
use super::interrupt::Interrupt;
use super::place::Place;
use super::subjects::{Program, Subjects};
use super::turns::{Contender, take};
use super::{figure, less, more};
use crate::ask::get;
use crate::fleet::{Fleet, Kind};
use crate::results::{Column, Figure, Line, Outcome};
use anyhow::{Context, Result, bail};
use std::time::{Duration, Instant};

/// Servers that are started one after the other, and how often.
const SERIES: usize = 100;
const ROUNDS: usize = 3;
/// Servers that are to serve at once, and guests of QEMU.
const CROWD: usize = 1000;
const GUESTS: usize = 12;
/// A series takes no longer than this.
const PATIENCE: Duration = Duration::from_secs(60);
const PLACES: [Place; 3] = [Place::Process, Place::Kvm, Place::Native];

pub(super) fn figures(subjects: &Subjects) -> Result<Vec<Figure>> {
    let web = subjects.program("examples/web", true)?;
    let interrupt = Interrupt::watch()?;
    let rounds = subjects.rounds(ROUNDS);
    let (count, size) = if subjects.is_quick { (SERIES / 5, CROWD / 20) } else { (SERIES, CROWD) };
    let contender = |place: &Place| {
        let (place, web, interrupt) = (*place, &web, &interrupt);
        let measure = move || Ok(vec![vec![series(kind(subjects, web, place), count, interrupt)?]]);
        let contender = Contender::at(place, web, false, &[String::new()], measure);
        if place == Place::Native { contender } else { contender.reach("≥ 50") }
    };
    let series = take(rounds, PLACES.iter().map(contender).collect());
    let crowds =
        PLACES.map(|place| line(place, &web, || crowd::of_fleet(kind(subjects, &web, place), size, &interrupt)));
    let guests = if subjects.is_quick { GUESTS / 4 } else { GUESTS };
    let of_guests =
        [Place::Q35, Place::Linux].map(|place| line(place, &web, || crowd::of_guests(place, &web, guests, &interrupt)));
    interrupt.conclude()?;
    let columns = || -> Vec<Column> {
        vec![
            less("memory of each", "MiB"),
            more("answered", ""),
            less("until all listened", "s"),
            less("host's memory, each", "MiB"),
        ]
    };
    Ok(vec![
        figure(
            "many-starts",
            "Machines started a second",
            &format!(
                "{count} servers of `web`, one after the other, each from its start to its first answer; machines in the \
                 background (`ampoule run --detach`), with a tool and a supervisor each."
            ),
            vec![more("machines", "1/s")],
            rounds,
            series,
        ),
        figure(
            "many-at-once",
            "Machines that serve at once",
            &format!(
                "{size} servers of `web` are started one after the other, and while all are there each is asked. Memory is \
                 that of all their processes (Pss: shared pages counted in parts), tools and supervisors included. The last \
                 column is by how much the host's available memory fell, which has the kernel's share too, and all else that \
                 happened on the computer."
            ),
            columns(),
            1,
            crowds.into(),
        ),
        figure(
            "many-guests",
            "QEMU's guests that serve at once",
            &format!("{guests} guests of 128 MiB with `web`, by QEMU's own user networking, started together."),
            columns(),
            1,
            of_guests.into(),
        ),
    ])
}

fn kind<'a>(subjects: &'a Subjects, web: &'a Program, place: Place) -> Kind<'a> {
    match place {
        Place::Kvm => Kind::Machines(&subjects.tool, &web.image, "kvm"),
        Place::Process => Kind::Machines(&subjects.tool, &web.image, "process"),
        _ => Kind::Processes(&web.native),
    }
}

/// A crowd's line.
fn line(place: Place, web: &Program, crowd: impl FnOnce() -> Result<Crowd>) -> Line {
    let outcome = match (place.lacks(false), place.fails(web)) {
        (Some(why), _) => Outcome::Absent(why),
        (None, Some(why)) => Outcome::Failed(why),
        (None, None) => crowd().and_then(Crowd::numbers).map_or_else(
            |error| Outcome::Failed(format!("{error:#}")),
            |numbers| Outcome::Measured(numbers.map(|number| [number].into_iter().collect()).into()),
        ),
    };
    Line { outcome, ..place.line("") }
}

/// Starts a series; servers a second.
fn series(kind: Kind<'_>, count: usize, interrupt: &Interrupt) -> Result<f64> {
    let mut fleet = Fleet::new(kind)?;
    let start = Instant::now();
    for _ in 0..count {
        interrupt.check()?;
        if start.elapsed() > PATIENCE {
            bail!("{} servers took longer than {} s", fleet.addresses().len(), PATIENCE.as_secs());
        }
        let address = fleet.start()?;
        get(address).with_context(|| format!("no answer from {address}"))?;
    }
    Ok(count as f64 / start.elapsed().as_secs_f64())
}
