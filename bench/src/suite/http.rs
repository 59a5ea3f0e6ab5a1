//! HTTP: the same programs as machines and as native processes, and as guests of QEMU beside a Linux guest.

use super::served::{CONNECTIONS, Running, SECONDS, Served, load_numbers};
use super::subjects::finish;
use super::{Row, Subjects};
use crate::linux_guest;
use crate::namespace::{GUEST_ADDRESS, HOST_ADDRESS, Namespace};
use crate::sample::Samples;
use anyhow::{Context, Result, bail};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const ROUNDS: usize = 3;

pub(super) fn rows(subjects: &Subjects) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (on, reach) in [("process", "≥ 70 % of native"), ("kvm", "report it; ≤ 0.5 exits a request")] {
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
    let (mut inside, mut outside, mut exits) = (Samples::default(), Samples::default(), Samples::default());
    for _ in 0..ROUNDS {
        let machine = Served::machine(subjects, &image, on, &[])?;
        let (rate, answers) = machine.load(&subjects.load)?;
        inside.push(rate);
        if let Some(count) = exits_in(&machine.stop()?) {
            exits.push(count / answers);
        }
        outside.push(Served::native(&native)?.load(&subjects.load)?.0);
    }
    let ratio = inside.median() / outside.median() * 100.0;
    let exits = if on == "kvm" { format!("; exits a request {exits}") } else { String::new() };
    Ok((format!("{inside} = {ratio:.0} %{exits}"), format!("native {outside}")))
}

/// How often the guest came out to its monitor in its whole life, its start among it. The tool says so where
/// `AMPOULE_MARKS` is set and the program ended by itself.
fn exits_in(said: &str) -> Option<f64> {
    said.lines().find_map(|line| line.strip_prefix("exits: "))?.parse().ok()
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
            Ok(line) => return load_numbers(&line).map(|(rate, _)| rate),
            Err(error) if Instant::now() > deadline => return Err(error),
            Err(_) if running.0.try_wait()?.is_some() => bail!("the guest ended before it served"),
            Err(_) => std::thread::sleep(Duration::from_millis(300)),
        }
    }
}
