//! A running machine: what it prints, and how it ends. Every wait ends after [`PATIENCE`] at the latest.

use std::io::{BufRead, BufReader, Read};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::backend::Backend;
use crate::tool;

/// How long anything may take. An emulated machine on a busy computer is slow; a hanging one takes for ever.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A machine, ended when it is dropped.
pub struct Machine {
    child: Child,
    lines: Receiver<(Stream, String)>,
    output: String,
    errors: String,
}

/// How a machine ended, and what it had printed.
#[derive(Clone, Debug)]
pub struct End {
    /// The tool's exit status.
    pub status: i32,
    /// Standard output. Under QEMU there is one console, and what was for standard error is here too.
    pub output: String,
    /// Standard error.
    pub errors: String,
}

#[derive(Clone, Copy)]
enum Stream {
    Output,
    Error,
}

impl Machine {
    /// Runs an image with more of the tool's arguments.
    pub fn start(image: &Path, backend: Backend, arguments: &[&str]) -> Result<Self> {
        Self::spawn(&[], image, backend, arguments, Stdio::null())
    }

    /// The same, where another program starts the tool: `prefix` and then the tool's command line.
    pub fn start_by(prefix: &[&str], image: &Path, backend: Backend, arguments: &[&str]) -> Result<Self> {
        Self::spawn(prefix, image, backend, arguments, Stdio::null())
    }

    /// The same, and what is its standard input.
    pub fn start_fed(image: &Path, backend: Backend, arguments: &[&str]) -> Result<(Self, ChildStdin)> {
        Self::spawn(&[], image, backend, arguments, Stdio::piped()).and_then(Self::with_input)
    }

    /// The same, with this terminal (or whatever it is) as its standard input.
    pub fn start_on(terminal: OwnedFd, image: &Path, backend: Backend, arguments: &[&str]) -> Result<Self> {
        Self::spawn(&[], image, backend, arguments, Stdio::from(terminal))
    }

    fn with_input(mut machine: Self) -> Result<(Self, ChildStdin)> {
        let input = machine.child.stdin.take().context("the tool has no input")?;
        Ok((machine, input))
    }

    fn spawn(prefix: &[&str], image: &Path, backend: Backend, arguments: &[&str], input: Stdio) -> Result<Self> {
        let tool = tool::tool()?;
        let mut command = match prefix {
            [] => Command::new(tool),
            [program, rest @ ..] => {
                let mut command = Command::new(program);
                command.args(rest).arg(tool);
                command
            }
        };
        command.arg("run").arg(image).args(backend.flags()).args(arguments);
        command.stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut child = command.spawn().context("cannot start the tool")?;
        let (sender, lines) = channel();
        read(child.stdout.take(), Stream::Output, &sender);
        read(child.stderr.take(), Stream::Error, &sender);
        Ok(Self { child, lines, output: String::new(), errors: String::new() })
    }

