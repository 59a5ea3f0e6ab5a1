//! Unsafe code stays where it belongs: the compiler forbids it in every other crate, and this checks that each crate says
//! so. Every file also opens with what it is. (That each unsafe block says why it is sound, clippy holds.)

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use cargo_metadata::MetadataCommand;

/// Crates that may have unsafe code: the CPU, memory, the ring, the C edge, ring 0, the tender's half of a device,
/// the program's memory for a trace of it, the fuzzed guest's, and the first process of the Linux guest that the benchmark compares with.
const MAY: [&str; 15] = [
    "ampoule-abi",
    "ampoule-archive",
    "ampoule-bench-init",
    "ampoule-device",
    "ampoule-exokernel",
    "ampoule-fuzz-bodies",
    "ampoule-host-device",
    "ampoule-libc",
    "ampoule-machine",
    "ampoule-memory",
    "ampoule-monitor",
    "ampoule-sync",
    "ampoule-thread",
    "ampoule-trace",
    "ampoule-virtio",
];

/// Fails naming every crate and file that breaks the rule.
pub(crate) fn check() -> Result<()> {
    let metadata = MetadataCommand::new().no_deps().exec()?;
    let mut wrong = Vec::new();
    let mut count = 0;
    for package in &metadata.packages {
        let may = MAY.contains(&package.name.as_str());
        for target in
            package.targets.iter().filter(|target| target.is_lib() || target.is_bin() || target.is_staticlib())
        {
            let text = read(target.src_path.as_std_path())?;
            if !may && !text.contains("#![forbid(unsafe_code)]") {
                wrong.push(format!("{} does not say #![forbid(unsafe_code)]", target.src_path));
            }
        }
        let folder = package.manifest_path.as_std_path().parent().context("a package has a folder")?;
        for file in rust_files(&folder.join("src"))? {
            count += 1;
            if !read(&file)?.starts_with("//!") {
                wrong.push(format!("{} does not open with //!", file.display()));
            }
        }
    }
    if !wrong.is_empty() {
        bail!("{}", wrong.join("\n       "));
    }
    println!("unsafe-check: {count} files are where they belong");
    Ok(())
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

fn rust_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}
