//! `ampoule build`: makes an image and prints its path; signs it, if asked to.

use crate::Failure;
use crate::arguments::{Build, BuildOptions};
use crate::signing;

/// Builds what is named.
pub(super) fn perform(arguments: &Build) -> Result<u8, Failure> {
    // What is wrong with the key is said before the long part.
    let key = arguments.sign.as_deref().map(signing::key).transpose()?;
    let options = BuildOptions { traced: arguments.trace, ..arguments.options.clone() };
    let built = super::target::build(&arguments.package, &options, arguments.output.as_deref())?;
    if let Some(key) = key {
        signing::sign(&key, &built.image)?;
    }
    println!("{}", built.image.display());
    Ok(0)
}
