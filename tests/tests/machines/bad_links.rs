//! One connection between a machine's own TCP/IP and Linux's, over a link that loses, doubles, damages, delays and reorders
//! frames ([`ampoule_tests::relay`]): every byte arrives, whoever sends, whoever connects. With `--long` a GiB each way
//! (`cargo xtask gibibyte`).

use std::process::{Child, Stdio};
use std::time::Duration;

use ampoule_tests::backend::Backend;
use ampoule_tests::harness::{Case, Verdict};
use ampoule_tests::machine::{Machine, PATIENCE};
use ampoule_tests::relay::{BadLink, MACHINE};
use ampoule_tests::{linux, tool};
use anyhow::{Context, Result, ensure};
use bench::namespace::{GUEST_ADDRESS, HOST_ADDRESS};
use device::testing::Faults;
use rustix::process::Signal;

use crate::tap;

/// A link of 200 µs.
const LINK: Faults = Faults { loss: 0, duplicate: 0, corrupt: 0, reorder: 0, delay_us: 200, bytes_per_ms: 0 };

/// Each kind by itself, and all of them. Faults are in so many of a thousand frames, each way.
const CONDITIONS: [(&str, Faults); 6] = [
    ("that loses 1 %", Faults { loss: 10, ..LINK }),
    ("that doubles 2 %", Faults { duplicate: 20, ..LINK }),
    ("that damages 1 %", Faults { corrupt: 10, ..LINK }),
    ("where 2 % are overtaken", Faults { reorder: 20, ..LINK }),
    ("of 20 ms and 50 MB/s", Faults { delay_us: 20_000, bytes_per_ms: 50_000, ..LINK }),
    (
        "with all of that",
        Faults { loss: 5, duplicate: 10, corrupt: 5, reorder: 10, delay_us: 500, bytes_per_ms: 50_000 },
    ),
];

/// Bytes each way, and what that may take.
const BYTES: u64 = 32 << 20;
/// The same with `--long`.
const LONG: (u64, Duration) = (1 << 30, Duration::from_secs(3600));
/// The port of `guest-transfer`.
const PORT: &str = "7100";

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let is_long = std::env::args().any(|word| word == "--long");
    let amount = if is_long { LONG } else { (BYTES, PATIENCE) };
    for (seed, (name, faults)) in CONDITIONS.into_iter().enumerate() {
        // The stack is the same everywhere; what the virtual devices add to it shows once.
        let worst = seed + 1 == CONDITIONS.len();
        for backend in Backend::ALL.into_iter().filter(|backend| worst || *backend == Backend::Process) {
            let name = format!("{} over a link to Linux {name} on {backend}", if is_long { "a GiB" } else { "32 MiB" });
            cases.push(Case::new(name, move || both_ways(backend, seed as u64, faults, amount)));
        }
    }
    let (_, all) = CONDITIONS[CONDITIONS.len() - 1];
    cases.push(Case::new("a machine that connects over a bad link", move || outward(all)));
    cases
}

/// Linux asks; a machine serves.
fn both_ways(backend: Backend, seed: u64, faults: Faults, (bytes, limit): (u64, Duration)) -> Result<Verdict> {
    if let Some(reason) = backend.lacks().or_else(tap::lacks) {
        return Ok(Verdict::Skipped(reason));
    }
    let (image, program) = (image()?, linux::program("guest-transfer")?);
    let mut link = BadLink::new(env!("CARGO_BIN_EXE_relay"), seed, faults)?;
    let mut machine = start(&link, &image, backend, &["serve", PORT])?;
    machine.expect("serving on")?;
    for way in ["up", "down"] {
        let arguments = ["ask", &format!("{GUEST_ADDRESS}:{PORT}"), way, &bytes.to_string()];
        let output =
            link.command("timeout").arg(seconds(limit)).arg(&program).args(arguments).stdin(Stdio::null()).output()?;
        link.is_well()?;
        ensure!(
            output.status.success(),
            "{way}: {}\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            machine.said()
        );
        println!("{backend}, seed {seed}, {}", String::from_utf8_lossy(&output.stdout).trim());
    }
    machine.signal(Signal::TERM)?;
    machine.end()?.with_status(143)?;
    Ok(Verdict::Passed)
}

/// A machine asks; Linux serves.
fn outward(faults: Faults) -> Result<Verdict> {
    if let Some(reason) = tap::lacks() {
        return Ok(Verdict::Skipped(reason));
    }
    let (image, program) = (image()?, linux::program("guest-transfer")?);
    let mut link = BadLink::new(env!("CARGO_BIN_EXE_relay"), 77, faults)?;
    let mut command = link.command("timeout");
    let serving =
        command.arg(seconds(PATIENCE)).arg(&program).args(["serve", PORT]).stdin(Stdio::null()).stdout(Stdio::null());
    let _server = Server(serving.spawn().context("cannot start the server")?);
    for way in ["up", "down"] {
        let server = format!("{HOST_ADDRESS}:{PORT}");
        let machine = start(&link, &image, Backend::Process, &["ask", &server, way, &BYTES.to_string()])?;
        machine.end().and_then(|end| end.with_status(0)).context(way)?;
        link.is_well()?;
    }
    Ok(Verdict::Passed)
}

fn image() -> Result<std::path::PathBuf> {
    tool::image_with("tests/guests/transfer", &[], &[("CARGO_PROFILE_RELEASE_PANIC", std::path::Path::new("abort"))])
}

fn start(link: &BadLink, image: &std::path::Path, backend: Backend, words: &[&str]) -> Result<Machine> {
    let network = format!("tap:{MACHINE},{GUEST_ADDRESS}/24,{HOST_ADDRESS}");
    let arguments = [&["--net", &network, "--"], words].concat();
    Machine::start_by(&link.namespace().prefix(), image, backend, &arguments)
}

/// For `timeout`.
fn seconds(limit: Duration) -> String {
    limit.as_secs().to_string()
}

/// Ended when it is dropped.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // `timeout` passes SIGTERM on to what it runs.
        if let Some(pid) = rustix::process::Pid::from_raw(self.0.id() as i32) {
            _ = rustix::process::kill_process(pid, Signal::TERM);
        }
        _ = self.0.wait();
    }
}
