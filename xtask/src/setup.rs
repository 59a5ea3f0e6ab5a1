//! What the tests need and a fresh machine lacks: QEMU, a browser, gdb, in some places `curl`, `ip`, `ping` and a DHCP server.

use std::process::{Command, Stdio};

/// Debian's packages by the program that each brings.
const PACKAGES: [(&str, &str); 8] = [
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("curl", "curl"),
    ("ip", "iproute2"),
    ("chromium", "chromium"),
    ("ssh-keygen", "openssh-client"),
    ("ping", "iputils-ping"),
    ("dnsmasq", "dnsmasq-base"),
    ("gdb", "gdb"),
];

/// Installs what is missing, where that is possible, and otherwise says what to install. Never fails: tests that lack
/// something say so themselves.
pub(crate) fn install() {
    let missing: Vec<&str> = PACKAGES.iter().filter(|(program, _)| !is_here(program)).map(|(_, name)| *name).collect();
    if missing.is_empty() {
        return;
    }
    if !is_root() || !is_here("apt-get") {
        eprintln!("not installed, so some tests are skipped: {} (apt-get install {0})", missing.join(" "));
        return;
    }
    println!("installing {}", missing.join(" "));
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.args(["-qq", "-o=Dpkg::Use-Pty=0"]).args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
        command.stdin(Stdio::null()).stdout(Stdio::null()).status().is_ok_and(|status| status.success())
    };
    let install: Vec<&str> = ["install", "-y", "--no-install-recommends"].into_iter().chain(missing).collect();
    if !(apt(&["update"]) && apt(&install)) {
        eprintln!("apt-get cannot install them; some tests are skipped");
    }
}

/// Is there a program of this name on the path?
pub(crate) fn is_here(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Are we root?
pub(crate) fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output();
    output.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}
