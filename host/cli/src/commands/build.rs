//! `ampoule build`: makes an image and prints its path.

use crate::Failure;
use crate::arguments::Build;

/// Builds what is named.
pub(super) fn perform(arguments: &Build) -> Result<u8, Failure> {
    let built = super::target::build(&arguments.package, &arguments.options, arguments.output.as_deref())?;
    println!("{}", built.image.display());
    Ok(0)
}
