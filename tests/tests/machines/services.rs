//! Services that others wrote, or that anybody would write with others' crates (`tests/services`), each sealed unmodified
//! and driven from the host by a crowd of clients that others wrote too.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use ampoule_tests::backend::Backend;
use ampoule_tests::harness::{Case, Verdict};
use ampoule_tests::machine::{Machine, PATIENCE};
use ampoule_tests::{ports, tool};
use anyhow::{Context, Result, anyhow, bail};
use rustix::process::Signal;

use crate::peer::own_address;

/// A service.
struct Service {
    /// Its folder, and its client's name.
    name: &'static str,
    /// The port in the machine, and the protocol.
    port: &'static str,
    /// What it prints when it serves.
    ready: &'static str,
    /// How it ends when it is asked to stop: 143 where it has no notion of that.
    status: i32,
}

const SERVICES: [Service; 8] = [
    Service { name: "actix", port: "8080/tcp", ready: "serving on 8080", status: 0 },
    Service { name: "chat", port: "8080/tcp", ready: "serving on 8080", status: 0 },
    Service { name: "files", port: "8080/tcp", ready: "serving /www on 8080", status: 0 },
    Service { name: "grpc", port: "50051/tcp", ready: "serving on 50051", status: 0 },
    Service { name: "hickory-dns", port: "53", ready: "awaiting connections", status: 143 },
    Service { name: "metrics", port: "9000/tcp", ready: "serving on 9000", status: 0 },
    Service { name: "mini-redis", port: "6379/tcp", ready: "serving on 6379", status: 0 },
    Service { name: "rumqttd", port: "1883/tcp", ready: "Listening for remote connections", status: 143 },
];

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for service in &SERVICES {
        let run = |backend| serve(service, backend);
        cases.extend(everywhere(&format!("service {}", service.name), run));
    }
    cases.extend(everywhere("service proxy", proxy));
    cases.extend(everywhere("service quic", quic_inside));
    cases.extend(everywhere("service quic as the client", quic_outside));
    cases
}

/// The same on every backend that is there.
fn everywhere(name: &str, run: impl Fn(Backend) -> Result<Verdict> + Copy + Send + Sync + 'static) -> Vec<Case> {
    let on = |backend: Backend| {
        Case::new(format!("{name} on {backend}"), move || match backend.lacks() {
            Some(reason) => Ok(Verdict::Skipped(reason)),
            None => run(backend),
        })
    };
    Backend::ALL.into_iter().map(on).collect()
}

fn image(name: &str) -> Result<PathBuf> {
    tool::image_with(&format!("tests/services/{name}"), &["--locked"], &[])
}

/// A program of the services' workspace, for the host.
pub(crate) fn native(package: &str) -> Result<PathBuf> {
    tool::executable(&tool::root().join("tests/services"), &["--locked", "--package", package], package)
}

fn clients() -> Result<&'static Path> {
    static CLIENTS: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let built = CLIENTS.get_or_init(|| native("clients").map_err(|error| format!("{error:#}")));
    built.as_deref().map_err(|error| anyhow!("{error}"))
}

fn quic_program() -> Result<&'static Path> {
    static PROGRAM: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let built = PROGRAM.get_or_init(|| native("service-quic").map_err(|error| format!("{error:#}")));
    built.as_deref().map_err(|error| anyhow!("{error}"))
}

/// Runs a program on the host that ends by itself, with 0.
fn drive(program: &Path, arguments: &[&str]) -> Result<()> {
    let mut command = Command::new("timeout");
    command.arg("--kill-after=1").arg(PATIENCE.as_secs().to_string()).arg(program).args(arguments);
    let output = command.env("RUST_BACKTRACE", "0").stdin(Stdio::null()).output().context("cannot start the client")?;
    if !output.status.success() {
        let said = [output.stdout, output.stderr].concat();
        bail!("the client: {}\n{}", output.status, String::from_utf8_lossy(&said));
    }
    Ok(())
}

