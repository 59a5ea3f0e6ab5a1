//! Running cargo: its progress on a terminal, nothing but errors elsewhere, and what it made.

use std::ffi::OsString;
use std::io::{BufReader, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, anyhow, bail};
use cargo_metadata::diagnostic::DiagnosticLevel;
use cargo_metadata::{Artifact, Message};

use super::flags::{self, TARGET};
use super::missing;
use super::package::{Package, Panic, Program, Way};
use super::program;
use super::sources::Sources;
use super::traced;
use super::wrapper;

/// What comes in by the one line: the library OS and what it is made of. It is compiled for size, as the workspace's
/// `image` profile says of the archive: half its code runs once.
const OS: [&str; 13] = [
    "ampoule-abi",
    "ampoule-device",
    "ampoule-fs",
    "ampoule-hostnet",
    "ampoule-libc",
    "ampoule-machine",
    "ampoule-memory",
    "ampoule-net",
    "ampoule-posix",
    "ampoule-sync",
    "ampoule-thread",
    "ampoule-virtio",
    "talc",
];
/// Of these, what every request, lock and allocation goes through keeps its speed, unless the program wants to be small.
const FAST: [&str; 2] = ["ampoule-sync", "talc"];

/// Cargo's arguments that say how the library OS is compiled.
fn levels(package: &Package) -> Vec<String> {
    let level = |name: &&str| match package.is_small {
        true => Some("z"),
        false if FAST.contains(name) => None,
        false => Some("s"),
    };
    OS.iter()
        .filter_map(|name| Some(format!("--config=profile.release.package.{name}.opt-level=\"{}\"", level(name)?)))
        .collect()
}

/// How this computer's cargo is called.
pub(super) struct Cargo {
    program: OsString,
    is_terminal: bool,
}

/// A line of progress as cargo writes them, on a terminal only.
pub(super) fn say(verb: &str, what: &str) {
    if std::io::stderr().is_terminal() {
        eprintln!("\x1b[1;32m{verb:>12}\x1b[0m {what}");
    }
}

fn is_error(level: DiagnosticLevel) -> bool {
    matches!(level, DiagnosticLevel::Error | DiagnosticLevel::Ice)
}

/// The error, and what else may be the cause where the program is an example.
fn why(error: anyhow::Error, package: &Package) -> anyhow::Error {
    let unpublished = match package.program {
        Program::Example(_) => program::unpublished(&package.build_toml, &package.metadata),
        Program::Binary(_) => Vec::new(),
    };
    if unpublished.is_empty() {
        return error;
    }
    let names = unpublished.join("`, `");
    anyhow!("{error}\n{} was published without `{names}`, which its examples may need", package.name)
}

impl Cargo {
    pub(super) fn new() -> Self {
        let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        Self { program, is_terminal: std::io::stderr().is_terminal() }
    }

    /// Links the package's program. Gives the ELF file.
    pub(super) fn program(&self, package: &Package, sources: &Sources, link: &[String]) -> Result<PathBuf> {
        let (options, name) = (&package.options, package.program.name());
        let mut command = self.command("rustc", &package.target_folder(), &flags::program(package, sources)?);
        wrapper::set(&mut command, package, sources);
        command.arg("--release").arg("--manifest-path").arg(&package.build_toml);
        command.args(["--package", &package.specification(), package.program.flag(), name]);
        command.args(package.profile.iter().flat_map(|line| ["--config", line]));
        if package.way == Way::Line {
            command.args(levels(package));
        }
        if package.traced {
            traced::keep_apart(&mut command);
        }
        if !options.features.is_empty() {
            command.arg("--features").arg(options.features.join(","));
        }
        for (asked, flag) in [
            (options.no_default_features, "--no-default-features"),
            (options.locked, "--locked"),
            (options.offline, "--offline"),
        ] {
            if asked {
                command.arg(flag);
            }
        }
        // The debug file wants names and lines; the image is stripped when it is sealed.
        command.env("CARGO_PROFILE_RELEASE_STRIP", "none");
        let level = if options.debuginfo { "full" } else { "line-tables-only" };
        command.env("CARGO_PROFILE_RELEASE_DEBUG", level);
        command.env("CARGO_PROFILE_RELEASE_SPLIT_DEBUGINFO", "off");
        let panic = if package.panic == Panic::Abort { "abort" } else { "unwind" };
        command.env("CARGO_PROFILE_RELEASE_PANIC", panic);
        command.arg("--").args(link);
        let artifacts = self.run(command, &package.name).map_err(|error| why(error, package))?;
        let executable = artifacts.into_iter().filter(|a| a.target.name == name).find_map(|a| a.executable);
        executable.map(PathBuf::from).with_context(|| format!("cargo made no executable of {}", package.name))
    }

