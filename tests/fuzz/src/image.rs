//! Files that claim to be images, or programs to be sealed.

use abi::boot::{SEGMENT_EXECUTE, SEGMENT_WRITE};
use abi::image::IMAGE_MAGIC;
use abi::manifest::Manifest;
use image::{Image, SealInput, inspect, seal};
use sha2::{Digest as _, Sha256};

/// A file that may be an image: as it is, and once more with its length and digest put right, as someone who attacks the
/// reader would have them.
pub fn check(data: &[u8]) {
    explore(data.to_vec());
    explore(with_digest(data.to_vec()));
    _ = image::is_whole(data);
}

/// A file that may be a program of the linker's. What can be sealed can be read back.
pub fn check_program(data: &[u8]) {
    _ = image::raw_system_calls(data);
    let manifest = Manifest { name: "fuzz".into(), memory: 2 << 20, ..Manifest::default() };
    let input = SealInput { elf: data, manifest: &manifest, exokernel: None, symbols: &[], files: &[], unwind: false };
    if let Some(error) = seal(&input).ok().and_then(|sealed| Image::parse(sealed.bytes).err()) {
        panic!("a sealed image cannot be read back: {error}");
    }
    if let Ok(symboliser) = image::debug::Symboliser::new(data, None) {
        for at in [0, 1, 0x1000, u64::MAX] {
            _ = symboliser.places(at);
        }
    }
}

fn explore(bytes: Vec<u8>) {
    let Ok(image) = Image::parse(bytes) else { return };
    let header = image.header();
    let mut end = 0;
    for segment in image.segments() {
        assert!(segment.address >= end, "segments overlap");
        assert!(segment.access & SEGMENT_WRITE == 0 || segment.access & SEGMENT_EXECUTE == 0, "writable code");
        end = segment.address + segment.memory_length;
        assert_eq!(image.segment_bytes(segment).len() as u64, segment.file_length);
    }
    assert_eq!(end, header.span);
    for relocation in image.relocations() {
        assert!(relocation + 8 <= header.span);
    }
    if let Some(files) = image.files() {
        assert_eq!(files.check(), Ok(()), "an image with sealed files that are no tree");
        _ = image::files::list(&files);
    }
    for range in [header.manifest, header.strings, header.symbols, header.relocations, header.files] {
        assert_eq!(image.range_bytes(range).len() as u64, range.length);
    }
    _ = (image.manifest(), image.has_exokernel(), image.digest(), inspect::inspect(&image));
}

/// The bytes with the length and the digest that belong into the header, wherever it stands.
fn with_digest(mut bytes: Vec<u8>) -> Vec<u8> {
    let magic = IMAGE_MAGIC.to_le_bytes();
    let Some(at) = bytes.windows(8).position(|window| window == magic).filter(|at| at + 56 <= bytes.len()) else {
        return bytes;
    };
    let length = bytes.len() as u64;
    bytes[at + 48..at + 56].copy_from_slice(&length.to_le_bytes());
    bytes[at + 16..at + 48].fill(0);
    let digest = Sha256::digest(&bytes);
    bytes[at + 16..at + 48].copy_from_slice(&digest);
    bytes
}