/// Asks a machine to stop, and waits for its end.
fn stop(machine: Machine, status: i32) -> Result<Verdict> {
    machine.signal(Signal::TERM)?;
    let end = machine.end()?.with_status(status)?;
    if status == 0 {
        end.with_text(&["stopped"])?;
    }
    Ok(Verdict::Passed)
}

fn serve(service: &Service, backend: Backend) -> Result<Verdict> {
    let port = ports::free_tcp()?;
    // Without a protocol: both.
    let protocols: &[&str] = if service.port.contains('/') { &[""] } else { &["/tcp", "/udp"] };
    let published: Vec<String> = protocols.iter().map(|of| format!("--publish={port}:{}{of}", service.port)).collect();
    let arguments: Vec<&str> = published.iter().map(String::as_str).collect();
    // The client is built before the machine starts, not while it waits.
    let client = clients()?;
    let mut machine = Machine::start(&image(service.name)?, backend, &arguments)?;
    machine.expect(service.ready)?;
    let driven = drive(client, &[service.name, &format!("127.0.0.1:{port}")]);
    driven.with_context(|| machine.said())?;
    stop(machine, service.status)
}

/// A server on the host, ended when it is dropped.
struct Server(Child);

impl Server {
    /// Starts it, and gives the number at the end of its first line.
    fn start(program: &Path, arguments: &[&str]) -> Result<(Self, u16)> {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut server = Self(command.spawn().context("cannot start the server")?);
        let mut line = String::new();
        BufReader::new(server.0.stdout.take().context("the server has no output")?).read_line(&mut line)?;
        let port = line.trim().rsplit([' ', ':']).next().and_then(|port| port.parse().ok());
        Ok((server, port.with_context(|| format!("the server says {line:?}"))?))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

/// The host's address as a machine reaches it: 127.0.0.1 is the machine itself.
fn host(backend: Backend) -> Option<String> {
    match backend.has_frames() {
        true => Some("10.0.2.2".to_owned()),
        false => own_address().map(|address| address.to_string()),
    }
}

fn proxy(backend: Backend) -> Result<Verdict> {
    let Some(host) = host(backend) else {
        return Ok(Verdict::Skipped("this host has no address but the loopback's".to_owned()));
    };
    let (_origin, origin) = Server::start(clients()?, &["origin", "0.0.0.0:0"])?;
    let port = ports::free_tcp()?;
    let arguments = ["--publish", &format!("{port}:8080"), "--", &format!("{host}:{origin}")];
    let mut machine = Machine::start(&image("proxy")?, backend, &arguments)?;
    machine.expect("leading to")?;
    let driven = drive(clients()?, &["proxy", &format!("127.0.0.1:{port}")]);
    driven.with_context(|| machine.said())?;
    stop(machine, 0)
}

fn quic_inside(backend: Backend) -> Result<Verdict> {
    let port = ports::free_udp()?;
    let arguments = ["--publish", &format!("{port}:4433/udp"), "--", "serve", "4433"];
    let client = quic_program()?;
    let mut machine = Machine::start(&image("quic")?, backend, &arguments)?;
    machine.expect("serving on")?;
    let driven = drive(client, &["ask", &format!("127.0.0.1:{port}")]);
    driven.with_context(|| machine.said())?;
    stop(machine, 0)
}

fn quic_outside(backend: Backend) -> Result<Verdict> {
    let Some(host) = host(backend) else {
        return Ok(Verdict::Skipped("this host has no address but the loopback's".to_owned()));
    };
    let (_server, port) = Server::start(quic_program()?, &["serve", "0"])?;
    let arguments = ["--publish", "0:4433/udp", "--", "ask", &format!("{host}:{port}")];
    let end = Machine::start(&image("quic")?, backend, &arguments)?.end()?;
    end.with_status(0)?.with_text(&["there and back"])?;
    Ok(Verdict::Passed)
}
