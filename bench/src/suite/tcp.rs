//! TCP itself: one connection's throughput each way, and its round trips. On the host by the host's own sockets; under QEMU
//! over a tap, where the machine has its own TCP/IP, beside a Linux guest. On microvm Debian's kernel finds no timer without
//! KVM where there is ACPI, and no network device where there is none, so both are on q35.

use super::place::Place;
use super::server::Plan;
use super::subjects::{Program, Subjects};
use super::turns::{Contender, take};
use super::{figure, less, more};
use crate::ask::Kind;
use crate::bulk::Purpose;
use crate::results::{Figure, Line};
use anyhow::Result;
use std::time::Duration;

const ROUNDS: usize = 3;
const SECONDS: &str = "2";
const PATIENCE: Duration = Duration::from_secs(60);
const PLACES: [Place; 5] = [Place::Process, Place::Kvm, Place::Native, Place::Q35, Place::Linux];
const BULK: [&str; 2] = ["to the server", "from the server"];
const ECHO: &str = "there and back";

pub(super) fn figures(subjects: &Subjects) -> Result<Vec<Figure>> {
    let program = subjects.program("bench/programs/bulk", false)?;
    let rounds = subjects.rounds(ROUNDS);
    let groups = [BULK[0], BULK[1], ECHO].map(str::to_owned);
    let contender = |place: &Place| {
        let (place, program) = (*place, &program);
        let contender = Contender::at(place, program, true, &groups, move || speeds(subjects, program, place));
        if place == Place::Q35 { contender.reach("≥ 1.5 × Linux") } else { contender }
    };
    let lines = take(rounds, PLACES.iter().map(contender).collect());
    let (echo, bulk): (Vec<Line>, Vec<Line>) = lines.into_iter().partition(|line| line.group == ECHO);
    let alone = |line: Line| {
        let reach = line.reach.map(|_| "≤ 0.7 × Linux".to_owned());
        Line { group: String::new(), reach, ..line }
    };
    Ok(vec![
        figure(
            "tcp-bulk",
            "TCP: one connection's throughput",
            "64 KiB a call for 2 s, all bytes counted at the other end. *Process* and *KVM* use the host's sockets; QEMU's \
             guests are on a tap, with checksums and segmentation left to the device where a guest can.",
            vec![more("throughput", "MB/s")],
            rounds,
            bulk,
        ),
        figure(
            "tcp-echo",
            "TCP: one byte there and back",
            "The median of 2 s of round trips on one connection, each begun when the last has ended.",
            vec![less("time", "µs")],
            rounds,
            echo.into_iter().map(alone).collect(),
        ),
    ])
}

fn speeds(subjects: &Subjects, program: &Program, place: Place) -> Result<Vec<Vec<f64>>> {
    let server = Plan::new(place, program, Kind::Tcp).start(subjects)?;
    let speed = |purpose: Purpose| server.ask(subjects, "bulk", &[purpose.word(), SECONDS], PATIENCE);
    [Purpose::Up, Purpose::Down, Purpose::Echo].into_iter().map(speed).collect()
}
