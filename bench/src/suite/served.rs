//! A server on this host, as a machine or as a native process, for as long as somebody needs it.

use super::Subjects;
use super::start::run;
use super::subjects::finish;
use crate::load;
use anyhow::{Context, Result, bail};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Requests that show that a machine works.
pub(super) const THOUSAND: usize = 1000;
pub(super) const SECONDS: &str = "3";
pub(super) const CONNECTIONS: &str = "32";
/// How long a machine that was asked to stop may take.
const STOP: Duration = Duration::from_secs(10);

/// A child that ends when nobody needs it any more.
pub(super) struct Running(pub(super) Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to do.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A server on this host.
pub(super) struct Served {
    address: SocketAddr,
    running: Running,
}

impl Served {
    /// A machine whose port 8080 is published at a free port.
    pub(super) fn machine(subjects: &Subjects, image: &Path, on: &str, more: &[&str]) -> Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut command = run(subjects, image);
        command.args(["--on", on, "--publish", &format!("{port}:8080")]).args(more).env("AMPOULE_MARKS", "1");
        Self::start(&mut command, port)
    }

    /// The native program, which has port 8080.
    pub(super) fn native(program: &Path) -> Result<Self> {
        Self::start(&mut Command::new(program), 8080)
    }

    fn start(command: &mut Command, port: u16) -> Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut running =
            Running(command.spawn().with_context(|| format!("cannot start {:?}", command.get_program()))?);
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let deadline = Instant::now() + Duration::from_secs(10);
        while get(address).is_err() {
            if running.0.try_wait()?.is_some() {
                bail!("the server ended before it served: {}", said(&mut running)?.trim());
            }
            if Instant::now() > deadline {
                bail!("the server did not answer within ten seconds");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(Served { address, running })
    }

    /// The process that was started.
    pub(super) fn process(&self) -> u32 {
        self.running.0.id()
    }

    /// Puts it under load; the rate, and the number of answers in all.
    pub(super) fn load(&self, generator: &Path) -> Result<(f64, f64)> {
        load_numbers(&finish(Command::new(generator).args([&self.address.to_string(), CONNECTIONS, SECONDS]))?)
    }

    /// Asks so many times, one connection after another and 32 at once.
    pub(super) fn requests(&self, count: usize) -> Result<()> {
        (0..count / 2).try_for_each(|_| get(self.address))?;
        load::run(self.address, 32, Duration::ZERO, Duration::from_secs(1)).map(drop)
    }

    /// Asks it to stop, and gives what it said on its standard error: a machine's marks among it.
    pub(super) fn stop(mut self) -> Result<String> {
        finish(Command::new("kill").arg(self.process().to_string()))?;
        let deadline = Instant::now() + STOP;
        while self.running.0.try_wait()?.is_none() {
            if Instant::now() > deadline {
                bail!("the server did not stop within {} s", STOP.as_secs());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        said(&mut self.running)
    }
}

fn said(running: &mut Running) -> Result<String> {
    let mut text = String::new();
    if let Some(mut stderr) = running.0.stderr.take() {
        stderr.read_to_string(&mut text)?;
    }
    Ok(text)
}

/// The rate and the number of answers, of what the load generator prints.
pub(super) fn load_numbers(line: &str) -> Result<(f64, f64)> {
    let mut words = line.split_whitespace();
    let rate = words.next().context("the load generator printed nothing")?.parse()?;
    let answers = words.nth(2).context("the load generator does not say how many answers there were")?.parse()?;
    Ok((rate, answers))
}

/// One request on a connection of its own.
pub(super) fn get(address: SocketAddr) -> Result<()> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(2))?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")?;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer)?;
    if &answer != b"HTTP/1.1 200" {
        bail!("the server answered {}", String::from_utf8_lossy(&answer));
    }
    Ok(())
}
