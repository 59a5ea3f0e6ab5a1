//! The manifest in a program's Cargo.toml, read strictly: every key is known, every value has its type and its sense.
//!
//! It stands in `[package.metadata.ampoule]`. All keys are optional:
//!
//! | key | type | meaning | default |
//! |---|---|---|---|
//! | `memory` | size | RAM of the machine: image, heap, stacks and buffers | `"128M"` |
//! | `stack` | size | the first thread's stack | a sixteenth of the memory, 64 KiB to 8 MiB |
//! | `args` | strings | arguments after the program's name, unless `ampoule run … -- ARGS` gives others | none |
//! | `program` | string | a dependency that is a program, sealed as it is published instead of a binary of the package's own: `"mini-redis/mini-redis-server"` (crate, binary) or the crate alone | none |
//! | `env` | table of strings | the environment | empty |
//! | `files` | table of strings | path in the machine → file or folder of the package: `"/etc/motd" = "motd.txt"`, `"/www" = "static/"` | none |
//! | `net.listen` | strings | ports that the program may serve on: `"tcp/8080"`, `"udp/5000-5010"`; port 0 is any free port | none |
//! | `net.connect` | strings | peers that it may reach: `"tcp/example.org:443"`, `"tcp/*.example.org:80-90"`, `"tcp/10.0.0.0/8:5432"`, `"tcp/[2001:db8::]/32:443"`, `"udp/*:53"`, `"tcp/*"` (any peer, any port) | none |
//! | `net.hosts` | table of strings, or of arrays of them | names that need no resolver, and their addresses: `{ "db" = "10.0.0.5" }` | none |
//! | `net.search` | strings | domains in which names without a dot are looked for: `["example.org"]` | none |
//!
//! A size is a number of bytes or a string such as `"64M"` or `"2MiB"`. Without `net` the machine has no network at all,
//! save the one inside itself. What the manifest says is sealed into the image, and enforced in the guest and again
//! below the gate.

mod files;
mod network;
mod section;

use std::fmt;
use std::path::{Path, PathBuf};

use abi::manifest::Manifest;

use crate::size::SizeError;
pub use files::{FileRule, is_own};

/// RAM where the manifest names none, in bytes.
pub const DEFAULT_MEMORY: u64 = 128 << 20;
/// The least RAM that a manifest may ask for, in bytes: below it no image can run.
pub const LEAST_MEMORY: u64 = 1 << 20;
/// The most RAM that a manifest may ask for, in bytes: one terabyte, a typing error's distance from any machine of today.
pub const MOST_MEMORY: u64 = 1 << 40;
/// The least stack, in bytes: what std needs to get to `main` and to print a panic.
pub const LEAST_STACK: u64 = 16 << 10;

/// A manifest that cannot be sealed: where, and what is wrong.
#[derive(Debug, thiserror::Error)]
pub struct ManifestError {
    /// The Cargo.toml.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// The key, with dots, from `package` on; empty where the file as a whole is no TOML.
    pub key: String,
    /// What is wrong with it.
    pub problem: Problem,
}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.file.display(), self.line)?;
        if !self.key.is_empty() {
            write!(f, "`{}`: ", self.key)?;
        }
        write!(f, "{}", self.problem)
    }
}

