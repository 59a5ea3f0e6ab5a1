//! Which program a package stands for: its own, or one of a dependency's, as `program` in its manifest says.
//!
//! Cargo builds a dependency's binaries as well as its library, by the Cargo.lock of whoever depends on it. It does not build
//! a dependency's examples, for it leaves out what they alone depend on, and it passes over a dependency without a library.
//! Both are built where they lie ([`Place::Elsewhere`]), by the Cargo.lock that they were published with: it is in the
//! archive whose checksum stands in the package's own Cargo.lock. That is what `cargo install --locked` does. The features
//! are those that the dependency is declared with, and the profile is the package's.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use cargo_metadata::{Dependency, Metadata, Package, TargetKind};

use super::flags;
use super::lock::{self, Locked};
use super::package::metadata;
use crate::arguments::BuildOptions;

/// Says in `CRATE/example:NAME` that it is no binary.
pub(crate) const EXAMPLE: &str = "example:";

/// What is linked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Program {
    /// A binary of this name.
    Binary(String),
    /// An example.
    Example(String),
}

impl Program {
    /// Its name.
    pub fn name(&self) -> &str {
        match self {
            Self::Binary(name) | Self::Example(name) => name,
        }
    }

    /// Cargo's flag before the name.
    pub(super) fn flag(&self) -> &'static str {
        match self {
            Self::Binary(_) => "--bin",
            Self::Example(_) => "--example",
        }
    }

    fn kind(&self) -> TargetKind {
        match self {
            Self::Binary(_) => TargetKind::Bin,
            Self::Example(_) => TargetKind::Example,
        }
    }
}

/// Where cargo works.
#[derive(Debug)]
pub(super) enum Place {
    /// In the package's own workspace.
    Here,
    /// In the folder of the program's package, which cargo knows this of.
    Elsewhere(Box<Metadata>),
}

/// The program that was chosen.
#[derive(Debug)]
pub(super) struct Found {
    /// The package that it belongs to.
    pub(super) package: Package,
    pub(super) program: Program,
    pub(super) place: Place,
    /// The user's wishes as they count there.
    pub(super) options: BuildOptions,
    /// What the package's Cargo.lock holds of a package that is built elsewhere.
    pub(super) locked: Option<Locked>,
}

/// Finds the program that the package `own` of a workspace stands for.
pub(super) fn find(workspace: &Metadata, own: &Package, options: &BuildOptions) -> Result<Found> {
    let here = |package: &Package, program| Found {
        package: package.clone(),
        program,
        place: Place::Here,
        options: options.clone(),
        locked: None,
    };
    let Some(text) = own.metadata["ampoule"]["program"].as_str() else {
        return Ok(here(own, binary(own, options.bin.as_deref())?));
    };
    if !options.features.is_empty() || options.no_default_features {
        bail!(
            "{} is {text}, whose features are chosen where it stands among the dependencies of {}",
            own.name,
            own.manifest_path
        );
    }
    let (krate, wanted) = text.split_once('/').map_or((text, None), |(krate, wanted)| (krate, Some(wanted)));
    let declared = own.dependencies.iter().find(|dependency| dependency.name == krate).with_context(|| {
        format!("{}: `package.metadata.ampoule.program` is {krate}, which is no dependency there", own.manifest_path)
    })?;
    let example = wanted.and_then(|wanted| wanted.strip_prefix(EXAMPLE));
    if let (Some(example), Some(bin)) = (example, &options.bin) {
        bail!("{} is the example `{example}` of {krate}, and --bin {bin} would be another program", own.name);
    }
    let bin = options.bin.as_deref().or(wanted);
    match listed(workspace, own, krate) {
        Some(package) if example.is_none() || workspace.workspace_members.contains(&package.id) => {
            let program = example.map_or_else(|| binary(package, bin), |name| self::example(package, name))?;
            Ok(here(package, program))
        }
        package => elsewhere(workspace, declared, package, options, bin, example),
    }
}

