//! Commands that are run to their end, each within a time: nothing that is measured can make the benchmark hang.

use anyhow::{Context, Result, bail};
use std::io::Read;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long a command may take that nobody gave another limit.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often one that runs is looked at.
const LOOK: Duration = Duration::from_millis(2);

/// Runs a command to its end and gives its standard output; its failure is an error with what it said.
pub fn finish(command: &mut Command) -> Result<String> {
    finish_within(command, PATIENCE)
}

/// The same with another limit, after which the command is ended and the result an error.
pub fn finish_within(command: &mut Command, patience: Duration) -> Result<String> {
    let (status, output, errors) = outcome(command, patience)?;
    if !status.success() {
        bail!("{command:?} ended with {status}: {}", errors.trim());
    }
    Ok(output)
}

/// How a command ended, whatever its status, and what it wrote on its standard output and error.
pub fn outcome(command: &mut Command, patience: Duration) -> Result<(ExitStatus, String, String)> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().with_context(|| format!("cannot run {:?}", command.get_program()))?;
    let mut running = Running(child);
    let (output, errors) = (read(running.0.stdout.take()), read(running.0.stderr.take()));
    let status = running.end_within(patience).with_context(|| format!("{command:?}"))?;
    Ok((status, output.join().unwrap_or_default(), errors.join().unwrap_or_default()))
}

/// All that comes from a pipe, read by a thread of its own.
pub(crate) fn read(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // What came before an error counts; that there was one, the command's status says.
        let _ = pipe.map(|mut pipe| pipe.read_to_end(&mut bytes));
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// A child that ends when nobody needs it any more.
pub struct Running(pub Child);

impl Running {
    /// Waits for its end.
    pub fn end_within(&mut self, patience: Duration) -> Result<ExitStatus> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(status) = self.0.try_wait()? {
                return Ok(status);
            }
            if Instant::now() > deadline {
                self.0.kill()?;
                self.0.wait()?;
                bail!("has not ended within {} s", patience.as_secs_f64());
            }
            thread::sleep(LOOK);
        }
    }

    /// Has it ended?
    pub fn has_ended(&mut self) -> Result<bool> {
        Ok(self.0.try_wait()?.is_some())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to do.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_ended_in_time_and_its_failure_says_why() {
        let start = Instant::now();
        let error = finish_within(Command::new("sleep").arg("60"), Duration::from_millis(50)).expect_err("too long");
        assert!(
            start.elapsed() < Duration::from_secs(30) && format!("{error:#}").contains("within 0.05 s"),
            "{error:#}"
        );
        let error = finish(Command::new("sh").args(["-c", "echo why >&2; exit 3"])).expect_err("a failure");
        assert!(error.to_string().contains("status: 3: why"), "{error}");
        assert_eq!(finish(Command::new("echo").arg("that")).expect("it works"), "that\n");
    }
}
