//! What the image carries for the guest to read: the sealed manifest, symbol file and files.

use abi::boot::Bytes;

/// The sealed manifest ([`abi::manifest::Manifest`], CBOR); empty if there is none.
pub fn manifest() -> &'static [u8] {
    bytes(&crate::boot().manifest)
}

/// The sealed symbol file (ELF), or nothing.
pub fn symbols() -> &'static [u8] {
    bytes(&crate::boot().symbols)
}

/// The sealed files ([`abi::files::Files`]), or nothing.
pub fn files() -> &'static [u8] {
    bytes(&crate::boot().files)
}

fn bytes(bytes: &'static Bytes) -> &'static [u8] {
    if bytes.length == 0 {
        return &[];
    }
    // SAFETY: the boot information names readable memory that never changes (`abi::boot::Bytes`), and is trusted.
    unsafe { core::slice::from_raw_parts(bytes.address.0 as *const u8, bytes.length as usize) }
}
