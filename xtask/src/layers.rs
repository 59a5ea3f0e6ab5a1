//! Dependencies point one way. This holds it, over what cargo says of the workspace.
//!
//! `libc → posix → {net, hostnet, fs, thread, memory} → device ← virtio → machine → abi`; the host and the guest meet only in
//! `abi`; a service never names a driver.

use anyhow::{Result, bail};
use cargo_metadata::{DependencyKind, MetadataCommand};

/// Each crate, and the crates of ours that it may name. What is not in the table may name none.
const ALLOWED: [(&str, &[&str]); 24] = [
    ("ampoule-abi", &[]),
    ("ampoule-exokernel", &["ampoule-abi"]),
    // the library OS, from the CPU up
    ("ampoule-machine", &["ampoule-abi"]),
    ("ampoule-sync", &["ampoule-abi", "ampoule-machine"]),
    ("ampoule-memory", &["ampoule-abi", "ampoule-machine", "ampoule-sync"]),
    ("ampoule-thread", &["ampoule-abi", "ampoule-machine", "ampoule-sync", "ampoule-memory"]),
    ("ampoule-device", &["ampoule-abi"]),
    ("ampoule-virtio", &["ampoule-abi", "ampoule-device", "ampoule-machine", "ampoule-memory", "ampoule-sync"]),
    ("ampoule-fs", &["ampoule-abi", "ampoule-machine", "ampoule-memory", "ampoule-sync"]),
    ("ampoule-net", STACK),
    ("ampoule-hostnet", STACK),
    (
        "ampoule-posix",
        &[
            "ampoule-abi",
            "ampoule-device",
            "ampoule-machine",
            "ampoule-memory",
            "ampoule-sync",
            "ampoule-thread",
            "ampoule-fs",
            "ampoule-net",
            "ampoule-hostnet",
        ],
    ),
    // the doors: they bring the drivers along, for the linker to choose from
    (
        "ampoule-libc",
        &[
            "ampoule-abi",
            "ampoule-device",
            "ampoule-machine",
            "ampoule-memory",
            "ampoule-sync",
            "ampoule-thread",
            "ampoule-posix",
            "ampoule-virtio",
        ],
    ),
    // stands between the program and that door, in traced images
    ("ampoule-trace", &["ampoule-abi", "ampoule-machine", "ampoule-sync", "ampoule-thread", "ampoule-libc"]),
    ("ampoule-archive", &["ampoule-abi", "ampoule-libc", "ampoule-machine", "ampoule-memory", "ampoule-trace"]),
    ("ampoule", &["ampoule-libc", "ampoule-trace"]),
    // the host
    ("ampoule-host-device", &["ampoule-abi"]),
    ("ampoule-image", &["ampoule-abi"]),
    ("ampoule-monitor", &["ampoule-abi", "ampoule-host-device", "ampoule-image"]),
    ("ampoule-fleet", &[]),
    ("ampoule-cli", &["ampoule-abi", "ampoule-fleet", "ampoule-image", "ampoule-monitor"]),
    // those who build and measure
    (
        "ampoule-tests",
        // The seams' test doubles, for a relay between a machine and Linux has the simulated link's faults.
        &["ampoule-abi", "ampoule-image", "ampoule-monitor", "ampoule-cli", "ampoule-bench", "ampoule-device"],
    ),
    (
        "ampoule-fuzz-bodies",
        // The stack, for what it reads is the network's.
        &["ampoule-abi", "ampoule-cli", "ampoule-host-device", "ampoule-image", "ampoule-monitor", "ampoule-net"],
    ),
    ("xtask", &["ampoule-bench", "ampoule-cli", "ampoule-image", "ampoule-tests"]),
];

const STACK: &[&str] =
    &["ampoule-abi", "ampoule-device", "ampoule-machine", "ampoule-memory", "ampoule-sync", "ampoule-thread"];

/// Fails naming every edge that points the wrong way.
pub(crate) fn check() -> Result<()> {
    let metadata = MetadataCommand::new().no_deps().exec()?;
    let ours: Vec<&str> = metadata.packages.iter().map(|package| package.name.as_str()).collect();
    let mut wrong = Vec::new();
    for package in &metadata.packages {
        let allowed = allowed(package.name.as_str());
        for dependency in &package.dependencies {
            let is_ours = ours.contains(&dependency.name.as_str());
            // A crate's tests may use whatever they like, save what would make a circle, and cargo refuses that.
            let is_built_in = dependency.kind != DependencyKind::Development;
            if is_ours && is_built_in && !allowed.contains(&dependency.name.as_str()) {
                wrong.push(format!("{} -> {}", package.name, dependency.name));
            }
        }
    }
    if !wrong.is_empty() {
        bail!("dependencies that the layers do not allow (xtask/src/layers.rs): {}", wrong.join(", "));
    }
    println!("layers: {} crates depend one way", ours.len());
    Ok(())
}

fn allowed(name: &str) -> &'static [&'static str] {
    ALLOWED.iter().find(|(package, _)| *package == name).map_or(&[], |(_, allowed)| allowed)
}
