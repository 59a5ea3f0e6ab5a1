//! The folder that the linker looks into before it looks for the host's libraries: empty archives under the names that
//! std asks for, so that nothing of the host gets in, and where the program has no line of ours, the library OS as
//! `libc.a`. A linker script lies there too.
//!
//! Cargo does not know that it links what lies there. So the folder's name is a digest of its contents: another library
//! OS is another `-L` flag, and cargo links again.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::cargo::Cargo;
use super::package::Panic;
use super::sources::Sources;

/// What std, and crates after it, name on the linker's command line.
const NAMES: [&str; 9] = ["c", "m", "gcc", "gcc_eh", "gcc_s", "pthread", "dl", "rt", "util"];
/// An archive of nothing (`ar`'s magic string alone).
const EMPTY: &[u8] = b"!<arch>\n";
/// The linker script's name.
pub(super) const SCRIPT: &str = "sections.ld";
/// Only moves the tables for unwinding together, to the end of their segment, where sealing cuts them off an image that
/// never unwinds (`host/image`).
const SECTIONS: &[u8] =
    b"SECTIONS { .gcc_except_table : { *(.gcc_except_table .gcc_except_table.*) } } INSERT AFTER .eh_frame;\n";

/// The library OS as bytes of a `libc.a`.
pub(super) fn libc(cargo: &Cargo, sources: &Sources, panic: Panic, traced: bool) -> Result<Vec<u8>> {
    let archive = cargo.archive(sources, panic, traced)?;
    fs::read(&archive).with_context(|| format!("cannot read {}", archive.display()))
}

/// The folder, filled.
pub(super) fn folder(target: &Path, libc: Option<&[u8]>, panic: Panic) -> Result<PathBuf> {
    let files = files(libc, panic)?;
    let folder = target.join("link").join(digest(&files));
    if !folder.join("complete").is_file() {
        fill(&folder, &files)?;
    }
    Ok(folder)
}

/// The same for a project's tests, under a name that stays: the flags of all crates name it, and another library OS is no
/// reason to compile them anew. True if what lies there is another than before, so that what was linked with it is old.
pub(super) fn lasting_folder(target: &Path, libc: &[u8]) -> Result<(PathBuf, bool)> {
    let files = files(Some(libc), Panic::Unwind)?;
    let (folder, digest) = (target.join("link/tests"), digest(&files));
    let mark = folder.join("complete");
    if fs::read_to_string(&mark).is_ok_and(|found| found == digest) {
        return Ok((folder, false));
    }
    _ = fs::remove_file(&mark);
    fill(&folder, &files)?;
    fs::write(&mark, digest).with_context(|| format!("cannot write {}", mark.display()))?;
    Ok((folder, true))
}

fn digest(files: &BTreeMap<String, Vec<u8>>) -> String {
    let mut hasher = DefaultHasher::new();
    files.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

fn fill(folder: &Path, files: &BTreeMap<String, Vec<u8>>) -> Result<()> {
    let write = || {
        fs::create_dir_all(folder)?;
        for (name, bytes) in files {
            fs::write(folder.join(name), bytes)?;
        }
        fs::write(folder.join("complete"), [])
    };
    write().with_context(|| format!("cannot write {}", folder.display()))
}

fn files(libc: Option<&[u8]>, panic: Panic) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut files: BTreeMap<String, Vec<u8>> = NAMES.map(|name| (format!("lib{name}.a"), EMPTY.to_vec())).into();
    files.insert(SCRIPT.into(), SECTIONS.to_vec());
    if let Some(libc) = libc {
        files.insert("libc.a".into(), libc.to_vec());
    }
    if panic == Panic::Unwind {
        files.insert("libgcc_eh.a".into(), unwinder()?);
    }
    Ok(files)
}

/// The toolchain's unwinder, which panics that unwind need.
fn unwinder() -> Result<Vec<u8>> {
    let output = Command::new("cc")
        .arg("-print-file-name=libgcc_eh.a")
        .output()
        .context("cannot start cc; `ampoule doctor` says how to get it")?;
    let path = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if !path.starts_with('/') {
        bail!("the C compiler has no libgcc_eh.a: install gcc, or set `panic = \"abort\"` in the release profile");
    }
    fs::read(&path).with_context(|| format!("cannot read {path}"))
}
