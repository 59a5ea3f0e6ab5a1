//! From a Cargo package to a sealed image.
//!
//! Plain cargo links the program: [`flags`] makes it one static position-independent ELF without the host's libc, and
//! puts a folder of our archives ([`archives`]) where the linker looks for it. There are two ways for the library OS to
//! get in. A package that depends on the crate `ampoule` has it among its crates, and link-time optimisation crosses
//! all of them; any other finds it in `libc.a`, with no change to its source. Then [`ampoule_image::seal`] makes the
//! image.
//!
//! Paths are remapped, and nothing takes the time or the folder's name, so the same sources give the same bytes.
//!
//! [`ampoule_image::seal`]: image::seal

mod archives;
mod c_symbols;
mod cargo;
mod flags;
mod missing;
mod package;
mod record;
mod sources;
mod unsafety;
mod wrapper;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::arguments::BuildOptions;
use crate::manifest;
use crate::size::Size;
use cargo::Cargo;
pub use package::{Package, Panic, Way};
pub use sources::Sources;
pub use wrapper::perform as perform_as_wrapper;

/// What a build has made.
#[derive(Clone, Debug)]
pub struct Built {
    /// The sealed image.
    pub image: PathBuf,
    /// The file that gives its addresses names.
    pub debug: PathBuf,
}

/// Builds the package in `folder`, or the package `name` of the workspace there, and seals it. The image goes to
/// `output`, or into the target folder. On a terminal, progress goes to standard error.
pub fn build(folder: &Path, name: Option<&str>, options: &BuildOptions, output: Option<&Path>) -> Result<Built> {
    let cargo_toml = folder.join("Cargo.toml");
    if cargo_toml.is_file() {
        // Before cargo reads it: our messages name file, line and key.
        manifest::read(&cargo_toml, "", "")?;
    }
    let package = Package::find(folder, name, options)?;
    let manifest = manifest::read(&package.cargo_toml, &package.name, &package.version)?;
    let sources = Sources::find()?;
    let cargo = Cargo::new();
    let elf = link(&package, &sources, &cargo, options)?;
    let exokernel = cargo.exokernel(&sources)?;
    let record = record::record(&package, &sources)?;
    seal(&package, &manifest, &record, &elf, &exokernel, output)
}

/// The program as cargo links it.
///
/// Whether it holds raw system calls, and so needs the whole table of them, only the linked program tells. What it told the
/// last time is remembered, so that there is a second link only when that changes.
fn link(package: &Package, sources: &Sources, cargo: &Cargo, options: &BuildOptions) -> Result<PathBuf> {
    let target = package.target_folder();
    let archive = match package.way {
        Way::Line => None,
        Way::Archive => Some(archives::libc(cargo, sources, package.panic)?),
    };
    let folder = archives::folder(&target, archive.as_deref(), package.panic)?;
    let remembered = target.join("link").join(format!("{}.raw-system-calls", package.bin));
    let had_raw = remembered.is_file();
    let elf = cargo.program(package, sources, options, &flags::link(package, &folder, had_raw))?;
    let bytes = fs::read(&elf).with_context(|| format!("cannot read {}", elf.display()))?;
    let has_raw = image::raw_system_calls(&bytes).with_context(|| format!("cannot seal {}", package.name))? != 0;
    if has_raw == had_raw {
        return Ok(elf);
    }
    let remember = if has_raw { fs::write(&remembered, []) } else { fs::remove_file(&remembered) };
    remember.with_context(|| format!("cannot change {}", remembered.display()))?;
    cargo.program(package, sources, options, &flags::link(package, &folder, has_raw))
}

fn seal(
    package: &Package,
    manifest: &abi::manifest::Manifest,
    record: &image::record::Record,
    elf: &Path,
    exokernel: &Path,
    output: Option<&Path>,
) -> Result<Built> {
    let read = |path: &Path| fs::read(path).with_context(|| format!("cannot read {}", path.display()));
    let (elf, exokernel) = (read(elf)?, read(exokernel)?);
    let unwind = package.panic == Panic::Unwind;
    let fault = || format!("cannot seal {}", package.name);
    let symbols = if unwind { image::debug::symbol_file(&elf).with_context(fault)? } else { Vec::new() };
    let input = image::SealInput { elf: &elf, manifest, exokernel: Some(&exokernel), symbols: &symbols, unwind };
    let sealed = image::seal(&input).with_context(fault)?;
    let image = output.map_or_else(|| package.target_folder().join(format!("{}.img", package.bin)), PathBuf::from);
    let debug = image.with_extension("debug");
    write(&image, &sealed.bytes)?;
    write(&debug, &image::debug::write(&elf, &sealed, Some(record)))?;
    cargo::say("Sealed", &format!("{} ({})", image.display(), Size(sealed.bytes.len() as u64)));
    Ok(Built { image, debug })
}

/// Writes a file whole or not at all, so that a running machine keeps the image it started from.
fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let fresh = path.with_extension(format!("{}.tmp", std::process::id()));
    fs::write(&fresh, bytes)
        .and_then(|()| fs::rename(&fresh, path))
        .inspect_err(|_| _ = fs::remove_file(&fresh))
        .with_context(|| format!("cannot write {}", path.display()))
}
