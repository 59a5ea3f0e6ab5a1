//! A bad link between a machine and Linux: a program that carries frames between two TAP interfaces, with the faults of
//! the simulated link ([`device::testing::Link`]). Linux has its own way to say this (netem), where its kernel has it.
//!
//! ```text
//!   machine ─ tap0 ═ bridge ═ near ─ relay ─ far ─ Linux's TCP/IP
//! ```
//!
//! The relay makes `near` and `far`. It asks for no offloads, so the kernel completes checksums and cuts segments before they
//! come to it: every frame is one that a wire would carry, and one that is damaged can be known by its checksum.
//! Each direction has its own seed: the fate of the n-th frame there is always the same, whatever the other does.

use std::io::Write as _;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use bench::namespace::{HOST_ADDRESS, Namespace};
use device::testing::{Faults, Link};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tappers::Interface;
use tappers::linux::Tap;

/// The TAP interface of the machine.
pub const MACHINE: &str = "tap0";
const NEAR: &str = "near";
const FAR: &str = "far";

/// Frames that fit on the way; a router would drop more as well.
const CAPACITY: usize = 1000;
/// Frames taken from one side before the other is looked at.
const BURST: usize = 64;
/// More than the longest frame.
const FRAME_MAX: usize = 2048;

/// The faults as six numbers of a command line, in the order of the fields.
pub fn numbers(faults: Faults) -> [u64; 6] {
    let Faults { loss, duplicate, corrupt, reorder, delay_us, bytes_per_ms } = faults;
    [loss.into(), duplicate.into(), corrupt.into(), reorder.into(), delay_us, bytes_per_ms]
}

/// The same, back.
pub fn faults(numbers: &[u64]) -> Option<Faults> {
    let [loss, duplicate, corrupt, reorder, delay_us, bytes_per_ms] = *numbers else { return None };
    let [loss, duplicate, corrupt, reorder] = [loss, duplicate, corrupt, reorder].map(|rate| rate as u32);
    Some(Faults { loss, duplicate, corrupt, reorder, delay_us, bytes_per_ms })
}

/// Makes the two interfaces, says so, and carries frames until it is killed.
///
/// # Errors
/// The interfaces cannot be made, or went away.
pub fn run(names: [&str; 2], seed: u64, faults: Faults) -> Result<()> {
    let make = |name: &str| -> Result<Tap> {
        let tap = Tap::create_named(Interface::new(name)?).with_context(|| format!("cannot make {name}"))?;
        tap.set_nonblocking(true)?;
        Ok(tap)
    };
    let taps = [make(names[0])?, make(names[1])?];
    println!("ready");
    std::io::stdout().flush()?;
    // One link for each direction: `links[n]` leads to interface n.
    let mut links = [Link::new(seed, faults), Link::new(seed ^ u64::MAX, faults)];
    let start = Instant::now();
    loop {
        let mut now_us = start.elapsed().as_micros() as u64;
        for to in [0, 1] {
            carry(&taps[1 - to], &mut links[to], now_us)?;
        }
        now_us = start.elapsed().as_micros() as u64;
        for to in [0, 1] {
            deliver(&taps[to], &mut links[to], now_us)?;
        }
        let due = links.iter().filter_map(Link::next_us).min();
        wait(&taps, due.map(|due| due.saturating_sub(start.elapsed().as_micros() as u64)))?;
    }
}

/// Takes frames from an interface into the link.
fn carry(from: &Tap, link: &mut Link, now_us: u64) -> Result<()> {
    let mut frame = [0; FRAME_MAX];
    for _ in 0..BURST {
        match from.recv(&mut frame) {
            Ok(length) if link.waiting(0) < CAPACITY => link.send(now_us, 0, frame[..length].to_vec()),
            Ok(_) => {}
            // An interface that is not up yet says that it is in no state for it.
            Err(error) if is_nothing(&error) => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Hands over what has arrived by now.
fn deliver(to: &Tap, link: &mut Link, now_us: u64) -> Result<()> {
    while let Some(frame) = link.take(now_us, 0) {
        match to.send(&frame) {
            Ok(_) => {}
            // A frame that the kernel does not take is lost, as on a wire.
            Err(error) if is_nothing(&error) || error.kind() == std::io::ErrorKind::InvalidInput => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Is there nothing to read, no room, or an interface that is down (EIO)?
fn is_nothing(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::WouldBlock || error.raw_os_error() == Some(5)
}

/// Waits until there is a frame, or for so long.
fn wait(taps: &[Tap; 2], us: Option<u64>) -> Result<()> {
    let mut wanted = taps.each_ref().map(|tap| PollFd::new(tap, PollFlags::IN));
    let limit = us.map(|us| Timespec { tv_sec: (us / 1_000_000) as i64, tv_nsec: (us % 1_000_000 * 1000) as i64 });
    match poll(&mut wanted, limit.as_ref()) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// A namespace whose [`MACHINE`] is a bad link away from the namespace's own TCP/IP, which is at
/// [`HOST_ADDRESS`]/24.
pub struct BadLink {
    relay: Child,
    namespace: Namespace,
}

impl BadLink {
    /// Makes it. `program` is the relay's executable.
    ///
    /// # Errors
    /// The namespace or the relay cannot be made.
    pub fn new(program: &str, seed: u64, faults: Faults) -> Result<Self> {
        let namespace = Namespace::bare()?;
        let mut command = namespace.command(program);
        command.args([NEAR, FAR, &seed.to_string()]).args(numbers(faults).map(|number| number.to_string()));
        let relay = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("cannot start the relay")?;
        let mut link = Self { relay, namespace };
        link.await_interfaces()?;
        // The bridge carries frames and speaks for nobody: no ARP, no IPv6 of its own.
        for line in [
            "link add br0 type bridge mcast_snooping 0",
            &format!("link set {NEAR} master br0 arp off addrgenmode none up"),
            &format!("link set {MACHINE} master br0 arp off addrgenmode none up"),
            "link set br0 arp off addrgenmode none up",
            &format!("addr add {HOST_ADDRESS}/24 dev {FAR}"),
            &format!("link set {FAR} up"),
        ] {
            link.namespace.ip(line)?;
        }
        Ok(link)
    }

    fn await_interfaces(&mut self) -> Result<()> {
        use std::io::{BufRead as _, BufReader};
        let output = self.relay.stdout.take().context("the relay has no output")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        ensure!(line.trim() == "ready", "the relay does not start: {line:?}");
        Ok(())
    }

    /// What is in it.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Fails if the relay has ended: what came to nothing did so because of that.
    ///
    /// # Errors
    /// How it ended.
    pub fn is_well(&mut self) -> Result<()> {
        match self.relay.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("the relay ended: {status}"),
        }
    }

    /// A command that runs inside.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        self.namespace.command(program)
    }
}

impl Drop for BadLink {
    fn drop(&mut self) {
        // `ip netns exec` has become the relay.
        _ = self.relay.kill();
        _ = self.relay.wait();
    }
}
