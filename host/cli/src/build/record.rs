//! What the build writes down of its packages, for the debug file ([`image::record`]).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result};
use cargo_metadata::{Metadata, PackageId, TargetKind};
use image::record::{self, Record};

use super::package::{Package, Program, Way, is_linked, metadata};
use super::sources::Sources;
use super::{c_symbols, flags, lock, unsafety};
use crate::arguments::BuildOptions;

/// The packages that come with every image: ring 0's, and where the program does not depend on `ampoule`, the library OS's.
const EXOKERNEL: &str = "ampoule-exokernel";
const ARCHIVE: &str = "ampoule-archive";

/// The record of this build.
pub(super) fn record(package: &Package, sources: &Sources) -> Result<Record> {
    let offline = BuildOptions { offline: true, ..BuildOptions::default() };
    let own = metadata(&sources.root().join("Cargo.toml"), &offline, None)
        .context("the packages of the library OS cannot be listed")?;
    let is_it =
        |p: &&cargo_metadata::Package| p.name.as_str() == package.name && p.version.to_string() == package.version;
    let program = package.metadata.packages.iter().find(is_it);
    let program = program.context("cargo does not list the package")?.id.clone();
    let folders = flags::folders(package, sources)?;
    let mut all = Collection { folders, packages: BTreeMap::new(), depends: BTreeMap::new() };
    let program = all.take(&package.metadata, &program, Some(package));
    let inside: &[&str] = if package.way == Way::Archive { &[ARCHIVE, EXOKERNEL] } else { &[EXOKERNEL] };
    for found in own.packages.iter().filter(|p| inside.contains(&p.name.as_str())) {
        let key = all.take(&own, &found.id, None);
        all.depends.entry(program.clone()).or_default().insert(key);
    }
    let libc = sources.libc();
    let symbols = c_symbols::offered(&libc).with_context(|| format!("cannot read {}", libc.display()))?;
    Ok(Record {
        compiler: flags::compiler()?,
        packages: all.finish(),
        libc_symbols: symbols.into_iter().filter(|name| !name.starts_with("ampoule_")).collect(),
    })
}

/// A package as it is told apart from others: name, version, folder.
type Key = (String, String, String);

struct Collection {
    folders: Vec<(PathBuf, String)>,
    packages: BTreeMap<Key, (record::Package, Vec<PathBuf>, PathBuf)>,
    depends: BTreeMap<Key, BTreeSet<Key>>,
}

impl Collection {
    /// Takes a package and what it depends on; `program` if it is the program's. Gives its key.
    fn take(&mut self, metadata: &Metadata, root: &PackageId, program: Option<&Package>) -> Key {
        let by_id: HashMap<&PackageId, &cargo_metadata::Package> =
            metadata.packages.iter().map(|p| (&p.id, p)).collect();
        let nodes = metadata.resolve.iter().flat_map(|resolve| &resolve.nodes);
        let nodes: HashMap<&PackageId, &cargo_metadata::Node> = nodes.map(|node| (&node.id, node)).collect();
        let locked = lock::read(metadata.workspace_root.join("Cargo.lock").as_std_path());
        let checksums = locked.into_iter().filter_map(|entry| Some(((entry.name, entry.version), entry.checksum?)));
        let checksums: HashMap<(String, String), String> = checksums.collect();
        let takes_dev = program.is_some_and(|program| matches!(program.program, Program::Example(_)));
        let mut seen: BTreeSet<&PackageId> = BTreeSet::new();
        let mut queue: Vec<&PackageId> = by_id.get_key_value(root).map(|(id, _)| *id).into_iter().collect();
        while let Some(id) = queue.pop() {
            let Some(package) = by_id.get(id).filter(|_| seen.insert(id)) else { continue };
            let key = self.add(package, program.filter(|_| id == root), &checksums);
            let is_linked = |dep: &&cargo_metadata::NodeDep| is_linked(dep, takes_dev && id == root);
            let dependencies = nodes.get(id).into_iter().flat_map(|node| &node.deps);
            let dependencies = dependencies.filter(is_linked).map(|dep| &dep.pkg);
            // What runs in the compiler is not in the image.
            let linked: Vec<&PackageId> =
                dependencies.filter(|id| by_id.get(id).is_some_and(|p| !is_macro(p))).collect();
            let keys: Vec<Key> = linked.iter().filter_map(|id| by_id.get(id)).map(|p| self.key(p)).collect();
            self.depends.entry(key).or_default().extend(keys);
            queue.extend(linked);
        }
        by_id.get(root).map(|package| self.key(package)).unwrap_or_default()
    }

