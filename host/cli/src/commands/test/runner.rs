//! The tool as cargo's runner: a test program that was linked becomes an image, and the image runs with the arguments and
//! the environment that cargo gave. The tool ends with the program's status, which is 128 and the signal's number where Linux
//! would have ended it by one.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use abi::manifest::{Connect, Host, Listen, Manifest, Network, Protocol};
use anyhow::{Context, Result};
use clap::ValueEnum;
use image::Image;
use monitor::{Options, Outcome, Program};

use super::cache::Place;
use super::package::Package;
use super::{environment, own, toml_strings};
use crate::arguments::{Machine, On};
use crate::commands::run;
use crate::manifest;

/// The word that cargo calls the tool with.
const ROLE: &str = "test-runner";
/// RAM of a machine for tests, in bytes, where the package does not want more, and the computer has twice as much: a
/// thousand threads with std's stacks of 2 MiB find room. What is not touched costs nothing.
const MEMORY: u64 = 4 << 30;
/// The same on a smaller computer, and under QEMU: debug builds of whole test suites.
const MEMORY_SMALL: u64 = 1 << 30;

const ON: &str = "AMPOULE_TEST_ON";
const MACHINE: &str = "AMPOULE_TEST_MACHINE";
const RAM: &str = "AMPOULE_TEST_MEMORY";
const EXOKERNEL: &str = "AMPOULE_TEST_EXOKERNEL";
const CACHE: &str = "AMPOULE_TEST_CACHE";

/// What `ampoule test` tells the runner, by the environment.
#[derive(Clone, Debug)]
pub struct Setup {
    pub(super) on: On,
    pub(super) machine: Machine,
    /// Bytes of RAM, if the user said.
    pub(super) memory: Option<u64>,
    /// The exokernel's ELF file.
    pub(super) exokernel: PathBuf,
    /// Folder for images.
    pub(super) cache: PathBuf,
}

impl Setup {
    /// For a backend (and a machine under QEMU) and the programs in `target_folder`, all else as it is by default.
    ///
    /// # Errors
    /// The exokernel does not build, or the folder cannot be written to.
    pub fn new(on: On, machine: Machine, target_folder: &Path) -> Result<Self> {
        let (exokernel, cache) = (crate::build::exokernel()?, super::images(target_folder)?);
        Ok(Self { on, machine, memory: None, exokernel, cache })
    }

    /// Tells the command, which is cargo, or the tool as its runner.
    pub fn set(&self, cargo: &mut Command) {
        let name = |value: &dyn Fn() -> Option<clap::builder::PossibleValue>| {
            value().map_or_else(String::new, |value| value.get_name().to_owned())
        };
        cargo.env(ON, name(&|| self.on.to_possible_value()));
        cargo.env(MACHINE, name(&|| self.machine.to_possible_value()));
        cargo.env(EXOKERNEL, &self.exokernel).env(CACHE, &self.cache);
        match self.memory {
            Some(bytes) => cargo.env(RAM, bytes.to_string()),
            None => cargo.env_remove(RAM),
        };
    }

    fn get() -> Result<Self> {
        let variable = |name| own(name).with_context(|| format!("`{ROLE}` is for cargo; call `ampoule test`"));
        let word = |name| Ok::<_, anyhow::Error>(variable(name)?.to_string_lossy().into_owned());
        let choice = |error: String| anyhow::anyhow!(error);
        Ok(Self {
            on: On::from_str(&word(ON)?, false).map_err(choice)?,
            machine: Machine::from_str(&word(MACHINE)?, false).map_err(choice)?,
            memory: own(RAM).and_then(|bytes| bytes.to_str()?.parse().ok()),
            exokernel: variable(EXOKERNEL)?.into(),
            cache: variable(CACHE)?.into(),
        })
    }
}

/// Cargo's setting that makes the tool the runner for `target`.
pub(super) fn configuration(tool: &Path, target: &str) -> Result<String> {
    Ok(format!("target.{target}.runner={}", toml_strings(&[tool, Path::new(ROLE)])?))
}

/// Is this cargo calling its runner?
pub(super) fn is_called(words: &[OsString]) -> bool {
    words.get(1).is_some_and(|word| word == ROLE)
}

/// Runs a program's image, if that is what we are called for.
pub fn take_role(words: &[OsString]) -> Option<ExitCode> {
    if !is_called(words) {
        return None;
    }
    let done = match words.get(2) {
        Some(program) => perform(Path::new(program), &words[3..]),
        None => Err(anyhow::anyhow!("`{ROLE}` is for cargo; call `ampoule test`")),
    };
    Some(match done {
        Ok(outcome) => ExitCode::from(outcome.status),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    })
}

