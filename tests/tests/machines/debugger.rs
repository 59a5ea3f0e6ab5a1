//! `run --gdb`: Debian's gdb, attached by the very command that the tool prints.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use ampoule_tests::backend::Backend;
use ampoule_tests::harness::{Case, Verdict};
use ampoule_tests::machine::{End, Machine};
use ampoule_tests::tool;
use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::on;

pub(crate) fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = Backend::ALL
        .into_iter()
        .map(|backend| debugged("a breakpoint, a step and a variable", backend, looks))
        .collect();
    cases.push(debugged("an interrupt, a write and a detachment", Backend::Kvm, interrupts));
    cases.push(debugged("a fault", Backend::Kvm, faults));
    cases.push(debugged("a gdb that goes away", Backend::Kvm, leaves));
    for backend in [Backend::Kvm, Backend::Microvm] {
        cases.push(on(backend, "a port for gdb that is taken", taken));
    }
    cases.push(on(Backend::Process, "what is no port for gdb", no_port));
    cases
}

/// A test that wants gdb. Under CI it may not be missing.
fn debugged(name: &str, backend: Backend, run: fn(Backend) -> Result<()>) -> Case {
    Case::new(format!("{name} in gdb on {backend}"), move || {
        let is_ci = std::env::var_os("CI").is_some_and(|value| value == "true");
        let has_gdb = || Command::new("gdb").arg("-v").stdout(Stdio::null()).status().is_ok();
        match backend.lacks() {
            Some(reason) => Ok(Verdict::Skipped(reason)),
            None if !is_ci && !has_gdb() => Ok(Verdict::Skipped("no gdb here (apt-get install gdb)".to_owned())),
            None => run(backend).map(|()| Verdict::Passed),
        }
    })
}

fn image() -> Result<PathBuf> {
    let folder = tool::root().join("target/guests");
    std::fs::create_dir_all(&folder)?;
    let output = folder.join("debugged-by-gdb.img");
    let output = output.to_str().context("the project's folder has a name of UTF-8")?;
    let abort = [("CARGO_PROFILE_RELEASE_PANIC", Path::new("abort"))];
    tool::image_with("tests/guests/debugged", &["--debuginfo", "--output", output], &abort)
}

/// A machine that waits, and a gdb that was started by the command it printed.
fn start(image: &Path, backend: Backend, arguments: &[&str]) -> Result<(Machine, Child)> {
    let mut machine = Machine::start(image, backend, &[&["--gdb", "0"], arguments].concat())?;
    machine.expect("  gdb ")?;
    let command = machine.line_with("  gdb ")?.trim().replacen("gdb", "exec gdb -nx -quiet", 1);
    let mut shell = Command::new("sh");
    shell.args(["-c", &command]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut gdb = shell.spawn().context("cannot start gdb")?;
    say(&mut gdb, &["set confirm off", "set pagination off", "set width 0"])?;
    Ok((machine, gdb))
}

fn say(gdb: &mut Child, commands: &[&str]) -> Result<()> {
    let input = gdb.stdin.as_mut().context("gdb takes no commands")?;
    commands.iter().try_for_each(|command| writeln!(input, "{command}")).context("gdb takes no commands any more")
}

/// gdb comes to the end of its commands. What it said, and how the machine ended.
fn finish(machine: Machine, mut gdb: Child) -> Result<(String, End)> {
    drop(gdb.stdin.take());
    let end = machine.end();
    let mut said = String::new();
    for output in
        [gdb.stdout.take().map(|o| Box::new(o) as Box<dyn std::io::Read>), gdb.stderr.take().map(|e| Box::new(e) as _)]
    {
        output.context("gdb has no output")?.read_to_string(&mut said)?;
    }
    gdb.wait()?;
    let end = end.with_context(|| format!("gdb said:\n{said}"))?;
    Ok((said, end))
}

fn has(said: &str, texts: &[&str]) -> Result<()> {
    let missing = texts.iter().find(|text| !said.contains(**text));
    ensure!(missing.is_none(), "no `{}` in what gdb said:\n{said}", missing.unwrap_or(&""));
    Ok(())
}

/// The commands that `docs/debugging.md` shows.
fn shown() -> Result<Vec<&'static str>> {
    let page = include_str!("../../../docs/debugging.md");
    let block =
        page.split_once("```gdb\n").and_then(|(_, rest)| rest.split_once("```")).context("no commands for gdb")?;
    Ok(block.0.lines().collect())
}

