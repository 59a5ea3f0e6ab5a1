//! The package that is to become an image: what cargo knows of it, and what follows from that.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use cargo_metadata::{CargoOpt, DependencyKind, Metadata, MetadataCommand};

use super::flags::TARGET;
use super::lock::Locked;
pub use super::profile::Panic;
use super::profile::{self, is_small, panic};
pub use super::program::Program;
use super::program::{self, Place};
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

/// A package, and how it is to be built.
#[derive(Clone, Debug)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The Cargo.toml with the manifest: its own, or that of the package which names it as its `program`.
    pub cargo_toml: PathBuf,
    /// The binary, or the example.
    pub program: Program,
    /// The Cargo.toml that cargo is given: of this package, or where its program lies elsewhere, of that one.
    pub build_toml: PathBuf,
    /// The top folder of the workspace that cargo works in.
    pub workspace: PathBuf,
    /// The profile that goes along to where the program lies, as cargo's `--config` takes it.
    pub profile: Vec<String>,
    /// The user's wishes as they count there.
    pub options: BuildOptions,
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
    /// What the user's Cargo.lock holds of it, where it is built elsewhere: there cargo sees a folder and no archive.
    pub(super) locked: Option<Locked>,
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
        let found = program::find(&metadata, named, options)?;
        let cargo_toml = named.manifest_path.clone().into_std_path_buf();
        let (own_workspace, cargo_target) = (metadata.workspace_root.clone(), metadata.target_directory.clone());
        let package = &found.package;
        let (build_toml, profile, metadata) = match found.place {
            Place::Here => (cargo_toml.clone(), Vec::new(), metadata),
            Place::Elsewhere(there) => {
                let profile = profile::carried(own_workspace.as_std_path())?;
                (package.manifest_path.clone().into_std_path_buf(), profile, *there)
            }
        };
        let takes_dev = matches!(found.program, Program::Example(_));
        Ok(Self {
            name: package.name.to_string(),
            version: package.version.to_string(),
            cargo_toml,
            program: found.program,
            build_toml,
            way: if reaches(&metadata, package, takes_dev, "ampoule") { Way::Line } else { Way::Archive },
            is_small: is_small(own_workspace.as_std_path(), &package.name)?,
            calls_by_number: reaches(&metadata, package, takes_dev, "libc"),
            panic: panic(own_workspace.as_std_path())?,
            profile,
            traced: options.traced,
            outside: outside(&metadata),
            user_flags: question.answer()?,
            workspace: metadata.workspace_root.clone().into_std_path_buf(),
            cargo_target: cargo_target.into_std_path_buf(),
            options: found.options,
            locked: found.locked,
            metadata,
        })
    }

    /// What its files are called: the image, the debug file, what is remembered of it. Many an example is called `server`.
    pub fn stem(&self) -> String {
        match &self.program {
            Program::Binary(name) => name.clone(),
            Program::Example(name) => format!("{}-{name}", self.name),
        }
    }

    /// Is it built as it was published, where it was unpacked?
    pub(super) fn is_published(&self) -> bool {
        self.locked.as_ref().is_some_and(|locked| locked.source.is_some())
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

/// Does the package reach the crate `name`, with the features chosen? Its examples (`takes_dev`) reach more.
fn reaches(metadata: &Metadata, package: &cargo_metadata::Package, takes_dev: bool, name: &str) -> bool {
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
            let is_linked = |dep: &&cargo_metadata::NodeDep| is_linked(dep, takes_dev && *id == package.id);
            queue.extend(node.deps.iter().filter(is_linked).map(|dep| &dep.pkg));
        }
    }
    false
}

/// Is the dependency in the program, and not only in its build script? Those of tests and examples are, if it is one.
pub(super) fn is_linked(dependency: &cargo_metadata::NodeDep, takes_dev: bool) -> bool {
    dependency.dep_kinds.iter().any(|kind| match kind.kind {
        DependencyKind::Normal => true,
        DependencyKind::Development => takes_dev,
        _ => false,
    })
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
