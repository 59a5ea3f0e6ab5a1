//! `ampoule verify`: whose signature is on an image.

use crate::Failure;
use crate::arguments::Verify;
use crate::signing;

/// Says who signed it, or why it does not count as signed.
pub(super) fn perform(arguments: &Verify) -> Result<u8, Failure> {
    let image = super::target::open(&arguments.image)?;
    let signer = signing::verify(&arguments.image, image.bytes(), &arguments.keys)?;
    println!("{}: signed by {signer}", arguments.image.display());
    Ok(0)
}
