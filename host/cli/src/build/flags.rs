//! The compiler's and the linker's flags. Everything that makes an image out of an ordinary program is here.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::archives;
use super::package::{Package, Panic};
use super::sources::Sources;
use super::traced;
use super::user;

/// The target: the one whose prebuilt std asks for the libc symbols that the library OS offers.
pub(super) const TARGET: &str = "x86_64-unknown-linux-gnu";

/// How every crate of an image is compiled: for a static position-independent file, and with frame pointers, which are
/// all that a backtrace has where there is no unwinder.
const COMPILE: [&str; 4] =
    ["-Ctarget-feature=+crt-static", "-Crelocation-model=pie", "-Cforce-frame-pointers=yes", OF_AN_IMAGE];
/// Has the crate `ampoule` bring the library OS.
const OF_AN_IMAGE: &str = "--cfg=ampoule_image";

/// Has it bring along what tells of its calls.
const OF_A_TRACED_IMAGE: &str = "--cfg=ampoule_trace";

/// How the program is linked: without the host's start files and libraries, relocated by whoever loads it, with what
/// relocation writes to set apart so that it can be sealed, and with nothing in the file that varies.
const LINK: [&str; 10] = [
    "-nostartfiles",
    "-nostdlib",
    "-static-pie",
    "-Wl,-z,relro,-z,now",
    "-Wl,-z,pack-relative-relocs",
    "-Wl,--no-dynamic-linker",
    "-Wl,--build-id=none",
    "-Wl,--gc-sections",
    // Of functions with the same code, and there are many where generic code is compiled for size, one is enough. (lld's
    // option: Rust's linker for this target.)
    SMALLER[0],
    SMALLER[1],
];
/// Those of them that only make the image smaller.
const SMALLER: [&str; 2] = ["-Wl,-O2", "-Wl,--icf=all"];

/// Gives the weak symbols that the library OS calls by (`os/machine`, `os/libc`) their functions.
const RAW_SYSTEM_CALLS: [&str; 2] =
    ["-Wl,--defsym=ampoule_syscall_entry=ampoule_syscall", "-Wl,--defsym=ampoule_syscall_rest=ampoule_syscall_all"];
/// The same for a program that makes system calls by number, but only through the C function.
const CALLS_BY_NUMBER: &str = "-Wl,--defsym=ampoule_syscall_rest=ampoule_syscall_few";

/// The same for a program with files: the tree of names gets in (`os/libc/src/fs`).
const FILES: &str = "-Wl,--defsym=ampoule_files=ampoule_files_tree";

/// What a program needs of the library OS that the linker does not see by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wants {
    /// It holds `syscall` instructions.
    pub(super) raw_system_calls: bool,
    /// Files are sealed in, or it may make some.
    pub(super) files: bool,
}

impl Wants {
    /// What either wants.
    pub(super) fn and(self, other: Wants) -> Wants {
        Wants { raw_system_calls: self.raw_system_calls || other.raw_system_calls, files: self.files || other.files }
    }
}

/// Flags for every crate of the program.
pub(super) fn program(package: &Package, sources: &Sources) -> Result<Vec<String>> {
    let mut flags: Vec<String> = COMPILE.map(str::to_owned).to_vec();
    flags.extend(package.traced.then(|| OF_A_TRACED_IMAGE.to_owned()));
    flags.extend(remap(&folders(package, sources)?));
    Ok(user::joined(&package.user_flags, flags))
}

/// The folders of the program's crates, each with the name that is written instead. Of several that fit a path the last one
/// counts.
pub(super) fn folders(package: &Package, sources: &Sources) -> Result<Vec<(PathBuf, String)>> {
    let outside = package.outside.iter().map(|(name, folder)| (folder.clone(), format!("/outside/{name}")));
    let mut folders: Vec<(PathBuf, String)> = outside.collect();
    folders.push((package.workspace.clone(), "/program".into()));
    folders.push((sources.root().to_owned(), "/ampoule".into()));
    // Where the program lies in the tree of the library OS, its own name counts.
    if package.workspace.starts_with(sources.root()) {
        folders.push((package.workspace.clone(), "/program".into()));
    }
    folders.push((package.target_folder(), "/target".into()));
    with_everyone_s(folders)
}

/// A folder's name as it is written.
pub(super) fn written(folders: &[(PathBuf, String)], folder: &Path) -> String {
    let known = folders.iter().rev().find_map(|(root, name)| Some((folder.strip_prefix(root).ok()?, name)));
    match known {
        Some((below, name)) if below.as_os_str().is_empty() => name.clone(),
        Some((below, name)) => format!("{name}/{}", below.display()),
        None => folder.display().to_string(),
    }
}

/// The compiler, as it names itself.
pub(super) fn compiler() -> Result<String> {
    Ok(rustc(&["-V"])?.trim().to_owned())
}

