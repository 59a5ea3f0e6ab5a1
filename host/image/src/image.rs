//! Reading a sealed file back, believing nothing in it until it is proved.
//!
//! Whoever holds an [`Image`] may rely on every promise of [`abi::image`]: lengths, alignments, order, access, that each
//! range lies where it says, that every relocation hits a word of the guest's data, and that the digest is right.

use crate::{elf, header, manifest, relr};
use abi::PAGE_SIZE;
use abi::boot::{MAX_SEGMENTS, SEGMENT_EXECUTE, SEGMENT_READ, SEGMENT_WRITE};
use abi::files::Files;
use abi::image::{IMAGE_MAGIC, IMAGE_VERSION, ImageHeader, ImageSegment, LinkRange};
use abi::manifest::Manifest;
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// More than this is no image: 1 GiB.
const FILE_MAX: u64 = 1 << 30;
/// More address space than this is no image: 64 GiB.
const SPAN_MAX: u64 = 64 << 30;

/// Why a file is not an image that can be started.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// the file cannot be read
    #[error("cannot read {path}: {error}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// no image at all
    #[error("this is not an ampoule image; build one with `ampoule build`")]
    NotAnImage,
    /// another version's
    #[error("this image has format version {0}, this tool reads version {IMAGE_VERSION}; build the image again")]
    Version(u64),
    /// shorter or longer than sealed
    #[error("the image is damaged: it was sealed with {sealed} bytes, the file has {found}; build or copy it again")]
    Length {
        /// What the header says.
        sealed: u64,
        /// What there is.
        found: u64,
    },
    /// bytes have changed
    #[error("the image is damaged: its digest is wrong; build or copy it again")]
    Digest,
    /// the header contradicts itself
    #[error("the image is malformed: {0}; build it again")]
    Malformed(&'static str),
    /// the manifest does not decode
    #[error("the image's manifest does not decode: {0}; build it again")]
    Manifest(String),
}

/// A checked image.
#[derive(Debug)]
pub struct Image {
    bytes: Vec<u8>,
    file: Option<File>,
    header: ImageHeader,
    manifest: Manifest,
}

impl Image {
    /// Opens and checks an image.
    pub fn open(path: impl AsRef<Path>) -> Result<Image, ImageError> {
        let image = Image::open_unhashed(path)?;
        if is_whole(&image.bytes) { Ok(image) } else { Err(ImageError::Digest) }
    }

    /// Opens an image and checks all but its digest, which takes a while: whoever runs it calls [`is_whole`] before its
    /// first instruction.
    pub fn open_unhashed(path: impl AsRef<Path>) -> Result<Image, ImageError> {
        let path = path.as_ref();
        let failed = |error| ImageError::Read { path: path.into(), error };
        let mut file = File::open(path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        if length > FILE_MAX {
            return Err(ImageError::NotAnImage);
        }
        let mut bytes = Vec::with_capacity(length as usize + 1);
        file.by_ref().take(FILE_MAX).read_to_end(&mut bytes).map_err(failed)?;
        let mut image = Image::parse_unhashed(bytes)?;
        image.file = Some(file);
        Ok(image)
    }

    /// Checks an image that is already in memory.
    pub fn parse(bytes: Vec<u8>) -> Result<Image, ImageError> {
        let image = Image::parse_unhashed(bytes)?;
        if is_whole(&image.bytes) { Ok(image) } else { Err(ImageError::Digest) }
    }

    /// Gives the bytes back if they are an image, all but its digest.
    pub(crate) fn checked(bytes: Vec<u8>) -> Result<Vec<u8>, ImageError> {
        Ok(Image::parse_unhashed(bytes)?.bytes)
    }

    /// Checks an image in memory, all but its digest: for whoever has just sealed it.
    pub fn parse_unhashed(bytes: Vec<u8>) -> Result<Image, ImageError> {
        let (header, offset) = find_header(&bytes)?;
        // Whatever else is wrong with a file of the wrong digest comes from that.
        let wrong = |error| if digest_is_right(&bytes, &header, offset) { error } else { ImageError::Digest };
        check_segments(&header, offset as u64).and_then(|()| check_ranges(&bytes, &header)).map_err(wrong)?;
        let manifest = sealed_manifest(&bytes, &header).map_err(wrong)?;
        Ok(Image { bytes, file: None, header, manifest })
    }

    /// The header.
    pub fn header(&self) -> &ImageHeader {
        &self.header
    }

    /// The guest's segments, ascending.
    pub fn segments(&self) -> &[ImageSegment] {
        &self.header.segments[..self.header.segment_count as usize]
    }

    /// The sealed manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The SHA-256 digest.
    pub fn digest(&self) -> &[u8; 32] {
        &self.header.digest
    }

    /// The whole file.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The opened file, if the image came from one. It may have changed since it was checked: map [`Image::bytes`]
    /// where that matters.
    pub fn file(&self) -> Option<&File> {
        self.file.as_ref()
    }

    /// The bytes that the file gives for a segment of [`Image::segments`].
    pub fn segment_bytes(&self, segment: &ImageSegment) -> &[u8] {
        let start = segment.file_offset as usize;
        start.checked_add(segment.file_length as usize).and_then(|end| self.bytes.get(start..end)).unwrap_or_default()
    }

    /// The bytes of a range of the header.
    pub fn range_bytes(&self, range: LinkRange) -> &[u8] {
        file_bytes(&self.bytes, &self.header, range).unwrap_or_default()
    }

    /// The sealed files, if there are any.
    pub fn files(&self) -> Option<Files<'_>> {
        Files::new(self.range_bytes(self.header.files))
    }

