//! The same sources in another folder give the same bytes.

use std::fs;
use std::path::{Path, PathBuf};

use ampoule_tests::harness::{Case, Verdict};
use ampoule_tests::tool;
use anyhow::{Context, Result, ensure};

pub(crate) fn cases() -> Vec<Case> {
    vec![Case::new("images are the same from another folder", || same_bytes().map(|()| Verdict::Passed))]
}

fn same_bytes() -> Result<()> {
    let there = Copy::new()?;
    for example in ["hello", "hello-oneline"] {
        let folder = format!("examples/{example}");
        let first = fs::read(tool::image(&folder)?)?;
        let environment = [("AMPOULE_SOURCE", there.0.as_path()), ("CARGO_TARGET_DIR", &there.0.join("target"))];
        let second = fs::read(tool::build(&there.0.join(&folder), &[], &environment)?)?;
        let differ = first.iter().zip(&second).position(|(a, b)| a != b);
        ensure!(first == second, "{example}: {} and {} bytes, differing at {differ:?}", first.len(), second.len());
    }
    Ok(())
}

/// The project's sources in another folder, for as long as this lives.
struct Copy(PathBuf);

impl Copy {
    fn new() -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("ampoule in another folder {}", std::process::id()));
        fs::create_dir_all(&folder)?;
        let copy = Self(folder);
        for part in ["abi", "ampoule", "bench", "examples", "exokernel", "host", "os", "tests", "xtask"] {
            copy.take(Path::new(part))?;
        }
        for file in ["Cargo.toml", "Cargo.lock", "rust-toolchain.toml"] {
            fs::copy(tool::root().join(file), copy.0.join(file)).with_context(|| format!("cannot copy {file}"))?;
        }
        Ok(copy)
    }

    /// Copies a folder, without what is built in it.
    fn take(&self, part: &Path) -> Result<()> {
        let (from, to) = (tool::root().join(part), self.0.join(part));
        fs::create_dir_all(&to)?;
        for entry in fs::read_dir(&from).with_context(|| format!("cannot list {}", from.display()))? {
            let entry = entry?;
            let below = part.join(entry.file_name());
            match entry.file_type()?.is_dir() {
                true if entry.file_name() == "target" => {}
                true => self.take(&below)?,
                false => {
                    fs::copy(entry.path(), self.0.join(&below))
                        .with_context(|| format!("cannot copy {}", below.display()))?;
                }
            }
        }
        Ok(())
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.0);
    }
}
