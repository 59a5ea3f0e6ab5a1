//! How many bytes each crate takes.

use super::elf::Program;
use super::graph::{Graph, Node};
use super::owners::{Owner, OwnerId, Owners, SHARED, TABLES, UNKNOWN};
use super::sources::Sources;
use super::{Crate, UnsafeLines};
use crate::record::Record;
use std::collections::{BTreeMap, HashMap, HashSet};

/// Bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Code.
    pub text: u64,
    /// Data that the file gives, constants among it.
    pub data: u64,
    /// Memory that is zero at the start, and so not in the file.
    pub zero: u64,
    /// Of the debug file: debugging information and symbols. Not in the image.
    pub debug: u64,
}

impl Sizes {
    /// What it takes in the image's file.
    pub fn in_file(&self) -> u64 {
        self.text + self.data
    }

    pub(super) fn add(&mut self, other: &Sizes) {
        self.text += other.text;
        self.data += other.data;
        self.zero += other.zero;
        self.debug += other.debug;
    }
}

/// A function, as far as it counts for a crate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Its name, readable.
    pub name: String,
    /// Bytes of code that count for the crate; more in all, where code of others was inlined.
    pub text: u64,
}

/// The crates, largest first, and the sum of all.
pub(super) fn crates(elf: &Program<'_>, sources: &Sources<'_>, graph: &Graph, owners: &Owners) -> (Vec<Crate>, Sizes) {
    let mut sizes = vec![Sizes::default(); owners.count()];
    let mut functions: Vec<BTreeMap<&str, u64>> = vec![BTreeMap::new(); owners.count()];
    for node in &graph.nodes {
        if !node.is_function {
            let size = &mut sizes[Owners::index(node.owner)];
            *(if node.is_zero { &mut size.zero } else { &mut size.data }) += node.length;
        }
        let name = node.names.first().map_or("", String::as_str);
        for (owner, bytes) in &node.parts {
            sizes[Owners::index(*owner)].text += bytes;
            *functions[Owners::index(*owner)].entry(name).or_default() += bytes;
        }
    }
    // What lies between functions, and makes them begin at round addresses.
    let code: u64 = elf.sections.iter().filter(|s| s.is_code).map(|s| s.length).sum();
    let named: u64 = graph.nodes.iter().filter(|n| n.is_function).map(|n| n.length).sum();
    sizes[Owners::index(TABLES)].text += code.saturating_sub(named);
    thread_locals(elf, owners, &mut sizes);
    debug(elf, sources, owners, &mut sizes);

    let brings = brings(graph, owners);
    let mut crates: Vec<Crate> = owners
        .all()
        .filter(|id| sizes[Owners::index(*id)] != Sizes::default())
        .map(|id| Crate {
            owner: owners.get(id).clone(),
            sizes: sizes[Owners::index(id)],
            brings: brings.get(&id).copied().unwrap_or(0),
            unsafe_lines: None,
            functions: largest(std::mem::take(&mut functions[Owners::index(id)])),
        })
        .collect();
    crates.sort_by(|a, b| b.sizes.in_file().cmp(&a.sizes.in_file()).then_with(|| a.owner.cmp(&b.owner)));
    let mut total = Sizes::default();
    sizes.iter().for_each(|size| total.add(size));
    (crates, total)
}

fn largest(functions: BTreeMap<&str, u64>) -> Vec<Function> {
    let mut functions: Vec<Function> =
        functions.into_iter().map(|(name, text)| Function { name: name.into(), text }).collect();
    functions.sort_by(|a, b| b.text.cmp(&a.text).then_with(|| a.name.cmp(&b.name)));
    functions
}

/// Thread-local objects: named, or their section's.
fn thread_locals(elf: &Program<'_>, owners: &Owners, sizes: &mut [Sizes]) {
    for section in elf.sections.iter().filter(|s| s.is_thread_local) {
        let is_zero = section.bytes.is_empty();
        let end = section.address + section.length;
        let inside = elf.thread_locals.iter().filter(|s| s.address >= section.address && s.address < end);
        let mut rest = section.length;
        let mut add = |owner: OwnerId, bytes: u64| {
            let size = &mut sizes[Owners::index(owner)];
            *(if is_zero { &mut size.zero } else { &mut size.data }) += bytes;
        };
        for symbol in inside {
            let bytes = symbol.length.min(rest);
            rest -= bytes;
            add(owners.first_in_name(symbol.name).unwrap_or(UNKNOWN), bytes);
        }
        add(TABLES, rest);
    }
}

/// Debugging information by the unit that it describes, symbols by their name, tables of several units shared.
fn debug(elf: &Program<'_>, sources: &Sources<'_>, owners: &Owners, sizes: &mut [Sizes]) {
    let mut rest: u64 = elf.debug.iter().map(|(_, bytes)| bytes).sum();
    let mut add = |owner: OwnerId, bytes: u64| {
        let bytes = bytes.min(rest);
        rest -= bytes;
        sizes[Owners::index(owner)].debug += bytes;
    };
    let units: BTreeMap<OwnerId, u64> = sources.debug_bytes.iter().map(|(owner, bytes)| (*owner, *bytes)).collect();
    units.into_iter().for_each(|(owner, bytes)| add(owner, bytes));
    for (name, bytes) in &elf.symbol_bytes {
        add(owners.first_in_name(name).unwrap_or(SHARED), *bytes);
    }
    sizes[Owners::index(SHARED)].debug += rest;
}

/// What would not be reached without each owner's functions, in bytes of the file.
fn brings(graph: &Graph, owners: &Owners) -> HashMap<OwnerId, u64> {
    let in_file = |nodes: &mut dyn Iterator<Item = (usize, &Node)>| -> u64 {
        nodes.filter(|(_, n)| !n.is_zero).map(|(_, n)| n.length).sum()
    };
    let all = in_file(&mut graph.nodes.iter().enumerate().filter(|(i, _)| graph.is_reached(*i)));
    let with_functions: HashSet<OwnerId> = graph.nodes.iter().filter(|n| n.is_function).map(|n| n.owner).collect();
    let is_crate = |id: &OwnerId| ![TABLES, UNKNOWN, SHARED].contains(id) && with_functions.contains(id);
    let brings = |id: OwnerId| {
        let reached = graph.reached_without(|node| node.is_function && node.owner == id);
        all - in_file(&mut graph.nodes.iter().enumerate().filter(|(i, _)| reached[*i]))
    };
    owners.all().filter(is_crate).map(|id| (id, brings(id))).collect()
}

/// Lines inside `unsafe`, by crate: those in the image, and all.
pub(super) fn unsafe_lines(record: Option<&Record>, sources: &Sources<'_>) -> HashMap<Owner, UnsafeLines> {
    let mut used: HashMap<&str, HashSet<u32>> = HashMap::new();
    for (file, line) in sources.lines() {
        used.entry(sources.files[file as usize].path.as_str()).or_default().insert(line);
    }
    let mut owners = Owners::new(record);
    let mut all = HashMap::new();
    for package in record.iter().flat_map(|r| &r.packages) {
        let Some(files) = &package.unsafe_code else { continue };
        let mut lines = UnsafeLines::default();
        for file in files {
            lines.in_sources += file.count();
            let Some(used) = used.get(format!("{}/{}", package.folder, file.path).as_str()) else { continue };
            let inside = |line: &&u32| file.lines.iter().any(|(first, last)| (first..=last).contains(line));
            lines.in_image += used.iter().filter(inside).count() as u64;
        }
        let id = owners.of_folder(&package.folder);
        all.insert(owners.get(id).clone(), lines);
    }
    all
}