/// The dependency as cargo resolved it. It leaves out what is no library.
fn listed<'a>(workspace: &'a Metadata, own: &Package, krate: &str) -> Option<&'a Package> {
    let nodes = workspace.resolve.iter().flat_map(|resolve| &resolve.nodes);
    let mut direct = nodes.filter(|node| node.id == own.id).flat_map(|node| &node.dependencies);
    direct.find_map(|id| workspace.packages.iter().find(|p| p.id == *id && p.name.as_str() == krate))
}

/// The program of a package that has a workspace of its own.
fn elsewhere(
    workspace: &Metadata,
    declared: &Dependency,
    package: Option<&Package>,
    options: &BuildOptions,
    bin: Option<&str>,
    example: Option<&str>,
) -> Result<Found> {
    let version = package.map(|package| package.version.to_string());
    let locked = locked(workspace, declared, version.as_deref())?;
    let cargo_toml = match (package, &declared.path) {
        (Some(package), _) => package.manifest_path.clone().into_std_path_buf(),
        (None, Some(folder)) => folder.join("Cargo.toml").into_std_path_buf(),
        (None, None) => unpacked(workspace, &locked)?,
    };
    let is_published = locked.source.is_some();
    let options = BuildOptions {
        features: declared.features.clone(),
        no_default_features: !declared.uses_default_features,
        locked: options.locked || is_published,
        ..options.clone()
    };
    let what = format!("{} {}", locked.name, locked.version);
    if is_published && !cargo_toml.with_file_name("Cargo.lock").is_file() {
        bail!(
            "{what} was published without a Cargo.lock, so nothing says of which versions its program is made: depend on \
             what it needs, and make the program one of your own package"
        );
    }
    let metadata = metadata(&cargo_toml, &options, None).map_err(|error| match is_published {
        true => error.context(format!("{what} is built by the Cargo.lock that it was published with")),
        false => error,
    })?;
    let package = metadata.packages.iter().find(|package| package.manifest_path.as_std_path() == cargo_toml);
    let package =
        package.with_context(|| format!("cargo does not list the package of {}", cargo_toml.display()))?.clone();
    let program = example.map_or_else(|| binary(&package, bin), |name| self::example(&package, name))?;
    has_features(&metadata, &package, &program)?;
    Ok(Found { package, program, place: Place::Elsewhere(metadata.into()), options, locked: Some(locked) })
}

/// What the workspace's Cargo.lock says of the dependency: of several versions the one that cargo chose, or that fits.
fn locked(workspace: &Metadata, declared: &Dependency, version: Option<&str>) -> Result<Locked> {
    let file = workspace.workspace_root.join("Cargo.lock");
    let fits = |entry: &Locked| match version {
        Some(version) => entry.version == version,
        None => entry.version.parse().is_ok_and(|version| declared.req.matches(&version)),
    };
    let mut found =
        lock::read(file.as_std_path()).into_iter().filter(|entry| entry.name == declared.name && fits(entry));
    found.next_back().with_context(|| format!("{file} has no {} {}", declared.name, declared.req))
}

/// The Cargo.toml of a package of a registry that cargo has unpacked: among others that come from there.
fn unpacked(workspace: &Metadata, locked: &Locked) -> Result<PathBuf> {
    let beside = |package: &Package| {
        let source = package.source.as_ref()?.repr.as_str();
        let folder = package.manifest_path.parent()?.parent()?;
        (Some(source) == locked.source.as_deref()).then(|| folder.as_std_path().to_owned())
    };
    let registries = std::fs::read_dir(flags::cargo_home()?.join("registry/src"));
    let registries = registries.into_iter().flatten().flatten().map(|entry| entry.path());
    let folders = workspace.packages.iter().filter_map(beside).take(1).chain(registries);
    // As cargo names it, and as `cargo vendor` does.
    let names = [format!("{}-{}", locked.name, locked.version), locked.name.clone()];
    let mut files = folders.flat_map(|folder| names.each_ref().map(|name| folder.join(name).join("Cargo.toml")));
    files.find(|file| is_of(file, locked)).with_context(|| {
        format!("{} {} has no library, and cargo has not unpacked it: `cargo fetch` does", locked.name, locked.version)
    })
}

