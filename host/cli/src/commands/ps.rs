//! `ampoule ps`: the machines in the background.

use std::io::Write;
use std::path::Path;

use fleet::{Machine, State, Store};
use serde_json::{Value, json};

use super::table::{self, Side};
use crate::Failure;
use crate::arguments::Ps;

/// Lists them. Status 1 where what is written about one cannot be read.
pub(super) fn perform(arguments: &Ps) -> Result<u8, Failure> {
    let all = Store::open().and_then(|store| store.list()).map_err(anyhow::Error::from)?;
    let (mut machines, mut status) = (Vec::new(), 0);
    for machine in all {
        match machine {
            Ok(machine) if arguments.all || machine.state != State::Ended => machines.push(machine),
            Ok(_) => {}
            Err(error) => {
                eprintln!("error: {error}");
                status = 1;
            }
        }
    }
    let text = if arguments.json {
        format!("{:#}\n", Value::from_iter(machines.iter().map(object)))
    } else {
        table(&machines)
    };
    // Whoever reads it may have read enough.
    _ = std::io::stdout().write_all(text.as_bytes());
    Ok(status)
}

fn table(machines: &[Machine]) -> String {
    let mut rows = vec![["NAME", "IMAGE", "BACKEND", "STATE", "UPTIME", "PORTS"].map(str::to_owned)];
    rows.extend(machines.iter().map(row));
    table::lines(&rows, [Side::Left; 6])
}

fn row(machine: &Machine) -> [String; 6] {
    let record = &machine.record;
    let image =
        Path::new(&record.image).file_name().map_or_else(|| record.image.clone(), |n| n.to_string_lossy().into());
    let ports = record.ports.iter().filter(|_| machine.state == State::Running);
    let ports: Vec<String> = ports.map(ToString::to_string).collect();
    let or_dash = |text: String| if text.is_empty() { "-".to_owned() } else { text };
    let uptime = machine.uptime_ms().map(duration).unwrap_or_default();
    // A name of a file may hold anything, a terminal's commands too.
    let image = image.replace(|c: char| c.is_control(), "?");
    let cells = [record.name.to_string(), image, record.backend.clone(), state(machine), uptime, ports.join(", ")];
    cells.map(or_dash)
}

fn state(machine: &Machine) -> String {
    match (machine.state, &machine.record.end) {
        (State::Running, _) => "running".into(),
        (State::Lost, _) => "lost".into(),
        (State::Ended, end) => match end.as_ref().and_then(|end| end.status) {
            Some(status) => format!("exited {status}"),
            None => "killed".into(),
        },
    }
}

/// A duration as a person reads it: the two largest units.
fn duration(ms: u64) -> String {
    let seconds = ms / 1000;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m{:02}s", seconds % 60),
        (0, _, _) => format!("{hours}h{minutes:02}m"),
        _ => format!("{days}d{hours:02}h"),
    }
}

fn object(machine: &Machine) -> Value {
    let record = &machine.record;
    let end = record.end.as_ref();
    let ports = record.ports.iter().map(|p| json!({ "protocol": p.protocol, "host": p.host, "port": p.port }));
    json!({
        "name": record.name,
        "image": record.image,
        "digest": record.digest,
        "backend": record.backend,
        "state": state(machine).split(' ').next(),
        "status": end.and_then(|end| end.status),
        "signal": end.and_then(|end| end.signal),
        "report": end.and_then(|end| end.report.as_ref()),
        "loss": machine.loss(),
        "started_ms": record.started_ms,
        "ended_ms": end.map(|end| end.at_ms),
        "uptime_ms": machine.uptime_ms(),
        "supervisor": machine.supervisor(),
        "runner": record.runner.filter(|_| machine.state == State::Running).map(|runner| runner.pid),
        "ports": Value::from_iter(ports),
        "log": machine.log_path(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_two_units() {
        let cases = [(999, "0s"), (59_999, "59s"), (60_000, "1m00s"), (3_725_000, "1h02m"), (90_061_000, "1d01h")];
        for (ms, text) in cases {
            assert_eq!(duration(ms), text);
        }
    }

    #[test]
    fn no_machines_are_a_header() {
        assert_eq!(table(&[]), "NAME  IMAGE  BACKEND  STATE  UPTIME  PORTS\n");
    }
}
