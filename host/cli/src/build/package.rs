//! The package that is to become an image: what cargo knows of it, and what follows from that.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use cargo_metadata::{CargoOpt, Metadata, MetadataCommand, TargetKind};
use toml::de::DeTable;

use super::flags::TARGET;
use super::user::Question;
use crate::arguments::BuildOptions;

/// How the library OS gets into the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// As a crate: the package depends on `ampoule`.
    Line,
    /// As the `libc.a` that the linker finds: the package knows nothing of us.
    Archive,
}

/// What a panic does, as the package's profile says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Panic {
    /// It ends the machine; no unwinder is linked.
    Abort,
    /// It unwinds its thread, with the toolchain's unwinder.
    Unwind,
}

/// A package, and how it is to be built.
#[derive(Clone, Debug)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The Cargo.toml with the manifest: its own, or that of the package which names it as its `program`.
    pub cargo_toml: PathBuf,
    /// The binary.
    pub bin: String,
    /// The workspace's top folder.
    pub workspace: PathBuf,
    /// How the library OS gets in.
    pub way: Way,
    /// What a panic does.
    pub panic: Panic,
    /// Is its optimisation level "z": smaller whatever it costs?
    pub is_small: bool,
    /// Does it reach the crate `libc`, by which programs make system calls by number?
    pub calls_by_number: bool,
    /// Are its calls of the library OS to be told of?
    pub traced: bool,
    /// Packages that it takes from folders outside of the workspace: name and folder, by name.
    pub outside: Vec<(String, PathBuf)>,
    /// The user's own compiler flags.
    pub user_flags: Vec<String>,
    /// All that cargo knows of it and its dependencies.
    pub(super) metadata: Metadata,
    cargo_target: PathBuf,
}

impl Package {
    /// The package in `folder`, or the package `name` of the workspace there.
    pub fn find(folder: &Path, name: Option<&str>, options: &BuildOptions) -> Result<Self> {
        let cargo_toml = folder.join("Cargo.toml");
        if !cargo_toml.is_file() {
            bail!(
                "no Cargo.toml in {}: name a package's folder, or make a package with `ampoule new`",
                folder.display()
            );
        }
        let question = Question::new();
        let metadata = metadata(&cargo_toml, options, Some(&question))?;
        let named = choose(&metadata, &cargo_toml.canonicalize()?, name)?;
        let (package, bin) = program(&metadata, named, options)?;
        let workspace = metadata.workspace_root.clone().into_std_path_buf();
        Ok(Self {
            name: package.name.to_string(),
            version: package.version.to_string(),
            cargo_toml: named.manifest_path.clone().into_std_path_buf(),
            bin: binary(package, bin)?,
            way: if reaches(&metadata, package, "ampoule") { Way::Line } else { Way::Archive },
            is_small: is_small(&workspace, &package.name)?,
            calls_by_number: reaches(&metadata, package, "libc"),
            panic: panic(&workspace)?,
            traced: options.traced,
            outside: outside(&metadata),
            user_flags: question.answer()?,
            workspace,
            cargo_target: metadata.target_directory.clone().into_std_path_buf(),
            metadata,
        })
    }

    /// What tells cargo which package is meant.
    pub(super) fn specification(&self) -> String {
        format!("{}@{}", self.name, self.version)
    }

    /// Cargo's own target folder.
    pub fn cargo_target(&self) -> &Path {
        &self.cargo_target
    }

    /// Where everything that belongs to images is built: the image itself, and cargo's own folder for it. Traced images are
    /// built beside the others, in whose way they are not.
    pub fn target_folder(&self) -> PathBuf {
        self.cargo_target.join(if self.traced { "ampoule/traced" } else { "ampoule" })
    }
}