/// Is it the Cargo.toml of this version?
fn is_of(cargo_toml: &Path, locked: &Locked) -> bool {
    let text = std::fs::read_to_string(cargo_toml).unwrap_or_default();
    let Ok(document) = toml::de::DeTable::parse(&text) else { return false };
    let package = document.get_ref().get("package").and_then(|package| package.get_ref().as_table());
    let version = package.and_then(|package| package.get("version")?.get_ref().as_str().map(str::to_owned));
    version.is_some_and(|version| version == locked.version)
}

/// The binary `wanted` of a package, or its only one.
fn binary(package: &Package, wanted: Option<&str>) -> Result<Program> {
    let names = names(package, &TargetKind::Bin);
    let wanted = wanted.or(package.default_run.as_deref());
    let name = match (wanted, names.as_slice()) {
        (_, []) => bail!("{} has no binary: an image needs a `src/main.rs`{}", package.name, examples(package)),
        (Some(wanted), names) if names.contains(&wanted) => wanted,
        (Some(wanted), names) => bail!("{} has no binary `{wanted}`; it has {}", package.name, names.join(", ")),
        (None, [only]) => only,
        (None, names) => bail!("{} has several binaries; choose with --bin: {}", package.name, names.join(", ")),
    };
    Ok(Program::Binary(name.to_owned()))
}

/// The hint that there are examples.
fn examples(package: &Package) -> String {
    match names(package, &TargetKind::Example).as_slice() {
        [] => String::new(),
        names if package.source.is_none() => format!(" (it has examples: {})", names.join(", ")),
        [first, ..] => format!(", and a dependency's example is named as `{}/{EXAMPLE}{first}`", package.name),
    }
}

fn example(package: &Package, wanted: &str) -> Result<Program> {
    match names(package, &TargetKind::Example).as_slice() {
        [] => Err(anyhow!("{} {} has no examples", package.name, package.version)),
        names if names.contains(&wanted) => Ok(Program::Example(wanted.to_owned())),
        names => Err(anyhow!("{} has no example `{wanted}`; it has {}", package.name, names.join(", "))),
    }
}

fn names<'a>(package: &'a Package, kind: &TargetKind) -> Vec<&'a str> {
    let targets = package.targets.iter().filter(|target| target.kind.contains(kind));
    targets.map(|target| target.name.as_str()).collect()
}

/// Fails where the program wants features that the dependency is declared without.
fn has_features(metadata: &Metadata, package: &Package, program: &Program) -> Result<()> {
    let mut nodes = metadata.resolve.iter().flat_map(|resolve| &resolve.nodes);
    let node = nodes.find(|node| node.id == package.id);
    let has = |feature: &str| node.is_some_and(|node| node.features.iter().any(|has| has.as_str() == feature));
    let is_it =
        |target: &&cargo_metadata::Target| target.name == program.name() && target.kind.contains(&program.kind());
    let wanted = package.targets.iter().filter(is_it).flat_map(|target| &target.required_features);
    let missing: Vec<&str> = wanted.map(String::as_str).filter(|feature| !has(feature)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let (name, missing) = (program.name(), missing.join(", "));
    bail!("`{name}` of {} wants the features {missing}: add them where {0} stands among the dependencies", package.name)
}

/// What an example may miss: dependencies of the package's tests and examples that were not published, for they had no
/// version. The package's Cargo.toml as it was written tells.
pub(super) fn unpublished(package_toml: &Path, metadata: &Metadata) -> Vec<String> {
    let text = std::fs::read_to_string(package_toml.with_file_name("Cargo.toml.orig")).unwrap_or_default();
    let Ok(document) = toml::de::DeTable::parse(&text) else { return Vec::new() };
    let written = document.get_ref().get("dev-dependencies").and_then(|table| table.get_ref().as_table());
    let package = metadata.packages.iter().find(|package| package.manifest_path.as_std_path() == package_toml);
    let is_published = |name: &str| {
        let dependencies = package.into_iter().flat_map(|package| &package.dependencies);
        dependencies.into_iter().any(|d| d.rename.as_deref().unwrap_or(&d.name) == name)
    };
    let names = written.into_iter().flat_map(|table| table.keys()).map(|name| name.get_ref().as_ref());
    names.filter(|name| !is_published(name)).map(str::to_owned).collect()
}
