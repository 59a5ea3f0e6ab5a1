//! TCP itself, over a tap: one connection's throughput each way and its round trips, with the machine's own TCP/IP, beside a Linux
//! guest with the same program on the same virtual hardware: QEMU's q35. On microvm Debian's kernel finds no timer without
//! KVM where there is ACPI, and no network device where there is none.

use super::Row;
use super::Subjects;
use super::served::Running;
use super::subjects::finish;
use crate::bulk::Purpose;
use crate::linux_guest;
use crate::namespace::{GUEST_ADDRESS, HOST_ADDRESS, Namespace};
use crate::sample::Samples;
use anyhow::{Context, Result, bail};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const ROUNDS: usize = 3;
const SECONDS: &str = "3";
const PURPOSES: [Purpose; 3] = [Purpose::Up, Purpose::Down, Purpose::Echo];
/// How long a guest may take until it answers.
const START: Duration = Duration::from_secs(60);

pub(super) fn rows(subjects: &Subjects) -> Vec<Row> {
    let measured = measure(subjects);
    let row = |index: usize, what: &str, reach| {
        let what = format!("one connection over a tap, QEMU q35, TCG: {what}");
        match &measured {
            Ok(pairs) => {
                let [ours, linux] = &pairs[index];
                let ratio = ours.median() / linux.median();
                let beside = format!("Debian's cloud kernel {linux}");
                Row::new(what, Ok(format!("{ours} = {ratio:.2} ×")), reach, beside)
            }
            Err(error) => Row::new(what, Err(anyhow::anyhow!("{error:#}")), reach, ""),
        }
    };
    vec![
        row(0, "to the machine, MB/s", "≥ 1.5 × Linux"),
        row(1, "from the machine, MB/s", "≥ 1.5 × Linux"),
        row(2, "a byte there and back, µs", "≤ 0.7 × Linux"),
    ]
}

/// For each purpose ours and Linux's, in turns.
fn measure(subjects: &Subjects) -> Result<[[Samples; 2]; 3]> {
    let image = subjects.image("bench/programs/bulk", false)?;
    let native = subjects.native("bench/programs/bulk")?;
    let kernel = linux_guest::kernel(&subjects.cache)?;
    let initrd = linux_guest::initrd(&kernel, &subjects.cache, &subjects.init, &native)?;
    let mut all: [[Samples; 2]; 3] = Default::default();
    for _ in 0..ROUNDS {
        let ours = guest(subjects, |qemu| {
            let network = format!("ampoule.ip={GUEST_ADDRESS}/24,{HOST_ADDRESS},{HOST_ADDRESS}");
            qemu.arg("-kernel").arg(&image).arg("-append").arg(network);
            qemu.args(["-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"]);
        })?;
        let linux = guest(subjects, |qemu| {
            qemu.arg("-kernel").arg(&kernel.image).arg("-initrd").arg(&initrd);
            qemu.args(["-append", "console=ttyS0 quiet panic=-1"]);
        })?;
        for (samples, (ours, linux)) in all.iter_mut().zip(ours.into_iter().zip(linux)) {
            samples[0].push(ours);
            samples[1].push(linux);
        }
    }
    Ok(all)
}

/// Boots a guest on a tap in a namespace of its own, waits until it serves, and gives a number for each purpose.
fn guest(subjects: &Subjects, kernel: impl FnOnce(&mut Command)) -> Result<[f64; 3]> {
    let namespace = Namespace::new()?;
    let mut qemu = namespace.command("qemu-system-x86_64");
    let line = "-M q35 -accel tcg,thread=multi -cpu max -smp 1,maxcpus=2 -m 128 -nodefaults -no-user-config -no-reboot \
                -display none -serial null -netdev tap,id=n,ifname=tap0,script=no,downscript=no,vnet_hdr=on \
                -device virtio-net-pci,netdev=n";
    qemu.args(line.split_whitespace());
    kernel(&mut qemu);
    let mut running = Running(qemu.stdin(Stdio::null()).spawn().context("cannot start QEMU")?);
    let address = format!("{GUEST_ADDRESS}:8080");
    let ask = |purpose: Purpose, seconds: &str| -> Result<f64> {
        let text = finish(namespace.command(&subjects.bulk).args([&address, purpose.word(), seconds]))?;
        text.trim().parse().with_context(|| format!("no number: {text}"))
    };
    let deadline = Instant::now() + START;
    // A second of round trips: when they work, all is set up.
    while let Err(error) = ask(Purpose::Echo, "1") {
        if running.0.try_wait()?.is_some() {
            bail!("the guest ended before it served");
        }
        if Instant::now() > deadline {
            return Err(error);
        }
        std::thread::sleep(Duration::from_millis(300));
    }
    let mut numbers = [0.0; 3];
    for (number, purpose) in numbers.iter_mut().zip(PURPOSES) {
        *number = ask(purpose, SECONDS)?;
    }
    Ok(numbers)
}