fn looks(backend: Backend) -> Result<()> {
    let (machine, mut gdb) = start(&image()?, backend, &[])?;
    say(&mut gdb, &shown()?)?;
    let (said, end) = finish(machine, gdb)?;
    has(&said, &["Breakpoint 1, debugged::weigh (apples=40, pears=2)", "#1", "in debugged::basket (apples="])?;
    has(&said, &["$1 = 240", "{value: 42}"])?;
    ensure!(backend.has_frames() || said.contains("exited with code 07"), "the end is not told:\n{said}");
    let end = end.with_status(7)?;
    ensure!(end.output == "weighed 42\n", "the program printed {:?}", end.output);
    Ok(())
}

/// The program turns until somebody writes to its memory.
fn interrupts(backend: Backend) -> Result<()> {
    let (mut machine, mut gdb) = start(&image()?, backend, &["--", "turn"])?;
    say(&mut gdb, &["continue"])?;
    machine.expect("turning")?;
    let process = Pid::from_raw(gdb.id() as i32).context("gdb has no process number")?;
    kill_process(process, Signal::INT)?;
    say(&mut gdb, &["backtrace", "set var debugged::SHOWN.v.value = 0", "detach"])?;
    let (said, end) = finish(machine, gdb)?;
    has(&said, &["SIGINT", "in debugged::main ()", "detached"])?;
    end.with_status(7)?.with_text(&["turned"]).map(drop)
}

/// gdb sees it first; then the machine reports it as ever.
fn faults(backend: Backend) -> Result<()> {
    let abort = [("CARGO_PROFILE_RELEASE_PANIC", Path::new("abort"))];
    let image = tool::image_with("tests/guests/null", &[], &abort)?;
    let (machine, mut gdb) = start(&image, backend, &[])?;
    say(&mut gdb, &["continue", "backtrace 1", "continue"])?;
    let (said, end) = finish(machine, gdb)?;
    has(&said, &["SIGSEGV", "read () at null/src/main.rs:8", "exited with code 0213"])?;
    end.with_fault()?.with_text(&["a null pointer"]).map(drop)
}

/// The program goes on, its breakpoints gone.
fn leaves(backend: Backend) -> Result<()> {
    let (machine, mut gdb) = start(&image()?, backend, &[])?;
    say(
        &mut gdb,
        &["set breakpoint always-inserted on", "break debugged::weigh", "break debugged::basket", "continue"],
    )?;
    say(&mut gdb, &["shell kill -KILL $PPID"])?;
    let (_, end) = finish(machine, gdb)?;
    end.with_status(7)?.with_text(&["weighed 42"]).map(drop)
}

/// Said before the machine starts.
fn taken(backend: Backend) -> Result<()> {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = taken.local_addr()?.port().to_string();
    let end = Machine::start(&tool::image("examples/hello")?, backend, &["--gdb", &port])?.end()?.with_status(2)?;
    ensure!(end.output.is_empty(), "it has run: {}", end.output);
    end.with_text(&["cannot wait for gdb at 127.0.0.1 port ", &port, "in use", "give --gdb another port"]).map(drop)
}

fn no_port(backend: Backend) -> Result<()> {
    for word in ["gdb", "70000", "-1"] {
        let flag = format!("--gdb={word}");
        Machine::start(&tool::image("examples/hello")?, backend, &[&flag])?
            .end()?
            .with_status(2)?
            .with_text(&["--gdb"])?;
    }
    Ok(())
}