/// What cargo says of a workspace, for the target that images are built for; and, if it is asked, of the user's flags.
pub(super) fn metadata(cargo_toml: &Path, options: &BuildOptions, question: Option<&Question>) -> Result<Metadata> {
    let mut command = MetadataCommand::new();
    command.manifest_path(cargo_toml);
    for (name, value) in question.map(Question::environment).transpose()?.unwrap_or_default() {
        command.env(name, value);
    }
    if !options.features.is_empty() {
        command.features(CargoOpt::SomeFeatures(options.features.clone()));
    }
    if options.no_default_features {
        command.features(CargoOpt::NoDefaultFeatures);
    }
    let mut others = vec!["--filter-platform".to_owned(), TARGET.to_owned()];
    others.extend(options.locked.then(|| "--locked".to_owned()));
    others.extend(options.offline.then(|| "--offline".to_owned()));
    command.other_options(others);
    match command.exec() {
        Ok(metadata) => Ok(metadata),
        Err(cargo_metadata::Error::CargoMetadata { stderr }) => {
            Err(anyhow!("cargo cannot read {}: {}", cargo_toml.display(), stderr.trim().trim_start_matches("error: ")))
        }
        Err(cargo_metadata::Error::Io(error)) => {
            Err(anyhow!("cannot start cargo: {error}; `ampoule doctor` says how to get it"))
        }
        Err(error) => Err(error).with_context(|| format!("cargo cannot read {}", cargo_toml.display())),
    }
}

fn choose<'a>(metadata: &'a Metadata, cargo_toml: &Path, name: Option<&str>) -> Result<&'a cargo_metadata::Package> {
    let members = metadata.workspace_packages();
    if let Some(name) = name {
        let found = members.iter().find(|package| package.name.as_str() == name);
        return found.copied().ok_or_else(|| {
            let workspace = &metadata.workspace_root;
            anyhow!("`{name}` is neither a file, nor a folder, nor a package of the workspace in {workspace}")
        });
    }
    if let Some(package) = members.iter().find(|package| package.manifest_path.as_std_path() == cargo_toml) {
        return Ok(package);
    }
    let mut names: Vec<&str> = members.iter().map(|package| package.name.as_str()).collect();
    names.sort_unstable();
    bail!("{} is a workspace; name one of its packages: {}", cargo_toml.display(), names.join(", "))
}

/// The package whose binary is sealed, and the binary's name where one is given. That is the package itself, or the
/// dependency that its manifest calls its `program`: `"CRATE"` or `"CRATE/BINARY"`.
fn program<'a>(
    metadata: &'a Metadata,
    package: &'a cargo_metadata::Package,
    options: &'a BuildOptions,
) -> Result<(&'a cargo_metadata::Package, Option<&'a str>)> {
    let Some(program) = package.metadata["ampoule"]["program"].as_str() else {
        return Ok((package, options.bin.as_deref()));
    };
    if !options.features.is_empty() || options.no_default_features {
        bail!(
            "{} is {program}, whose features are chosen where it stands among the dependencies of {}",
            package.name,
            package.manifest_path
        );
    }
    let (name, bin) = program.split_once('/').map_or((program, None), |(name, bin)| (name, Some(bin)));
    let nodes = metadata.resolve.iter().flat_map(|resolve| &resolve.nodes);
    let mut direct = nodes.filter(|node| node.id == package.id).flat_map(|node| &node.dependencies);
    let found = direct.find_map(|id| metadata.packages.iter().find(|p| p.id == *id && p.name.as_str() == name));
    let found = found.with_context(|| {
        format!("{}: `package.metadata.ampoule.program` is {name}, which is no dependency there", package.manifest_path)
    })?;
    Ok((found, options.bin.as_deref().or(bin)))
}

fn binary(package: &cargo_metadata::Package, wanted: Option<&str>) -> Result<String> {
    let is_binary = |target: &&cargo_metadata::Target| target.kind.contains(&TargetKind::Bin);
    let names: Vec<&str> = package.targets.iter().filter(is_binary).map(|target| target.name.as_str()).collect();
    let wanted = wanted.or(package.default_run.as_deref());
    match (wanted, names.as_slice()) {
        (_, []) => bail!("{} has no binary: an image needs a `src/main.rs`", package.name),
        (Some(wanted), names) if names.contains(&wanted) => Ok(wanted.to_owned()),
        (Some(wanted), names) => bail!("{} has no binary `{wanted}`; it has {}", package.name, names.join(", ")),
        (None, [only]) => Ok((*only).to_owned()),
        (None, names) => bail!("{} has several binaries; choose with --bin: {}", package.name, names.join(", ")),
    }
}

