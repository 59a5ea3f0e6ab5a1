//! The supervisor: holds a machine's name, keeps its log, waits for its end and writes that down.
//!
//! One thread, and one poll(2) for everything that can happen. It trusts the runner no further than to say of itself what
//! it likes: what it prints is bounded by the log, what it says by the link, and its end is the kernel's word.

use std::io::{ErrorKind, PipeReader, Read};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use rustix::fs::{OFlags, fcntl_setfl};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, WaitIdStatus, waitid};
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::link::{Event, Got, Link};
use crate::log::{Reader, Writer};
use crate::process::{Process, start_ticks, wait_for};
use crate::record::Runner;
use crate::start::{Plan, Verdict, itself};
use crate::starting::Starting;
use crate::store::{Claim, Store};
use crate::{End, Error, Name, Port, Record, clock, runner};

/// The role's variable.
pub(crate) const ROLE: &str = "supervisor";
/// Output that is read at once.
const PIECE: usize = 64 << 10;
/// Output that is shown of a machine that did not start, in bytes.
const SHOWN: u64 = 64 << 10;
/// Ports that are written down; a range may have more.
const PORTS_MAX: usize = 64;
/// Characters that are kept of a report.
const REPORT_MAX: usize = 2000;
/// Pieces of output that are taken once the runner has ended; a pipe holds one.
const REST: usize = 16;

/// Is this process to be part of a machine in the background? Does a supervisor's whole work, and gives the status to exit
/// with; makes this process a runner and gives `None`, as for every other.
pub fn take_role() -> Option<u8> {
    let role = std::env::var(crate::ROLE).ok()?;
    if role == ROLE {
        return Some(perform());
    }
    match runner::become_one(role.strip_prefix(runner::ROLE)?) {
        Ok(()) => None,
        Err(error) => {
            eprintln!("error: {error}");
            Some(1)
        }
    }
}

/// The supervisor's work.
fn perform() -> u8 {
    // A session of its own: no terminal, and no signals of one.
    let _ = rustix::process::setsid();
    let Ok(mut asker) = Link::from_stdin() else { return 1 };
    let Ok(plan) = asker.receive::<Plan>() else { return 1 };
    let name = match &plan.name {
        crate::start::Wanted::Exactly(name) | crate::start::Wanted::Like(name) => name.clone(),
    };
    let mut record = record(name, plan.image.clone());
    let claim = match Store::open().and_then(|store| store.claim(&plan.name, &mut record)) {
        Ok(claim) => claim,
        Err(error) => return fail(&mut asker, &error),
    };
    match Supervisor::start(&claim, &mut record, &plan) {
        Ok((supervisor, child)) => supervisor.stay(claim, record, asker, child),
        Err(error) => {
            let _ = claim.discard();
            fail(&mut asker, &error)
        }
    }
}

fn fail(asker: &mut Link, error: &Error) -> u8 {
    let _ = asker.send(&Verdict::Failed { status: 1, output: String::new(), reason: error.to_string() });
    1
}

/// The record of a machine that is about to start.
fn record(name: Name, image: String) -> Record {
    Record {
        name,
        image,
        digest: String::new(),
        backend: String::new(),
        started_ms: clock::wall_ms(),
        started_boot_ms: clock::boot_ms(),
        boot: clock::boot_id(),
        runner: None,
        ports: Vec::new(),
        end: None,
    }
}

/// What the supervisor watches.
struct Supervisor {
    runner: Process,
    output: PipeReader,
    output_is_open: bool,
    events: Link,
    events_are_open: bool,
    log: Writer,
    starting: Starting,
    report: Option<String>,
}

/// A runner that was just started, and our ends of what it got.
struct Started {
    child: Child,
    output: PipeReader,
    events: Link,
}

