//! Services (`tests/services`), each driven from the host by a crowd of clients that others wrote: programs that others
//! published, sealed as they are, and one that anybody would write with others' crates (quic).

use std::io::{BufRead, BufReader};
use std::net::IpAddr;
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
    /// What it prints when it serves; nothing where it says nothing, and its client has to ask.
    ready: &'static str,
    /// What it says when it is asked to stop, if only by ending with 0; none where it has no notion of that.
    last: Option<&'static str>,
}

const SERVICES: [Service; 9] = [
    Service { name: "actix", port: "3000/tcp", ready: "", last: Some("") },
    Service { name: "chat", port: "8080/tcp", ready: "Listening on: 0.0.0.0:8080", last: None },
    Service { name: "console", port: "6669/tcp", ready: "", last: None },
    Service { name: "crabdis", port: "6379/tcp", ready: "Listening on redis://", last: Some("bye bye~") },
    Service { name: "dufs", port: "8080/tcp", ready: "Listening on", last: None },
    Service { name: "hickory-dns", port: "53", ready: "awaiting connections", last: Some("stopping") },
    Service { name: "metrics", port: "9000/tcp", ready: "", last: None },
    Service { name: "quinn", port: "4433/udp", ready: "listening on", last: None },
    Service { name: "rumqttd", port: "1883/tcp", ready: "Listening for remote connections", last: None },
];

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for service in &SERVICES {
        let run = |backend| serve(service, backend);
        cases.extend(everywhere(&format!("service {}", service.name), run));
    }
    cases.extend(everywhere("service rws", proxy));
    cases.extend(everywhere("service quic", quic_inside));
    cases.extend(everywhere("service quic as the client", quic_outside));
    cases
}

/// The same on every backend that is there.
fn everywhere(name: &str, run: impl Fn(Backend) -> Result<Verdict> + Copy + Send + Sync + 'static) -> Vec<Case> {
    let case = |backend: Backend| {
        Case::new(format!("{name} on {backend}"), move || match backend.lacks() {
            Some(reason) => Ok(Verdict::Skipped(reason)),
            None => run(backend),
        })
    };
    Backend::ALL.into_iter().map(case).collect()
}

fn image(name: &str) -> Result<PathBuf> {
    // What console-subscriber's README asks for: tokio tells of its tasks only then.
    let flags: &[(&str, &Path)] =
        if name == "console" { &[("RUSTFLAGS", Path::new("--cfg tokio_unstable"))] } else { &[] };
    tool::image_with(&format!("tests/services/{name}"), &["--locked"], flags)
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
fn stop(machine: Machine, last: Option<&str>) -> Result<Verdict> {
    machine.signal(Signal::TERM)?;
    let status = if last.is_some() { 0 } else { 143 };
    machine.end()?.with_status(status)?.with_text(last.as_slice())?;
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
    if !service.ready.is_empty() {
        machine.expect(service.ready)?;
    }
    let driven = drive(client, &[service.name, &format!("127.0.0.1:{port}")]);
    driven.with_context(|| machine.said())?;
    stop(machine, service.last)
}

/// The server on the host that the reverse proxy leads to. It ends when its standard input does, with this program.
struct Origin {
    port: u16,
    _process: Child,
}

fn origin() -> Result<&'static Origin> {
    static ORIGIN: OnceLock<Result<Origin, String>> = OnceLock::new();
    let started = ORIGIN.get_or_init(|| start_origin().map_err(|error| format!("{error:#}")));
    started.as_ref().map_err(|error| anyhow!("{error}"))
}

fn start_origin() -> Result<Origin> {
    let mut command = Command::new(clients()?);
    command.args(["origin", "0.0.0.0:0"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut process = command.spawn().context("cannot start the server")?;
    let mut line = String::new();
    BufReader::new(process.stdout.take().context("the server has no output")?).read_line(&mut line)?;
    let port = line.trim().rsplit(' ').next().and_then(|port| port.parse().ok());
    Ok(Origin { port: port.with_context(|| format!("the server says {line:?}"))?, _process: process })
}

/// The proxy's image. Where it leads is sealed into it: to the host, at the address that an emulated network gives it, and at
/// its own, for 127.0.0.1 is the machine itself.
fn proxy_image(own: IpAddr) -> Result<PathBuf> {
    static IMAGE: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let built = IMAGE.get_or_init(|| {
        let seal = || {
            let folder = tool::root().join("tests/services/rws/target");
            std::fs::create_dir_all(&folder)?;
            std::fs::write(folder.join("rws.config.toml"), proxy_rules(own, origin()?.port))
                .context("cannot write the proxy's rules")?;
            image("rws")
        };
        seal().map_err(|error| format!("{error:#}"))
    });
    built.clone().map_err(|error| anyhow!("{error}"))
}

fn proxy_rules(own: IpAddr, port: u16) -> String {
    let rule = |name: &str, address: &str| {
        format!(
            "[[upstream]]\nname = \"{name}\"\nbackends = [\"{address}:{port}\"]\n\n\
             [[route]]\nname = \"to-{name}\"\n[route.match]\npath = \"/{name}/*\"\n\
             [route.action]\ntype = \"proxy\"\n[route.action.proxy]\nupstream = \"{name}\"\nstrip_path_prefix = \"/{name}\"\n\n"
        )
    };
    let (emulated, own) = (rule("emulated", "10.0.2.2"), rule("own", &own.to_string()));
    format!("ip = \"0.0.0.0\"\nport = 8080\n\n{emulated}{own}")
}

fn proxy(backend: Backend) -> Result<Verdict> {
    let Some(own) = own_address() else {
        return Ok(Verdict::Skipped("this host has no address but the loopback's".to_owned()));
    };
    let route = if backend.has_frames() { "emulated" } else { "own" };
    let port = ports::free_tcp()?;
    let mut machine = Machine::start(&proxy_image(own)?, backend, &["--publish", &format!("{port}:8080")])?;
    machine.expect("Server is up and running at")?;
    let driven = drive(clients()?, &["rws", &format!("127.0.0.1:{port}/{route}")]);
    driven.with_context(|| machine.said())?;
    stop(machine, None)
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

fn quic_inside(backend: Backend) -> Result<Verdict> {
    let port = ports::free_udp()?;
    let arguments = ["--publish", &format!("{port}:4433/udp"), "--", "serve", "4433"];
    let client = quic_program()?;
    let mut machine = Machine::start(&image("quic")?, backend, &arguments)?;
    machine.expect("serving on")?;
    let driven = drive(client, &["ask", &format!("127.0.0.1:{port}")]);
    driven.with_context(|| machine.said())?;
    stop(machine, Some("stopped"))
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
