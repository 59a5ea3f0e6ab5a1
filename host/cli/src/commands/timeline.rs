//! `ampoule run --timeline`: where the time from the tool's start to the program's first answer went, as text and as a file for
//! Chrome's trace viewer and Perfetto.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::OnceLock;

use monitor::timeline::{Lane, Mark, Phase, Timeline};
use serde_json::json;

use crate::Failure;

/// Characters of the longest bar.
const WIDTH: u64 = 40;

static STARTED: OnceLock<u64> = OnceLock::new();

/// Notes that the tool has started.
pub fn started() {
    _ = STARTED.set(Timeline::now());
}

/// A timeline that was asked for, and where else it is to go. The file is open before the machine starts: later the tool
/// may open none.
pub(super) struct Wanted {
    pub(super) timeline: Timeline,
    file: Option<(PathBuf, File)>,
}

impl Wanted {
    /// `file`: where to write the trace, if anywhere.
    pub(super) fn new(file: Option<PathBuf>) -> Result<Self, Failure> {
        let open = |path: PathBuf| match File::create(&path) {
            Ok(file) => Ok((path, file)),
            Err(error) => Err(Failure::input(format!("cannot write the timeline to {}: {error}", path.display()))),
        };
        let file = file.map(open).transpose()?;
        let timeline = Timeline::new().map_err(anyhow::Error::from)?;
        if let Some(ns) = STARTED.get() {
            timeline.mark_at(Mark::Start, *ns);
        }
        Ok(Self { timeline, file })
    }

    /// Shows it, and writes the file.
    pub(super) fn show(self, title: &str) {
        let phases = self.timeline.phases();
        _ = std::io::stderr().write_all(text(title, &phases).as_bytes());
        if let Some((path, mut file)) = self.file
            && let Err(error) = file.write_all(trace(&phases).to_string().as_bytes())
        {
            eprintln!("error: cannot write the timeline to {}: {error}", path.display());
        }
    }
}

fn name(lane: Lane) -> &'static str {
    match lane {
        Lane::Tool => "tool",
        Lane::Machine => "machine",
        Lane::Program => "program",
    }
}

/// Does the program wait for somebody else in it? Such a phase says nothing of how quick the machine is.
fn waits(phase: &Phase) -> bool {
    matches!(phase.end, Mark::Request | Mark::End)
}

/// Bars to the scale of the start; what comes after the first wait for somebody else has none.
fn text(title: &str, phases: &[Phase]) -> String {
    let until = phases.iter().filter(|phase| waits(phase)).map(|phase| phase.from_ns).min().unwrap_or(u64::MAX);
    let scale = phases.iter().map(|phase| phase.to_ns).filter(|ns| *ns <= until).max().unwrap_or(1).max(1);
    let widest = phases.iter().map(|phase| phase.what.len()).max().unwrap_or(0);
    let mut out = format!("timeline of {title}: milliseconds from the tool's start, and for how long\n");
    let mut lane = None;
    for phase in phases {
        let label = if lane == Some(phase.lane) { "" } else { name(phase.lane) };
        lane = Some(phase.lane);
        let bar = if phase.to_ns > scale {
            String::new()
        } else {
            let (from, to) = (phase.from_ns * WIDTH / scale, (phase.to_ns * WIDTH).div_ceil(scale));
            format!("{}{}", " ".repeat(from as usize), "█".repeat(to.saturating_sub(from).max(1) as usize))
        };
        let ms = |ns: u64| ns as f64 / 1e6;
        let (from, took) = (ms(phase.from_ns), ms(phase.to_ns - phase.from_ns));
        let line = format!("{label:<8} {:widest$} {from:>9.3} {took:>9.3}  {bar}", phase.what);
        _ = writeln!(out, "{}", line.trim_end());
    }
    out
}

/// The Trace Event Format: complete events (`ph` = X), times in microseconds, a lane a thread.
fn trace(phases: &[Phase]) -> serde_json::Value {
    let micros = |ns: u64| ns as f64 / 1e3;
    let lanes = [Lane::Tool, Lane::Machine, Lane::Program];
    let names = lanes.iter().map(|lane| {
        json!({ "name": "thread_name", "ph": "M", "pid": 1, "tid": *lane as u32, "args": { "name": name(*lane) } })
    });
    let events = phases.iter().map(|phase| {
        json!({
            "name": phase.what,
            "cat": name(phase.lane),
            "ph": "X",
            "ts": micros(phase.from_ns),
            "dur": micros(phase.to_ns - phase.from_ns),
            "pid": 1,
            "tid": phase.lane as u32,
        })
    });
    json!({ "displayTimeUnit": "ns", "traceEvents": names.chain(events).collect::<Vec<_>>() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phases() -> Vec<Phase> {
        let phase = |lane, what, end, from_ns, to_ns| Phase { lane, what, end, from_ns, to_ns };
        vec![
            phase(Lane::Tool, "opens", Mark::Opened, 0, 500_000),
            phase(Lane::Machine, "seals", Mark::Sealed, 500_000, 1_000_000),
            phase(Lane::Program, "listens", Mark::Listening, 1_000_000, 2_000_000),
            phase(Lane::Program, "is asked", Mark::Request, 2_000_000, 9_000_000_000),
        ]
    }

    #[test]
    fn bars_have_the_scale_of_the_start() {
        let text = text("web", &phases());
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[1], format!("tool     opens        0.000     0.500  {}", "█".repeat(10)));
        assert_eq!(lines[2], format!("machine  seals        0.500     0.500  {}{}", " ".repeat(10), "█".repeat(10)));
        assert_eq!(lines[3], format!("program  listens      1.000     1.000  {}{}", " ".repeat(20), "█".repeat(20)));
        assert_eq!(lines[4], "         is asked     2.000  8998.000");
    }

    #[test]
    fn the_trace_has_every_phase() {
        let trace = trace(&phases());
        let events = trace["traceEvents"].as_array().expect("events");
        assert_eq!(events.iter().filter(|event| event["ph"] == "M").count(), 3);
        let seals = events.iter().find(|event| event["name"] == "seals").expect("it");
        assert_eq!((seals["ts"].as_f64(), seals["dur"].as_f64(), &seals["tid"]), (Some(500.0), Some(500.0), &json!(1)));
    }
}
