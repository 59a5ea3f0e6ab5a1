//! `cargo xtask nested`: the KVM monitor on hardware-style KVM, on a computer that need not have any.
//!
//! QEMU emulates an AMD CPU with SVM and boots Debian's kernel on it, whose kvm-amd module then runs our machines: nested
//! page tables or shadowed ones (`npt`), as the module is told. What the monitor must get right on such a KVM and the
//! developers' may not show (system registers, exceptions' delivery, the time-stamp counter, vector state) is tried by the
//! same tiny guests, with the same expectations, as everywhere else.
//!
//! | file | what it does |
//! |---|---|
//! | `cases` | what is run, and what is expected of it |
//! | `computer` | the emulated computer: its RAM disk, its serial ports, its end |

mod cases;
mod computer;

use std::fs;
use std::time::Instant;

use ampoule_tests::tool;
use anyhow::{Context, Result, bail};
use bench::linux_guest;

use crate::{setup, steps};
use cases::Case;
use computer::Computer;

/// Programs, and Debian's packages that bring them.
const NEEDED: [(&str, &str); 4] = [
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("apt-get", "apt, so Debian or Ubuntu"),
    ("apt-cache", "apt, so Debian or Ubuntu"),
    ("dpkg-deb", "dpkg, so Debian or Ubuntu"),
];

#[derive(Default)]
struct Sums {
    passed: usize,
    failed: usize,
}

/// Runs all cases with nested page tables and without.
pub(crate) fn run() -> Result<()> {
    setup::install();
    for (program, package) in NEEDED {
        if !setup::is_here(program) {
            bail!("there is no {program}, with which the emulated computer is made (it comes with {package})");
        }
    }
    // The benchmark's reference guest has the same kernel.
    let cache = steps::target_folder().join("bench");
    fs::create_dir_all(&cache).with_context(|| format!("cannot make {}", cache.display()))?;
    let cache = cache.canonicalize()?;
    let kernel = linux_guest::kernel(&cache)?;
    let init = steps::built("ampoule-bench-init", "nested-init")?;
    let cases = cases::all()?;
    let disk = computer::disk(&kernel, &cache, &init, tool::tool()?, &cases)?;
    let mut sums = Sums::default();
    for npt in [true, false] {
        let start = Instant::now();
        let place = format!("npt={}", u8::from(npt));
        let log = cache.join(format!("nested-{place}.log"));
        let mut computer = Computer::start(&kernel, &disk, npt, &log)?;
        let ended = computer.ready(npt).and_then(|()| sums.run(computer, &cases, &place));
        if let Err(error) = ended {
            sums.failed += 1;
            println!("FAILED: {place}: {error:#}\n{}", computer::tail(&log));
        }
        println!("{place}: {:.0} s", start.elapsed().as_secs_f64());
    }
    println!("{} passed, {} failed", sums.passed, sums.failed);
    if sums.failed > 0 {
        bail!("not everything passes on emulated SVM");
    }
    Ok(())
}

impl Sums {
    /// One computer's results, as they come. An error is the computer's own, which then has not come to all cases.
    fn run(&mut self, mut computer: Computer, cases: &[Case], place: &str) -> Result<()> {
        for (number, case) in cases.iter().enumerate() {
            let ended = computer.result(number).with_context(|| case.name.clone())?;
            let name = format!("{place}, {} ({:.1} s)", case.name, ended.time.as_secs_f64());
            match ended.into_end().and_then(|end| case.check(end)) {
                Ok(()) => {
                    self.passed += 1;
                    println!("passed: {name}");
                }
                Err(error) => {
                    self.failed += 1;
                    println!("FAILED: {name}: {error:#}");
                }
            }
        }
        computer.finish()
    }
}
