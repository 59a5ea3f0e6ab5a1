//! The examples do what they say.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, UdpSocket};
use std::process::{Command, Stdio};
use std::thread;

use ampoule_tests::backend::Backend;
use ampoule_tests::harness::{Case, Verdict};
use ampoule_tests::machine::{End, Machine, PATIENCE};
use ampoule_tests::{ports, tool};
use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;

use crate::everywhere;
use crate::http::{self, Client};

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    cases.extend(everywhere("hello", |backend| hello("hello", backend)));
    cases.extend(everywhere("hello with the one line", |backend| hello("hello-oneline", backend)));
    cases.extend(everywhere("exit7", exit7));
    cases.extend(everywhere("panic", panic));
    cases.extend(everywhere("overflow", overflow));
    cases.extend(everywhere("echo", echo));
    cases.extend(everywhere("udp", udp));
    cases.extend(everywhere("web", |backend| web("web", backend)));
    cases.extend(everywhere("web with the one line", |backend| web("web-oneline", backend)));
    cases.extend(everywhere("web stops at SIGINT", web_interrupted));
    cases.extend(everywhere("https", https));
    cases.push(Case::new("sealed examples are as small as promised", sizes));
    cases
}

/// The sizes of SPECIFICATION.md; a KB is 1,000 bytes.
fn sizes() -> Result<Verdict> {
    for (example, most) in [("hello-oneline", 100_000), ("web-oneline", 900_000)] {
        let length = tool::image(&format!("examples/{example}"))?.metadata()?.len();
        ensure!(length <= most, "{example} has {length} bytes sealed, and {most} are promised");
    }
    Ok(Verdict::Passed)
}

/// Runs an example that ends by itself.
fn run(example: &str, backend: Backend) -> Result<End> {
    Machine::start(&tool::image(&format!("examples/{example}"))?, backend, &[])?.end()
}

/// Runs an example that serves `protocol` port `guest`, until it says so, and gives the host's port.
fn serve(example: &str, backend: Backend, guest: u16, protocol: &str, line: &str) -> Result<(Machine, u16)> {
    let image = tool::image(&format!("examples/{example}"))?;
    let port = if protocol == "udp" { ports::free_udp()? } else { ports::free_tcp()? };
    let mut machine = Machine::start(&image, backend, &["--publish", &format!("{port}:{guest}/{protocol}")])?;
    machine.expect(line)?;
    Ok((machine, port))
}

fn hello(example: &str, backend: Backend) -> Result<()> {
    let end = run(example, backend)?.with_status(0)?;
    ensure!(end.output == "Hello from a sealed machine!\n", "it printed {:?}", end.all());
    Ok(())
}

fn exit7(backend: Backend) -> Result<()> {
    run("exit7", backend)?.with_status(7)?.with_text(&["ending with status 7"]).map(drop)
}

fn panic(backend: Backend) -> Result<()> {
    let texts = [
        "thread 'main'",
        "panicked at panic/src/main.rs:10:5",
        "index out of bounds: the len is 3 but the index is 3",
        "panic::open",
        "panic/src/main.rs:5",
    ];
    run("panic", backend)?.with_status(134)?.with_text(&texts).map(drop)
}

fn overflow(backend: Backend) -> Result<()> {
    run("overflow", backend)?.with_status(139)?.with_text(&["digger", "overflow"]).map(drop)
}

fn echo(backend: Backend) -> Result<()> {
    let (machine, port) = serve("echo", backend, 7000, "tcp", "echoing on")?;
    let client = |seed: u8| -> Result<()> {
        let mut stream = http::connect(port)?;
        let sent: Vec<u8> = (0..200_000u32).map(|n| (n as u8).wrapping_mul(31).wrapping_add(seed)).collect();
        let (mut writer, bytes) = (stream.try_clone()?, sent.clone());
        let writing = thread::spawn(move || writer.write_all(&bytes).and_then(|()| writer.shutdown(Shutdown::Write)));
        let mut received = Vec::new();
        stream.read_to_end(&mut received).context("the echo stops")?;
        writing.join().map_err(|_| anyhow::anyhow!("the writer died"))??;
        ensure!(received == sent, "{} bytes came back of {}, or others", received.len(), sent.len());
        Ok(())
    };
    thread::scope(|scope| {
        let clients: Vec<_> = (0..8).map(|seed| scope.spawn(move || client(seed))).collect();
        clients.into_iter().try_for_each(|client| client.join().map_err(|_| anyhow::anyhow!("a client died"))?)
    })?;
    machine.signal(Signal::TERM)?;
    machine.end()?.with_status(143).map(drop)
}

fn udp(backend: Backend) -> Result<()> {
    let (machine, port) = serve("udp", backend, 7001, "udp", "echoing on")?;
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.connect((Ipv4Addr::LOCALHOST, port))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let largest = if backend.has_frames() { 1400 } else { 60_000 };
    for length in [1, 17, 512, largest] {
        let sent: Vec<u8> = (0..length).map(|n| (n * 7) as u8).collect();
        socket.send(&sent)?;
        let mut received = vec![0; 65536];
        let got = socket.recv(&mut received).with_context(|| format!("no echo of {length} bytes"))?;
        ensure!(received[..got] == sent, "{got} bytes came back of {length}, or others");
    }
    machine.signal(Signal::TERM)?;
    machine.end()?.with_status(143).map(drop)
}

fn web(example: &str, backend: Backend) -> Result<()> {
    let (machine, port) = serve(example, backend, 8080, "tcp", "serving on")?;
    let client = || -> Result<()> {
        let mut client = Client::connect(port)?;
        let page = client.get("/")?;
        ensure!(page.status == 200 && page.body.contains("It runs."), "{}: {}", page.status, page.body);
        let health = client.get("/healthz")?;
        ensure!(health.status == 200 && health.body == "ok\n", "{}: {}", health.status, health.body);
        ensure!(client.get("/nothing")?.status == 404, "what is not there is there");
        Ok(())
    };
    thread::scope(|scope| {
        let clients: Vec<_> = (0..32).map(|_| scope.spawn(client)).collect();
        clients.into_iter().try_for_each(|client| client.join().map_err(|_| anyhow::anyhow!("a client died"))?)
    })?;
    // A connection that is open and idle does not keep a graceful shutdown from ending.
    let mut idle = Client::connect(port)?;
    idle.get("/healthz")?;
    machine.signal(Signal::TERM)?;
    machine.end()?.with_status(0)?.with_text(&["stopped"]).map(drop)
}

fn web_interrupted(backend: Backend) -> Result<()> {
    let (machine, port) = serve("web", backend, 8080, "tcp", "serving on")?;
    Client::connect(port)?.get("/")?;
    machine.signal(Signal::INT)?;
    machine.end()?.with_status(0)?.with_text(&["stopped"]).map(drop)
}

fn https(backend: Backend) -> Result<()> {
    let (_machine, port) = serve("https", backend, 8443, "tcp", "serving on")?;
    let seconds = PATIENCE.as_secs().to_string();
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--max-time", &seconds, "--cacert"]);
    curl.arg(tool::root().join("examples/https/certificate.pem")).arg(format!("https://localhost:{port}/"));
    let output = curl.stdin(Stdio::null()).output().context("cannot start curl")?;
    if !output.status.success() || output.stdout != b"served over TLS\n" {
        bail!("curl: {}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
