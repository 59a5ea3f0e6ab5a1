//! Many machines in the background, or as many native processes, all of them gone when this is dropped.
//!
//! The machines' state is in a runtime folder of its own, so that whatever else runs here is neither seen nor touched.
//! Each server has its own loopback address (RFC 1122 §3.2.1.3: all of 127/8 is this host) and all have one port, below
//! those that the kernel gives to clients: none of a thousand can find its port taken by a connection.

use crate::command::finish;
use crate::smaps::{self, Memory};
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::fs::DirBuilder;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const PORT: u16 = 8080;
/// Names in one command.
const AT_ONCE: usize = 100;

/// What a fleet is made of.
pub enum Kind<'a> {
    /// Machines: the tool, the image, and what to run it on.
    Machines(&'a Path, &'a Path, &'a str),
    /// Native processes of this program, which takes its address as an argument.
    Processes(&'a Path),
}

/// Servers that run.
pub struct Fleet<'a> {
    kind: Kind<'a>,
    /// The runtime folder.
    folder: PathBuf,
    /// Where the servers are, in the order of their starts.
    addresses: Vec<SocketAddr>,
    processes: Vec<Child>,
}

/// The memory of a fleet, by what its processes are.
pub struct Parts {
    /// The machines themselves, or the native processes.
    pub machines: Memory,
    /// The tool's processes, each the parent of one machine.
    pub tools: Memory,
    /// Those that supervise the tool's.
    pub supervisors: Memory,
}

impl<'a> Fleet<'a> {
    /// An empty one.
    pub fn new(kind: Kind<'a>) -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("ampoule-bench-{}", std::process::id()));
        let made = DirBuilder::new().mode(0o700).create(&folder);
        made.with_context(|| format!("cannot make the runtime folder {}", folder.display()))?;
        Ok(Fleet { kind, folder, addresses: Vec::new(), processes: Vec::new() })
    }

    /// Starts one more, waits until it says that it listens, and gives its address.
    pub fn start(&mut self) -> Result<SocketAddr> {
        let index = self.addresses.len();
        let address = address(index)?;
        match self.kind {
            Kind::Machines(tool, image, on) => {
                let mut command = self.tool(tool);
                command.arg("run").arg(image).args(["--on", on, "--detach", "--name", &name(index)]);
                finish(command.args(["--publish", &format!("{address}:{PORT}")]))?;
            }
            Kind::Processes(program) => self.processes.push(native(program, address)?),
        }
        self.addresses.push(address);
        Ok(address)
    }

    /// Where they are.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// How much memory they have.
    pub fn memory(&self) -> Result<Parts> {
        let Kind::Machines(tool, ..) = self.kind else {
            let all = sum(self.processes.iter().map(Child::id))?;
            return Ok(Parts { machines: all, tools: Memory::default(), supervisors: Memory::default() });
        };
        let listed = self.listed(tool)?;
        let number = |field: &str| -> Result<Vec<u32>> {
            let number = |machine: &Value| u32::try_from(machine[field].as_u64()?).ok();
            listed.iter().map(|machine| number(machine).context("a machine does not run any more")).collect()
        };
        let (supervisors, tools) = (number("supervisor")?, number("runner")?);
        let parents = smaps::parents()?;
        let machines: Vec<u32> = tools.iter().flat_map(|tool| smaps::children(*tool, &parents)).collect();
        if [supervisors.len(), tools.len(), machines.len()] != [self.addresses.len(); 3] {
            bail!("{} machines were started; {} run", self.addresses.len(), machines.len());
        }
        Ok(Parts { machines: sum(machines)?, tools: sum(tools)?, supervisors: sum(supervisors)? })
    }

    fn tool(&self, tool: &Path) -> Command {
        let mut command = Command::new(tool);
        command.env("XDG_RUNTIME_DIR", &self.folder);
        command
    }

    /// What the tool knows of the machines, those included that have ended.
    fn listed(&self, tool: &Path) -> Result<Vec<Value>> {
        Ok(serde_json::from_str(&finish(self.tool(tool).args(["ps", "--all", "--json"]))?)?)
    }

    /// Ends the machines, and forgets them.
    fn clear(&self) -> Result<()> {
        if let Kind::Machines(tool, ..) = self.kind {
            let listed = self.listed(tool)?;
            let names: Vec<&str> = listed.iter().filter_map(|machine| machine["name"].as_str()).collect();
            for some in names.chunks(AT_ONCE) {
                finish(self.tool(tool).arg("kill").args(some))?;
                finish(self.tool(tool).arg("rm").args(some))?;
            }
        }
        std::fs::remove_dir_all(&self.folder).with_context(|| format!("cannot remove {}", self.folder.display()))
    }
}

impl Drop for Fleet<'_> {
    fn drop(&mut self) {
        for process in &mut self.processes {
            // It may have ended already; then there is nothing to do.
            let _ = process.kill().and_then(|()| process.wait());
        }
        if let Err(error) = self.clear() {
            eprintln!("warning: machines may be left: {error:#}");
        }
    }
}

fn name(index: usize) -> String {
    format!("bench-{index}")
}

/// The address of a server: its own, and of another run's none.
fn address(index: usize) -> Result<SocketAddr> {
    let run = u8::try_from(1 + std::process::id() % 250)?;
    let [high, low] = u16::try_from(index + 1).context("too many servers")?.to_be_bytes();
    Ok((Ipv4Addr::new(127, run, high, low), PORT).into())
}

/// Starts a native server; it says so when it listens.
fn native(program: &Path, address: SocketAddr) -> Result<Child> {
    let mut command = Command::new(program);
    command.arg(address.to_string()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().with_context(|| format!("cannot start {}", program.display()))?;
    let mut output = child.stdout.take().context("the child has no standard output")?;
    if output.read(&mut [0]).unwrap_or(0) == 0 {
        child.kill().and_then(|()| child.wait())?;
        bail!("{} ended without serving", program.display());
    }
    Ok(child)
}

fn sum(processes: impl IntoIterator<Item = u32>) -> Result<Memory> {
    processes.into_iter().try_fold(Memory::default(), |sum, process| Ok(sum.and(smaps::of(process)?)))
}
