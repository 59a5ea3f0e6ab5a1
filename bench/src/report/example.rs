//! Made-up results, for the tests of what is made of results: every kind of outcome, long names, marks that XML reserves.

use crate::computer::Computer;
use crate::results::{Column, Figure, Line, Outcome, Part, Results, Role};

/// Two parts, one of them quick.
pub fn results() -> Results {
    let start = figure(
        "start-line",
        "Start to the first line",
        column("first line", "ms", true),
        vec![
            line("", "Ampoule, process", Role::Ours, Some("native"), &[1.6, 1.4, 1.5]),
            line("", "native", Role::Native, None, &[0.48, 0.5, 0.47]),
            line("", "Ampoule, QEMU q35, TCG", Role::Ours, Some("Linux guest, QEMU q35, TCG"), &[130.0, 131.0, 129.5]),
            line("", "Linux guest, QEMU q35, TCG", Role::Linux, None, &[1200.0, 1230.0, 1180.0]),
        ],
    );
    let mut absent = line("32 connections, <axum> & \"tokio\"", "Ampoule, KVM", Role::Ours, Some("native"), &[]);
    absent.outcome = Outcome::Absent("there is no /dev/kvm".into());
    let mut failed = line("256 connections", "nginx", Role::Other, None, &[]);
    failed.outcome = Outcome::Failed("it answered 404".into());
    let http = figure(
        "http",
        "HTTP requests a second",
        column("rate", "1/s", false),
        vec![
            line("32 connections, <axum> & \"tokio\"", "native", Role::Native, None, &[130_000.0, 128_000.0, 99_000.0]),
            line(
                "32 connections, <axum> & \"tokio\"",
                "Ampoule, process",
                Role::Ours,
                Some("native"),
                &[1e5, 1.1e5, 9e4],
            ),
            absent,
            failed,
        ],
    );
    let part = |figure, is_quick| Part {
        date: "2026-11-27 21:04".into(),
        tree: "0123abc".into(),
        is_quick,
        seconds: 61.2,
        load: 0.05,
        computer: computer(),
        figures: vec![figure],
    };
    Results { parts: [("start".to_owned(), part(start, false)), ("http".to_owned(), part(http, true))].into() }
}

fn computer() -> Computer {
    Computer {
        cpu: "Some CPU".into(),
        cpus: 2,
        memory_mib: 24_000,
        is_virtual: true,
        system: "Debian GNU/Linux 12 (bookworm)".into(),
        kernel: "6.18.44".into(),
        kvm: "no hardware virtualisation (kvm_pvm)".into(),
        qemu: "QEMU emulator version 7.2.22".into(),
        rustc: "rustc 1.95.0".into(),
    }
}

fn figure(name: &str, title: &str, column: Column, lines: Vec<Line>) -> Figure {
    let about = "How it was measured.".into();
    Figure { name: name.into(), title: title.into(), about, columns: vec![column], least: 3, lines }
}

fn column(name: &str, unit: &str, is_less_better: bool) -> Column {
    Column { name: name.into(), unit: unit.into(), is_less_better }
}

fn line(group: &str, who: &str, role: Role, against: Option<&str>, samples: &[f64]) -> Line {
    let outcome = Outcome::Measured(vec![samples.iter().copied().collect()]);
    Line { group: group.into(), who: who.into(), role, against: against.map(str::to_owned), reach: None, outcome }
}
