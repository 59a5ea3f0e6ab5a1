//! `cargo xtask reproduce`: does anything but the sources get into an image?
//!
//! It builds the same examples twice and makes as much different as it can: the folder, the time, the files' dates, the time
//! zone, the language, the umask, the number of jobs, the user and his home with Cargo's. Then it compares the images and their
//! debug files byte by byte. What cannot be made different on this computer is said.

mod clock;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use ampoule_tests::copy::Copy;
use ampoule_tests::tool;
use anyhow::{Context, Result, bail, ensure};
use image::Image;

use crate::setup;
use clock::Clock;

/// An ordinary program and one with our line in it.
const EXAMPLES: [&str; 2] = ["hello", "hello-oneline"];

/// What surrounds a build.
struct Surroundings {
    name: &'static str,
    locale: &'static str,
    zone: &'static str,
    umask: &'static str,
    jobs: String,
    /// Whether the builder has a home of his own, and the files are old.
    is_elsewhere: bool,
    /// Programs, with their arguments, that start the one after them elsewhere.
    starters: Vec<&'static str>,
}

/// Builds twice and compares.
pub(crate) fn run(examples: &[&str]) -> Result<()> {
    let examples = if examples.is_empty() { &EXAMPLES[..] } else { examples };
    for example in examples {
        let folder = tool::root().join("examples").join(example);
        ensure!(folder.join("Cargo.toml").is_file(), "no example `{example}`");
    }
    setup::install();
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let here = Surroundings {
        name: "ampoule one",
        locale: "C",
        zone: "UTC",
        umask: "022",
        jobs: "1".into(),
        is_elsewhere: false,
        starters: Vec::new(),
    };
    let there = Surroundings {
        name: "ampoule two, elsewhere",
        locale: "C.UTF-8",
        zone: "Pacific/Kiritimati",
        umask: "077",
        jobs: processors.max(2).to_string(),
        is_elsewhere: true,
        starters: starters(),
    };
    let (first, _one) = build(&here, examples)?;
    let (second, two) = build(&there, examples)?;
    let mut is_same = true;
    for (one, other) in first.iter().zip(&second) {
        for kind in ["img", "debug"] {
            is_same &= compare(&one.with_extension(kind), &other.with_extension(kind))?;
        }
    }
    if let Err(error) = std::fs::remove_dir_all(own_home(&two)) {
        println!("{}: {error}", own_home(&two).display());
    }
    if !is_same {
        bail!("something but the sources gets into the files");
    }
    Ok(())
}

/// What makes the user another, if it is here.
fn starters() -> Vec<&'static str> {
    let mut all = Vec::new();
    let works = |words: &[&str]| {
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).arg("true").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    let user = ["unshare", "--user", "--map-user=12345"];
    match works(&user) {
        true => all.extend(user),
        false => println!("not made different: the user ({} does not work here)", user[0]),
    }
    all
}

fn build(around: &Surroundings, examples: &[&str]) -> Result<(Vec<PathBuf>, Copy)> {
    let copy = Copy::new(around.name)?;
    let clock = around.is_elsewhere.then(clock::shifted).flatten();
    let mut images = Vec::new();
    for example in examples {
        println!("building {example} in {}", copy.folder().display());
        let mut command = Command::new("sh");
        command.args(["-c", "umask \"$1\"; shift; exec \"$@\"", "sh", around.umask]).args(&around.starters);
        command.arg(tool::tool()?).arg("build").arg(copy.folder().join("examples").join(example));
        command.env("AMPOULE_SOURCE", copy.folder()).env("CARGO_TARGET_DIR", copy.folder().join("target"));
        command.env("CARGO_BUILD_JOBS", &around.jobs).env("LC_ALL", around.locale).env("LANG", around.locale);
        if around.is_elsewhere {
            command.envs(home(&own_home(&copy))?).envs(clock.as_ref().map(Clock::variable));
            date(copy.folder())?;
        }
        command.env("TZ", around.zone).env("USER", around.name).env_remove("SOURCE_DATE_EPOCH");
        let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output().context("cannot start sh")?;
        ensure!(output.status.success(), "{example} does not build");
        images.push(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    }
    Ok((images, copy))
}

/// Gives the files of a folder another date.
fn date(folder: &Path) -> Result<()> {
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() && entry.file_name() != "target" {
            date(&entry.path())?;
        } else if kind.is_file() {
            File::options().append(true).open(entry.path())?.set_modified(long_ago)?;
        }
    }
    Ok(())
}

/// Where the home of a copy's builder is. Not in the copy: cargo starts the compiler elsewhere for packages that lie in the
/// workspace's folder, and debug information says where.
fn own_home(copy: &Copy) -> PathBuf {
    copy.folder().with_added_extension("home")
}

/// A home of its own in a folder: Cargo's too, with the packages that were fetched, which it unpacks anew.
fn home(folder: &Path) -> Result<Vec<(&'static str, PathBuf)>> {
    let usual = std::env::home_dir().context("there is no home")?;
    let folder_of = |variable, below| std::env::var_os(variable).map_or_else(|| usual.join(below), PathBuf::from);
    let (home, cargo) = (folder.to_owned(), folder.join("cargo"));
    std::fs::create_dir_all(cargo.join("registry"))?;
    // Not what is unpacked: links to it would lead the compiler to the usual home after all.
    for part in ["registry/cache", "registry/index", "config.toml", "credentials.toml"] {
        let theirs = folder_of("CARGO_HOME", ".cargo").join(part);
        if theirs.exists() && !cargo.join(part).exists() {
            std::os::unix::fs::symlink(theirs, cargo.join(part))?;
        }
    }
    Ok(vec![("HOME", home), ("CARGO_HOME", cargo), ("RUSTUP_HOME", folder_of("RUSTUP_HOME", ".rustup"))])
}

/// Says whether two files are the same, and where they are not.
fn compare(one: &Path, other: &Path) -> Result<bool> {
    let read = |path: &Path| std::fs::read(path).with_context(|| format!("cannot read {}", path.display()));
    let (first, second) = (read(one)?, read(other)?);
    let name = one.file_name().unwrap_or_default().display();
    if first == second {
        println!("same: {name}, {} bytes", first.len());
        return Ok(true);
    }
    println!("DIFFERENT: {name}, {} and {} bytes", first.len(), second.len());
    let places: Vec<usize> =
        first.iter().zip(&second).enumerate().filter(|(_, (a, b))| a != b).map(|(at, _)| at).collect();
    println!("  {} bytes differ", places.len().max(first.len().abs_diff(second.len())));
    for at in places.iter().filter(|at| at.checked_sub(1).is_none_or(|before| !places.contains(&before))).take(10) {
        println!("  from {at:#x}: {} | {}, {}", shown(&first, *at), shown(&second, *at), part(one, *at as u64));
    }
    Ok(false)
}

fn shown(bytes: &[u8], at: usize) -> String {
    image::hex(&bytes[at..bytes.len().min(at + 8)])
}

/// Which part of an image a byte of its file belongs to.
fn part(path: &Path, at: u64) -> String {
    let Ok(image) = Image::open(path) else { return "no image".into() };
    let segments = image.segments();
    match segments.iter().rposition(|s| at >= s.file_offset && at < s.file_offset + s.file_length) {
        Some(0) => "in header, manifest and relocations".into(),
        Some(index) => {
            let segment = segments[index];
            format!("in segment {index}, at {:#x} in the image", segment.address + (at - segment.file_offset))
        }
        None => "in the ELF headers or the exokernel".into(),
    }
}
