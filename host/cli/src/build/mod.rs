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
mod files;
mod flags;
mod lock;
mod missing;
mod package;
mod profile;
pub(crate) mod program;
mod record;
mod sources;
mod tests;
mod traced;
mod unsafety;
mod user;
mod wrapper;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::arguments::BuildOptions;
use crate::manifest;
use crate::size::Size;
use cargo::Cargo;
use flags::Wants;
pub use package::{Package, Panic, Program, Way};
pub use sources::Sources;
pub use tests::{Tests, tests};
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
    let mut manifest = manifest::read(&package.cargo_toml, &package.name, &package.version)?;
    if package.traced {
        traced::mark(&mut manifest);
    }
    let rules = manifest::read_files(&package.cargo_toml)?;
    let files = files::pack(&package.cargo_toml, &rules, package.cargo_target())?;
    let sources = Sources::find()?;
    let cargo = Cargo::new();
    let elf = link(&package, &sources, &cargo, !files.is_empty())?;
    let exokernel = cargo.exokernel(&sources, package.traced)?;
    let record = record::record(&package, &sources)?;
    seal(&package, &manifest, &files, &record, &elf, &exokernel, output)
}

/// Builds the exokernel. Gives the ELF file.
///
/// # Errors
/// It does not build.
pub fn exokernel() -> Result<PathBuf> {
    Cargo::new().exokernel(&Sources::find()?, false)
}

/// The program as cargo links it.
///
/// Whether it holds raw system calls, and so needs the whole table of them, and whether it may make files, only the linked
/// program tells. What it told the last time is remembered, so that there is a second link only when that changes.
fn link(package: &Package, sources: &Sources, cargo: &Cargo, has_files: bool) -> Result<PathBuf> {
    let target = package.target_folder();
    let archive = match package.way {
        Way::Line => None,
        Way::Archive => Some(archives::libc(cargo, sources, package.panic, package.traced)?),
    };
    let folder = archives::folder(&target, archive.as_deref(), package.panic)?;
    let wraps = if package.traced { traced::wraps(sources)? } else { Vec::new() };
    let remembered = |what: &str| target.join("link").join(format!("{}.{what}", package.stem()));
    let (raw, files) = (remembered("raw-system-calls"), remembered("makes-files"));
    let hint = Wants { raw_system_calls: raw.is_file(), files: has_files || files.is_file() };
    let least = Wants { raw_system_calls: false, files: has_files };
    let (mut wants, mut is_hint) = (hint, true);
    let elf = loop {
        let link = [flags::link(package, &folder, wants), wraps.clone()].concat();
        let elf = cargo.program(package, sources, &link)?;
        let found = found(package, &elf, has_files)?;
        if found == wants {
            break elf;
        }
        // From the least on only more is taken along: bytes that look like a system call come and go with the layout, and
        // what is wanted would do so with them, for ever. Nor does the image depend on what was built before.
        let next = if is_hint { least } else { wants.and(found) };
        if next == wants && !is_hint {
            break elf;
        }
        is_hint = false;
        wants = next;
    };
    remember(&raw, wants.raw_system_calls)?;
    remember(&files, wants.files && !has_files)?;
    Ok(elf)
}

/// What a linked program tells that it needs.
fn found(package: &Package, elf: &Path, has_files: bool) -> Result<Wants> {
    let bytes = fs::read(elf).with_context(|| format!("cannot read {}", elf.display()))?;
    let fault = || format!("cannot seal {}", package.name);
    let raw_system_calls = image::raw_system_calls(&bytes).with_context(fault)? != 0;
    // The whole table of calls has those that make files in it.
    let files = has_files || raw_system_calls || image::may_make_files(&bytes).with_context(fault)?;
    Ok(Wants { raw_system_calls, files })
}

/// Notes by a file's being there that something is so.
fn remember(file: &Path, is_so: bool) -> Result<()> {
    let changed = match (is_so, file.is_file()) {
        (true, false) => fs::write(file, []),
        (false, true) => fs::remove_file(file),
        _ => return Ok(()),
    };
    changed.with_context(|| format!("cannot change {}", file.display()))
}

fn seal(
    package: &Package,
    manifest: &abi::manifest::Manifest,
    files: &[u8],
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
    let exokernel = Some(exokernel.as_slice());
    let input = image::SealInput { elf: &elf, manifest, exokernel, symbols: &symbols, files, unwind };
    let sealed = image::seal(&input).with_context(fault)?;
    let image = output.map_or_else(|| package.target_folder().join(format!("{}.img", package.stem())), PathBuf::from);
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
