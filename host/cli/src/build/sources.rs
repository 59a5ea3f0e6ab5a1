//! Where the sources of the library OS and the exokernel are: both are compiled for the program that needs them.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

/// The source tree of Ampoule itself.
#[derive(Clone, Debug)]
pub struct Sources {
    root: PathBuf,
}

impl Sources {
    /// The tree that the tool was built from, or what `AMPOULE_SOURCE` names.
    pub fn find() -> Result<Self> {
        let built_from = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
        let (root, remedy) = match env::var_os("AMPOULE_SOURCE") {
            Some(root) => (PathBuf::from(root), "AMPOULE_SOURCE does not name a source tree of Ampoule"),
            None => {
                (PathBuf::from(built_from), "the tool was built there; set AMPOULE_SOURCE to where the tree is now")
            }
        };
        if !root.join("os/archive/Cargo.toml").is_file() {
            bail!("no sources of the library OS in {}: {remedy}", root.display());
        }
        Ok(Self { root: root.canonicalize()? })
    }

    /// The tree's top folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The sources of the C functions.
    pub(super) fn libc(&self) -> PathBuf {
        self.root.join("os/libc/src")
    }

    /// Where the tree's own parts are built: beside its other build products, shared by all programs.
    pub fn target_folder(&self) -> PathBuf {
        let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| self.root.join("target"), PathBuf::from);
        target.join("ampoule-os")
    }
}
