//! A reader of one chapter: his folder, his home, his machines, the servers that he has running.

use std::env;
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::block::Step;
use super::command::{self, Ports};
use super::job::Job;
use super::{matching, tree};
use crate::fleet::Fleet;
use crate::tool;

/// How long a command may take. Most are over at once; some compile a program on a busy computer.
const PATIENCE: Duration = Duration::from_secs(900);
/// How long a server may take to stop.
const STOP: Duration = Duration::from_secs(20);

/// The reader.
pub(super) struct Session {
    // The machines end before the folder goes.
    jobs: Vec<Option<Job>>,
    ports: Ports,
    /// The folder he is in.
    here: PathBuf,
    status: u8,
    commands: u32,
    fleet: Fleet,
}

impl Session {
    pub(super) fn new() -> Result<Self> {
        // What all images have in common is built here, not within somebody's patience.
        tool::image("examples/hello")?;
        let fleet = Fleet::new()?;
        let folder = fleet.folder().canonicalize()?;
        for part in ["work", "home", "home/.ssh", "output"] {
            fs::DirBuilder::new().mode(0o700).create(folder.join(part))?;
        }
        let here = folder.join("work");
        Ok(Self { jobs: Vec::new(), ports: Ports::default(), here, status: 0, commands: 0, fleet })
    }

    /// Writes a file of the chapter's.
    pub(super) fn write(&self, path: &str, text: &str) -> Result<()> {
        let path = self.first_folder()?.join(path);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Types a command, and compares.
    pub(super) fn perform(&mut self, step: &Step) -> Result<()> {
        if let Some(number) = step.command.strip_prefix("kill %") {
            return self.stop(number);
        }
        for example in command::examples(&step.command) {
            tool::image(example)?;
        }
        let typed = self.ports.applied(&step.command, step.is_background)?;
        let done = if step.is_background { self.start(&typed, step) } else { self.run(&typed, step) };
        done.with_context(|| format!("`{}`, typed as `{typed}`", step.command))
    }

    /// Ends what still runs.
    pub(super) fn end(mut self) -> Result<()> {
        for number in 1..=self.jobs.len() {
            if self.jobs[number - 1].is_some() {
                self.stop(&number.to_string())?;
            }
        }
        Ok(())
    }

    fn run(&mut self, typed: &str, step: &Step) -> Result<()> {
        let mark = self.fleet.folder().join("here");
        _ = fs::remove_file(&mark);
        let quoted = mark.to_str().context("a path of UTF-8")?;
        // `$?` is the last command's, and where the reader is afterwards is kept.
        let script = format!("(exit {})\n{typed}\nstatus=$?; pwd -P > '{quoted}'; exit $status", self.status);
        let (mut job, _) = self.job(&script, typed)?;
        let status = job.end(PATIENCE)?;
        self.status = shell_status(status);
        if !self.is_in_tree(typed)
            && let Ok(folder) = fs::read_to_string(&mark)
        {
            self.here = PathBuf::from(folder.trim_end());
        }
        let output = self.ports.undone(&job.output()?);
        ensure!(!step.must_succeed || status.success(), "it failed, {status}:\n{output}");
        let lines: Vec<&str> = output.trim_end().lines().collect();
        if !step.expected.is_empty() && !matching::is(&step.expected, &lines) {
            bail!("it should print\n{}\nbut prints\n{output}", step.expected.join("\n"));
        }
        Ok(())
    }

    fn start(&mut self, typed: &str, step: &Step) -> Result<()> {
        // In the shell's place, so that who stops the one stops the other.
        let (mut job, ports) = self.job(&format!("exec {typed}"), typed)?;
        job.await_output(PATIENCE, |output| {
            let output = ports.undone(output);
            matching::contains(&step.expected, &output.lines().collect::<Vec<_>>())
        })
        .with_context(|| format!("it should print\n{}", step.expected.join("\n")))?;
        self.jobs.push(Some(job));
        Ok(())
    }

    fn stop(&mut self, number: &str) -> Result<()> {
        let slot = number.parse::<usize>().ok().and_then(|number| self.jobs.get_mut(number.checked_sub(1)?));
        let mut job = slot.and_then(Option::take).with_context(|| format!("there is no server %{number}"))?;
        job.stop()?;
        job.end(STOP).with_context(|| format!("the server %{number} was asked to stop"))?;
        Ok(())
    }

    /// A script of bash, where the reader is.
    fn job(&mut self, script: &str, typed: &str) -> Result<(Job, &Ports)> {
        self.commands += 1;
        let folder = self.fleet.folder();
        let mut command = Command::new("bash");
        command.arg("-c").arg(script);
        command.current_dir(if self.is_in_tree(typed) { tree() } else { self.here.clone() });
        // Another home, but the same toolchain.
        let home = PathBuf::from(env::var_os("HOME").unwrap_or_else(|| "/".into()));
        for (name, below) in [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")] {
            command.env(name, env::var_os(name).map_or_else(|| home.join(below), PathBuf::from));
        }
        let path = env::var_os("PATH").unwrap_or_default();
        let tool = tool::tool()?.parent().context("the tool is in a folder")?.to_owned();
        command.env("PATH", env::join_paths([tool].into_iter().chain(env::split_paths(&path)))?);
        command.env("HOME", folder.join("home")).env("XDG_RUNTIME_DIR", folder).env("CARGO_TERM_COLOR", "never");
        // What cargo tells the programs that it runs is not the reader's.
        for (name, _) in env::vars_os() {
            if name.to_str().is_some_and(|name| name == "CARGO" || name.starts_with("CARGO_PKG_")) {
                command.env_remove(name);
            }
        }
        let output = folder.join("output").join(self.commands.to_string());
        Ok((Job::start(command, &output)?, &self.ports))
    }

    /// Is the command one of cargo's in the reader's first folder? That is the clone, as far as cargo is concerned.
    fn is_in_tree(&self, typed: &str) -> bool {
        typed.starts_with("cargo ") && self.first_folder().is_ok_and(|first| first == self.here)
    }

    fn first_folder(&self) -> Result<PathBuf> {
        Ok(self.fleet.folder().canonicalize()?.join("work"))
    }
}

/// What bash's `$?` would be.
fn shell_status(status: ExitStatus) -> u8 {
    let of_signal = || status.signal().and_then(|signal| u8::try_from(128 + signal).ok());
    status.code().and_then(|code| u8::try_from(code).ok()).or_else(of_signal).unwrap_or(255)
}
