//! A network namespace with a tap device in it, made for one run and removed after it. Needs root and `ip`.

use anyhow::{Context, Result, bail};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// The address of the namespace's own end of the tap.
pub const HOST_ADDRESS: &str = "10.99.0.1";
/// The address that guests take.
pub const GUEST_ADDRESS: &str = "10.99.0.2";

/// A namespace; dropping it removes it and what is in it.
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// Makes a namespace with a tap named `tap0`, addressed [`HOST_ADDRESS`]/24.
    pub fn new() -> Result<Self> {
        let namespace = Self::bare()?;
        namespace.ip(&format!("addr add {HOST_ADDRESS}/24 dev tap0"))?;
        namespace.ip("link set tap0 up")?;
        Ok(namespace)
    }

    /// Makes a namespace with a tap named `tap0` that has no address and is not up.
    pub fn bare() -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("ampoule-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        ip(&["netns", "add", &name])?;
        let namespace = Namespace { name };
        namespace.ip("link set lo up")?;
        namespace.ip("tuntap add dev tap0 mode tap")?;
        Ok(namespace)
    }

    /// Runs `ip` inside; `line` is its words.
    pub fn ip(&self, line: &str) -> Result<()> {
        let mut all = vec!["-n", &self.name];
        all.extend(line.split(' '));
        ip(&all)
    }

    /// What stands before the words of a command that is to run inside.
    pub fn prefix(&self) -> [&str; 4] {
        ["ip", "netns", "exec", &self.name]
    }

    /// A command that runs `program` inside.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let [ip, rest @ ..] = self.prefix();
        let mut command = Command::new(ip);
        command.args(rest).arg(program);
        command
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // Nobody is left to tell; a namespace that stays is visible in `ip netns` and harms nothing.
        let _ = ip(&["netns", "del", &self.name]);
    }
}

fn ip(arguments: &[&str]) -> Result<()> {
    let output = Command::new("ip").args(arguments).output().context("cannot run `ip`: install iproute2")?;
    if !output.status.success() {
        bail!("ip {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