/// Does the package reach the crate `name`, with the features chosen?
fn reaches(metadata: &Metadata, package: &cargo_metadata::Package, name: &str) -> bool {
    let Some(resolve) = &metadata.resolve else { return false };
    let mut seen = std::collections::HashSet::new();
    let mut queue = vec![&package.id];
    while let Some(id) = queue.pop() {
        if !seen.insert(id) {
            continue;
        }
        if metadata.packages.iter().any(|p| p.id == *id && p.name.as_str() == name) {
            return true;
        }
        if let Some(node) = resolve.nodes.iter().find(|node| node.id == *id) {
            let is_normal = |dep: &&cargo_metadata::NodeDep| {
                dep.dep_kinds.iter().any(|kind| kind.kind == cargo_metadata::DependencyKind::Normal)
            };
            queue.extend(node.deps.iter().filter(is_normal).map(|dep| &dep.pkg));
        }
    }
    false
}

fn outside(metadata: &Metadata) -> Vec<(String, PathBuf)> {
    let is_outside = |package: &&cargo_metadata::Package| {
        package.source.is_none() && !package.manifest_path.starts_with(&metadata.workspace_root)
    };
    let folder = |package: &cargo_metadata::Package| {
        Some((package.name.to_string(), package.manifest_path.parent()?.to_owned().into_std_path_buf()))
    };
    let mut all: Vec<_> = metadata.packages.iter().filter(is_outside).filter_map(folder).collect();
    all.sort();
    all
}

/// What the workspace's release profile, or the variable that overrides it, says of panics.
fn panic(workspace: &Path) -> Result<Panic> {
    let file = workspace.join("Cargo.toml");
    let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let value = match env::var("CARGO_PROFILE_RELEASE_PANIC") {
        Ok(value) => Some(value),
        Err(_) => profile_panic(&text),
    };
    Ok(if value.as_deref() == Some("abort") { Panic::Abort } else { Panic::Unwind })
}

/// Does the workspace's release profile, or the variable that overrides it, ask for the smallest code?
fn is_small(workspace: &Path, name: &str) -> Result<bool> {
    let file = workspace.join("Cargo.toml");
    let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let level = env::var("CARGO_PROFILE_RELEASE_OPT_LEVEL").ok();
    Ok(profile_level(&text, name).or(level).as_deref() == Some("z"))
}

/// The level of the package `name`, where it is a letter.
fn profile_level(cargo_toml: &str, name: &str) -> Option<String> {
    let document = DeTable::parse(cargo_toml).ok()?;
    let release = document.get_ref().get("profile")?.get_ref().as_table()?.get("release")?.get_ref().as_table()?;
    let own = || release.get("package")?.get_ref().as_table()?.get(name)?.get_ref().as_table();
    let level = |table: &toml::de::DeTable<'_>| table.get("opt-level")?.get_ref().as_str().map(str::to_owned);
    own().and_then(level).or_else(|| level(release))
}

fn profile_panic(cargo_toml: &str) -> Option<String> {
    let document = DeTable::parse(cargo_toml).ok()?;
    let release = document.get_ref().get("profile")?.get_ref().as_table()?.get("release")?;
    release.get_ref().as_table()?.get("panic")?.get_ref().as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::{profile_level, profile_panic};

    #[test]
    fn the_package_s_own_level_counts() {
        let text = "[profile.release]\nopt-level = \"s\"\n[profile.release.package.a]\nopt-level = \"z\"";
        assert_eq!(profile_level(text, "a").as_deref(), Some("z"));
        assert_eq!(profile_level(text, "b").as_deref(), Some("s"));
        assert_eq!(profile_level("[profile.release]\nopt-level = 3", "a"), None);
    }

    #[test]
    fn the_profile_says_what_a_panic_does() {
        assert_eq!(profile_panic("[profile.release]\npanic = \"abort\"").as_deref(), Some("abort"));
        assert_eq!(profile_panic("[profile.release]\nlto = true"), None);
        assert_eq!(profile_panic("[package]\nname = \"x\""), None);
    }
}
