//! The reference guest: Debian's cloud kernel with one static program as all its user space.
//!
//! The kernel package comes from Debian by `apt-get download`; the initial RAM disk holds the modules that virtio-net
//! over PCI needs, `bench-init` as `/init`, and the program to measure as `/program`.

use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Modules in the order in which they must be loaded, below `lib/modules/VERSION/kernel`.
const MODULES: [&str; 9] = [
    "drivers/virtio/virtio_ring.ko",
    "drivers/virtio/virtio.ko",
    "drivers/virtio/virtio_pci_modern_dev.ko",
    "drivers/virtio/virtio_pci_legacy_dev.ko",
    "drivers/virtio/virtio_pci.ko",
    "drivers/virtio/virtio_mmio.ko",
    "net/core/failover.ko",
    "drivers/net/net_failover.ko",
    "drivers/net/virtio_net.ko",
];

/// An unpacked kernel.
pub struct Kernel {
    /// The bzImage.
    pub image: PathBuf,
    modules: PathBuf,
}

/// Finds the kernel under `cache`, or downloads and unpacks it there.
pub fn kernel(cache: &Path) -> Result<Kernel> {
    let tree = cache.join("linux");
    if !tree.join("boot").is_dir() {
        fs::create_dir_all(&tree)?;
        let package = package_name()?;
        run(Command::new("apt-get").args(["download", &package]).current_dir(cache))?;
        let file = fs::read_dir(cache)?
            .filter_map(|entry| entry.ok().map(|e| e.path()))
            .find(|path| path.extension().is_some_and(|e| e == "deb") && path.to_string_lossy().contains(&package))
            .context("apt-get download left no package")?;
        run(Command::new("dpkg-deb").arg("-x").arg(file).arg(&tree))?;
    }
    let image = entry_starting(&tree.join("boot"), "vmlinuz")?;
    let version = entry_starting(&tree.join("lib/modules"), "")?;
    Ok(Kernel { image, modules: version.join("kernel") })
}

/// Writes an initial RAM disk with `init` and `program`, and gives its path.
pub fn initrd(kernel: &Kernel, cache: &Path, init: &Path, program: &Path) -> Result<PathBuf> {
    let mut archive = Vec::new();
    for directory in ["dev", "proc", "modules"] {
        cpio_entry(&mut archive, directory, 0o040_755, &[]);
    }
    cpio_entry(&mut archive, "init", 0o100_755, &read(init)?);
    cpio_entry(&mut archive, "program", 0o100_755, &read(program)?);
    for (index, module) in MODULES.iter().enumerate() {
        let path = kernel.modules.join(module);
        if path.exists() {
            cpio_entry(&mut archive, &format!("modules/{index:02}.ko"), 0o100_644, &read(&path)?);
        }
    }
    cpio_entry(&mut archive, "TRAILER!!!", 0, &[]);
    let name = program.file_name().context("the program has no file name")?.to_string_lossy().into_owned();
    let path = cache.join(format!("initrd-{name}.cpio"));
    fs::write(&path, archive)?;
    Ok(path)
}

/// One entry in the "newc" format: thirteen eight-digit hexadecimal fields, the name, the data, each padded to four bytes.
fn cpio_entry(archive: &mut Vec<u8>, name: &str, mode: u32, data: &[u8]) {
    let fields = [0, mode, 0, 0, 1, 0, data.len() as u32, 0, 0, 0, 0, name.len() as u32 + 1, 0];
    archive.extend_from_slice(b"070701");
    for field in fields {
        archive.extend_from_slice(format!("{field:08x}").as_bytes());
    }
    archive.extend_from_slice(name.as_bytes());
    archive.push(0);
    archive.resize(archive.len().next_multiple_of(4), 0);
    archive.extend_from_slice(data);
    archive.resize(archive.len().next_multiple_of(4), 0);
}

fn package_name() -> Result<String> {
    let output = Command::new("apt-cache")
        .args(["depends", "linux-image-cloud-amd64"])
        .output()
        .context("cannot run apt-cache")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let name =
        text.split_whitespace().find(|word| word.starts_with("linux-image-") && *word != "linux-image-cloud-amd64");
    name.map(str::to_owned).context("Debian's package lists name no cloud kernel; run `apt-get update` first")
}

fn entry_starting(directory: &Path, prefix: &str) -> Result<PathBuf> {
    fs::read_dir(directory)
        .with_context(|| format!("cannot read {}", directory.display()))?
        .filter_map(|entry| entry.ok().map(|e| e.path()))
        .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix)))
        .with_context(|| format!("nothing in {} starts with `{prefix}`", directory.display()))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("cannot run {:?}", command.get_program()))?;
    if !output.status.success() {
        bail!("{:?}: {}", command, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
