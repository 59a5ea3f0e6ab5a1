//! Servers that are all there at the same time.

use super::guest::{self, MEMORY, Net};
use super::interrupt::Interrupt;
use super::place::Place;
use super::subjects::Program;
use crate::ask::{self, get};
use crate::command::Running;
use crate::fleet::{Fleet, Kind};
use crate::smaps::{self, Memory};
use anyhow::{Context, Result, bail};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// No crowd is added to for longer than this.
const PATIENCE: Duration = Duration::from_secs(90);

/// What came of them.
pub(super) struct Crowd {
    wanted: usize,
    answered: usize,
    seconds: f64,
    /// What all have together.
    memory: Memory,
    /// By how much the host's available memory fell, KiB.
    taken: u64,
}

impl Crowd {
    /// MiB of each, how many answered, seconds until all listened, MiB of the host's memory for each. Fewer than were wanted
    /// make the run invalid.
    pub(super) fn numbers(self) -> Result<[f64; 4]> {
        let Crowd { wanted, answered, seconds, memory, taken } = self;
        if answered < wanted {
            bail!("{answered} of {wanted} answered");
        }
        let each = |kib: u64| kib as f64 / 1024.0 / wanted as f64;
        Ok([each(memory.proportional), answered as f64, seconds, each(taken)])
    }
}

/// Starts so many one after the other; then asks each once, while all are there.
pub(super) fn of_fleet(kind: Kind<'_>, wanted: usize, interrupt: &Interrupt) -> Result<Crowd> {
    let mut fleet = Fleet::new(kind)?;
    let available = smaps::available()?;
    let start = Instant::now();
    for number in 0..wanted {
        interrupt.check()?;
        if start.elapsed() > PATIENCE {
            bail!("{number} of {wanted} listened within {} s", PATIENCE.as_secs());
        }
        fleet.start().with_context(|| format!("after {number} of {wanted}"))?;
    }
    let seconds = start.elapsed().as_secs_f64();
    let answered = asked(fleet.addresses(), interrupt)?;
    let taken = available.saturating_sub(smaps::available()?);
    let parts = fleet.memory()?;
    let memory = parts.machines.and(parts.tools).and(parts.supervisors);
    Ok(Crowd { wanted, answered, seconds, memory, taken })
}

/// Starts so many guests of QEMU together, waits until all answer, and then asks each once more.
pub(super) fn of_guests(place: Place, web: &Program, wanted: usize, interrupt: &Interrupt) -> Result<Crowd> {
    let available = smaps::available()?;
    let start = Instant::now();
    let mut guests = Vec::new();
    for number in 0..wanted {
        let address = address(number)?;
        let mut qemu = Command::new("qemu-system-x86_64");
        guest::arguments(&mut qemu, place, web, MEMORY, Net::User(address))?;
        qemu.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        guests.push((address, Running(qemu.spawn().context("cannot start QEMU")?)));
    }
    for (address, _) in &guests {
        interrupt.check()?;
        ask::wait(ask::Kind::Http, *address, PATIENCE.saturating_sub(start.elapsed()))?;
    }
    let seconds = start.elapsed().as_secs_f64();
    let addresses: Vec<SocketAddr> = guests.iter().map(|(address, _)| *address).collect();
    let answered = asked(&addresses, interrupt)?;
    let taken = available.saturating_sub(smaps::available()?);
    let memory =
        guests.iter().try_fold(Memory::default(), |sum, (_, guest)| anyhow::Ok(sum.and(smaps::of(guest.0.id())?)))?;
    Ok(Crowd { wanted, answered, seconds, memory, taken })
}

/// How many answer.
fn asked(addresses: &[SocketAddr], interrupt: &Interrupt) -> Result<usize> {
    let mut answered = 0;
    for address in addresses {
        interrupt.check()?;
        answered += usize::from(get(*address).is_ok());
    }
    Ok(answered)
}

/// A guest's loopback address, which no other run has, and no fleet.
fn address(number: usize) -> Result<SocketAddr> {
    let run = u8::try_from(1 + std::process::id() % 250)?;
    let number = u8::try_from(number + 1).context("too many guests")?;
    Ok((Ipv4Addr::new(127, run, 250, number), 8080).into())
}
