//! A server in any place, for as long as somebody needs it.

use super::guest::{self, MEMORY, Net};
use super::place::Place;
use super::subjects::{Program, Subjects};
use crate::ask::Kind;
use crate::command::{Running, finish, finish_within, read};
use crate::namespace::{GUEST_ADDRESS, Namespace};
use anyhow::{Context, Result, bail};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long a server may take until it answers.
const START: Duration = Duration::from_secs(40);
/// How long one that was asked to stop may take.
const STOP: Duration = Duration::from_secs(10);

/// What a server is made of.
#[derive(Clone, Copy)]
pub(super) struct Plan<'a> {
    pub(super) place: Place,
    pub(super) program: &'a Program,
    pub(super) kind: Kind,
    /// RAM in MiB, instead of the manifest's or [`MEMORY`].
    pub(super) memory: Option<u64>,
}

/// A server that answers.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    pub(super) running: Running,
    errors: Option<JoinHandle<String>>,
    /// Where a guest's tap is. Last, so that it goes when QEMU has gone.
    namespace: Option<Namespace>,
}

impl<'a> Plan<'a> {
    /// With the manifest's memory.
    pub(super) fn new(place: Place, program: &'a Program, kind: Kind) -> Self {
        Plan { place, program, kind, memory: None }
    }

    /// The port that the program has in a machine.
    fn port(&self) -> u16 {
        if self.kind == Kind::Udp { 7001 } else { 8080 }
    }

    /// What starts it, where it will be, and the namespace that it needs.
    pub(super) fn command(&self, subjects: &Subjects) -> Result<(Command, SocketAddr, Option<Namespace>)> {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port(self.kind)?));
        let mut command = match self.place {
            Place::Native => Command::new(&self.program.native),
            Place::Pinned => Command::new("taskset"),
            Place::Process | Place::Kvm | Place::Microvm => {
                let mut command = run(subjects, &self.program.image, self.place);
                let protocol = if self.kind == Kind::Udp { "udp" } else { "tcp" };
                command.args(["--publish", &format!("{address}:{}/{protocol}", self.port())]);
                command.args(self.memory.map(|memory| format!("--memory={memory}M"))).env("AMPOULE_MARKS", "1");
                return Ok((command, address, None));
            }
            Place::Q35 | Place::Linux => {
                let namespace = Namespace::new()?;
                let mut command = namespace.command("qemu-system-x86_64");
                let memory = self.memory.unwrap_or(MEMORY);
                guest::arguments(&mut command, self.place, self.program, memory, Net::Tap)?;
                let address = SocketAddr::new(GUEST_ADDRESS.parse()?, self.port());
                return Ok((command, address, Some(namespace)));
            }
        };
        if self.place == Place::Pinned {
            command.args(["--cpu-list", "0"]).arg(&self.program.native);
        }
        command.arg(address.to_string());
        Ok((command, address, None))
    }

    /// Starts it and waits until it answers.
    pub(super) fn start(&self, subjects: &Subjects) -> Result<Server> {
        let (command, address, namespace) = self.command(subjects)?;
        Server::start(subjects, command, address, namespace, self.kind, START)
    }

    /// The same, with less patience.
    pub(super) fn start_within(&self, subjects: &Subjects, patience: Duration) -> Result<Server> {
        let (command, address, namespace) = self.command(subjects)?;
        Server::start(subjects, command, address, namespace, self.kind, patience)
    }
}

impl Server {
    /// Starts a command that serves at `address`, and waits until it answers.
    pub(super) fn start(
        subjects: &Subjects,
        mut command: Command,
        address: SocketAddr,
        namespace: Option<Namespace>,
        kind: Kind,
        patience: Duration,
    ) -> Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let child = command.spawn().with_context(|| format!("cannot start {:?}", command.get_program()))?;
        let mut server = Server { address, running: Running(child), errors: None, namespace };
        server.errors = Some(read(server.running.0.stderr.take()));
        let mut waiter = server.client(subjects, &["wait", kind.word()]);
        waiter.args([address.to_string(), patience.as_secs().to_string()]);
        let mut waiter = Running(waiter.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?);
        // Whichever comes first: an answer, the end of its patience, or the server's own end.
        loop {
            if let Some(status) = waiter.0.try_wait()? {
                if status.success() {
                    return Ok(server);
                }
                bail!("{command:?} did not answer within {} s", patience.as_secs());
            }
            if server.running.has_ended()? {
                bail!("the server ended before it served: {}", server.said().trim());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// What asks it, with the first words of its command line.
    fn client(&self, subjects: &Subjects, words: &[&str]) -> Command {
        let mut command = match &self.namespace {
            Some(namespace) => namespace.command(&subjects.client),
            None => Command::new(&subjects.client),
        };
        command.args(words);
        command
    }

    /// Runs the client against it and gives the numbers that it prints.
    pub(super) fn ask(&self, subjects: &Subjects, verb: &str, words: &[&str], patience: Duration) -> Result<Vec<f64>> {
        let mut command = self.client(subjects, &[verb]);
        let text = finish_within(command.arg(self.address.to_string()).args(words), patience)?;
        let number = |word: &str| word.parse().with_context(|| format!("no numbers: {text}"));
        text.split_whitespace().map(number).collect()
    }

    /// Asks it to stop, and gives what it said on its standard error: a machine's marks among it.
    pub(super) fn stop(mut self) -> Result<String> {
        finish(Command::new("kill").arg(self.running.0.id().to_string()))?;
        self.running.end_within(STOP).context("a server that was asked to stop")?;
        Ok(self.said())
    }

    /// What it has said, once it has ended.
    fn said(&mut self) -> String {
        self.errors.take().and_then(|errors| errors.join().ok()).unwrap_or_default()
    }
}

/// The tool, about to run an image.
pub(super) fn run(subjects: &Subjects, image: &Path, place: Place) -> Command {
    let mut command = Command::new(&subjects.tool);
    command.arg("run").arg(image).args(place.on().unwrap_or_default());
    command
}

/// A port of this host that nobody has at the moment.
fn free_port(kind: Kind) -> Result<u16> {
    let address = match kind {
        Kind::Udp => UdpSocket::bind("127.0.0.1:0")?.local_addr()?,
        Kind::Http | Kind::Tcp => TcpListener::bind("127.0.0.1:0")?.local_addr()?,
    };
    Ok(address.port())
}
