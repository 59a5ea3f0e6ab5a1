//! The manifest's `files`: which of the package's files go into the image, and under which names.

use abi::files::{PATH_MAX, is_name};

use super::Problem;

/// Directories that every machine has of its own.
const OWN: [&[u8]; 3] = [b"/dev", b"/proc", b"/tmp"];

/// Does the path belong to the machine?
pub fn is_own(path: &[u8]) -> bool {
    OWN.iter().any(|own| path.strip_prefix(*own).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/")))
}

/// One entry of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileRule {
    /// Its line in Cargo.toml, from 1.
    pub line: usize,
    /// Its key, with dots, from `package` on.
    pub key: String,
    /// The absolute path in the machine, without a slash at its end; empty for the root.
    pub guest: String,
    /// The file or folder, below the package's folder.
    pub host: String,
}

/// A path in the machine, as the table's key gives it.
pub(super) fn guest(path: &str) -> Result<String, Problem> {
    let refuse = |reason| Err(Problem::FilePath(path.to_owned(), reason));
    if !path.starts_with('/') {
        return refuse("is no path in the machine: it starts with `/`, as in \"/etc/motd\"");
    }
    let trimmed = path.strip_suffix('/').unwrap_or(path);
    if trimmed.len() >= PATH_MAX {
        return refuse("is too long: a path has at most 4095 bytes");
    }
    if !trimmed.is_empty() && !trimmed[1..].split('/').all(|part| is_name(part.as_bytes())) {
        return refuse("is no path in the machine: its parts have 1 to 255 bytes and are neither `.` nor `..`");
    }
    if is_own(trimmed.as_bytes()) {
        return refuse("belongs to the machine, as all of /dev, /proc and /tmp does; choose another path");
    }
    Ok(trimmed.to_owned())
}

/// A path of the package, as the table's value gives it.
pub(super) fn host(path: &str) -> Result<String, Problem> {
    let refuse = |reason| Err(Problem::FilePath(path.to_owned(), reason));
    match path {
        "" => refuse("names no file; write a path below the package's folder"),
        _ if path.contains('\0') => Err(Problem::Nul),
        _ if path.starts_with('/') => {
            refuse("is not a path below the package's folder; what is sealed belongs to the package")
        }
        _ => Ok(path.to_owned()),
    }
}
