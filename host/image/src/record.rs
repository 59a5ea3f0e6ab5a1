//! What a build writes down of its packages, in the debug file: the bill of materials, and where `unsafe` stands.
//!
//! It is JSON, so that other tools can read it too. Nothing in it depends on the folder or the time of the build: sources are
//! named by the paths that the compiler was told to write.

use serde::{Deserialize, Serialize};

/// The build's record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The compiler, as `rustc --version` names it.
    pub compiler: String,
    /// All packages whose code the linker was given, sorted by name and version. The first that `is_program` is the
    /// program's own.
    pub packages: Vec<Package>,
    /// The C symbols that the library OS offers, sorted.
    #[serde(default)]
    pub libc_symbols: Vec<String>,
}

/// A package.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its folder, as the debugging information names it: `/crates/tokio-1.54.1`, `/program/web`, `/ampoule/os/libc`.
    pub folder: String,
    /// Is it the program itself?
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_program: bool,
    /// Where cargo had it from (`registry+…`, `git+…`); `None` for a folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The SHA-256 of the package as its registry has it, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<String>,
    /// The licence expression of its Cargo.toml.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
    /// One line of what it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Indices into [`Record::packages`] of what it depends on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dependencies: Vec<usize>,
    /// Where `unsafe` stands in its sources; `None` if they could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unsafe_code: Option<Vec<UnsafeFile>>,
}

/// Lines of code inside `unsafe` in one source file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnsafeFile {
    /// The file below the package's folder, `/` between its parts.
    pub path: String,
    /// Runs of lines, from 1: first and last.
    pub lines: Vec<(u32, u32)>,
}

impl UnsafeFile {
    /// How many lines.
    pub fn count(&self) -> u64 {
        self.lines.iter().map(|(first, last)| u64::from(last.saturating_sub(*first)) + 1).sum()
    }
}

impl Record {
    /// The record as the debug file holds it.
    pub fn encode(&self) -> Vec<u8> {
        // Strings, numbers and lists: nothing of it can fail.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads it back; the message says what is wrong with it. Indices of dependencies are in bounds afterwards.
    pub fn decode(bytes: &[u8]) -> Result<Record, String> {
        let record: Record = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        let count = record.packages.len();
        match record.packages.iter().flat_map(|p| &p.dependencies).find(|index| **index >= count) {
            Some(index) => Err(format!("it names package {index} of {count}")),
            None => Ok(record),
        }
    }
}
