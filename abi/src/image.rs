//! The sealed file's own header, which every loader reads instead of the ELF tables.
//!
//! An image is an ELF file, so that other people's loaders and tools understand it, but those who seal it and those who
//! start it agree through this header: where the guest's segments lie, which words to relocate, where the manifest is.
//! It is the first thing in the image's first segment (link address 0, read-only in the guest), and the ELF note
//! [`NOTE_NAME`]/[`NOTE_TYPE`] gives its file offset as a little-endian `u64`.
//!
//! Link addresses count from 0; a loader adds one base, a multiple of [`IMAGE_ALIGN`], to all of them.

use crate::boot::MAX_SEGMENTS;

/// `"AMPIMAGE"`, read as a little-endian number.
pub const IMAGE_MAGIC: u64 = u64::from_le_bytes(*b"AMPIMAGE");
/// The layout below; a loader refuses any other.
pub const IMAGE_VERSION: u64 = 2;
/// The owner's name in the ELF note, without its NUL.
pub const NOTE_NAME: &str = "Ampoule";
/// The ELF note's type.
pub const NOTE_TYPE: u32 = 1;
/// A loader's base is a multiple of this, so that prebuilt page tables fit and large pages can be used.
pub const IMAGE_ALIGN: u64 = 2 << 20;

/// The header. All integers little-endian, no padding.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ImageHeader {
    /// [`IMAGE_MAGIC`].
    pub magic: u64,
    /// [`IMAGE_VERSION`].
    pub version: u64,
    /// SHA-256 of the whole file, taken with these 32 bytes zero.
    pub digest: [u8; 32],
    /// Bytes of the whole file.
    pub file_length: u64,
    /// Link address of the guest's first instruction.
    pub entry: u64,
    /// Bytes of address space from link address 0 to the end of the last segment, a multiple of the page size.
    pub span: u64,
    /// The guest's segments, ascending and without overlap.
    pub segments: [ImageSegment; MAX_SEGMENTS],
    /// How many of `segments` count.
    pub segment_count: u64,
    /// Words to which the base is added, in RELR encoding (ELF gABI, SHT_RELR).
    pub relocations: LinkRange,
    /// [`crate::manifest::Manifest`] in CBOR.
    pub manifest: LinkRange,
    /// The manifest's arguments and environment as [`crate::boot::BootInfo::strings`] wants them.
    pub strings: LinkRange,
    /// How many of `strings` are arguments.
    pub argument_count: u64,
    /// How many of `strings` are environment entries.
    pub environment_count: u64,
    /// The sealed symbol file, or empty.
    pub symbols: LinkRange,
    /// Bytes of RAM the manifest asks for.
    pub memory: u64,
    /// Bytes of the first thread's stack, or 0: the far side chooses by [`default_stack`].
    pub stack: u64,
    /// The sealed files ([`crate::files::Files`]), page-aligned, or empty.
    pub files: LinkRange,
}

/// One segment of the guest.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct ImageSegment {
    /// Link address, page-aligned.
    pub address: u64,
    /// Bytes in memory, a multiple of the page size; what the file does not give is zero.
    pub memory_length: u64,
    /// Where its bytes are in the file; any offset, so that no padding is in the file.
    pub file_offset: u64,
    /// How many bytes the file gives, at most `memory_length`.
    pub file_length: u64,
    /// `SEGMENT_*` bits as they are once the image is relocated.
    pub access: u64,
}

/// Bytes inside the image, by link address. They lie in one segment, in the part that the file gives.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct LinkRange {
    /// Link address of the first byte.
    pub address: u64,
    /// Bytes.
    pub length: u64,
}

/// The first thread's stack, in bytes, for a machine of `memory` bytes whose manifest names none: a sixteenth of
/// the memory, from 64 KiB to 8 MiB (what Linux gives).
pub fn default_stack(memory: u64) -> u64 {
    (memory / 16).clamp(64 << 10, 8 << 20) & !(crate::PAGE_SIZE - 1)
}
