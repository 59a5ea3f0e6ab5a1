//! Bulk TCP through a TAP and the latency of one question: the same program under QEMU by itself and in a Linux guest, on the
//! same virtual hardware, in turns.

use super::served::Running;
use super::subjects::finish;
use super::{Row, Subjects};
use crate::linux_guest;
use crate::namespace::{GUEST_ADDRESS, HOST_ADDRESS, Namespace};
use crate::sample::Samples;
use anyhow::{Context, Result, bail};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const PROGRAM: &str = "bench/programs/tcp";
const ROUNDS: usize = 5;
/// Bytes each way, and seconds of questions.
const BYTES: &str = "134217728";
const SECONDS: &str = "2";
/// A q35, because Debian's kernel finds no virtio device on a microvm without KVM: with ACPI it misses a clock that TCG does
/// not have there, and without ACPI it is built not to look at the kernel command line for devices.
const MACHINE: &str = "-M q35 -accel tcg,thread=multi -cpu max -smp 1,maxcpus=2 -m 128 -nodefaults -no-user-config \
                       -no-reboot -display none -serial null -netdev tap,id=n,ifname=tap0,script=no,downscript=no \
                       -device virtio-net-pci,netdev=n,disable-legacy=on,romfile=";

/// There, back, latency.
type Run = [f64; 3];

pub(super) fn rows(subjects: &Subjects) -> Result<Vec<Row>> {
    let what = [
        ("bulk TCP, tap, QEMU q35, TCG, towards the machine, MB/s", "≥ 1.5 × Linux"),
        ("bulk TCP, tap, QEMU q35, TCG, from the machine, MB/s", "≥ 1.5 × Linux"),
        ("a question of 64 bytes and its answer, tap, QEMU q35, TCG, µs", "≤ 0.7 × Linux"),
    ];
    let measured = both(subjects);
    Ok(what
        .into_iter()
        .enumerate()
        .map(|(number, (what, reach))| match &measured {
            Ok((ours, linux)) => {
                let ratio = ours[number].median() / linux[number].median();
                let beside = format!("Debian's cloud kernel {}", linux[number]);
                Row::new(what, Ok(format!("{} = {ratio:.2} ×", ours[number])), reach, beside)
            }
            Err(error) => Row::new(what, Err(anyhow::anyhow!("{error:#}")), reach, ""),
        })
        .collect())
}

fn both(subjects: &Subjects) -> Result<([Samples; 3], [Samples; 3])> {
    let image = subjects.image(PROGRAM, false)?;
    let native = subjects.native(PROGRAM)?;
    let kernel = linux_guest::kernel(&subjects.cache)?;
    let initrd = linux_guest::initrd(&kernel, &subjects.cache, &subjects.init, &native)?;
    let (mut ours, mut linux) = (<[Samples; 3]>::default(), <[Samples; 3]>::default());
    for _ in 0..ROUNDS {
        let run = on_tap(subjects, |qemu| {
            let network = format!("ampoule.ip={GUEST_ADDRESS}/24,{HOST_ADDRESS},{HOST_ADDRESS}");
            qemu.arg("-kernel").arg(&image).arg("-append").arg(network);
        })?;
        ours.iter_mut().zip(run).for_each(|(samples, value)| samples.push(value));
        let run = on_tap(subjects, |qemu| {
            qemu.arg("-kernel").arg(&kernel.image).arg("-initrd").arg(&initrd);
            qemu.args(["-append", "console=ttyS0 quiet panic=-1"]);
        })?;
        linux.iter_mut().zip(run).for_each(|(samples, value)| samples.push(value));
    }
    Ok((ours, linux))
}

/// Boots a guest on a tap in a namespace of its own, waits until it serves, and measures it.
fn on_tap(subjects: &Subjects, kernel: impl FnOnce(&mut Command)) -> Result<Run> {
    let namespace = Namespace::new()?;
    let mut qemu = namespace.command("qemu-system-x86_64");
    qemu.args(MACHINE.split_whitespace());
    kernel(&mut qemu);
    let mut running = Running(qemu.stdin(Stdio::null()).spawn().context("cannot start QEMU")?);
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let mut command = namespace.command(&subjects.load);
        match finish(command.args(["tcp", GUEST_ADDRESS, BYTES, SECONDS])) {
            Ok(line) => return numbers(&line),
            Err(error) if Instant::now() > deadline => return Err(error),
            Err(_) if running.0.try_wait()?.is_some() => bail!("the guest ended before it served"),
            Err(_) => std::thread::sleep(Duration::from_millis(300)),
        }
    }
}

fn numbers(line: &str) -> Result<Run> {
    let numbers: Vec<f64> = line.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
    numbers.try_into().map_err(|_| anyhow::anyhow!("three numbers were expected: {line}"))
}
