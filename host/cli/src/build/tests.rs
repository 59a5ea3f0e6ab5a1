//! A project whose tests are to run in machines: what cargo has to be told, and where it builds them.
//!
//! Test programs are linked as any program without a line of ours: with the library OS as `libc.a`. It comes before them
//! in every case, with the whole table of system calls, since sizes do not matter here and a second link would.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use cargo_metadata::MetadataCommand;

use super::cargo::Cargo;
use super::package::Panic;
use super::sources::Sources;
use super::user::Question;
use super::{archives, flags};

/// What `cargo test` needs to be told.
#[derive(Clone, Debug)]
pub struct Tests {
    /// The compilation target.
    pub target: &'static str,
    /// Where cargo builds.
    pub target_folder: PathBuf,
    /// Compiler flags, the user's own among them.
    pub rustflags: Vec<String>,
    /// Flags for rustdoc, which compiles and links documentation's tests by itself.
    pub rustdocflags: Vec<String>,
    /// The exokernel's ELF file.
    pub exokernel: PathBuf,
}

/// Prepares the project that cargo finds with these arguments (`--manifest-path` and those that say how it is found and
/// configured). `target_folder` is the user's own, if one was named.
///
/// # Errors
/// Cargo finds no project, or the library OS does not build.
pub fn tests(cargo_arguments: &[String], target_folder: Option<&Path>) -> Result<Tests> {
    let question = Question::new();
    let cargo_target = project(cargo_arguments, &question)?;
    let sources = Sources::find()?;
    let cargo = Cargo::new();
    let libc = archives::libc(&cargo, &sources, Panic::Unwind, false)?;
    let exokernel = cargo.exokernel(&sources, false)?;
    let ours = cargo_target.join("ampoule");
    let target_folder = target_folder.map_or_else(|| ours.join("test"), Path::to_owned);
    let (folder, is_new) = archives::lasting_folder(&ours, &libc)?;
    if is_new {
        forget_programs(&target_folder.join(flags::TARGET))?;
    }
    Ok(Tests {
        target: flags::TARGET,
        rustflags: flags::tests(&question.answer()?, &folder),
        rustdocflags: flags::tests(&[], &folder),
        target_folder,
        exokernel,
    })
}

/// Cargo's target folder for the project; and cargo answers the question.
fn project(cargo_arguments: &[String], question: &Question) -> Result<PathBuf> {
    let mut command = MetadataCommand::new();
    for (name, value) in question.environment()? {
        command.env(name, value);
    }
    let mut others = vec!["--filter-platform".to_owned(), flags::TARGET.to_owned()];
    others.extend_from_slice(cargo_arguments);
    command.other_options(others);
    match command.exec() {
        Ok(metadata) => Ok(metadata.target_directory.into_std_path_buf()),
        Err(cargo_metadata::Error::CargoMetadata { stderr }) => {
            Err(anyhow!("{}", stderr.trim().trim_start_matches("error: ")))
        }
        Err(cargo_metadata::Error::Io(error)) => {
            Err(anyhow!("cannot start cargo: {error}; `ampoule doctor` says how to get it"))
        }
        Err(error) => Err(error).context("cargo cannot read the project"),
    }
}

/// Removes the programs that were linked with another library OS: cargo does not know that they are old, but links what
/// is not there. Everything that was only compiled stays.
fn forget_programs(folder: &Path) -> Result<()> {
    let folders = |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    for part in folders(folder).flat_map(|profile| ["deps", "examples"].map(|part| profile.join(part))) {
        for file in folders(&part).filter(|file| is_program(file)) {
            fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display()))?;
        }
    }
    Ok(())
}

fn is_program(file: &Path) -> bool {
    let is_executable = |data: fs::Metadata| data.is_file() && data.permissions().mode() & 0o100 != 0;
    file.extension().is_none() && fs::metadata(file).is_ok_and(is_executable)
}
