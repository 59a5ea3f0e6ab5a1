//! Machines in the background, in a runtime folder of the test's own. Whatever happens, none outlives the test.

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::machine::PATIENCE;
use crate::tool;

/// A runtime folder, and the tool that uses it.
pub struct Fleet {
    folder: PathBuf,
}

/// What a command said, and how it ended.
#[derive(Clone, Debug)]
pub struct Said {
    /// The exit status.
    pub status: i32,
    /// Standard output.
    pub output: String,
    /// Standard error.
    pub errors: String,
}

impl Fleet {
    /// No machines yet.
    pub fn new() -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("ampoule-test-fleet-{}-{number}", std::process::id()));
        std::fs::DirBuilder::new().mode(0o700).create(&folder)?;
        Ok(Self { folder })
    }

    /// The runtime folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The folder of a machine.
    pub fn machine(&self, name: &str) -> PathBuf {
        self.folder.join("ampoule/machines").join(name)
    }

    /// A command of the tool, not yet started. It ends after a while whatever it waits for.
    pub fn command(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = Command::new("timeout");
        command.arg("--kill-after=1").arg(PATIENCE.as_secs().to_string()).arg(tool::tool()?).args(arguments);
        command.env("XDG_RUNTIME_DIR", &self.folder).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Ok(command)
    }

    /// Gives the tool a command.
    pub fn say(&self, arguments: &[&str]) -> Result<Said> {
        Said::of(self.command(arguments)?.output().context("cannot start the tool")?)
    }

    /// Starts a machine in the background, and gives its name.
    pub fn run(&self, image: &Path, arguments: &[&str]) -> Result<String> {
        let image = image.to_str().context("the project's folder has a name of UTF-8")?;
        let said = self.say(&[&["run", image, "--detach"], arguments].concat())?.with_status(0)?;
        ensure!(said.output.lines().count() == 1, "not one name: {said:?}");
        Ok(said.output.trim().to_owned())
    }

    /// What `ps --all --json` says of a machine.
    pub fn look(&self, name: &str) -> Result<Value> {
        let all = self.say(&["ps", "--all", "--json"])?.with_status(0)?;
        let all: Vec<Value> = serde_json::from_str(&all.output).context("no JSON")?;
        all.into_iter().find(|machine| machine["name"] == name).with_context(|| format!("no machine {name}"))
    }

    /// Its state.
    pub fn state(&self, name: &str) -> Result<String> {
        let machine = self.look(name)?;
        machine["state"].as_str().map(str::to_owned).context("no state")
    }

    /// The host's port where it listens.
    pub fn port(&self, name: &str) -> Result<u16> {
        let machine = self.look(name)?;
        let host = machine["ports"][0]["host"].as_str().with_context(|| format!("no port: {machine}"))?;
        Ok(host.parse::<std::net::SocketAddr>()?.port())
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        let names = std::fs::read_dir(self.machine(""))
            .map(|entries| entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect::<Vec<_>>());
        let names = names.unwrap_or_default();
        let words: Vec<&str> = ["rm", "--force"].into_iter().chain(names.iter().map(String::as_str)).collect();
        if words.len() > 2 {
            _ = self.say(&words);
        }
        _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Said {
    /// What a process said.
    pub fn of(output: Output) -> Result<Self> {
        let text = |bytes| String::from_utf8(bytes).context("no UTF-8");
        let status = output.status.code().with_context(|| format!("the tool died: {}", output.status))?;
        Ok(Self { status, output: text(output.stdout)?, errors: text(output.stderr)? })
    }

    /// Fails unless it ended with this status.
    pub fn with_status(self, status: i32) -> Result<Self> {
        if self.status != status {
            bail!("status {} instead of {status}\n{}{}", self.status, self.output, self.errors);
        }
        Ok(self)
    }

    /// Fails unless it said all of these.
    pub fn with_text(self, texts: &[&str]) -> Result<Self> {
        let all = format!("{}{}", self.output, self.errors);
        match texts.iter().find(|text| !all.contains(**text)) {
            Some(text) => bail!("no `{text}` in what it said:\n{all}"),
            None => Ok(self),
        }
    }
}
