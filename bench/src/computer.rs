//! The computer on which something was measured, in the words that matter to whoever measures it again.

use crate::command::finish;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::fs;
use std::process::Command;

/// What a computer is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Computer {
    /// As the CPU calls itself.
    pub cpu: String,
    /// How many CPUs this system has.
    pub cpus: usize,
    /// RAM, in MiB.
    pub memory_mib: u64,
    /// Does it run below a hypervisor?
    pub is_virtual: bool,
    /// The system: `Debian GNU/Linux 12 (bookworm)`.
    pub system: String,
    /// The kernel's release.
    pub kernel: String,
    /// What KVM is here: `VMX`, `SVM`, `no hardware virtualisation (kvm_pvm)`, `none`.
    pub kvm: String,
    /// QEMU's version, or that there is none.
    pub qemu: String,
    /// The compiler's version.
    pub rustc: String,
}

impl Computer {
    /// This one.
    pub fn this() -> Result<Self> {
        let processor = fs::read_to_string("/proc/cpuinfo").context("cannot read /proc/cpuinfo")?;
        let flags: Vec<&str> = field(&processor, "flags").unwrap_or_default().split_whitespace().collect();
        let memory = fs::read_to_string("/proc/meminfo").context("cannot read /proc/meminfo")?;
        let memory = field(&memory, "MemTotal").and_then(|text| text.split(' ').next()?.parse::<u64>().ok());
        let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
        let system = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
        Ok(Computer {
            cpu: field(&processor, "model name").unwrap_or("unknown").to_owned(),
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            memory_mib: memory.context("/proc/meminfo has no MemTotal")? / 1024,
            is_virtual: flags.contains(&"hypervisor"),
            system: system.unwrap_or("unknown").trim_matches('"').to_owned(),
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned(),
            kvm: kvm(&flags),
            qemu: said("qemu-system-x86_64"),
            rustc: said("rustc"),
        })
    }
}

/// What the hardware brings, or the kernel's module where the hardware brings nothing.
fn kvm(flags: &[&str]) -> String {
    if fs::OpenOptions::new().read(true).write(true).open("/dev/kvm").is_err() {
        return "none".into();
    }
    if let Some(kind) = ["vmx", "svm"].into_iter().find(|kind| flags.contains(kind)) {
        return kind.to_uppercase();
    }
    let modules = fs::read_dir("/sys/module").into_iter().flatten();
    let names = modules.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    match names.into_iter().find(|name| name.starts_with("kvm_")) {
        Some(module) => format!("no hardware virtualisation ({module})"),
        None => "no hardware virtualisation".into(),
    }
}

/// The first line of what a program says of its version.
fn said(program: &str) -> String {
    let text = finish(Command::new(program).arg("--version")).unwrap_or_default();
    text.lines().next().unwrap_or("none").to_owned()
}

/// `NAME : VALUE`.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        (found.trim() == name).then_some(value.trim())
    })
}

/// How many processes wanted a CPU in the last minute, on average.
pub fn load() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #[test]
    fn this_computer_is_known() {
        let this = super::Computer::this().expect("known");
        assert!(this.cpus > 0 && this.memory_mib > 0 && this.rustc.starts_with("rustc "), "{this:?}");
    }
}
