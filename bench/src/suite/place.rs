//! Where a program can run, and what is missing here for that.

use super::subjects::Program;
use crate::results::{Line, Outcome, Role};
use std::fs;
use std::path::Path;

/// A place to run in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A machine as a locked-down process.
    Process,
    /// A machine under our own monitor.
    Kvm,
    /// A machine under QEMU's microvm, as the tool starts it.
    Microvm,
    /// A machine under QEMU's q35.
    Q35,
    /// Process 1 of a Linux guest under QEMU's q35.
    Linux,
    /// A process of the host.
    Native,
    /// A process of the host that has one CPU, as a machine has.
    Pinned,
}

impl Place {
    /// The subject's name.
    pub(super) fn who(self) -> String {
        let kind = accelerator().name;
        match self {
            Place::Process => "Ampoule, process".into(),
            Place::Kvm => "Ampoule, KVM".into(),
            Place::Microvm => format!("Ampoule, QEMU microvm, {kind}"),
            Place::Q35 => format!("Ampoule, QEMU q35, {kind}"),
            Place::Linux => format!("Linux guest, QEMU q35, {kind}"),
            Place::Native => "native".into(),
            Place::Pinned => "native on one CPU".into(),
        }
    }

    fn role(self) -> Role {
        match self {
            Place::Process | Place::Kvm | Place::Microvm | Place::Q35 => Role::Ours,
            Place::Linux => Role::Linux,
            Place::Native | Place::Pinned => Role::Native,
        }
    }

    /// What it is compared with.
    fn against(self) -> Option<Place> {
        match self {
            Place::Process | Place::Kvm => Some(Place::Native),
            Place::Q35 => Some(Place::Linux),
            // Debian's kernel does not run on it.
            Place::Microvm => None,
            Place::Linux | Place::Native | Place::Pinned => None,
        }
    }

    /// A line for it, with nothing measured yet.
    pub(super) fn line(self, group: &str) -> Line {
        let outcome = Outcome::Measured(Vec::new());
        let against = self.against().map(Place::who);
        Line { group: group.into(), who: self.who(), role: self.role(), against, reach: None, outcome }
    }

    /// Its name for the tool, where the tool runs it.
    pub(super) fn on(self) -> Option<&'static [&'static str]> {
        match self {
            Place::Process => Some(&["--on", "process"]),
            Place::Kvm => Some(&["--on", "kvm"]),
            Place::Microvm => Some(&["--on", "qemu", "--machine", "microvm"]),
            Place::Q35 | Place::Linux | Place::Native | Place::Pinned => None,
        }
    }

    /// Why it cannot be had on this computer. What can be had and does not work is another matter: that makes a run invalid.
    pub(super) fn lacks(self, needs_tap: bool) -> Option<String> {
        let is_qemu = matches!(self, Place::Microvm | Place::Q35 | Place::Linux);
        if is_qemu && !is_here("qemu-system-x86_64") {
            return Some("no QEMU: apt-get install qemu-system-x86".into());
        }
        match self {
            Place::Kvm if open("/dev/kvm").is_err() => Some("/dev/kvm cannot be used here".into()),
            Place::Linux if !is_here("apt-get") => Some("Debian's kernel comes by apt-get, which is not here".into()),
            Place::Q35 | Place::Linux if needs_tap => {
                if !is_here("ip") {
                    return Some("no `ip` to make a tap with: apt-get install iproute2".into());
                }
                open("/dev/net/tun").err().map(|error| format!("a tap needs root and /dev/net/tun: {error}"))
            }
            Place::Pinned if !is_here("taskset") => Some("no `taskset`: apt-get install util-linux".into()),
            _ => None,
        }
    }

    /// Why it should be had on this computer, and cannot: its reference could not be set up.
    pub(super) fn fails(self, program: &Program) -> Option<String> {
        program.linux.as_ref().err().filter(|_| self == Place::Linux).cloned()
    }
}

/// What QEMU's guests run on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Accelerator {
    /// QEMU's arguments.
    pub(super) arguments: &'static str,
    name: &'static str,
}

/// KVM where the hardware does the work, as the tool decides it; else QEMU's own emulation.
pub(super) fn accelerator() -> Accelerator {
    let flags = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let in_hardware = flags.split_ascii_whitespace().any(|flag| flag == "vmx" || flag == "svm");
    if in_hardware && open("/dev/kvm").is_ok() {
        return Accelerator { arguments: "-accel kvm -cpu host -smp 1", name: "KVM" };
    }
    // With one possible CPU, QEMU 7.2 leaves out memory barriers (`host/monitor/src/qemu/command.rs`).
    Accelerator { arguments: "-accel tcg,thread=multi -cpu max -smp 1,maxcpus=2", name: "TCG" }
}

fn open(path: &str) -> std::io::Result<fs::File> {
    fs::OpenOptions::new().read(true).write(true).open(path)
}

/// Is there a program of this name on the path?
pub(super) fn is_here(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| Path::new(&folder).join(program).is_file())
}
