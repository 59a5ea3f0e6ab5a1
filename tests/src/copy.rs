//! The project's sources in another folder.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::tool;

/// What is copied: everything that an image is made of, and what its workspace needs to be one.
const PARTS: [&str; 9] = ["abi", "ampoule", "bench", "examples", "exokernel", "host", "os", "tests", "xtask"];

/// A copy, removed when it is dropped.
pub struct Copy {
    folder: PathBuf,
}

impl Copy {
    /// Copies the sources into a new folder below the system's for temporary files.
    pub fn new(name: &str) -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("{name} {}", std::process::id()));
        fs::create_dir_all(&folder)?;
        let copy = Self { folder };
        for part in PARTS {
            copy.take(Path::new(part))?;
        }
        for file in ["Cargo.toml", "Cargo.lock", "rust-toolchain.toml"] {
            fs::copy(tool::root().join(file), copy.folder.join(file)).with_context(|| format!("cannot copy {file}"))?;
        }
        Ok(copy)
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Copies a folder, without what is built in it.
    fn take(&self, part: &Path) -> Result<()> {
        let (from, to) = (tool::root().join(part), self.folder.join(part));
        fs::create_dir_all(&to)?;
        for entry in fs::read_dir(&from).with_context(|| format!("cannot list {}", from.display()))? {
            let entry = entry?;
            let below = part.join(entry.file_name());
            match entry.file_type()?.is_dir() {
                true if entry.file_name() == "target" => {}
                true => self.take(&below)?,
                false => {
                    fs::copy(entry.path(), self.folder.join(&below))
                        .with_context(|| format!("cannot copy {}", below.display()))?;
                }
            }
        }
        Ok(())
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.folder);
    }
}
