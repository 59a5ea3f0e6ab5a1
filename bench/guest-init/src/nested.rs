//! Process 1 of the Linux guest in which `cargo xtask nested` tests the KVM monitor: loads modules, runs the commands of
//! `/commands` one after the other, says on the second serial port how each ended, and turns the computer off.
//!
//! A command is a line, its words separated by tabs. What is said, line by line: `parameter MODULE.NAME=VALUE` for each
//! module's parameter on the kernel's command line, as it came out; then for each command `run N`, then the command's output with
//! `| ` before each line, then `end N status S ms T`, `end N signal S ms T` or `end N timeout ms T`; at last `done`, or
//! `failed` and why. The first serial port is the kernel's own.
#![forbid(unsafe_code)]

mod system;

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::system::{RebootCommand, reboot};

/// How long a command may take. An emulated computer is slow, and may share its CPU.
const PATIENCE: Duration = Duration::from_secs(60);

fn main() -> Result<()> {
    system::mount("devtmpfs", "/dev")?;
    let mut port = OpenOptions::new().write(true).open("/dev/ttyS1").context("opening the second serial port")?;
    match perform(&mut port) {
        Ok(()) => writeln!(port, "done")?,
        Err(error) => writeln!(port, "failed {error:#}")?,
    }
    // What was written has left the port before the power goes: closing waits for that.
    drop(port);
    reboot(RebootCommand::PowerOff).context("turning the power off")
}

fn perform(port: &mut File) -> Result<()> {
    system::mount("proc", "/proc")?;
    system::mount("sysfs", "/sys")?;
    system::mount("tmpfs", "/tmp")?;
    let command_line = fs::read_to_string("/proc/cmdline").context("reading the kernel's command line")?;
    if let Some((module, error)) = system::load_modules(&command_line)?.first() {
        bail!("{} is not loaded: {error}", module.display());
    }
    for (module, name) in command_line.split_whitespace().filter_map(|word| word.split_once('=')?.0.split_once('.')) {
        let value = fs::read_to_string(format!("/sys/module/{module}/parameters/{name}"));
        let value = value.with_context(|| format!("reading the parameter {name} of the module {module}"))?;
        writeln!(port, "parameter {module}.{name}={}", value.trim_end())?;
    }
    let commands = fs::read_to_string("/commands").context("reading /commands")?;
    for (number, line) in commands.lines().enumerate() {
        writeln!(port, "run {number}")?;
        let start = Instant::now();
        let end = run(line, port)?;
        writeln!(port, "end {number} {end} ms {}", start.elapsed().as_millis())?;
    }
    Ok(())
}

/// Runs one command, writes what it printed, and says how it ended.
fn run(line: &str, port: &mut File) -> Result<String> {
    const OUTPUT: &str = "/tmp/output";
    let output = File::create(OUTPUT)?;
    let mut words = line.split('\t');
    let program = words.next().unwrap_or_default();
    let mut command = Command::new(program);
    command.args(words).stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
    let mut child = command.spawn().with_context(|| format!("starting {program}"))?;
    let deadline = Instant::now() + PATIENCE;
    let end = loop {
        match child.try_wait()? {
            Some(status) => break describe(status),
            None if Instant::now() > deadline => {
                child.kill()?;
                child.wait()?;
                break "timeout".to_owned();
            }
            None => thread::sleep(Duration::from_millis(5)),
        }
    };
    for line in String::from_utf8_lossy(&fs::read(OUTPUT)?).lines() {
        writeln!(port, "| {line}")?;
    }
    Ok(end)
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("status {code}"),
        (None, signal) => format!("signal {}", signal.unwrap_or_default()),
    }
}