/// What is wrong with a key.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// the file is no TOML
    #[error("{0}")]
    Toml(String),
    /// a key that nobody knows
    #[error("no such key; {0} exist")]
    UnknownKey(String),
    /// a value of the wrong type
    #[error("expected {expected}, found {found}")]
    WrongType {
        /// What belongs there.
        expected: &'static str,
        /// What stands there.
        found: &'static str,
    },
    /// a size that cannot be read
    #[error("\"{0}\" is no size: {1}")]
    NoSize(String, SizeError),
    /// a size that no machine can have
    #[error("{given} is impossible: {reason}")]
    ImpossibleSize {
        /// The size as it was written.
        given: String,
        /// Which bound it breaks.
        reason: String,
    },
    /// a string that cannot be passed to a program
    #[error("a NUL character cannot be passed to a program")]
    Nul,
    /// a name that no environment can hold
    #[error("an environment variable's name is not empty and has no `=`")]
    EnvironmentName,
    /// a path that no file can have, or that none can come from
    #[error("\"{0}\" {1}")]
    FilePath(String, &'static str),
    /// a file that cannot be sealed
    #[error("{0}")]
    File(String),
    /// what names no program
    #[error("\"{0}\" is neither `CRATE`, nor `CRATE/BINARY`, nor `CRATE/example:NAME`")]
    Program(String),
    /// a name that has no address
    #[error("has no address")]
    NoAddress,
    /// a rule for the network that cannot be read
    #[error("\"{0}\" {1}")]
    Rule(String, &'static str),
}

/// Reads the manifest of package `name` `version` from its Cargo.toml.
pub fn read(file: &Path, name: &str, version: &str) -> Result<Manifest, ManifestError> {
    parse(file, &text(file)?, name, version)
}

/// Reads which files are to be sealed, in the order of their paths in the machine.
pub fn read_files(file: &Path) -> Result<Vec<FileRule>, ManifestError> {
    parse_files(file, &text(file)?)
}

fn text(file: &Path) -> Result<String, ManifestError> {
    std::fs::read_to_string(file).map_err(|error| ManifestError {
        file: file.to_owned(),
        line: 1,
        key: String::new(),
        problem: Problem::Toml(format!("cannot be read: {error}")),
    })
}

/// Reads the manifest from the Cargo.toml's text.
pub fn parse(file: &Path, text: &str, name: &str, version: &str) -> Result<Manifest, ManifestError> {
    let mut manifest =
        Manifest { name: name.to_owned(), version: version.to_owned(), memory: DEFAULT_MEMORY, ..Manifest::default() };
    section::read(text, &mut manifest).map_err(|fault| located(file, text, fault))?;
    Ok(manifest)
}

/// [`read_files`] of the Cargo.toml's text.
pub fn parse_files(file: &Path, text: &str) -> Result<Vec<FileRule>, ManifestError> {
    section::read_files(text).map_err(|fault| located(file, text, fault))
}

fn located(file: &Path, text: &str, fault: section::Fault) -> ManifestError {
    let line = line(text, fault.offset);
    ManifestError { file: file.to_owned(), line, key: fault.key, problem: fault.problem }
}

fn line(text: &str, offset: usize) -> usize {
    text.get(..offset).unwrap_or(text).matches('\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use abi::manifest::{Connect, Host, Listen, Network, Protocol};

    fn manifest(section: &str) -> Result<Manifest, String> {
        let text = format!("[package]\nname = \"x\"\n\n[package.metadata.ampoule]\n{section}\n");
        parse(Path::new("x/Cargo.toml"), &text, "x", "1.0.0").map_err(|e| e.to_string())
    }

    fn refusal(section: &str) -> String {
        manifest(section).expect_err("should be refused")
    }

    #[test]
    fn nothing_is_a_manifest_too() {
        let manifest = parse(Path::new("Cargo.toml"), "[package]\nname = \"x\"\n", "x", "1.0.0").expect("reads");
        assert_eq!((manifest.memory, manifest.stack, manifest.network), (DEFAULT_MEMORY, 0, None));
    }

    #[test]
    fn every_key_is_read() {
        let manifest = manifest(
            "memory = \"64M\"\nstack = 65536\nargs = [\"-v\"]\nenv = { A = \"1\", B = \"x=y\" }\n\
             net.listen = [\"tcp/8080\", \"udp/5000-5010\"]\nnet.connect = [\"udp/*:53\"]",
        )
        .expect("reads");
        assert_eq!((manifest.memory, manifest.stack), (64 << 20, 64 << 10));
        assert_eq!(manifest.arguments, ["-v"]);
        assert_eq!(manifest.environment, ["A=1", "B=x=y"]);
        let listen = |protocol, first_port, last_port| Listen { protocol, first_port, last_port };
        let network = Network {
            listen: vec![listen(Protocol::Tcp, 8080, 8080), listen(Protocol::Udp, 5000, 5010)],
            connect: vec![Connect { protocol: Protocol::Udp, host: Host::Any, first_port: 53, last_port: 53 }],
        };
        assert_eq!(manifest.network, Some(network));
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line() {
        assert_eq!(
            refusal("memory = \"1M\"\nmemroy = \"2M\""),
            "x/Cargo.toml:6: `package.metadata.ampoule.memroy`: no such key; `args`, `env`, `files`, `memory`, `net`, `program`, `stack` exist"
        );
        assert_eq!(
            refusal("net.lisen = []"),
            "x/Cargo.toml:5: `package.metadata.ampoule.net.lisen`: no such key; `connect`, `hosts`, `listen`, `search` exist"
        );
    }

    #[test]
    fn names_are_read() {
        let names = manifest(
            "net.hosts = { Db = \"10.0.0.5\", \"x.org\" = [\"::1\", \"10.0.0.6\"] }\nnet.search = [\"Example.org\"]",
        )
        .expect("reads")
        .names
        .expect("there");
        assert_eq!(names.search, ["example.org"]);
        let text = |known: &abi::manifest::Known| format!("{} {:?}", known.name, known.addresses().collect::<Vec<_>>());
        let mut all: Vec<_> = names.hosts.iter().map(text).collect();
        all.sort();
        assert_eq!(all, ["db [10.0.0.5]", "x.org [::1, 10.0.0.6]"]);
        assert!(refusal("net.hosts = { db = \"10.0.0\" }").ends_with("net.hosts.db`: \"10.0.0\" is no IP address"));
        assert!(refusal("net.hosts = { \"a b\" = \"::1\" }").ends_with("\"a b\" is no DNS name"));
        assert!(refusal("net.hosts = { db = [] }").ends_with("net.hosts.db`: has no address"));
        assert!(refusal("net.hosts = { db = 5 }").ends_with("expected an array of strings, found an integer"));
        assert!(refusal("net.search = [\"-x\"]").ends_with("\"-x\" is no DNS name"));
    }

    #[test]
    fn a_wrong_type_is_named() {
        assert_eq!(
            refusal("memory = [1]"),
            "x/Cargo.toml:5: `package.metadata.ampoule.memory`: expected a size such as \"64M\", found an array"
        );
        assert_eq!(
            refusal("args = [\"a\", 2]"),
            "x/Cargo.toml:5: `package.metadata.ampoule.args[1]`: expected a string, found an integer"
        );
        assert!(refusal("net = \"none\"").ends_with("expected a table, found a string"));
        assert!(refusal("env.A = 1").contains("env.A`: expected a string, found an integer"));
    }

    #[test]
    fn impossible_sizes_are_refused() {
        for section in ["memory = 0", "memory = \"1K\"", "memory = \"2T\"", "stack = \"1K\"", "stack = \"128M\""] {
            assert!(refusal(section).contains("is impossible: "), "{section}: {}", refusal(section));
        }
        assert!(refusal("memory = -1").contains("is no size"));
        assert!(refusal("memory = \"much\"").contains("\"much\" is no size"));
    }

    #[test]
    fn files_are_read_with_their_lines() {
        let text = "[package.metadata.ampoule.files]\n\"/www/\" = \"static/\"\n\"/etc/motd\" = \"motd.txt\"\n\"/\" = \"root\"\n";
        let rules = parse_files(Path::new("x/Cargo.toml"), text).expect("reads");
        let rules: Vec<_> = rules.iter().map(|r| (r.line, r.guest.as_str(), r.host.as_str())).collect();
        assert_eq!(rules, [(4, "", "root"), (3, "/etc/motd", "motd.txt"), (2, "/www", "static/")]);
        assert!(parse_files(Path::new("x"), "").is_ok_and(|rules| rules.is_empty()));
    }

    #[test]
    fn impossible_files_are_refused() {
        for (section, reason) in [
            ("files = [\"a\"]", "expected a table"),
            ("files = { \"/a\" = 1 }", "expected a string"),
            ("files = { a = \"a\" }", "starts with `/`"),
            ("files = { \"\" = \"a\" }", "starts with `/`"),
            ("files = { \"/a/../b\" = \"a\" }", "neither `.` nor `..`"),
            ("files = { \"//a\" = \"a\" }", "1 to 255 bytes"),
            ("files = { \"/tmp/a\" = \"a\" }", "belongs to the machine"),
            ("files = { \"/dev\" = \"a\" }", "belongs to the machine"),
            ("files = { \"/a\" = \"/etc/passwd\" }", "below the package's folder"),
            ("files = { \"/a\" = \"\" }", "names no file"),
            ("files = { \"/a\" = \"a\", \"/a/\" = \"b\" }", "twice"),
        ] {
            assert!(refusal(section).contains(reason), "{section}: {}", refusal(section));
        }
        let long = format!("files = {{ \"{}\" = \"a\" }}", "/x".repeat(2100));
        assert!(refusal(&long).contains("too long"));
        assert!(refusal(&format!("files = {{ \"/{}\" = \"a\" }}", "x".repeat(256))).contains("1 to 255"));
    }

    #[test]
    fn no_toml_is_refused_with_its_line() {
        assert!(refusal("memory = ").starts_with("x/Cargo.toml:5: "));
    }

    #[test]
    fn strings_that_cannot_be_passed_are_refused() {
        assert!(refusal("args = [\"a\\u0000b\"]").contains("NUL"));
        assert!(refusal("env = { \"A=B\" = \"c\" }").contains("name"));
        assert!(refusal("env = { \"\" = \"c\" }").contains("name"));
    }
}
