//! HTTP: the same programs as machines and as native processes, and as guests of QEMU beside a Linux guest.

use super::start::run;
use super::subjects::finish;
use super::{Row, Subjects};
use crate::linux_guest;
use crate::load;
use crate::namespace::{GUEST_ADDRESS, HOST_ADDRESS, Namespace};
use crate::sample::Samples;
use anyhow::{Context, Result, bail};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Requests that show that a machine works.
pub(super) const THOUSAND: usize = 1000;
const ROUNDS: usize = 3;
const SECONDS: &str = "3";
const CONNECTIONS: &str = "32";

pub(super) fn rows(subjects: &Subjects) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (on, reach) in [("process", "≥ 70 % of native"), ("kvm", "–")] {
        for (folder, name) in [("examples/web", "tokio and axum"), ("bench/programs/threads", "a thread a connection")]
        {
            let (measured, beside) = split(beside_native(subjects, folder, on));
            rows.push(Row::new(format!("HTTP, 32 connections, {on}, {name}, requests/s"), measured, reach, beside));
        }
    }
    for (folder, name) in [("examples/web", "tokio and axum"), ("bench/programs/threads", "a thread a connection")] {
        let (measured, beside) = split(guest(subjects, folder));
        rows.push(Row::new(
            format!("HTTP, 32 connections, QEMU q35, TCG, tap, {name}, requests/s"),
            measured,
            "≥ 1.5 × Linux",
            format!("{beside}; recorded: tiny Linux 11.6k, Nanos 9.2k, Hermit 5.1k"),
        ));
    }
    Ok(rows)
}

fn split(result: Result<(String, String)>) -> (Result<String>, String) {
    match result {
        Ok((measured, beside)) => (Ok(measured), beside),
        Err(error) => (Err(error), String::new()),
    }
}

/// The program as a machine and natively, in turns.
fn beside_native(subjects: &Subjects, folder: &str, on: &str) -> Result<(String, String)> {
    let image = subjects.image(folder, folder.starts_with("examples"))?;
    let native = subjects.native(folder)?;
    let (mut inside, mut outside) = (Samples::default(), Samples::default());
    for _ in 0..ROUNDS {
        inside.push(Served::machine(subjects, &image, on, &[])?.load(&subjects.load)?);
        outside.push(Served::native(&native)?.load(&subjects.load)?);
    }
    let ratio = inside.median() / outside.median() * 100.0;
    Ok((format!("{inside} = {ratio:.0} %"), format!("native {outside}")))
}

/// The program under QEMU by itself and in a Linux guest, on the same line, in turns.
fn guest(subjects: &Subjects, folder: &str) -> Result<(String, String)> {
    let image = subjects.image(folder, folder.starts_with("examples"))?;
    let native = subjects.native(folder)?;
    let kernel = linux_guest::kernel(&subjects.cache)?;
    let initrd = linux_guest::initrd(&kernel, &subjects.cache, &subjects.init, &native)?;
    let (mut ours, mut linux) = (Samples::default(), Samples::default());
    for _ in 0..ROUNDS {
        ours.push(on_tap(subjects, |qemu| {
            let network = format!("ampoule.ip={GUEST_ADDRESS}/24,{HOST_ADDRESS},{HOST_ADDRESS}");
            qemu.arg("-kernel").arg(&image).arg("-append").arg(network);
            qemu.args(["-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"]);
        })?);
        linux.push(on_tap(subjects, |qemu| {
            qemu.arg("-kernel").arg(&kernel.image).arg("-initrd").arg(&initrd);
            qemu.args(["-append", "console=ttyS0 quiet panic=-1"]);
        })?);
    }
    let ratio = ours.median() / linux.median();
    Ok((format!("{ours} = {ratio:.2} ×"), format!("Debian's cloud kernel {linux}")))
}

/// Boots a guest on a tap in a namespace of its own, waits until it serves, and gives its rate.
fn on_tap(subjects: &Subjects, kernel: impl FnOnce(&mut Command)) -> Result<f64> {
    let namespace = Namespace::new()?;
    let mut qemu = namespace.command("qemu-system-x86_64");
    let line = "-M q35 -accel tcg,thread=multi -cpu max -smp 1,maxcpus=2 -m 128 -nodefaults -no-user-config -no-reboot \
                -display none -serial null -netdev tap,id=n,ifname=tap0,script=no,downscript=no \
                -device virtio-net-pci,netdev=n";
    qemu.args(line.split_whitespace());
    kernel(&mut qemu);
    let mut running = Running(qemu.stdin(Stdio::null()).spawn().context("cannot start QEMU")?);
    let address = format!("{GUEST_ADDRESS}:8080");
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let mut command = namespace.command(&subjects.load);
        match finish(command.args([&address, CONNECTIONS, SECONDS])) {
            Ok(line) => return rate(&line),
            Err(error) if Instant::now() > deadline => return Err(error),
            Err(_) if running.0.try_wait()?.is_some() => bail!("the guest ended before it served"),
            Err(_) => std::thread::sleep(Duration::from_millis(300)),
        }
    }
}

fn rate(line: &str) -> Result<f64> {
    Ok(line.split_whitespace().next().context("the load generator printed nothing")?.parse()?)
}

/// A child that ends when nobody needs it any more.
struct Running(Child);

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
    _running: Running,
}

impl Served {
    /// A machine whose port 8080 is published at a free port.
    pub(super) fn machine(subjects: &Subjects, image: &Path, on: &str, more: &[&str]) -> Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut command = run(subjects, image);
        command.args(["--on", on, "--publish", &format!("{port}:8080")]).args(more);
        Self::start(&mut command, port)
    }

    /// The native program, which has port 8080.
    fn native(program: &Path) -> Result<Self> {
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
                let mut said = String::new();
                if let Some(mut stderr) = running.0.stderr.take() {
                    stderr.read_to_string(&mut said)?;
                }
                bail!("the server ended before it served: {}", said.trim());
            }
            if Instant::now() > deadline {
                bail!("the server did not answer within ten seconds");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(Served { address, _running: running })
    }

    fn load(&self, generator: &Path) -> Result<f64> {
        rate(&finish(Command::new(generator).args([&self.address.to_string(), CONNECTIONS, SECONDS]))?)
    }

    /// Asks so many times, one connection after another and 32 at once.
    pub(super) fn requests(&self, count: usize) -> Result<()> {
        (0..count / 2).try_for_each(|_| get(self.address))?;
        load::run(self.address, 32, Duration::ZERO, Duration::from_secs(1)).map(drop)
    }
}

/// One request on a connection of its own.
fn get(address: SocketAddr) -> Result<()> {
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