/// Flags for every crate of a project whose tests are to run in machines, the last link included. Files keep their names
/// as on Linux, and functions of the same code stay apart: tests compare them.
pub(super) fn tests(user_flags: &[String], folder: &Path) -> Vec<String> {
    let mut flags: Vec<String> =
        COMPILE.iter().filter(|flag| **flag != OF_AN_IMAGE).map(|&flag| flag.to_owned()).collect();
    flags.extend(place(folder));
    flags.extend(LINK.iter().filter(|flag| !SMALLER.contains(flag)).map(|flag| format!("-Clink-arg={flag}")));
    flags.extend(RAW_SYSTEM_CALLS.iter().chain([&FILES]).map(|flag| format!("-Clink-arg={flag}")));
    user::joined(user_flags, flags)
}

/// Flags for the library OS as an archive. Where panics unwind, the unwinder is the toolchain's, and not in it.
pub(super) fn archive(sources: &Sources, panic: Panic, traced: bool) -> Result<Vec<String>> {
    let mut flags: Vec<String> = COMPILE.map(str::to_owned).to_vec();
    flags.extend((panic == Panic::Unwind).then(|| "--cfg=ampoule_unwind".to_owned()));
    flags.extend(traced.then(|| OF_A_TRACED_IMAGE.to_owned()));
    flags.extend(remap(&with_everyone_s(own(sources))?));
    Ok(flags)
}

/// Flags for the exokernel: code for ring 0, at the address its linker script gives, that keeps nothing below the stack
/// pointer, where an interrupt would overwrite it.
pub(super) fn exokernel(sources: &Sources) -> Result<Vec<String>> {
    let mut flags: Vec<String> =
        ["-Crelocation-model=static", "-Cno-redzone=yes", "-Ctarget-feature=+crt-static"].map(str::to_owned).to_vec();
    flags.extend(remap(&with_everyone_s(own(sources))?));
    Ok(flags)
}

fn own(sources: &Sources) -> Vec<(PathBuf, String)> {
    vec![(sources.root().to_owned(), "/ampoule".into()), (sources.target_folder(), "/target".into())]
}

/// Flags for the program's own crate alone: those of the last link. A program with raw system calls gets the function that
/// they end up in, and the whole table behind it; others must not have it, for it reaches everything there is.
pub(super) fn link(package: &Package, folder: &Path, wants: Wants) -> Vec<String> {
    let mut flags = place(folder);
    flags.extend(LINK.map(|flag| format!("-Clink-arg={flag}")));
    if wants.raw_system_calls {
        let flag_of =
            |flag| if flag == RAW_SYSTEM_CALLS[0] && package.traced { traced::RAW_SYSTEM_CALLS } else { flag };
        flags.extend(RAW_SYSTEM_CALLS.map(|flag| format!("-Clink-arg={}", flag_of(flag))));
    } else if package.calls_by_number {
        flags.push(format!("-Clink-arg={CALLS_BY_NUMBER}"));
    }
    flags.extend(wants.files.then(|| format!("-Clink-arg={FILES}")));
    flags
}

/// Where the linker finds the library OS and its own script.
fn place(folder: &Path) -> Vec<String> {
    let script = folder.join(archives::SCRIPT);
    vec![format!("-Lnative={}", folder.display()), "-Clink-arg=-T".into(), format!("-Clink-arg={}", script.display())]
}

/// Gives every folder that may show up in the image a name that is the same everywhere.
fn remap(folders: &[(PathBuf, String)]) -> Vec<String> {
    folders.iter().map(|(folder, name)| format!("--remap-path-prefix={}={name}", folder.display())).collect()
}

/// These folders, and those that every crate may come from.
fn with_everyone_s(folders: Vec<(PathBuf, String)>) -> Result<Vec<(PathBuf, String)>> {
    let home = cargo_home()?;
    let registries = home.join("registry/src");
    let mut all = vec![(home, "/cargo".to_owned())];
    // Short, because every panic names its file.
    let registries = std::fs::read_dir(registries).into_iter().flatten().flatten();
    let mut registries: Vec<_> = registries.map(|entry| (entry.path(), "/crates".to_owned())).collect();
    registries.sort();
    all.extend(registries);
    all.extend(folders);
    all.extend(standard_library()?);
    // One in another has its own name, whichever it is: Cargo's home in the program's folder, or the other way round.
    all.sort_by_key(|(folder, _)| folder.components().count());
    Ok(all)
}

pub(super) fn cargo_home() -> Result<PathBuf> {
    let home = || env::home_dir().map(|home| home.join(".cargo"));
    env::var_os("CARGO_HOME").map(PathBuf::from).or_else(home).context("there is neither CARGO_HOME nor HOME")
}

/// The standard library's sources, where they are installed: rustc then names them by their place on this computer,
/// and otherwise by their place in its repository.
fn standard_library() -> Result<Option<(PathBuf, String)>> {
    let folder = Path::new(rustc(&["--print", "sysroot"])?.trim()).join("lib/rustlib/src/rust");
    if !folder.is_dir() {
        return Ok(None);
    }
    let version = rustc(&["-vV"])?;
    let commit = version.lines().find_map(|line| line.strip_prefix("commit-hash: ")).unwrap_or("unknown");
    Ok(Some((folder, format!("/rustc/{commit}"))))
}

fn rustc(arguments: &[&str]) -> Result<String> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc)
        .args(arguments)
        .output()
        .context("cannot start rustc; `ampoule doctor` says how to get it")?;
    String::from_utf8(output.stdout).context("rustc answers in no UTF-8")
}