fn perform(program: &Path, arguments: &[OsString]) -> Result<Outcome> {
    let setup = Setup::get()?;
    let mut words = vec![text(program.as_os_str())?];
    words.extend(arguments.iter().map(|argument| text(argument)).collect::<Result<Vec<_>>>()?);
    let folder = env::var_os("CARGO_MANIFEST_DIR").map_or_else(PathBuf::new, PathBuf::from);
    let manifest = manifest(program, &folder, &setup)?;
    let environment = environment::passed(env::vars_os());
    let on = setup.on;
    let package = Package::find(&folder, setup.cache.parent(), manifest.memory);
    let place = Place::of(&setup.cache, program, &manifest, &package).filter(|_| on != On::Qemu);
    let image = match place.as_ref().and_then(Place::get) {
        Some(image) => image,
        None => {
            let elf = fs::read(program).with_context(|| format!("cannot read {}", program.display()))?;
            if image::is_dynamic(&elf) {
                return Err(on_the_host(program, arguments));
            }
            let files = package.pack()?;
            if on == On::Qemu {
                package.notes.iter().for_each(|note| eprintln!("note: {note}"));
                return under_qemu(&setup, &elf, &files, manifest, words, environment);
            }
            let image = seal(&elf, &files, &manifest, None)?;
            place.map_or(Ok(()), |place| place.put(&image))?;
            image
        }
    };
    package.notes.iter().for_each(|note| eprintln!("note: {note}"));
    let image =
        Image::parse_unhashed(image).context("cannot run what was sealed; remove target/ampoule/test/images")?;
    let options = Options { arguments: Some(words), environment, ..Options::default() };
    let program = Program { header: image.header(), bytes: image.bytes(), manifest: image.manifest(), is_whole: None };
    Ok(run::quietly(on, &program, &options)?)
}

/// What no machine can run is run as it is: cargo's runner for this target also gets the tests of procedural macros, which
/// live in the compiler's world and were linked for it.
fn on_the_host(program: &Path, arguments: &[OsString]) -> anyhow::Error {
    let error = Command::new(program).args(arguments).exec();
    anyhow::Error::from(error).context(format!("cannot start {}", program.display()))
}

fn text(word: &OsStr) -> Result<String> {
    word.to_str().map(str::to_owned).with_context(|| format!("{word:?} is no UTF-8; a guest takes nothing else"))
}

/// A machine as a test has it on Linux: it may listen and connect anywhere. What the package's own manifest says of
/// memory, stack and environment counts; its arguments are the program's, not the tests', and
/// its files as the machine has them are the program's, too: a test finds the package's folder.
fn manifest(program: &Path, folder: &Path, setup: &Setup) -> Result<Manifest> {
    let cargo_toml = folder.join("Cargo.toml");
    let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let version = env::var("CARGO_PKG_VERSION").unwrap_or_default();
    let mut manifest = match cargo_toml.is_file() {
        true => manifest::read(&cargo_toml, &name, &version)?,
        false => Manifest { name, version, ..Manifest::default() },
    };
    let least = if setup.on == On::Qemu { MEMORY_SMALL } else { half_of_the_computer_s().clamp(MEMORY_SMALL, MEMORY) };
    manifest.memory = setup.memory.unwrap_or_else(|| manifest.memory.max(least));
    manifest.arguments = Vec::new();
    let protocols = [Protocol::Tcp, Protocol::Udp];
    manifest.network = Some(Network {
        listen: protocols.map(|protocol| Listen { protocol, first_port: 0, last_port: u16::MAX }).to_vec(),
        connect: protocols
            .map(|protocol| Connect { protocol, host: Host::Any, first_port: 1, last_port: u16::MAX })
            .to_vec(),
    });
    Ok(manifest)
}

/// Half of the computer's memory, in bytes, by the MiB.
fn half_of_the_computer_s() -> u64 {
    let all = rustix::system::sysinfo();
    (all.totalram.saturating_mul(all.mem_unit.into()) / 2) >> 20 << 20
}

fn seal(elf: &[u8], files: &[u8], manifest: &Manifest, exokernel: Option<&[u8]>) -> Result<Vec<u8>> {
    let symbols = image::debug::symbol_file(elf).context("cannot seal the test program")?;
    let input = image::SealInput { elf, manifest, exokernel, symbols: &symbols, files, unwind: true };
    Ok(image::seal(&input).context("cannot seal the test program")?.bytes)
}

/// QEMU wants a file, and has little room for arguments and environment: they are sealed in.
fn under_qemu(
    setup: &Setup,
    elf: &[u8],
    files: &[u8],
    mut manifest: Manifest,
    words: Vec<String>,
    environment: Vec<String>,
) -> Result<Outcome> {
    let mut words = words.into_iter();
    manifest.name = words.next().unwrap_or_default();
    manifest.arguments = words.collect();
    let replaced = |entry: &String| {
        let name = |entry: &str| entry.split('=').next().unwrap_or_default().to_owned();
        environment.iter().any(|other| name(other) == name(entry))
    };
    manifest.environment.retain(|entry| !replaced(entry));
    manifest.environment.extend(environment);
    let path = setup.cache.join(format!("{}.img", std::process::id()));
    let exokernel = fs::read(&setup.exokernel).context("cannot read the exokernel")?;
    fs::write(&path, seal(elf, files, &manifest, Some(&exokernel))?)
        .with_context(|| format!("cannot write {}", path.display()))?;
    let outcome = Image::open_unhashed(&path).context("cannot run what was just sealed").and_then(|image| {
        let program =
            Program { header: image.header(), bytes: image.bytes(), manifest: image.manifest(), is_whole: None };
        Ok(run::under_qemu(&program, &Options::default(), &path, &path, setup.machine, image.digest())?)
    });
    _ = fs::remove_file(&path);
    outcome
}
