//! Key files and signature files: `build --sign`, `verify`, `run --require-signature`. What a signature is, is
//! [`image::signature`]'s.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use image::signature::{LENGTH_MAX, SignatureError, Signers, SigningKey};

use crate::Failure;

/// No file of public keys is longer: 1 MiB.
const KEYS_MAX: u64 = 1 << 20;

/// Where the signature of an image lies: `web.img.sig`, which is where `ssh-keygen -Y sign` writes it.
pub(crate) fn beside(image: &Path) -> PathBuf {
    let mut name = image.as_os_str().to_owned();
    name.push(".sig");
    name.into()
}

/// Reads a private key that nobody else may read.
pub(crate) fn key(path: &Path) -> Result<SigningKey, Failure> {
    let (text, mode) = text(path, LENGTH_MAX)?;
    let key = SigningKey::parse(&text).map_err(|error| Failure::input(format!("{}: {error}", path.display())))?;
    match mode & 0o077 {
        0 => Ok(key),
        _ => Err(Failure::input(format!(
            "{}: others than you may read or write this key (mode {:03o}); chmod 600 {0}, and make another if others did",
            path.display(),
            mode & 0o777,
        ))),
    }
}

/// Signs an image's file. Gives where the signature is.
pub(crate) fn sign(key: &SigningKey, image: &Path) -> Result<PathBuf, Failure> {
    let bytes = std::fs::read(image).with_context(|| format!("cannot read {}", image.display()))?;
    let signature = key.sign(&bytes).context("cannot sign the image")?;
    let path = beside(image);
    std::fs::write(&path, signature).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

/// Who of those in the file `keys` signed this image. `bytes` are its file's.
pub(crate) fn verify(image: &Path, bytes: &[u8], keys: &Path) -> Result<String, Failure> {
    let refused = |reason: &dyn std::fmt::Display| Failure::input(format!("{}: {reason}", image.display()));
    let (trusted, _) = text(keys, KEYS_MAX)?;
    let trusted = Signers::parse(&trusted).map_err(|error| Failure::input(format!("{}: {error}", keys.display())))?;
    let path = beside(image);
    let signature = match path.try_exists() {
        Ok(false) => {
            let file = path.display();
            return Err(refused(&format_args!(
                "the image is not signed: there is no {file}; sign with `ampoule build --sign KEY`"
            )));
        }
        _ => text(&path, LENGTH_MAX)?.0,
    };
    match trusted.verify(bytes, &signature) {
        Ok(signer) => Ok(signer.to_string()),
        Err(SignatureError::Malformed) => {
            Err(Failure::input(format!("{}: {}", path.display(), SignatureError::Malformed)))
        }
        Err(error @ SignatureError::OtherKey(_)) => Err(refused(&format_args!("{error} ({})", keys.display()))),
        Err(error) => Err(refused(&error)),
    }
}

/// A short text file, and its mode.
fn text(path: &Path, most: u64) -> Result<(String, u32), Failure> {
    let failed = |error: std::io::Error| Failure::input(format!("cannot read {}: {error}", path.display()));
    let file = File::open(path).map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.mode();
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > most {
        return Err(Failure::input(format!("{} is longer than any key or signature", path.display())));
    }
    let no_text = |_| Failure::input(format!("{} is no text, so neither key nor signature", path.display()));
    Ok((String::from_utf8(bytes).map_err(no_text)?, mode))
}