    /// Link addresses of the words to which a loader adds its base, ascending. Each lies in the file part of one segment.
    pub fn relocations(&self) -> Vec<u64> {
        relr::decode(words(self.range_bytes(self.header.relocations))).unwrap_or_default()
    }

    /// Can a machine without our own monitor start it (is there an exokernel inside)?
    pub fn has_exokernel(&self) -> bool {
        // Without one the first loaded segment is the info segment itself.
        let first_load =
            self.bytes.get(64 + 56 + 8..64 + 56 + 16).and_then(|b| b.try_into().ok()).map(u64::from_le_bytes);
        first_load.is_some_and(|offset| Some(offset) != elf::header_offset(&self.bytes))
    }
}

fn words(bytes: &[u8]) -> impl Iterator<Item = u64> + '_ {
    bytes.as_chunks::<8>().0.iter().map(|w| u64::from_le_bytes(*w))
}

/// The bytes of a link range, if they lie in the file part of one segment.
fn file_bytes<'a>(file: &'a [u8], header: &ImageHeader, range: LinkRange) -> Option<&'a [u8]> {
    if range.length == 0 {
        return Some(&[]);
    }
    let count = usize::try_from(header.segment_count).ok()?.min(MAX_SEGMENTS);
    let end = range.address.checked_add(range.length)?;
    let inside = |s: &&ImageSegment| range.address >= s.address && end <= s.address.saturating_add(s.file_length);
    let segment = header.segments[..count].iter().find(inside)?;
    let start = usize::try_from(segment.file_offset.checked_add(range.address - segment.address)?).ok()?;
    file.get(start..start.checked_add(usize::try_from(range.length).ok()?)?)
}

/// Is the digest of this file, which is an image's, the one that it names?
pub fn is_whole(file: &[u8]) -> bool {
    find_header(file).is_ok_and(|(header, offset)| digest_is_right(file, &header, offset))
}

fn sealed_manifest(file: &[u8], header: &ImageHeader) -> Result<Manifest, ImageError> {
    let bytes = file_bytes(file, header, header.manifest).unwrap_or_default();
    let manifest = manifest::decode(bytes).map_err(ImageError::Manifest)?;
    if manifest.memory != header.memory || manifest.stack.next_multiple_of(PAGE_SIZE) != header.stack {
        return Err(ImageError::Malformed("header and manifest differ about memory"));
    }
    Ok(manifest)
}

/// The header, and where it stands in the file.
fn find_header(file: &[u8]) -> Result<(ImageHeader, usize), ImageError> {
    let offset = elf::header_offset(file).and_then(|o| usize::try_from(o).ok()).ok_or(ImageError::NotAnImage)?;
    let header = file.get(offset..).and_then(header::decode).ok_or(ImageError::NotAnImage)?;
    if header.magic != IMAGE_MAGIC {
        return Err(ImageError::NotAnImage);
    }
    if header.version != IMAGE_VERSION {
        return Err(ImageError::Version(header.version));
    }
    if header.file_length != file.len() as u64 {
        return Err(ImageError::Length { sealed: header.file_length, found: file.len() as u64 });
    }
    Ok((header, offset))
}

