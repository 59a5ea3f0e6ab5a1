//! Many machines: how many a second can be started, and how many serve at once, beside native processes that do the same.

use super::served::get;
use super::{Row, Subjects};
use crate::fleet::{Fleet, Kind};
use crate::sample::Samples;
use crate::smaps::{self, Memory};
use anyhow::{Context, Result, anyhow, bail};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Servers that are started one after the other, and how often.
const SERIES: usize = 100;
const ROUNDS: usize = 3;
/// Servers that are to serve at once.
const CROWD: usize = 1000;
/// No fleet is added to for longer than this.
const PATIENCE: Duration = Duration::from_secs(180);
const BACKENDS: [&str; 2] = ["process", "kvm"];

/// How many a second can be started.
pub(super) fn rows(subjects: &Subjects) -> Result<Vec<Row>> {
    with(subjects, series_rows)
}

/// How many can be there at once.
pub(super) fn crowds(subjects: &Subjects) -> Result<Vec<Row>> {
    with(subjects, crowd_rows)
}

/// What is measured, and until when.
struct Scene<'a> {
    tool: &'a Path,
    image: &'a Path,
    native: &'a Path,
    interrupt: &'a Interrupt,
}

fn with(subjects: &Subjects, measure: impl FnOnce(&Scene<'_>) -> Vec<Row>) -> Result<Vec<Row>> {
    let image = subjects.image("examples/web", true)?;
    let native = subjects.native("examples/web")?;
    let interrupt = Interrupt::watch()?;
    let rows = measure(&Scene { tool: &subjects.tool, image: &image, native: &native, interrupt: &interrupt });
    interrupt.conclude()?;
    Ok(rows)
}

impl<'a> Scene<'a> {
    fn machines(&self, on: &'a str) -> Kind<'a> {
        Kind::Machines(self.tool, self.image, on)
    }

    fn processes(&self) -> Kind<'a> {
        Kind::Processes(self.native)
    }
}

fn crowd_rows(scene: &Scene<'_>) -> Vec<Row> {
    let beside = match crowd(scene.processes(), scene.interrupt) {
        Ok(crowd) => format!("native processes: {crowd}"),
        Err(error) => format!("native processes: {error:#}"),
    };
    let row = |on| {
        let measured = crowd(scene.machines(on), scene.interrupt).map(|crowd| crowd.to_string());
        Row::new(
            format!("{on}: machines that serve `web` at once, each answering"),
            measured,
            "≥ 1,000",
            beside.clone(),
        )
    };
    BACKENDS.map(row).into()
}

/// Series of starts, in turns so that noise falls on all alike.
fn series_rows(scene: &Scene<'_>) -> Vec<Row> {
    let mut beside = Samples::default();
    let mut rates: [Result<Samples>; 2] = [Ok(Samples::default()), Ok(Samples::default())];
    let mut reference = Ok(());
    for _ in 0..ROUNDS {
        for (on, rates) in BACKENDS.into_iter().zip(&mut rates) {
            if let Ok(samples) = rates {
                match series(scene.machines(on), scene.interrupt) {
                    Ok(rate) => samples.push(rate),
                    Err(error) => *rates = Err(error),
                }
            }
        }
        reference = reference.and_then(|()| series(scene.processes(), scene.interrupt).map(|rate| beside.push(rate)));
    }
    let beside = match reference {
        Ok(()) => format!("native processes {beside}"),
        Err(error) => format!("native processes: {error:#}"),
    };
    let row = |(on, rates): (&str, Result<Samples>)| {
        let what = format!("{on}: {SERIES} detached machines, one after the other, each to its first answer, a second");
        Row::new(what, rates.map(|rates| rates.to_string()), "≥ 50", beside.clone())
    };
    BACKENDS.into_iter().zip(rates).map(row).collect()
}

/// Starts a series; servers a second.
fn series(kind: Kind<'_>, interrupt: &Interrupt) -> Result<f64> {
    let mut fleet = Fleet::new(kind)?;
    let start = Instant::now();
    for _ in 0..SERIES {
        interrupt.check()?;
        if start.elapsed() > PATIENCE {
            bail!("{} servers took longer than {} s", fleet.addresses().len(), PATIENCE.as_secs());
        }
        let address = fleet.start()?;
        get(address).with_context(|| format!("no answer from {address}"))?;
    }
    Ok(SERIES as f64 / start.elapsed().as_secs_f64())
}

/// What came of many at once.
struct Crowd {
    started: usize,
    answered: usize,
    /// Why there are no more.
    stopped: Option<anyhow::Error>,
    seconds: f64,
    /// What all have together: machines, tools, supervisors.
    memory: [Memory; 3],
    /// By how much the host's available memory fell, in KiB: the kernel's share too, and what others did meanwhile.
    taken: u64,
}

/// Starts as many as there are to be, or as there can be; then asks each once, while all are there.
fn crowd(kind: Kind<'_>, interrupt: &Interrupt) -> Result<Crowd> {
    let mut fleet = Fleet::new(kind)?;
    let available = smaps::available()?;
    let start = Instant::now();
    let mut stopped = None;
    while fleet.addresses().len() < CROWD && stopped.is_none() {
        interrupt.check()?;
        stopped = match fleet.start() {
            Ok(_) if start.elapsed() > PATIENCE => Some(anyhow!("no more within {} s", PATIENCE.as_secs())),
            started => started.err(),
        };
    }
    let seconds = start.elapsed().as_secs_f64();
    if let (true, Some(error)) = (fleet.addresses().is_empty(), &stopped) {
        bail!("not even one: {error:#}");
    }
    let mut answered = 0;
    for address in fleet.addresses() {
        interrupt.check()?;
        answered += usize::from(get(*address).is_ok());
    }
    let taken = available.saturating_sub(smaps::available()?);
    let parts = fleet.memory()?;
    let memory = [parts.machines, parts.tools, parts.supervisors];
    Ok(Crowd { started: fleet.addresses().len(), answered, stopped, seconds, memory, taken })
}

impl std::fmt::Display for Crowd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let each = |kib: u64| kib as f64 / 1024.0 / self.started as f64;
        let [machine, tool, supervisor] = self.memory.map(|memory| each(memory.proportional));
        write!(f, "{} of {}, started in {:.0} s; ", self.answered, self.started, self.seconds)?;
        write!(f, "{:.2} MiB each (Pss)", machine + tool + supervisor)?;
        if tool > 0.0 {
            write!(f, ": machine {machine:.2}, tool {tool:.2}, supervisor {supervisor:.2}")?;
        }
        write!(f, "; the host's available memory fell by {:.2} MiB each", each(self.taken))?;
        match &self.stopped {
            Some(error) => write!(f, "; then: {error:#}"),
            None => Ok(()),
        }
    }
}

/// Ctrl-C and SIGTERM, while there are machines to be ended before this process may end.
struct Interrupt {
    asked: Arc<AtomicBool>,
    /// From here on they do what they always did.
    is_over: Arc<AtomicBool>,
}

impl Interrupt {
    fn watch() -> Result<Self> {
        let this = Interrupt { asked: Arc::default(), is_over: Arc::default() };
        for signal in [SIGINT, SIGTERM] {
            flag::register_conditional_default(signal, this.is_over.clone())?;
            flag::register(signal, this.asked.clone())?;
        }
        Ok(this)
    }

    fn check(&self) -> Result<()> {
        if self.asked.load(Ordering::Relaxed) { bail!("interrupted") } else { Ok(()) }
    }

    /// Gives the signals back; an error if one came.
    fn conclude(self) -> Result<()> {
        self.is_over.store(true, Ordering::Relaxed);
        self.check()
    }
}
