//! A machine as others see it: what is written about it, whether it lives, and how to end it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use crate::life::{self, Holder};
use crate::log::Reader;
use crate::process::{Process, start_ticks};
use crate::usage::Usage;
use crate::{Error, Name, Record, clock};

/// How long a machine that was killed may take to end.
const DYING: Duration = Duration::from_secs(5);

/// A machine.
#[derive(Debug)]
pub struct Machine {
    /// What is written about it.
    pub record: Record,
    /// Whether it runs.
    pub state: State,
    folder: PathBuf,
    supervisor: Option<Supervisor>,
}

/// Whether a machine runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It runs.
    Running,
    /// It has ended, and its record says how.
    Ended,
    /// Nobody looks after it any more, and nobody wrote its end down: its supervisor was killed, or the host restarted.
    Lost,
}

/// How a machine that was to stop did so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// It ended by itself.
    ByItself,
    /// It had to be killed.
    Killed,
}

#[derive(Debug)]
struct Supervisor {
    pid: Pid,
    process: Process,
}

impl Machine {
    /// Reads what is in a folder; `None`: nothing, or not yet.
    pub(crate) fn read(folder: &Path, name: &Name) -> Result<Option<Self>, Error> {
        loop {
            let holder = life::holder(folder)?;
            let supervisor = match holder {
                Holder::Process(pid) => Process::open(pid).ok().map(|process| Supervisor { pid, process }),
                _ => None,
            };
            let record = Record::read(folder, name);
            // Who holds the lock before and after is meant by all that was read between.
            if life::holder(folder)? != holder {
                continue;
            }
            let Some(record) = record? else { return Ok(None) };
            let state = match (&record.end, holder) {
                (Some(_), _) => State::Ended,
                (None, Holder::Nobody) => State::Lost,
                (None, _) => State::Running,
            };
            return Ok(Some(Self { record, state, folder: folder.to_owned(), supervisor }));
        }
    }

    /// How long it has run, or had run when it ended, in milliseconds; unknown of a lost one.
    pub fn uptime_ms(&self) -> Option<u64> {
        match (&self.record.end, self.state) {
            (Some(end), _) => Some(end.after_ms),
            (None, State::Running) => Some(clock::boot_ms().saturating_sub(self.record.started_boot_ms)),
            (None, _) => None,
        }
    }

    /// Why it is lost, if it is.
    pub fn loss(&self) -> Option<&'static str> {
        match (self.state, self.record.boot == clock::boot_id()) {
            (State::Lost, true) => Some("its supervising process was killed"),
            (State::Lost, false) => Some("the host was restarted"),
            _ => None,
        }
    }

    /// The supervisor's process number, while it lives.
    pub fn supervisor(&self) -> Option<i32> {
        self.supervisor.as_ref().map(|supervisor| supervisor.pid.as_raw_nonzero().get())
    }

    /// Asks it to stop: its program sees SIGTERM.
    ///
    /// # Errors
    /// [`Error::Elsewhere`].
    pub fn ask(&self) -> Result<(), Error> {
        self.signal(Signal::TERM)
    }

    /// Waits for its end until `until`, and kills it if that does not come.
    ///
    /// # Errors
    /// [`Error::Undying`].
    pub fn end(&self, until: Instant) -> Result<Stopped, Error> {
        if self.has_ended(until) {
            return Ok(Stopped::ByItself);
        }
        self.kill().map(|()| Stopped::Killed)
    }

    /// Ends it at once, and waits until that is so.
    ///
    /// # Errors
    /// [`Error::Undying`].
    pub fn kill(&self) -> Result<(), Error> {
        let Some(supervisor) = &self.supervisor else { return Ok(()) };
        if self.state == State::Running {
            self.signal(Signal::KILL)?;
        }
        if self.has_ended(Instant::now() + DYING) {
            return Ok(());
        }
        // It does not do its work: stopped by somebody, perhaps. Without it the machine counts as lost.
        supervisor.process.signal(Signal::KILL);
        match self.has_ended(Instant::now() + DYING) {
            true => Ok(()),
            false => Err(Error::Undying(self.record.name.to_string(), DYING.as_secs() * 2)),
        }
    }

    /// Has its supervisor ended, and with it everything of the machine? Waits until then.
    pub fn has_ended(&self, until: Instant) -> bool {
        self.supervisor.as_ref().is_none_or(|supervisor| supervisor.process.wait(until))
    }

    /// What it has printed, from the oldest line that is kept.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn log(&self) -> Result<Reader, Error> {
        Reader::open(&self.folder)
    }

    /// Where the newest part of that is.
    pub fn log_path(&self) -> PathBuf {
        crate::log::current(&self.folder)
    }

    /// Where its counters are, if its monitor keeps any.
    pub fn counters_path(&self) -> PathBuf {
        self.folder.join(crate::COUNTERS)
    }

    /// What its processes use now, the runner and what it has started; `None` where it does not run.
    pub fn usage(&self) -> Option<Usage> {
        let runner = self.record.runner.filter(|_| self.state == State::Running)?;
        // The runner is not reaped while the supervisor lives; a number that came to be another's tells by its start.
        let pid = Pid::from_raw(runner.pid).filter(|pid| start_ticks(*pid) == Some(runner.start_ticks))?;
        Usage::of_tree(pid)
    }

    /// Signals the runner. One that has ended, or ends, needs no signal.
    fn signal(&self, signal: Signal) -> Result<(), Error> {
        if self.state == State::Running && self.supervisor.is_none() {
            return Err(Error::Elsewhere(self.record.name.to_string()));
        }
        let until = Instant::now() + DYING;
        let mut runner = self.record.runner;
        // In its first moments a machine has no runner yet.
        while runner.is_none() && !self.has_ended(Instant::now() + Duration::from_millis(5)) && Instant::now() < until {
            runner = Record::read(&self.folder, &self.record.name)?.and_then(|record| record.runner);
        }
        let pid = runner.and_then(|runner| Pid::from_raw(runner.pid));
        if let Some(process) = pid.and_then(|pid| Process::open(pid).ok())
            && !self.has_ended(Instant::now())
        {
            // The supervisor lives, so its runner is not reaped, and the handle is the runner's.
            process.signal(signal);
        }
        Ok(())
    }
}
