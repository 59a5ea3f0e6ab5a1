//! Images of test programs, kept beside them: sealing takes longer than most test programs run.
//!
//! An image is found by what it was made of: the program's file, as the kernel tells one content from another (device,
//! inode, length, times of change), the package's files likewise, the manifest, and the tool. Of each program one image is kept. Programs outside of
//! the target folder are rustdoc's, which are run once.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use abi::manifest::Manifest;
use anyhow::{Context, Result};

use super::package::Package;

/// Where the image of a program belongs.
#[derive(Debug)]
pub(super) struct Place {
    folder: PathBuf,
    program: String,
    key: u64,
}

impl Place {
    /// The place in `folder`, or `None`: it is not to be kept.
    pub(super) fn of(folder: &Path, program: &Path, manifest: &Manifest, package: &Package) -> Option<Self> {
        let target_folder = folder.parent()?;
        let program = program.canonicalize().ok().filter(|path| path.starts_with(target_folder))?;
        let mut hasher = DefaultHasher::new();
        for file in [program.as_path(), &std::env::current_exe().ok()?] {
            let data = fs::metadata(file).ok()?;
            (data.dev(), data.ino(), data.size()).hash(&mut hasher);
            (data.mtime(), data.mtime_nsec(), data.ctime(), data.ctime_nsec()).hash(&mut hasher);
        }
        image::encode_manifest(manifest).hash(&mut hasher);
        package.mark(&mut hasher);
        let name = program.file_name()?.to_str()?.to_owned();
        Some(Self { folder: folder.to_owned(), program: name, key: hasher.finish() })
    }

    fn file(&self) -> PathBuf {
        self.folder.join(format!("{}.{:016x}.img", self.program, self.key))
    }

    /// The image, if it is there.
    pub(super) fn get(&self) -> Option<Vec<u8>> {
        fs::read(self.file()).ok()
    }

    /// Puts it there, whole or not at all, in the place of older ones.
    pub(super) fn put(&self, image: &[u8]) -> Result<()> {
        let older = fs::read_dir(&self.folder).into_iter().flatten().flatten().map(|entry| entry.path());
        for file in older.filter(|file| self.is_of_the_program(file)) {
            _ = fs::remove_file(file); // Another run may have done so.
        }
        let fresh = self.folder.join(format!("{}.{}.tmp", self.program, std::process::id()));
        fs::write(&fresh, image)
            .and_then(|()| fs::rename(&fresh, self.file()))
            .with_context(|| format!("cannot write {}", fresh.display()))
    }

    fn is_of_the_program(&self, file: &Path) -> bool {
        let name = file.file_name().and_then(|name| name.to_str());
        let rest = name.and_then(|name| name.strip_prefix(&self.program)?.strip_prefix('.')?.strip_suffix(".img"));
        rest.is_some_and(|key| key.len() == 16)
    }
}
