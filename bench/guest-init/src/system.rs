//! What both first processes do: mount file systems, load modules.

use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::path::PathBuf;

use anyhow::{Context, Result};
use rustix::mount::{MountFlags, mount as mount_file_system};
use rustix::system::finit_module;

/// Mounts a file system of the kernel's own.
pub(crate) fn mount(kind: &str, at: &str) -> Result<()> {
    mount_file_system(kind, at, kind, MountFlags::empty(), None).with_context(|| format!("mounting {at}"))
}

/// Loads what is in `/modules`, in the order of the names (`00-NAME.ko`), and gives the failures. Parameters are those that
/// the kernel's command line has as `NAME.PARAMETER=VALUE`, as modprobe(8) takes them.
pub(crate) fn load_modules(command_line: &str) -> Result<Vec<(PathBuf, io::Error)>> {
    let mut modules: Vec<PathBuf> =
        fs::read_dir("/modules")?.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
    modules.sort();
    let mut failures = Vec::new();
    for module in modules {
        let name = module.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let name = name.split_once('-').map_or(name.as_str(), |(_, name)| name).replace('-', "_");
        let parameters = CString::new(parameters(&name, command_line)).context("a parameter has a zero byte")?;
        if let Err(error) = finit_module(File::open(&module)?, &parameters, 0) {
            failures.push((module, error.into()));
        }
    }
    Ok(failures)
}

/// What the command line has for one module.
fn parameters(module: &str, command_line: &str) -> String {
    let own = command_line.split_whitespace().filter_map(|word| word.strip_prefix(module)?.strip_prefix('.'));
    own.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::parameters;

    #[test]
    fn each_module_gets_its_own_parameters() {
        let line = "console=ttyS0 kvm_amd.npt=0 kvm.x=1 kvm_amd.nested=1";
        assert_eq!(parameters("kvm_amd", line), "npt=0 nested=1");
        assert_eq!(parameters("kvm", line), "x=1");
        assert_eq!(parameters("irqbypass", line), "");
    }
}
