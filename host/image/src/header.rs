//! [`ImageHeader`] to bytes and back, field by field: the one place that knows its order on the host.

use abi::boot::MAX_SEGMENTS;
use abi::image::{ImageHeader, ImageSegment, LinkRange};

/// Bytes of the header in the file.
pub(crate) const LENGTH: usize = size_of::<ImageHeader>();
/// Where the digest stands in it.
pub(crate) const DIGEST: core::ops::Range<usize> = 16..48;

/// An empty header: all zero.
pub(crate) fn empty() -> ImageHeader {
    let mut words = Words { bytes: &[0; LENGTH], at: 0 };
    words.header()
}

/// The header's bytes.
pub(crate) fn encode(header: &ImageHeader) -> Vec<u8> {
    let mut out = Vec::with_capacity(LENGTH);
    let put = |out: &mut Vec<u8>, words: &[u64]| words.iter().for_each(|w| out.extend_from_slice(&w.to_le_bytes()));
    put(&mut out, &[header.magic, header.version]);
    out.extend_from_slice(&header.digest);
    put(&mut out, &[header.file_length, header.entry, header.span]);
    for s in &header.segments {
        put(&mut out, &[s.address, s.memory_length, s.file_offset, s.file_length, s.access]);
    }
    put(&mut out, &[header.segment_count]);
    for range in [header.relocations, header.manifest, header.strings] {
        put(&mut out, &[range.address, range.length]);
    }
    put(&mut out, &[header.argument_count, header.environment_count]);
    put(&mut out, &[header.symbols.address, header.symbols.length, header.memory, header.stack]);
    put(&mut out, &[header.files.address, header.files.length]);
    out
}

/// The header in the first [`LENGTH`] bytes, unchecked; `None` if there are fewer.
pub(crate) fn decode(bytes: &[u8]) -> Option<ImageHeader> {
    bytes.get(..LENGTH).map(|bytes| Words { bytes, at: 0 }.header())
}

/// Reads little-endian words from bytes that are known to be long enough.
struct Words<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Words<'_> {
    fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        out.copy_from_slice(&self.bytes[self.at..self.at + N]);
        self.at += N;
        out
    }

    fn word(&mut self) -> u64 {
        u64::from_le_bytes(self.array())
    }

    fn range(&mut self) -> LinkRange {
        LinkRange { address: self.word(), length: self.word() }
    }

    // Struct expressions evaluate their fields in the order written here, which is the order in the file.
    fn segment(&mut self) -> ImageSegment {
        ImageSegment {
            address: self.word(),
            memory_length: self.word(),
            file_offset: self.word(),
            file_length: self.word(),
            access: self.word(),
        }
    }

    fn header(&mut self) -> ImageHeader {
        ImageHeader {
            magic: self.word(),
            version: self.word(),
            digest: self.array(),
            file_length: self.word(),
            entry: self.word(),
            span: self.word(),
            segments: core::array::from_fn::<_, MAX_SEGMENTS, _>(|_| self.segment()),
            segment_count: self.word(),
            relocations: self.range(),
            manifest: self.range(),
            strings: self.range(),
            argument_count: self.word(),
            environment_count: self.word(),
            symbols: self.range(),
            memory: self.word(),
            stack: self.word(),
            files: self.range(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_survives_the_round_trip() {
        let bytes: Vec<u8> = (0..LENGTH).map(|i| (i * 7) as u8).collect();
        let header = decode(&bytes).expect("long enough");
        assert_eq!(encode(&header), bytes);
        assert_eq!(core::mem::offset_of!(ImageHeader, digest), DIGEST.start);
        assert_eq!(core::mem::offset_of!(ImageHeader, files), LENGTH - 16);
    }

    #[test]
    fn a_short_header_is_none() {
        assert!(decode(&[0; LENGTH - 1]).is_none());
    }
}
