//! Whose code it is: from the paths in the debugging information, and from symbols' names, to crates.

use crate::record::Record;
use std::collections::HashMap;

/// Where crates come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Group {
    /// The program's own workspace.
    Program,
    /// Other people's crates.
    Crates,
    /// Rust's standard library.
    Std,
    /// Ampoule's library OS.
    LibraryOs,
    /// No crate: the linker's tables, data of several crates, code without debugging information.
    Other,
}

impl Group {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Group; 5] = [Group::Program, Group::Crates, Group::Std, Group::LibraryOs, Group::Other];

    /// Its name, for a person.
    pub fn title(self) -> &'static str {
        match self {
            Group::Program => "program",
            Group::Crates => "crates",
            Group::Std => "standard library",
            Group::LibraryOs => "library OS",
            Group::Other => "no crate",
        }
    }
}

/// A crate, or what stands for one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner {
    /// Where it comes from.
    pub group: Group,
    /// Its package's name.
    pub name: String,
    /// Its version, if it is known.
    pub version: Option<String>,
}

impl Owner {
    fn new(group: Group, name: &str, version: Option<&str>) -> Self {
        Owner { group, name: name.into(), version: version.filter(|v| !v.is_empty()).map(String::from) }
    }
}

impl std::fmt::Display for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.version {
            Some(version) => write!(f, "{} {version}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// An index into [`Owners`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct OwnerId(u32);

/// Linker's tables, headers and padding.
pub(super) const TABLES: OwnerId = OwnerId(0);
/// Code and data that nobody's name is on.
pub(super) const UNKNOWN: OwnerId = OwnerId(1);
/// Data that code of several crates refers to.
pub(super) const SHARED: OwnerId = OwnerId(2);

/// All owners met.
pub(super) struct Owners {
    all: Vec<Owner>,
    ids: HashMap<Owner, OwnerId>,
    folders: HashMap<String, OwnerId>,
    /// Packages by folder, longest folder first.
    packages: Vec<(String, Owner)>,
}

impl Owners {
    pub(super) fn new(record: Option<&Record>) -> Self {
        let mut packages: Vec<(String, Owner)> = record
            .iter()
            .flat_map(|r| &r.packages)
            .map(|p| (p.folder.clone(), Owner::new(group(&p.folder), &p.name, Some(&p.version))))
            .collect();
        packages.sort_by_key(|(folder, _)| std::cmp::Reverse(folder.len()));
        let mut owners = Owners { all: Vec::new(), ids: HashMap::new(), folders: HashMap::new(), packages };
        for name in ["(linker's tables)", "(no debugging information)", "(shared data)"] {
            owners.intern(Owner::new(Group::Other, name, None));
        }
        owners
    }

    pub(super) fn get(&self, id: OwnerId) -> &Owner {
        &self.all[id.0 as usize]
    }

    pub(super) fn is_std(&self, id: OwnerId) -> bool {
        self.get(id).group == Group::Std
    }

    pub(super) fn count(&self) -> usize {
        self.all.len()
    }

    pub(super) fn all(&self) -> impl Iterator<Item = OwnerId> + use<> {
        (0..self.all.len() as u32).map(OwnerId)
    }

    pub(super) fn index(id: OwnerId) -> usize {
        id.0 as usize
    }

    fn intern(&mut self, owner: Owner) -> OwnerId {
        if let Some(&id) = self.ids.get(&owner) {
            return id;
        }
        let id = OwnerId(self.all.len() as u32);
        self.all.push(owner.clone());
        self.ids.insert(owner, id);
        id
    }

    /// Whose folder a source file lies in.
    pub(super) fn of_folder(&mut self, folder: &str) -> OwnerId {
        if let Some(&id) = self.folders.get(folder) {
            return id;
        }
        let is_below = |root: &str| folder.strip_prefix(root).is_some_and(|r| r.is_empty() || r.starts_with('/'));
        let known = self.packages.iter().find(|(root, _)| is_below(root)).map(|(_, owner)| owner.clone());
        let id = self.intern(known.unwrap_or_else(|| by_place(folder)));
        self.folders.insert(folder.into(), id);
        id
    }

    /// The crate that a symbol's name is about: the first in it that is not the standard library's.
    pub(super) fn in_name(&self, symbol: &str) -> Option<OwnerId> {
        crates_in(&readable(symbol)).find_map(|name| {
            let id = self.by_crate_name(name)?;
            (!self.is_std(id)).then_some(id)
        })
    }

    /// The crate that a symbol's name begins with, the standard library's among them.
    pub(super) fn first_in_name(&self, symbol: &str) -> Option<OwnerId> {
        self.in_name(symbol).or_else(|| crates_in(&readable(symbol)).find_map(|name| self.by_crate_name(name)))
    }

    /// The crate of a mangled name, if no debugging information has spoken of it yet: parts of std come without.
    pub(super) fn of_symbol(&mut self, symbol: &str) -> Option<OwnerId> {
        let name = readable(symbol);
        if let Some(id) = self.first_in_name(symbol) {
            return Some(id);
        }
        let first = crates_in(&name).next().filter(|_| name != symbol)?;
        Some(self.intern(match first {
            "__rustc" => Owner::new(Group::Std, "std", None),
            "rustc_demangle" => Owner::new(Group::Std, "rustc-demangle", None),
            other => Owner::new(Group::Crates, other, None),
        }))
    }

    /// A crate met so far, by the name that it has in source code.
    fn by_crate_name(&self, name: &str) -> Option<OwnerId> {
        let same = |owner: &Owner| {
            owner.group != Group::Other
                && owner.name.len() == name.len()
                && owner.name.bytes().zip(name.bytes()).all(|(a, b)| a == b || (a == b'-' && b == b'_'))
        };
        self.all().find(|id| same(self.get(*id)))
    }
}

/// A name without its hash.
pub(super) fn readable(symbol: &str) -> String {
    format!("{:#}", rustc_demangle::demangle(symbol))
}

/// The crates that a readable name mentions: what stands before a `::` and not behind one.
fn crates_in(name: &str) -> impl Iterator<Item = &str> {
    let is_letter = |c: char| c.is_alphanumeric() || c == '_';
    name.match_indices("::").filter_map(move |(at, _)| {
        let start = name[..at].rfind(|c| !is_letter(c)).map_or(0, |i| i + 1);
        let (before, word) = (&name[..start], &name[start..at]);
        (!word.is_empty() && !before.ends_with("::") && !before.ends_with('{')).then_some(word)
    })
}

fn group(folder: &str) -> Group {
    match folder.split('/').nth(1) {
        Some("program") => Group::Program,
        Some("ampoule") => Group::LibraryOs,
        Some("rustc" | "rust") => Group::Std,
        _ => Group::Crates,
    }
}

/// What the path alone says, where the build's record does not help.
fn by_place(folder: &str) -> Owner {
    let parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    match parts.as_slice() {
        // The compiler's intrinsics are core's.
        ["rustc", _, "library", "stdarch", ..] => Owner::new(Group::Std, "core", None),
        ["rustc", _, "library", name, ..] => Owner::new(Group::Std, name, None),
        ["rust", "deps", package, ..] => with_version(Group::Std, package),
        ["crates", package, ..] => with_version(Group::Crates, package),
        ["cargo", "git", "checkouts", package, ..] => {
            Owner::new(Group::Crates, package.rsplit_once('-').map_or(*package, |(name, _)| name), None)
        }
        ["ampoule", "os", name, ..] => Owner::new(Group::LibraryOs, &format!("ampoule-{name}"), None),
        ["ampoule", "abi", ..] => Owner::new(Group::LibraryOs, "ampoule-abi", None),
        ["ampoule", ..] => Owner::new(Group::LibraryOs, "ampoule", None),
        ["outside", name, ..] => Owner::new(Group::Crates, name, None),
        // What a build script wrote: target/…/build/NAME-HASH/out.
        ["target", .., package, "out"] => {
            Owner::new(Group::Crates, package.rsplit_once('-').map_or(*package, |(name, _)| name), None)
        }
        ["program", ..] => Owner::new(Group::Program, "program", None),
        _ => Owner::new(Group::Other, "(no debugging information)", None),
    }
}

/// `tokio-1.54.1`: the version begins at the first `-` before a number and a dot.
fn with_version(group: Group, package: &str) -> Owner {
    let is_start = |(at, _): &(usize, &str)| {
        let rest = &package[at + 1..];
        let major = rest.split_once('.').map_or("", |(major, _)| major);
        !major.is_empty() && major.bytes().all(|b| b.is_ascii_digit())
    };
    match package.match_indices('-').find(is_start) {
        Some((at, _)) => Owner::new(group, &package[..at], Some(&package[at + 1..])),
        None => Owner::new(group, package, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Package;

    #[test]
    fn paths_belong_to_crates() {
        let mut owners = Owners::new(None);
        for (folder, group, text) in [
            ("/crates/tokio-1.54.1/src/runtime", Group::Crates, "tokio 1.54.1"),
            ("/crates/sha-1-0.10.1/src", Group::Crates, "sha-1 0.10.1"),
            ("/rustc/59807/library/core/src/num", Group::Std, "core"),
            ("/rust/deps/hashbrown-0.16.1/src", Group::Std, "hashbrown 0.16.1"),
            ("/ampoule/os/libc/src", Group::LibraryOs, "ampoule-libc"),
            ("/program/web/src", Group::Program, "program"),
            ("/target/x/release/build/libm-0a1b/out", Group::Crates, "libm"),
            ("", Group::Other, "(no debugging information)"),
        ] {
            let id = owners.of_folder(folder);
            assert_eq!((owners.get(id).group, owners.get(id).to_string().as_str()), (group, text), "{folder}");
        }
    }

    #[test]
    fn the_record_knows_better() {
        let package = |name: &str, folder: &str| Package {
            name: name.into(),
            version: "0.1.0".into(),
            folder: folder.into(),
            ..Default::default()
        };
        let packages = vec![package("top", "/program"), package("web", "/program/web")];
        let mut owners = Owners::new(Some(&Record { packages, ..Default::default() }));
        let id = owners.of_folder("/program/web/src/bin");
        assert_eq!(owners.get(id).to_string(), "web 0.1.0");
        let id = owners.of_folder("/program/website/src");
        assert_eq!(owners.get(id).to_string(), "top 0.1.0");
    }

    #[test]
    fn names_mention_crates() {
        let all = |name| crates_in(name).collect::<Vec<_>>();
        assert_eq!(all("<tokio::net::TcpStream as std::io::Read>::read"), ["tokio", "std"]);
        assert_eq!(all("core::ptr::drop_in_place<hyper::body::Body>"), ["core", "hyper"]);
        assert_eq!(all("<[T] as core::fmt::Debug>::fmt::{{closure}}"), ["core"]);
        assert!(all("memcpy").is_empty());
    }
}