    /// Waits until it prints a line that contains `text`.
    pub fn expect(&mut self, text: &str) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok((stream, line)) => {
                    let is_it = line.contains(text);
                    self.keep(stream, &line);
                    if is_it {
                        return Ok(());
                    }
                }
                Err(RecvTimeoutError::Timeout) => bail!("no `{text}` within {PATIENCE:?}\n{}", self.transcript()),
                Err(RecvTimeoutError::Disconnected) => bail!("it ended without `{text}`\n{}", self.transcript()),
            }
        }
    }

    /// The last line with `text` that it has printed so far.
    pub fn line_with(&self, text: &str) -> Result<String> {
        let line = self.output.lines().chain(self.errors.lines()).rfind(|line| line.contains(text));
        line.map(str::to_owned).with_context(|| format!("no line with `{text}`\n{}", self.transcript()))
    }

    /// The tool's process number.
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// Sends the tool a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill_process(self.pid()?, signal).context("cannot signal the tool")
    }

    /// Sends a signal to all of the machine's processes: the tool and its descendants.
    pub fn signal_all(&self, signal: Signal) -> Result<()> {
        let mut processes = vec![self.child.id() as i32];
        let mut next = 0;
        while let Some(parent) = processes.get(next).copied() {
            processes.extend(children(parent)?);
            next += 1;
        }
        processes.into_iter().filter_map(Pid::from_raw).try_for_each(|process| kill_process(process, signal))?;
        Ok(())
    }

    /// Waits for its end.
    pub fn end(mut self) -> Result<End> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok((stream, line)) => self.keep(stream, &line),
                // Both of its outputs are closed: it has ended, or is about to.
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => bail!("still running after {PATIENCE:?}\n{}", self.transcript()),
            }
        }
        let status = self.child.wait()?;
        let status = status.code().with_context(|| format!("the tool died: {status}\n{}", self.transcript()))?;
        Ok(End { status, output: std::mem::take(&mut self.output), errors: std::mem::take(&mut self.errors) })
    }

    fn keep(&mut self, stream: Stream, line: &str) {
        match stream {
            Stream::Output => self.output.push_str(line),
            Stream::Error => self.errors.push_str(line),
        }
    }

    /// What it has printed until now, of what is still to be looked at too.
    pub fn said(&mut self) -> String {
        while let Ok((stream, line)) = self.lines.try_recv() {
            self.keep(stream, &line);
        }
        self.transcript()
    }

    fn transcript(&self) -> String {
        format!("-- standard output:\n{}-- standard error:\n{}", self.output, self.errors)
    }

    fn pid(&self) -> Result<Pid> {
        Pid::from_raw(self.child.id() as i32).context("the tool has no process number")
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let (Ok(None), Ok(pid)) = (self.child.try_wait(), self.pid()) {
            _ = kill_process_group(pid, Signal::KILL);
            _ = self.child.wait();
        }
    }
}

impl End {
    /// Both outputs.
    pub fn all(&self) -> String {
        format!("{}{}", self.output, self.errors)
    }

    /// Fails unless it ended with this status.
    pub fn with_status(self, status: i32) -> Result<Self> {
        if self.status != status {
            bail!("status {} instead of {status}\n{}", self.status, self.all());
        }
        Ok(self)
    }

    /// Fails unless a fault ended it, and the report says where. An address outside the program's code has no place in the
    /// image, and the frames of an image with symbols have names.
    pub fn with_fault(self) -> Result<Self> {
        let end = self.with_status(139)?;
        if !["image+0x", "outside its code, at 0x"].iter().any(|place| end.all().contains(place)) {
            bail!("the report does not say where:\n{}", end.all());
        }
        Ok(end)
    }

    /// Fails unless it printed all of these.
    pub fn with_text(self, texts: &[&str]) -> Result<Self> {
        match texts.iter().find(|text| !self.all().contains(**text)) {
            Some(text) => bail!("no `{text}` in what it printed:\n{}", self.all()),
            None => Ok(self),
        }
    }
}

/// The processes that this one has started, and that have not ended (proc(5), `/proc/PID/stat`).
fn children(parent: i32) -> Result<Vec<i32>> {
    let mut children = Vec::new();
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let Some(process) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // It may have ended meanwhile. The name, in parentheses, may hold spaces.
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let mut fields = stat.rsplit(')').next().unwrap_or_default().split_ascii_whitespace();
        if fields.nth(1).and_then(|field| field.parse().ok()) == Some(parent) {
            children.push(process);
        }
    }
    Ok(children)
}

fn read(output: Option<impl Read + Send + 'static>, stream: Stream, sender: &Sender<(Stream, String)>) {
    let Some(output) = output else { return };
    let sender = sender.clone();
    thread::spawn(move || {
        let mut output = BufReader::new(output);
        let mut line = Vec::new();
        while output.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
            let text = String::from_utf8_lossy(&line).replace('\r', "");
            if sender.send((stream, text)).is_err() {
                return;
            }
            line.clear();
        }
    });
}
