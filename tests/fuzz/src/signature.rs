//! Files that claim to be signatures, or keys.

use image::signature::{Signers, SigningKey};

/// A key of which the private half is forgotten.
const KEY: &str = "anna ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHSUfyhnRT6p+s9RsflPodRgjRAxc1hdsgpfufEJEkyQ";

/// Any file, as each of what can be wanted of it. Nothing that was not signed counts as signed.
pub fn check(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Ok(trusted) = Signers::parse(KEY) else { panic!("the key of the test is good") };
    assert!(trusted.verify(b"an image that nobody signed", &text).is_err());
    if let Ok(signers) = Signers::parse(&text) {
        _ = signers.verify(data, &text);
    }
    if let Ok(key) = SigningKey::parse(&text) {
        _ = (key.sign(data), key.fingerprint());
    }
}