/// Starts the runner.
fn spawn(folder: &Path) -> Result<Started, Error> {
    let (output, theirs) = std::io::pipe().map_err(Error::system("make a pipe"))?;
    fcntl_setfl(&output, OFlags::NONBLOCK).map_err(Error::system("read without waiting"))?;
    let second = theirs.try_clone().map_err(Error::system("copy a pipe's end"))?;
    let (events, link) = Link::pair().map_err(Error::system("make a socket pair"))?;
    let own = rustix::process::getpid().as_raw_nonzero();
    let mut command = itself();
    command.env(crate::ROLE, format!("{}{own}", runner::ROLE)).env(crate::FOLDER, folder);
    command.stdin(Stdio::from(link)).stdout(theirs).stderr(second);
    let child = command.spawn().map_err(Error::system("start the machine's process"))?;
    // The command goes here, and with it our copies of the runner's ends.
    Ok(Started { child, output, events })
}

impl Supervisor {
    /// Starts the runner and writes its number down.
    fn start(claim: &Claim, record: &mut Record, plan: &Plan) -> Result<(Self, Child), Error> {
        let log = Writer::create(&claim.folder)?;
        outlive_signals().map_err(Error::system("take signals"))?;
        let Started { mut child, output, events } = spawn(&claim.folder)?;
        let runner = match adopt(&child, claim, record) {
            Ok(runner) => runner,
            Err(error) => {
                let _ = child.kill().and_then(|()| child.wait());
                return Err(error);
            }
        };
        let starting = Starting::new(plan.awaited.clone());
        let (output_is_open, events_are_open) = (true, true);
        let this = Self { runner, output, output_is_open, events, events_are_open, log, starting, report: None };
        Ok((this, child))
    }

    /// Stays with the machine until it ends. `child` is not reaped, so that its number stays its own.
    fn stay(mut self, claim: Claim, mut record: Record, asker: Link, _child: Child) -> u8 {
        let mut asker = Some(asker);
        let mut is_unwanted = false;
        let mut buffer = vec![0; PIECE];
        loop {
            let [has_ended, has_output, has_events, asker_has_left] = self.wait(asker.as_ref());
            if has_output {
                self.pass_output(&mut buffer);
            }
            if has_events {
                self.listen(&mut record, &claim);
            }
            if has_ended {
                break;
            }
            if asker_has_left && asker.take().is_some() {
                // Whoever wanted it gave up before it ran.
                is_unwanted = true;
                self.runner.signal(Signal::KILL);
            }
            if self.starting.due().is_some_and(|due| due <= Instant::now()) {
                self.tell_started(&mut asker, &record.name);
            }
        }
        self.finish(claim, record, asker, is_unwanted, &mut buffer)
    }

    /// Waits until something happens: the runner has ended, has printed something, says something; or the one who asked
    /// for the machine has left, or has waited long enough.
    fn wait(&self, asker: Option<&Link>) -> [bool; 4] {
        let due = asker.and_then(|_| self.starting.due());
        let timeout = due.map(|due| due.saturating_duration_since(Instant::now()));
        // The runner's handle stands in for whatever is closed.
        let handle = self.runner.as_fd();
        let output = if self.output_is_open { self.output.as_fd() } else { handle };
        let events = if self.events_are_open { self.events.as_fd() } else { handle };
        let asker = asker.map_or(handle, AsFd::as_fd);
        wait_for(&[handle, output, events, asker], timeout).try_into().unwrap_or_default()
    }

    /// The machine has ended: takes the rest of what it said, and writes down how.
    fn finish(
        mut self,
        claim: Claim,
        mut record: Record,
        mut asker: Option<Link>,
        is_unwanted: bool,
        buffer: &mut [u8],
    ) -> u8 {
        for _ in 0..REST {
            self.pass_output(buffer);
        }
        self.listen(&mut record, &claim);
        let end = self.end(&record);
        if is_unwanted || asker.is_some() && end.status != Some(0) {
            let verdict = failure(&claim, &record.name, &end);
            let discarded = claim.discard();
            // Only now: whoever hears it may want the name again.
            let _ = asker.map(|mut asker| asker.send(&verdict));
            return u8::from(discarded.is_err());
        }
        record.end = Some(end);
        let written = record.write(&claim.folder);
        self.tell_started(&mut asker, &record.name);
        u8::from(written.is_err())
    }

