//! What an image says of itself: segments, manifest, digest. What lies inside, [`crate::contents`] tells.

use crate::files::{Listed, list};
use crate::{Image, Sealed};
use abi::image::ImageSegment;
use abi::manifest::Manifest;

/// Everything that the image alone says. Lengths in bytes.
#[derive(Debug)]
pub struct Report<'a> {
    /// Of the file.
    pub file_length: u64,
    /// Of the file: headers for other people's loaders, and the exokernel.
    pub loaders: u64,
    /// Of the file: header, manifest, strings, relocations, symbols.
    pub information: u64,
    /// Of the file: the program's own segments.
    pub program: u64,
    /// Of address space.
    pub span: u64,
    /// The digest in hexadecimal.
    pub digest: String,
    /// The segments, ascending.
    pub segments: &'a [ImageSegment],
    /// The manifest.
    pub manifest: &'a Manifest,
    /// How many words are relocated at the start.
    pub relocations: usize,
    /// Of the sealed symbol file.
    pub symbols: u64,
    /// The sealed files.
    pub files: Vec<Listed>,
    /// Is an exokernel inside?
    pub exokernel: bool,
}

/// Describes an image.
pub fn inspect(image: &Image) -> Report<'_> {
    let segments = image.segments();
    let file_length = image.bytes().len() as u64;
    // The first segment is the information, and after it the program's stand one after the other. (What a program's segment
    // takes along of its neighbour, to fill its first page, counts for the neighbour.)
    let loaders = segments.first().map_or(0, |s| s.file_offset.min(file_length));
    let information = segments.first().map_or(0, |s| s.file_length.min(file_length - loaders));
    Report {
        file_length,
        loaders,
        information,
        program: file_length - loaders - information,
        span: image.header().span,
        digest: hex(image.digest()),
        segments,
        manifest: image.manifest(),
        relocations: image.relocations().len(),
        symbols: image.header().symbols.length,
        files: image.files().map_or_else(Vec::new, |files| list(&files)),
        exokernel: image.has_exokernel(),
    }
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

impl Sealed {
    /// The digest in hexadecimal.
    pub fn digest_hex(&self) -> String {
        hex(&self.digest)
    }
}