fn digest_is_right(file: &[u8], header: &ImageHeader, offset: usize) -> bool {
    let mut hash = Sha256::new();
    hash.update(&file[..offset + header::DIGEST.start]);
    hash.update([0; 32]);
    hash.update(&file[offset + header::DIGEST.end..]);
    header.digest == <[u8; 32]>::from(hash.finalize())
}

fn check_segments(header: &ImageHeader, header_offset: u64) -> Result<(), ImageError> {
    use ImageError::Malformed;
    let count = usize::try_from(header.segment_count).ok().filter(|c| (1..=MAX_SEGMENTS).contains(c));
    let segments = &header.segments[..count.ok_or(Malformed("the number of segments is impossible"))?];
    let mut end = 0u64;
    for s in segments {
        let aligned = [s.address, s.memory_length].iter().all(|n| n % PAGE_SIZE == 0);
        if !aligned || s.memory_length == 0 || s.address < end {
            return Err(Malformed("segments overlap, or are not whole pages"));
        }
        end = s
            .address
            .checked_add(s.memory_length)
            .filter(|e| *e <= SPAN_MAX)
            .ok_or(Malformed("a segment is too large"))?;
        if s.file_length > s.memory_length
            || s.file_offset.checked_add(s.file_length).is_none_or(|e| e > header.file_length)
        {
            return Err(Malformed("a segment lies outside the file"));
        }
        if ![SEGMENT_READ, SEGMENT_READ | SEGMENT_WRITE, SEGMENT_READ | SEGMENT_EXECUTE].contains(&s.access) {
            return Err(Malformed("a segment is writable and executable, or has unknown access bits"));
        }
    }
    let first = segments[0];
    if first.address != 0 || first.file_offset != header_offset || first.access != SEGMENT_READ {
        return Err(Malformed("the header is not in the first segment"));
    }
    let code = |s: &ImageSegment| {
        s.access & SEGMENT_EXECUTE != 0 && s.address <= header.entry && header.entry - s.address < s.file_length
    };
    if header.span != end || !segments.iter().any(code) {
        return Err(Malformed("the entry or the span is outside the segments"));
    }
    Ok(())
}

/// Whatever a sealed file is asked for, it lies in the table, and the table in the read-only first segment.
fn check_files(bytes: &[u8], header: &ImageHeader) -> Result<(), ImageError> {
    use ImageError::Malformed;
    if bytes.is_empty() {
        return Ok(());
    }
    let LinkRange { address, length } = header.files;
    if !address.is_multiple_of(PAGE_SIZE) || address + length > header.segments[0].memory_length {
        return Err(Malformed("the sealed files are not in the first segment, or not at a page's start"));
    }
    let files = Files::new(bytes).ok_or(Malformed("the sealed files are no table"))?;
    files.check().map_err(Malformed)
}

fn check_ranges(file: &[u8], header: &ImageHeader) -> Result<(), ImageError> {
    use ImageError::Malformed;
    let range = |r: LinkRange| file_bytes(file, header, r).ok_or(Malformed("a range is outside the segments"));
    range(header.manifest)?;
    range(header.symbols)?;
    check_files(range(header.files)?, header)?;
    let strings = range(header.strings)?;
    let nul = strings.iter().filter(|b| **b == 0).count() as u64;
    let wanted = header.argument_count.checked_add(header.environment_count);
    if wanted != Some(nul) || strings.last().is_some_and(|b| *b != 0) || header.argument_count == 0 {
        return Err(Malformed("the strings do not match their number"));
    }
    let table = range(header.relocations)?;
    if !header.relocations.address.is_multiple_of(8) || !table.len().is_multiple_of(8) {
        return Err(Malformed("the relocation table is not made of words"));
    }
    let targets = relr::decode(words(table)).ok_or(Malformed("the relocation table does not decode"))?;
    let segments = &header.segments[1..header.segment_count as usize];
    let data = |t: u64| {
        segments.iter().any(|s| {
            s.access & SEGMENT_EXECUTE == 0
                && t >= s.address
                && t.checked_add(8).is_some_and(|e| e <= s.address + s.file_length)
        })
    };
    match targets.iter().all(|t| data(*t)) {
        true => Ok(()),
        false => Err(Malformed("a relocation lies outside the guest's data")),
    }
}
