//! UDP: small datagrams to `examples/udp`, which sends each back.

use super::place::Place;
use super::server::Plan;
use super::subjects::{Program, Subjects};
use super::turns::{Contender, take};
use super::{figure, less, more};
use crate::ask::Kind;
use crate::results::Figure;
use anyhow::Result;
use std::time::Duration;

const ROUNDS: usize = 3;
const SECONDS: &str = "2";
const PATIENCE: Duration = Duration::from_secs(30);
/// Datagrams under way.
const WINDOWS: [&str; 2] = ["1", "32"];
const PLACES: [Place; 5] = [Place::Process, Place::Kvm, Place::Native, Place::Q35, Place::Linux];

pub(super) fn figures(subjects: &Subjects) -> Result<Vec<Figure>> {
    let program = subjects.program("examples/udp", false)?;
    let rounds = subjects.rounds(ROUNDS);
    let groups = WINDOWS.map(|window| format!("{window} under way"));
    let contender = |place: &Place| {
        let (place, program) = (*place, &program);
        Contender::at(place, program, true, &groups, move || echoes(subjects, program, place))
    };
    let lines = take(rounds, PLACES.iter().map(contender).collect());
    Ok(vec![figure(
        "udp",
        "UDP: small datagrams there and back",
        "Datagrams of 64 bytes to a server that sends each back, so many of them under way at any time, for 2 s. The rate \
         counts those that came back; a datagram crosses the machine's border twice. Latencies, in µs: so many of a hundred \
         were back in that time. Lost, of a thousand: not back when nothing had come for 0.1 s.",
        vec![more("datagrams", "1/s"), less("50 %", "µs"), less("99 %", "µs"), less("lost", "of 1,000")],
        rounds,
        lines,
    )])
}

fn echoes(subjects: &Subjects, program: &Program, place: Place) -> Result<Vec<Vec<f64>>> {
    let server = Plan::new(place, program, Kind::Udp).start(subjects)?;
    WINDOWS.iter().map(|window| server.ask(subjects, "udp", &[window, SECONDS], PATIENCE)).collect()
}
