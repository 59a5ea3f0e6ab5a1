//! Neither of a machine's two processes keeps a right that it has no use for.

use std::fs;

use ampoule_tests::backend::Backend;
use ampoule_tests::harness::Case;
use ampoule_tests::machine::Machine;
use ampoule_tests::{ports, tool};
use anyhow::{Context, Result, ensure};
use rustix::process::Signal;

use crate::http::Client;
use crate::on;

pub(crate) fn cases() -> Vec<Case> {
    [Backend::Process, Backend::Kvm]
        .into_iter()
        .flat_map(|backend| {
            [
                on(backend, "both processes are jailed", jailed),
                on(backend, "what a debugger and a capture add to the jail", explained),
            ]
        })
        .collect()
}

fn jailed(backend: Backend) -> Result<()> {
    let port = ports::free_tcp()?;
    let publish = format!("{port}:8080");
    let mut machine = Machine::start(&tool::image("examples/web")?, backend, &["--publish", &publish])?;
    machine.expect("serving on")?;
    Client::connect(port)?.get("/healthz")?;
    let own = machine.process();
    let children = fs::read_to_string(format!("/proc/{own}/task/{own}/children"))?;
    let child = children.trim().parse().with_context(|| format!("the tool's children are {children:?}"))?;
    for process in [own, child] {
        check(process)?;
    }
    // And it works: what needs the tool (another connection) and what does not.
    ensure!(Client::connect(port)?.get("/")?.status == 200, "it does not serve any more");
    machine.signal(Signal::TERM)?;
    machine.end()?.with_status(0).map(drop)
}

/// Nothing but what was asked for.
fn explained(backend: Backend) -> Result<()> {
    let image = tool::image("examples/web")?;
    let plain = Machine::start(&image, backend, &["--explain-jail"])?.end()?.with_status(0)?;
    ensure!(!plain.output.contains("debugger") && !plain.output.contains("--pcap"), "{}", plain.output);
    let end = Machine::start(&image, backend, &["--explain-jail", "--gdb", "0", "--pcap", "/nowhere/x"])?.end()?;
    let how = if backend == Backend::Kvm { "KVM_GET_FPU" } else { "ptrace" };
    end.with_status(0)?.with_text(&["debugger", how, "the file of --pcap"]).map(drop)
}

/// What the kernel says of a process (proc_pid_status(5)).
fn check(process: u32) -> Result<()> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.map(|value| value.split_whitespace().collect::<Vec<_>>().join(" ")).unwrap_or_default()
    };
    ensure!(field("NoNewPrivs") == "1", "process {process} may gain privileges: {status}");
    ensure!(field("Seccomp") == "2", "process {process} has no filter for its system calls: {status}");
    ensure!(!field("Uid").split(' ').any(|id| id == "0"), "process {process} is root: {status}");
    ensure!(field("CapEff") == "0000000000000000", "process {process} has capabilities: {status}");
    ensure!(field("CapPrm") == "0000000000000000", "process {process} may have capabilities: {status}");
    let limits = fs::read_to_string(format!("/proc/{process}/limits"))?;
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap_or_default();
    ensure!(core.split_whitespace().filter(|word| *word == "0").count() == 2, "core files: {core}");
    Ok(())
}
