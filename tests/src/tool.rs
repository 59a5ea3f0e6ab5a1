//! The tool as users run it, built once, and the images it makes, each built once.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock};

use anyhow::{Context, Result, anyhow, bail};

/// The project's folder.
pub fn root() -> &'static Path {
    const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    static CANONICAL: OnceLock<PathBuf> = OnceLock::new();
    CANONICAL.get_or_init(|| Path::new(ROOT).canonicalize().unwrap_or_else(|_| ROOT.into()))
}

/// The tool's release build.
pub fn tool() -> Result<&'static Path> {
    static TOOL: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let built = TOOL.get_or_init(|| build_tool().map_err(|error| format!("{error:#}")));
    built.as_deref().map_err(|error| anyhow!("{error}"))
}

fn build_tool() -> Result<PathBuf> {
    executable(root(), &["--release", "--package", "ampoule-cli"], "ampoule")
}

/// A program of the workspace in `folder` as this computer runs it: the executable `name` of what cargo builds with
/// `arguments`.
pub fn executable(folder: &Path, arguments: &[&str], name: &str) -> Result<PathBuf> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["build", "--quiet"]).args(arguments).current_dir(folder);
    built(command, name)
}

/// Runs a build of cargo's, and gives the program of this name that came out.
pub(crate) fn built(mut command: Command, name: &str) -> Result<PathBuf> {
    command.arg("--message-format=json").stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().context("cannot start cargo")?;
    let output = child.stdout.take().context("cargo has no output")?;
    let mut found = None;
    for message in cargo_metadata::Message::parse_stream(std::io::BufReader::new(output)) {
        if let cargo_metadata::Message::CompilerArtifact(artifact) = message?
            && artifact.target.name == name
            && let Some(executable) = artifact.executable
        {
            found = Some(executable.into_std_path_buf());
        }
    }
    if !child.wait()?.success() {
        bail!("{name} does not build");
    }
    found.with_context(|| format!("cargo made no {name}"))
}

/// The image of the package in `folder` (below the project's folder).
pub fn image(folder: &str) -> Result<PathBuf> {
    image_with(folder, &[], &[])
}

/// The same, built with more of the tool's arguments and in another environment.
pub fn image_with(folder: &str, arguments: &[&str], environment: &[(&str, &Path)]) -> Result<PathBuf> {
    type Slot = Arc<OnceLock<Result<PathBuf, String>>>;
    static IMAGES: OnceLock<Mutex<HashMap<String, Slot>>> = OnceLock::new();
    let images = IMAGES.get_or_init(Mutex::default);
    let slot = match images.lock() {
        Ok(mut images) => Arc::clone(images.entry(format!("{folder} {arguments:?} {environment:?}")).or_default()),
        Err(_) => bail!("another test died while it built an image"),
    };
    let built =
        slot.get_or_init(|| build(&root().join(folder), arguments, environment).map_err(|error| format!("{error:#}")));
    built.clone().map_err(|error| anyhow!("{error}"))
}

/// Builds the package in `folder` and gives the image's path.
pub fn build(folder: &Path, arguments: &[&str], environment: &[(&str, &Path)]) -> Result<PathBuf> {
    // One at a time: two images of one package pass through the same file of cargo's.
    static BUILDING: Mutex<()> = Mutex::new(());
    let _building = BUILDING.lock();
    let mut command = Command::new(tool()?);
    command.arg("build").arg(folder).args(arguments).stdin(Stdio::null()).envs(environment.iter().copied());
    let output = command.output().context("cannot start the tool")?;
    if !output.status.success() {
        bail!("{} does not build: {}", folder.display(), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
}
