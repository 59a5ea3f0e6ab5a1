//! The tool as cargo's `RUSTC_WRAPPER`: crates keep their identity when their folder moves.
//!
//! Cargo tells rustc apart crates of one name by `-C metadata`, a hash. For a path dependency outside of the program's
//! workspace, and that is what the library OS is to most programs, the hash takes in the absolute path. From there it
//! gets into type identifiers and the order of functions, and the same sources in another folder give another image. So
//! for the crates of the program and of the library OS the hash is replaced by one over what matters: name, version,
//! features, and where the crate lies in its own tree.

use std::env;
use std::ffi::{OsStr, OsString};
use std::hash::{Hash, Hasher};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use super::package::Package;
use super::sources::Sources;
use super::user;

/// Says that the tool is called as a wrapper, and names the trees: paths, as `PATH` holds them.
const TREES: &str = "AMPOULE_WRAPPER_TREES";
/// Says that the second of the trees is a package as it was published: nobody here can act on its warnings, and what it denies
/// was measured by the compiler of its time. Cargo does the same for what it builds out of a registry.
const PUBLISHED: &str = "AMPOULE_WRAPPER_PUBLISHED";
/// The wrapper that the user had set.
const INNER: &str = "AMPOULE_WRAPPER_INNER";

/// Has `cargo` call this program as its wrapper.
pub(super) fn set(cargo: &mut Command, package: &Package, sources: &Sources) {
    let outside = package.outside.iter().map(|(_, folder)| folder.as_path());
    let trees = env::join_paths([sources.root(), &package.workspace].into_iter().chain(outside));
    if let (Ok(tool), Ok(trees)) = (env::current_exe(), trees) {
        if let Some(inner) = env::var_os("RUSTC_WRAPPER") {
            cargo.env(INNER, inner);
        }
        cargo.env("RUSTC_WRAPPER", tool).env(TREES, trees);
        if package.is_published() {
            cargo.env(PUBLISHED, "");
        }
    }
}

/// Runs rustc instead of the tool, if that is what we are called for.
pub fn perform() -> Option<ExitCode> {
    let mut words: Vec<OsString> = env::args_os().skip(1).collect();
    if user::is_asked() {
        user::answer(&words);
        return run(&words);
    }
    let trees = env::var_os(TREES)?;
    let folder = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).unwrap_or_default();
    let place = env::split_paths(&trees)
        .enumerate()
        .find_map(|(tree, root)| folder.strip_prefix(root).ok().map(|inside| (tree, inside)));
    if let Some(place) = place {
        stabilise(&mut words, place);
        if place.0 == 1 && env::var_os(PUBLISHED).is_some() {
            words.extend(["--cap-lints".into(), "allow".into()]);
        }
    }
    words.splice(0..0, env::var_os(INNER).filter(|inner| !inner.is_empty()));
    run(&words)
}

/// Becomes the program that `words` begin with.
fn run(words: &[OsString]) -> Option<ExitCode> {
    let (program, arguments) = words.split_first()?;
    let error = Command::new(program).args(arguments).env_remove(TREES).exec();
    eprintln!("error: cannot start {}: {error}", program.display());
    Some(ExitCode::FAILURE)
}

/// Replaces `-C metadata=…` of a crate at `place`: which tree, and where in it.
fn stabilise(words: &mut [OsString], place: (usize, &Path)) {
    let identity = identity(words, place);
    if let Some(metadata) = words.iter_mut().find(|word| word.to_str().is_some_and(|w| w.starts_with("metadata="))) {
        *metadata = format!("metadata={identity:016x}").into();
    }
}

fn identity(words: &[OsString], place: (usize, &Path)) -> u64 {
    // Not random, and the same in every process.
    let mut hasher = std::hash::DefaultHasher::new();
    place.hash(&mut hasher);
    env::var_os("CARGO_PKG_VERSION").hash(&mut hasher);
    let matters = |option: &OsStr, value: &OsStr| {
        let is_feature = value.to_str().is_some_and(|value| value.starts_with("feature="));
        ["--crate-name", "--crate-type", "--target"].iter().any(|o| option == *o) || option == "--cfg" && is_feature
    };
    for pair in words.windows(2).filter(|pair| matters(&pair[0], &pair[1])) {
        pair.hash(&mut hasher);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stable(text: &str, place: &str) -> String {
        let mut words: Vec<OsString> = text.split(' ').map(OsString::from).collect();
        stabilise(&mut words, (0, Path::new(place)));
        words.iter().map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_folder_does_not_matter() {
        let one = stable("rustc --crate-name abi -C metadata=1111 -C extra-filename=-1", "abi");
        let other = stable("rustc --crate-name abi -C metadata=2222 -C extra-filename=-1", "abi");
        assert_eq!(one, other);
        assert!(!one.contains("=1111"));
    }

    #[test]
    fn name_features_and_place_do() {
        let one = stable("rustc --crate-name abi -C metadata=1111", "abi");
        assert_ne!(one, stable("rustc --crate-name abi -C metadata=1111", "other"));
        let with = stable("rustc --crate-name abi --cfg feature=\"x\" -C metadata=1111", "abi");
        assert_ne!(one.rsplit('=').next(), with.rsplit('=').next());
    }

    #[test]
    fn what_is_no_crate_is_left_alone() {
        assert_eq!(stable("rustc -vV", "abi"), "rustc -vV");
    }
}
