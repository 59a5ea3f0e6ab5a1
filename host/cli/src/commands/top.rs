//! `ampoule top`: what the machines in the background use and do, afresh each second.

use std::collections::HashMap;
use std::io::{IsTerminal, Write};
use std::thread::sleep;
use std::time::{Duration, Instant};

use fleet::usage::Usage;
use fleet::{Machine, State, Store};
use monitor::Counters;

use super::table::{self, Side};
use crate::Failure;
use crate::arguments::Top;

/// Moves the cursor to the screen's first place (ECMA-48, CUP).
const HOME: &str = "\x1b[H";
/// Clears the rest of a line (EL), and of the screen (ED).
const REST_OF_LINE: &str = "\x1b[K";
const REST_OF_SCREEN: &str = "\x1b[J";

/// One machine at one moment.
struct Sample {
    name: String,
    backend: String,
    /// Which life of this name it is.
    supervisor: Option<i32>,
    at: Instant,
    usage: Usage,
    counters: Option<Counters>,
}

/// Shows tables until their number is reached, or nobody reads them any more.
pub(super) fn perform(arguments: &Top) -> Result<u8, Failure> {
    let store = Store::open().map_err(anyhow::Error::from)?;
    let is_live = std::io::stdout().is_terminal() && arguments.count.is_none();
    let count = arguments.count.unwrap_or(if is_live { u32::MAX } else { 1 });
    let mut before = samples(&store)?;
    if is_live {
        _ = write!(std::io::stdout(), "{HOME}{REST_OF_SCREEN}");
    }
    for number in 0..count {
        sleep(Duration::from_secs(arguments.every.into()));
        let now = samples(&store)?;
        let text = table(&before, &now);
        let text = match is_live {
            true => format!("{HOME}{}{REST_OF_SCREEN}", text.replace('\n', &format!("{REST_OF_LINE}\n"))),
            false if number > 0 => format!("\n{text}"),
            false => text,
        };
        let mut out = std::io::stdout();
        if out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err() {
            break;
        }
        before = now;
    }
    Ok(0)
}

/// All that run. One whose record cannot be read is `ps`'s affair.
fn samples(store: &Store) -> Result<Vec<Sample>, Failure> {
    let all = store.list().map_err(anyhow::Error::from)?;
    let running = all.into_iter().flatten().filter(|machine| machine.state == State::Running);
    Ok(running.filter_map(|machine| sample(&machine)).collect())
}

/// What is known of a machine; `None` if it ends just now.
fn sample(machine: &Machine) -> Option<Sample> {
    Some(Sample {
        name: machine.record.name.to_string(),
        backend: machine.record.backend.clone(),
        supervisor: machine.supervisor(),
        at: Instant::now(),
        usage: machine.usage()?,
        counters: Counters::read(&machine.counters_path()),
    })
}

fn table(before: &[Sample], now: &[Sample]) -> String {
    let before: HashMap<_, _> = before.iter().map(|sample| ((&sample.name, sample.supervisor), sample)).collect();
    let head = ["NAME", "BACKEND", "CPU %", "MEMORY", "IN/s", "IN B/s", "OUT/s", "OUT B/s", "CALLS/s", "EXITS/s"];
    let mut rows = vec![head.map(str::to_owned)];
    rows.extend(now.iter().map(|sample| row(before.get(&(&sample.name, sample.supervisor)).copied(), sample)));
    let mut sides = [Side::Right; 10];
    sides[..2].fill(Side::Left);
    table::lines(&rows, sides)
}

/// One that was not there before has no rates yet.
fn row(before: Option<&Sample>, now: &Sample) -> [String; 10] {
    let rates = before.map(|before| {
        let span = now.at.duration_since(before.at).as_secs_f64().max(1e-9);
        let cpu = now.usage.cpu.saturating_sub(before.usage.cpu).as_secs_f64() / span * 100.0;
        let rate = |number: fn(&Counters) -> u64| {
            let difference = number(now.counters.as_ref()?).saturating_sub(number(before.counters.as_ref()?));
            Some(difference as f64 / span)
        };
        let is_kvm = now.backend == "kvm";
        let all = [
            rate(|c| c.traffic.received),
            rate(|c| c.traffic.received_bytes),
            rate(|c| c.traffic.sent),
            rate(|c| c.traffic.sent_bytes),
            rate(|c| c.calls),
            rate(|c| c.exits).filter(|_| is_kvm),
        ];
        (cpu, all)
    });
    let dash = || "-".to_owned();
    let (cpu, all) = match rates {
        Some((cpu, all)) => (format!("{cpu:.1}"), all.map(|rate| rate.map_or_else(dash, short))),
        None => (dash(), std::array::from_fn(|_| dash())),
    };
    let [received, received_bytes, sent, sent_bytes, calls, exits] = all;
    let backend = if now.backend.is_empty() { dash() } else { now.backend.clone() };
    let memory = format!("{:.1} MiB", now.usage.memory as f64 / f64::from(1 << 20));
    [now.name.clone(), backend, cpu, memory, received, received_bytes, sent, sent_bytes, calls, exits]
}

/// A number in at most four digits and a unit: thousands, millions and so on.
fn short(number: f64) -> String {
    let mut rest = number;
    for unit in ["", "k", "M", "G", "T"] {
        // What would be rounded up to a thousand is one of the next unit.
        if rest < 999.5 {
            return if unit.is_empty() || rest >= 99.95 {
                format!("{rest:.0}{unit}")
            } else {
                format!("{rest:.1}{unit}")
            };
        }
        rest /= 1000.0;
    }
    format!("{rest:.0}P")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(at: Instant, cpu_ms: u64, counters: Option<Counters>) -> Sample {
        let usage = Usage { cpu: Duration::from_millis(cpu_ms), memory: 3 << 19 };
        Sample { name: "web".into(), backend: "kvm".into(), supervisor: Some(7), at, usage, counters }
    }

    #[test]
    fn rates_are_about_the_time_between() {
        let start = Instant::now();
        let mut counters = Counters { calls: 10, exits: 5, ..Counters::default() };
        let before = at(start, 100, Some(counters));
        counters.calls += 3000;
        counters.traffic.sent_bytes = 4_000_000;
        let now = at(start + Duration::from_secs(2), 600, Some(counters));
        let row = row(Some(&before), &now);
        assert_eq!(row, ["web", "kvm", "25.0", "1.5 MiB", "0", "0", "0", "2.0M", "1.5k", "0"].map(str::to_owned));
    }

    #[test]
    fn what_is_unknown_is_a_dash() {
        let start = Instant::now();
        assert_eq!(
            row(None, &at(start, 0, None))[2..],
            ["-", "1.5 MiB", "-", "-", "-", "-", "-", "-"].map(str::to_owned)
        );
        // Another life of the same name is not compared with the one before.
        let other = Sample { supervisor: Some(8), ..at(start, 0, None) };
        assert!(table(&[other], &[at(start, 0, None)]).contains("kvm          -"));
    }

    #[test]
    fn numbers_are_short() {
        let cases =
            [(0.0, "0"), (999.4, "999"), (999.6, "1.0k"), (99_940.0, "99.9k"), (123_456.0, "123k"), (5e9, "5.0G")];
        for (number, text) in cases {
            assert_eq!(short(number), text);
        }
    }
}