    fn end(&mut self, record: &Record) -> End {
        let waited = waitid(WaitId::PidFd(self.runner.as_fd()), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT);
        let fate = waited.ok().flatten();
        End {
            at_ms: clock::wall_ms(),
            after_ms: clock::boot_ms().saturating_sub(record.started_boot_ms),
            status: fate.as_ref().and_then(WaitIdStatus::exit_status).map(|status| status as u8),
            signal: fate.as_ref().and_then(WaitIdStatus::terminating_signal),
            report: self.report.take(),
        }
    }

    fn pass_output(&mut self, buffer: &mut [u8]) {
        match self.output.read(buffer) {
            Ok(0) => self.output_is_open = false,
            Ok(length) => self.log.append(buffer.get(..length).unwrap_or_default()),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(_) => self.output_is_open = false,
        }
    }

    fn listen(&mut self, record: &mut Record, claim: &Claim) {
        let mut is_new = false;
        while self.events_are_open {
            match self.events.poll() {
                Got::Message(event) => {
                    self.starting.hear(&event, Instant::now());
                    is_new |= self.note(event, record);
                }
                Got::Nothing => break,
                Got::End => self.events_are_open = false,
            }
        }
        if is_new && let Err(error) = record.write(&claim.folder) {
            self.log.append(format!("ampoule: {error}\n").as_bytes());
        }
    }

    /// Enters an event in the record; has it changed?
    fn note(&mut self, event: Event, record: &mut Record) -> bool {
        match event {
            Event::Running { backend, digest } => (record.backend, record.digest) = (backend, digest),
            Event::Listening(port) => return add(port, &mut record.ports),
            Event::Refused { .. } => return false,
            Event::Report(text) => {
                self.report = Some(text.chars().take(REPORT_MAX).collect());
                return false;
            }
        }
        true
    }

    fn tell_started(&self, asker: &mut Option<Link>, name: &Name) {
        if let Some(mut asker) = asker.take() {
            let _ = asker.send(&Verdict::Started { name: name.clone(), notes: self.starting.notes() });
        }
    }
}

/// A handle on the runner, with its number in the record.
fn adopt(child: &Child, claim: &Claim, record: &mut Record) -> Result<Process, Error> {
    let pid = Pid::from_child(child);
    let process = Process::open(pid).map_err(Error::system("watch the machine's process"))?;
    record.runner = Some(Runner { pid: pid.as_raw_nonzero().get(), start_ticks: start_ticks(pid).unwrap_or(0) });
    record.write(&claim.folder)?;
    Ok(process)
}

/// SIGTERM and SIGINT are the runner's to take: whoever ends a session or a host sends them to every process, and a
/// supervisor that ended by one would take the machine along before it has stopped. To pass them on would be wrong, too:
/// the runner would take the second one for impatience. Handlers that do nothing, unlike `SIG_IGN`, are not the runner's.
fn outlive_signals() -> std::io::Result<()> {
    for signal in [SIGTERM, SIGINT] {
        signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)))?;
    }
    Ok(())
}

fn add(port: Port, ports: &mut Vec<Port>) -> bool {
    let is_new = !ports.contains(&port) && ports.len() < PORTS_MAX;
    if is_new {
        ports.push(port);
    }
    is_new
}

/// The verdict on a machine that ended before it had started.
fn failure(claim: &Claim, name: &Name, end: &End) -> Verdict {
    let mut output = Vec::new();
    if let Ok(mut reader) = Reader::open(&claim.folder)
        && reader.skip_to_last(SHOWN).is_ok()
    {
        let mut piece = [0; 4096];
        while let Ok(length @ 1..) = reader.read(&mut piece) {
            output.extend_from_slice(piece.get(..length).unwrap_or_default());
        }
    }
    let (status, how) = match (end.status, end.signal) {
        (Some(status), _) => (status, format!("with status {status}")),
        (None, Some(signal)) => (128u8.wrapping_add(signal as u8), format!("by signal {signal}")),
        (None, None) => (1, "and nobody knows how".into()),
    };
    let output = String::from_utf8_lossy(&output).into_owned();
    Verdict::Failed { status, output, reason: format!("{name} ended as soon as it was started, {how}; it is not kept") }
}
