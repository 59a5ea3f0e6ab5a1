//! Puts an image into memory: copies its segments, relocates them, seals them.
//!
//! The image is copied rather than mapped, so that what runs is what was checked, whoever writes to the file meanwhile.

use super::layout::Layout;
use super::strings::file_range;
use crate::{Error, Program};
use abi::PAGE_SIZE;
use abi::boot::{MAX_SEGMENTS, SEGMENT_EXECUTE, SEGMENT_READ, SEGMENT_WRITE, Segment};

/// Checks what the loader relies on, whether or not somebody checked it before.
pub(crate) fn check(program: &Program<'_>) -> Result<(), Error> {
    let header = program.header;
    let count = header.segment_count as usize;
    if header.segment_count == 0 || count > MAX_SEGMENTS {
        return Err(Error::BadImage("an impossible number of segments"));
    }
    if header.span > 1 << 40 || !header.span.is_multiple_of(PAGE_SIZE) {
        return Err(Error::BadImage("an impossible span"));
    }
    let mut last = 0;
    for segment in &header.segments[..count] {
        let end = segment.address.checked_add(segment.memory_length).filter(|end| *end <= header.span);
        let file_end = segment.file_offset.checked_add(segment.file_length);
        if segment.address < last || end.is_none() || segment.file_length > segment.memory_length {
            return Err(Error::BadImage("segments overlap or leave the image"));
        }
        if file_end.is_none_or(|end| end > program.bytes.len() as u64) {
            return Err(Error::BadImage("a segment lies beyond the end of the file"));
        }
        if !segment.address.is_multiple_of(PAGE_SIZE) || !segment.memory_length.is_multiple_of(PAGE_SIZE) {
            return Err(Error::BadImage("a segment is not made of pages"));
        }
        if segment.access & SEGMENT_WRITE != 0 && segment.access & SEGMENT_EXECUTE != 0 {
            return Err(Error::BadImage("a segment is both writable and executable"));
        }
        last = end.unwrap_or(last);
    }
    if header.stack > 1 << 40 || !header.stack.is_multiple_of(PAGE_SIZE) {
        return Err(Error::BadImage("an impossible stack size"));
    }
    let entry_is_code = header.segments[..count]
        .iter()
        .any(|s| s.access & SEGMENT_EXECUTE != 0 && (s.address..s.address + s.memory_length).contains(&header.entry));
    if !entry_is_code {
        return Err(Error::BadImage("its entry point is not in its code"));
    }
    match file_range(program, header.relocations) {
        Some(table) => relocations(table, header.span).try_for_each(|r| r.map(drop)),
        None => Err(Error::BadImage("its relocations are not in the file")),
    }
}

/// Copies and relocates the segments into the writable, zeroed memory that the child sees for `layout.image`.
///
/// # Errors
/// None after [`check`].
///
/// # Safety
/// The memory of `layout.image` is mapped, writable, and nobody else's.
pub(crate) unsafe fn copy(program: &Program<'_>, layout: &Layout) -> Result<(), Error> {
    let header = program.header;
    let base = layout.image.start;
    for segment in &header.segments[..header.segment_count as usize] {
        let from = segment.file_offset as usize;
        let bytes = program.bytes.get(from..from + segment.file_length as usize);
        let bytes = bytes.ok_or(Error::BadImage("a segment lies beyond the end of the file"))?;
        // SAFETY: `check` keeps the segment within the span, which the caller mapped.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), layout.host(base + segment.address), bytes.len()) };
    }
    let table = file_range(program, header.relocations).unwrap_or_default();
    for word in relocations(table, header.span) {
        let word = layout.host(base + word?).cast::<u64>();
        // SAFETY: within the span, see `relocations`.
        unsafe { word.write_unaligned(word.read_unaligned().wrapping_add(base)) };
    }
    Ok(())
}

/// The sealed segments at their final addresses.
pub(crate) fn sealed(program: &Program<'_>, layout: &Layout) -> [Segment; MAX_SEGMENTS] {
    let mut segments = [Segment::default(); MAX_SEGMENTS];
    for (to, from) in segments.iter_mut().zip(&program.header.segments[..program.header.segment_count as usize]) {
        let address = abi::address::GuestAddr(layout.image.start + from.address);
        *to = Segment { address, length: from.memory_length, access: from.access };
    }
    segments
}

/// `mprotect`'s bits for a segment's access.
pub(crate) fn protection(access: u64) -> i32 {
    let bit = |of: u64, bit: i32| if access & of != 0 { bit } else { 0 };
    bit(SEGMENT_READ, libc::PROT_READ) | bit(SEGMENT_WRITE, libc::PROT_WRITE) | bit(SEGMENT_EXECUTE, libc::PROT_EXEC)
}

/// Decodes RELR (ELF gABI, `SHT_RELR`): the link addresses of the words to relocate, each checked against `span`.
fn relocations(table: &[u8], span: u64) -> impl Iterator<Item = Result<u64, Error>> {
    let bad = || Error::BadImage("its relocations lie outside");
    let check = move |word: u64| if word <= span.saturating_sub(8) { Ok(word) } else { Err(bad()) };
    let mut next: Option<u64> = None;
    table.as_chunks::<8>().0.iter().flat_map(move |entry| {
        let entry = u64::from_le_bytes(*entry);
        let (bitmap, start) = if entry & 1 == 0 {
            next = Some(entry.saturating_add(8));
            (1, entry)
        } else {
            let start = next.unwrap_or(u64::MAX);
            next = Some(start.saturating_add(63 * 8));
            (entry >> 1, start)
        };
        (0..63).filter(move |bit| bitmap >> bit & 1 == 1).map(move |bit| check(start.saturating_add(bit * 8)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(words: &[u64], span: u64) -> Option<Vec<u64>> {
        let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
        relocations(&bytes, span).collect::<Result<_, _>>().ok()
    }

    #[test]
    fn relr_is_decoded_and_bounded() {
        assert_eq!(decode(&[0x1000, 0b1011], 0x2000), Some(vec![0x1000, 0x1008, 0x1018]));
        assert_eq!(decode(&[0x1ff8], 0x2000), Some(vec![0x1ff8]));
        assert_eq!(decode(&[0x1ffa], 0x2000), None);
        assert_eq!(decode(&[0b11], 0x2000), None, "a bitmap without an address before it");
        assert_eq!(decode(&[u64::MAX - 1, u64::MAX], 0x2000), None);
        assert_eq!(decode(&[], 0), Some(vec![]));
    }
}
