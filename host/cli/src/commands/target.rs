//! What a command line's TARGET means: an image, a package's folder, or a package's name.

use std::path::{Path, PathBuf};

use image::{Image, ImageError};

use crate::Failure;
use crate::arguments::BuildOptions;
use crate::build::{self, Built};

/// What was named.
pub(super) enum Target<'a> {
    /// A file, taken to be an image.
    Image(&'a Path),
    /// A folder with a Cargo.toml.
    Folder(&'a Path),
    /// A package of the workspace in the current folder.
    Package(&'a str),
}

impl<'a> Target<'a> {
    /// What `target` names. What looks like a file but is not there is an error.
    pub(super) fn of(target: &'a Path) -> Result<Self, Failure> {
        if target.is_dir() {
            return Ok(Target::Folder(target));
        }
        if target.exists() {
            return Ok(Target::Image(target));
        }
        match target.to_str() {
            Some(name) if !name.contains(['/', '.']) => Ok(Target::Package(name)),
            _ => Err(Failure::input(format!("{}: no such file or folder", target.display()))),
        }
    }
}

/// Builds the package that `target` names.
pub(super) fn build(target: &Path, options: &BuildOptions, output: Option<&Path>) -> Result<Built, Failure> {
    match Target::of(target)? {
        Target::Folder(folder) => Ok(build::build(folder, None, options, output)?),
        Target::Package(name) => Ok(build::build(Path::new("."), Some(name), options, output)?),
        Target::Image(file) if file.file_name().is_some_and(|name| name == "Cargo.toml") => {
            let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            Ok(build::build(folder, None, options, output)?)
        }
        Target::Image(file) => Err(Failure::input(format!("{} is a file; name a package's folder", file.display()))),
    }
}

/// The image that `target` names, built first where it names a package.
pub(super) fn image(target: &Path, options: &BuildOptions) -> Result<PathBuf, Failure> {
    match Target::of(target)? {
        Target::Image(file) if file.file_name().is_none_or(|name| name != "Cargo.toml") => Ok(file.to_owned()),
        _ => Ok(build(target, options, None)?.image),
    }
}

/// Opens an image and checks it.
pub(super) fn open(path: &Path) -> Result<Image, Failure> {
    Image::open(path).map_err(|error| refusal(path, error))
}

/// Opens an image and checks all but its digest; see [`Image::open_unhashed`].
pub(super) fn open_unhashed(path: &Path) -> Result<Image, Failure> {
    Image::open_unhashed(path).map_err(|error| refusal(path, error))
}

fn refusal(path: &Path, error: ImageError) -> Failure {
    match error {
        error @ ImageError::Read { .. } => Failure::Input(error.into()),
        error => Failure::input(format!("{}: {error}", path.display())),
    }
}