    fn key(&self, package: &cargo_metadata::Package) -> Key {
        let folder = package.manifest_path.parent().map(|p| p.as_std_path()).unwrap_or(Path::new(""));
        (package.name.to_string(), package.version.to_string(), flags::written(&self.folders, folder))
    }

    fn add(
        &mut self,
        package: &cargo_metadata::Package,
        program: Option<&Package>,
        checksums: &HashMap<(String, String), String>,
    ) -> Key {
        let key = self.key(package);
        let (name, version, folder) = key.clone();
        let source = package.source.as_ref().map(|source| source.repr.clone());
        let checksum = source.as_ref().and_then(|_| checksums.get(&(name.clone(), version.clone())).cloned());
        // One that is built where it was unpacked is from a registry all the same.
        let (source, checksum) = match program.and_then(|program| program.locked.clone()) {
            Some(locked) => (locked.source, locked.checksum),
            None => (source, checksum),
        };
        let is_example = program.is_some_and(|program| matches!(program.program, Program::Example(_)));
        let entry = record::Package {
            checksum,
            is_program: program.is_some(),
            source,
            license: package.license.clone(),
            description: package
                .description
                .as_deref()
                .map(|text| text.split_whitespace().collect::<Vec<_>>().join(" ")),
            dependencies: Vec::new(),
            unsafe_code: None,
            name,
            version,
            folder,
        };
        let on_disk = package.manifest_path.parent().map(|p| p.as_std_path().to_owned()).unwrap_or_default();
        self.packages.entry(key.clone()).or_insert_with(|| (entry, source_folders(package, is_example), on_disk));
        key
    }

    /// The packages, with their dependencies by number and their `unsafe` lines.
    fn finish(self) -> Vec<record::Package> {
        let numbers: BTreeMap<&Key, usize> =
            self.packages.keys().enumerate().map(|(number, key)| (key, number)).collect();
        let work: Vec<_> = self.packages.values().collect();
        let lines = unsafe_lines(&work);
        let mut packages = Vec::new();
        for ((key, (package, ..)), unsafe_code) in self.packages.iter().zip(lines) {
            let depends = self.depends.get(key).into_iter().flatten();
            let dependencies = depends.filter_map(|key| numbers.get(key).copied()).collect();
            packages.push(record::Package { dependencies, unsafe_code, ..package.clone() });
        }
        packages
    }
}

type Lines = Option<Vec<record::UnsafeFile>>;

/// Reads all packages' sources, on all CPUs: they are many.
fn unsafe_lines(packages: &[&(record::Package, Vec<PathBuf>, PathBuf)]) -> Vec<Lines> {
    let next = AtomicUsize::new(0);
    let results: Mutex<Vec<Lines>> = Mutex::new(vec![None; packages.len()]);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some((_, folders, on_disk)) = packages.get(number) else { return };
                    let lines: Option<Vec<_>> = folders.iter().map(|folder| unsafety::files(on_disk, folder)).collect();
                    if let Ok(mut results) = results.lock() {
                        results[number] = lines.map(|lines| lines.into_iter().flatten().collect());
                    }
                }
            });
        }
    });
    results.into_inner().unwrap_or_default()
}

fn is_macro(package: &cargo_metadata::Package) -> bool {
    package.targets.iter().any(|target| target.kind.contains(&TargetKind::ProcMacro))
}

/// Where its library and its programs lie, or its library and its examples.
fn source_folders(package: &cargo_metadata::Package, is_example: bool) -> Vec<PathBuf> {
    let is_code = |kind: &TargetKind| match kind {
        TargetKind::CustomBuild | TargetKind::Test | TargetKind::Bench => false,
        TargetKind::Example => is_example,
        _ => true,
    };
    let targets = package.targets.iter().filter(|target| target.kind.iter().any(is_code));
    let folders = targets.filter_map(|target| target.src_path.parent().map(|p| p.as_std_path().to_owned()));
    let folders: BTreeSet<PathBuf> = folders.collect();
    // One inside of another is read with it.
    let is_inner = |folder: &&PathBuf| !folders.iter().any(|other| other != *folder && folder.starts_with(other));
    folders.iter().filter(is_inner).cloned().collect()
}
