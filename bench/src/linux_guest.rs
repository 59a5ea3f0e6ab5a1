//! The reference guest: Debian's cloud kernel with one static program as all its user space.
//!
//! The kernel package comes from Debian by `apt-get download`; the initial RAM disk holds the modules that virtio-net
//! over PCI needs, `bench-init` as `/init`, and the program to measure as `/program`. `cargo xtask nested` boots the same
//! kernel with other modules and another `/init`.

use crate::cpio::Archive;
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
    let mut archive = Archive::default();
    for directory in ["dev", "proc"] {
        archive.directory(directory);
    }
    archive.program("init", &read(init)?);
    archive.program("program", &read(program)?);
    kernel.add_modules(&MODULES, &mut archive)?;
    let name = program.file_name().context("the program has no file name")?.to_string_lossy().into_owned();
    let path = cache.join(format!("initrd-{name}.cpio"));
    fs::write(&path, archive.finish())?;
    Ok(path)
}

impl Kernel {
    /// Adds modules as `modules/00-NAME.ko` and so on: the order of their names is the order in which to load them. One
    /// that the package does not have is built into the kernel.
    pub fn add_modules(&self, modules: &[&str], archive: &mut Archive) -> Result<()> {
        archive.directory("modules");
        for (index, module) in modules.iter().enumerate() {
            let name = module.rsplit('/').next().unwrap_or(module);
            if let Some(data) = self.module(module)? {
                archive.file(&format!("modules/{index:02}-{name}"), &data);
            }
        }
        Ok(())
    }

    /// A module's bytes. Newer packages have it compressed (`.ko.xz`).
    fn module(&self, path: &str) -> Result<Option<Vec<u8>>> {
        let plain = self.modules.join(path);
        let compressed = self.modules.join(format!("{path}.xz"));
        if plain.exists() {
            return read(&plain).map(Some);
        }
        if !compressed.exists() {
            return Ok(None);
        }
        run(Command::new("xz").args(["--decompress", "--stdout"]).arg(compressed)).map(Some)
    }
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

/// Runs a command and gives its output.
fn run(command: &mut Command) -> Result<Vec<u8>> {
    let output = command.output().with_context(|| format!("cannot run {:?}", command.get_program()))?;
    if !output.status.success() {
        bail!("{:?}: {}", command, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(output.stdout)
}
