//! `ampoule doctor`: what this computer can build and run, and how to get the rest.

use std::fs::OpenOptions;
use std::process::{Command, Stdio};

use crate::Failure;
use crate::build::Sources;

/// One thing that was looked at.
struct Finding {
    /// What it is.
    name: &'static str,
    /// What was found, or what is wrong.
    result: Result<String, String>,
    /// What it is good for, and how to get it.
    remedy: &'static str,
    /// Nothing works without it.
    is_needed: bool,
}

/// Looks at everything and says what it found. Status 1 where images cannot be built or run at all.
pub(super) fn perform() -> Result<u8, Failure> {
    let findings = [
        Finding {
            name: "rustc",
            result: program("rustc", "-V"),
            remedy: "compiles programs and the library OS; install it by rustup",
            is_needed: true,
        },
        Finding {
            name: "target",
            result: target(),
            remedy: "the standard library that images link; rustup target add x86_64-unknown-linux-gnu",
            is_needed: true,
        },
        Finding {
            name: "cargo",
            result: program("cargo", "-V"),
            remedy: "builds programs; install it by rustup",
            is_needed: true,
        },
        Finding {
            name: "cc",
            result: program("cc", "--version"),
            remedy: "links programs; apt-get install gcc",
            is_needed: true,
        },
        Finding {
            name: "sources",
            result: Sources::find().map(|s| s.root().display().to_string()).map_err(|error| error.to_string()),
            remedy: "the library OS, compiled for each program; clone it and set AMPOULE_SOURCE",
            is_needed: true,
        },
        Finding {
            name: "process",
            result: process(),
            remedy: "runs machines as processes; needs Linux on x86-64 with seccomp",
            is_needed: true,
        },
        Finding {
            name: "qemu",
            result: program("qemu-system-x86_64", "--version"),
            remedy: "boots images (--on qemu); apt-get install qemu-system-x86",
            is_needed: false,
        },
        Finding {
            name: "kvm",
            result: monitor::kvm::try_out().map(|()| "/dev/kvm".to_owned()).map_err(|error| error.to_string()),
            remedy: "runs machines in virtual machines (--on kvm); needs a computer that virtualises, and rights on /dev/kvm",
            is_needed: false,
        },
        Finding {
            name: "tun",
            result: device("/dev/net/tun"),
            remedy: "puts machines on a real network; needs rights on /dev/net/tun",
            is_needed: false,
        },
    ];
    for finding in &findings {
        match &finding.result {
            Ok(found) => println!("ok       {:8} {found}", finding.name),
            Err(error) => {
                let word = if finding.is_needed { "missing" } else { "without" };
                println!("{word}  {:8} {error}\n{:18}{}", finding.name, "", finding.remedy);
            }
        }
    }
    let is_able = findings.iter().all(|finding| finding.result.is_ok() || !finding.is_needed);
    Ok(u8::from(!is_able))
}

/// The first line that a program says of its version.
fn program(name: &str, flag: &str) -> Result<String, String> {
    let output = Command::new(name).arg(flag).stdin(Stdio::null()).stderr(Stdio::null()).output();
    let output = output.map_err(|error| format!("{name} cannot be started: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    match (output.status.success(), text.lines().next()) {
        (true, Some(line)) => Ok(line.to_owned()),
        _ => Err(format!("{name} {flag} fails")),
    }
}

fn target() -> Result<String, String> {
    const TARGET: &str = "x86_64-unknown-linux-gnu";
    let output = Command::new("rustc").args(["--print", "target-libdir", "--target", TARGET]).output();
    let output = output.map_err(|error| error.to_string())?;
    let folder = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    match std::fs::read_dir(&folder).is_ok_and(|mut entries| entries.next().is_some()) {
        true => Ok(TARGET.to_owned()),
        false => Err(format!("the standard library of {TARGET} is not installed")),
    }
}

/// Seccomp filters are what a process machine is locked in by.
fn process() -> Result<String, String> {
    let actions = std::fs::read_to_string("/proc/sys/kernel/seccomp/actions_avail")
        .map_err(|error| format!("the kernel offers no seccomp filters: {error}"))?;
    match actions.split_whitespace().any(|action| action == "trap") && cfg!(target_arch = "x86_64") {
        true => Ok("seccomp filters".to_owned()),
        false => Err("the kernel's seccomp filters cannot trap".to_owned()),
    }
}

fn device(path: &str) -> Result<String, String> {
    let opened = OpenOptions::new().read(true).write(true).open(path);
    opened.map(|_| path.to_owned()).map_err(|error| format!("{path}: {error}"))
}
