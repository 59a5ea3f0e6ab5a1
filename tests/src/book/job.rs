//! A command that runs: what it has printed so far, and its end. None outlives its chapter.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// How often is it looked at?
const STEP: Duration = Duration::from_millis(10);

/// A running command, in a process group of its own. Both of its outputs go to one file, so that neither a full pipe nor a
/// machine in the background, which keeps them open, can stop anybody.
pub(super) struct Job {
    child: Child,
    output: PathBuf,
}

impl Job {
    /// Starts it.
    pub(super) fn start(mut command: Command, output: &Path) -> Result<Self> {
        let file = File::create(output).with_context(|| format!("cannot write {}", output.display()))?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file).process_group(0);
        let child = command.spawn().context("cannot start bash")?;
        Ok(Self { child, output: output.to_owned() })
    }

    /// What it has printed.
    pub(super) fn output(&self) -> Result<String> {
        let bytes = fs::read(&self.output).with_context(|| format!("cannot read {}", self.output.display()))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Its status, if it has ended.
    pub(super) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Waits until it ends.
    ///
    /// # Errors
    /// It has not after this time, and is killed.
    pub(super) fn end(&mut self, patience: Duration) -> Result<ExitStatus> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            if Instant::now() > deadline {
                self.kill();
                bail!("it has not ended after {} s; it had printed:\n{}", patience.as_secs(), self.output()?);
            }
            thread::sleep(STEP);
        }
    }

    /// Waits until it has printed what is wanted.
    ///
    /// # Errors
    /// It ends before, or has not after this time.
    pub(super) fn await_output(&mut self, patience: Duration, is_it: impl Fn(&str) -> bool) -> Result<()> {
        let deadline = Instant::now() + patience;
        loop {
            let status = self.ended()?;
            let output = self.output()?;
            if is_it(&output) {
                return Ok(());
            }
            if let Some(status) = status {
                bail!("it ended, {status}, after it had printed:\n{output}");
            }
            if Instant::now() > deadline {
                bail!("after {} s it has printed no more than:\n{output}", patience.as_secs());
            }
            thread::sleep(STEP);
        }
    }

    /// Asks it to stop, as `kill` does.
    pub(super) fn stop(&self) -> Result<()> {
        kill_process(self.pid()?, Signal::TERM).context("cannot stop it")
    }

    fn pid(&self) -> Result<Pid> {
        Pid::from_raw(self.child.id().cast_signed()).context("no process")
    }

    fn kill(&mut self) {
        if let (Ok(None), Ok(pid)) = (self.child.try_wait(), self.pid()) {
            _ = kill_process_group(pid, Signal::KILL);
            _ = self.child.wait();
        }
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        self.kill();
    }
}
