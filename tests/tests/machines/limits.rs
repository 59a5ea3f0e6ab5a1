//! What a machine does at its limits: more clients than memory, and nothing to do.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use ampoule_tests::backend::Backend;
use ampoule_tests::harness::Case;
use ampoule_tests::machine::{Machine, PATIENCE};
use ampoule_tests::{ports, tool};
use anyhow::{Context, Result, ensure};
use rustix::process::Signal;

use crate::everywhere;
use crate::http::{self, Client};

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    cases.extend(everywhere("more connections than memory", more_connections_than_memory));
    cases.extend(everywhere("an idle machine uses no CPU", idle));
    cases
}

/// A web server with little memory, and its port on the host.
fn web(backend: Backend, memory: &str) -> Result<(Machine, u16)> {
    let port = ports::free_tcp()?;
    let publish = format!("{port}:8080");
    let arguments = ["--memory", memory, "--publish", &publish];
    let mut machine = Machine::start(&tool::image("examples/web")?, backend, &arguments)?;
    machine.expect("serving on")?;
    Ok((machine, port))
}

/// Connections that the memory has no room for are refused; those that are served go on, and once the crowd has gone
/// others take its place.
fn more_connections_than_memory(backend: Backend) -> Result<()> {
    const FIRST: usize = 8;
    const CROWD: usize = 600;
    let (machine, port) = web(backend, "6M")?;
    let mut served = (0..FIRST).map(|_| Client::connect(port)).collect::<Result<Vec<_>>>()?;
    let ask = |clients: &mut [Client]| {
        clients.iter_mut().try_for_each(|client| {
            let health = client.get("/healthz").context("a client that was served is not any more")?;
            ensure!(health.status == 200, "status {}", health.status);
            Ok(())
        })
    };
    ask(&mut served)?;
    let mut crowd = Vec::new();
    let mut refused = 0;
    for number in 0..CROWD {
        // Each asks, so that it takes as much memory as a client does. Under QEMU a refused one hears nothing at first,
        // and so none of them waits for its answer.
        match http::connect(port) {
            Ok(stream) if http::ask(&stream, "/").is_ok() => crowd.push(stream),
            _ => refused += 1,
        }
        if number % 100 == 0 {
            ask(&mut served)?;
        }
    }
    ask(&mut served)?;
    refused += crowd.iter().filter(|stream| !http::is_answered(stream)).count();
    ensure!(refused > 0, "all {CROWD} were served: more than this memory is thought to hold");
    drop(crowd);
    let deadline = Instant::now() + PATIENCE;
    while Client::connect(port).and_then(|mut client| client.get("/healthz")).is_err() {
        ensure!(Instant::now() < deadline, "nobody is served any more after the crowd has gone");
        thread::sleep(Duration::from_millis(100));
    }
    ask(&mut served)?;
    drop(served);
    machine.signal(Signal::TERM)?;
    machine.end()?.with_status(0).map(drop)
}

/// With a connection open and nothing to do, no process of the machine runs. Counted in scheduler ticks (10 ms) of all of
/// them over two seconds; QEMU's own timers are allowed one in forty.
fn idle(backend: Backend) -> Result<()> {
    const TICKS_MAX: u64 = 5;
    let (machine, port) = web(backend, "32M")?;
    let mut client = Client::connect(port)?;
    client.get("/")?;
    // What follows an answer, timers of TCP included, is not idleness yet.
    thread::sleep(Duration::from_secs(1));
    let before = ticks(machine.process())?;
    thread::sleep(Duration::from_secs(2));
    let used = ticks(machine.process())? - before;
    ensure!(used <= TICKS_MAX, "{used} ticks of 10 ms in two idle seconds");
    ensure!(client.get("/")?.status == 200, "it has gone to sleep for good");
    Ok(())
}

/// CPU time of a process and of its descendants, in ticks (proc_pid_stat(5), fields 14 and 15).
fn ticks(process: u32) -> Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).context("the tool has ended")?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3).and_then(|f| f.parse::<u64>().ok()).context("no such field");
    let mut sum = field(14)? + field(15)?;
    let children = fs::read_to_string(format!("/proc/{process}/task/{process}/children"))?;
    for child in children.split_whitespace().filter_map(|child| child.parse().ok()) {
        sum += ticks(child)?;
    }
    Ok(sum)
}