    /// Builds the library OS as an archive. Gives the `.a` file.
    pub(super) fn archive(&self, sources: &Sources, panic: Panic, traced: bool) -> Result<PathBuf> {
        let kind = match (panic, traced) {
            (Panic::Abort, false) => "archive",
            (Panic::Unwind, false) => "archive-unwind",
            (Panic::Abort, true) => "archive-traced",
            (Panic::Unwind, true) => "archive-unwind-traced",
        };
        let command = self.part(sources, "ampoule-archive", kind, &flags::archive(sources, panic, traced)?);
        let artifacts = self.run(command, "the library OS")?;
        let mut files = artifacts.into_iter().filter(|a| a.target.name == "c").flat_map(|a| a.filenames);
        let archive = files.find(|file| file.extension() == Some("a"));
        archive.map(PathBuf::from).context("cargo made no archive of the library OS")
    }

    /// Builds the exokernel. Gives the ELF file.
    pub(super) fn exokernel(&self, sources: &Sources, traced: bool) -> Result<PathBuf> {
        let (kind, features) =
            if traced { ("exokernel-traced", "freestanding,trace") } else { ("exokernel", "freestanding") };
        let mut command = self.part(sources, "ampoule-exokernel", kind, &flags::exokernel(sources)?);
        command.args(["--features", features]);
        let artifacts = self.run(command, "the exokernel")?;
        let executable = artifacts.into_iter().find_map(|a| a.executable);
        executable.map(PathBuf::from).context("cargo made no executable of the exokernel")
    }

    /// Builds one of our own packages, in the folder `kind` of the target folder: cargo builds everything anew when the
    /// flags of a folder change, so each set of flags has its own.
    fn part(&self, sources: &Sources, package: &str, kind: &str, flags: &[String]) -> Command {
        let mut command = self.command("build", &sources.target_folder().join(kind), flags);
        command.args(["--profile", "image", "--package", package]);
        command.arg("--manifest-path").arg(sources.root().join("Cargo.toml"));
        command
    }

    fn command(&self, verb: &str, target_folder: &Path, flags: &[String]) -> Command {
        let mut command = Command::new(&self.program);
        command.args([verb, "--target", TARGET, "--target-dir"]).arg(target_folder);
        match self.is_terminal {
            true => command.arg("--message-format=json-diagnostic-rendered-ansi"),
            false => command.args(["--quiet", "--message-format=json"]),
        };
        command.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
        command.env("CARGO_INCREMENTAL", "0").env_remove("RUSTFLAGS").env_remove("CARGO_TARGET_DIR");
        command
    }

    fn run(&self, mut command: Command, what: &str) -> Result<Vec<Artifact>> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start cargo; `ampoule doctor` says how to get it")?;
        let output = child.stdout.take().context("cargo has no standard output")?;
        let (mut artifacts, mut errors) = (Vec::new(), String::new());
        for message in Message::parse_stream(BufReader::new(output)) {
            match message.context("cargo's messages cannot be read")? {
                Message::CompilerArtifact(artifact) => artifacts.push(artifact),
                Message::CompilerMessage(message) => {
                    let text = message.message.rendered.unwrap_or_default();
                    if is_error(message.message.level) {
                        errors.push_str(&text);
                    } else if self.is_terminal {
                        eprint!("{text}");
                    }
                }
                _ => {}
            }
        }
        if child.wait()?.success() {
            return Ok(artifacts);
        }
        match missing::explain(&errors) {
            Some(explanation) => bail!("cannot link {what}: {explanation}"),
            None => {
                eprint!("{errors}");
                bail!("cannot build {what}: cargo says why above")
            }
        }
    }
}
