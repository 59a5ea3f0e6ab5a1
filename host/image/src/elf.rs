//! Writing the ELF header, the program headers and the notes of a sealed file (ELF gABI; Xen's PVH note).

use abi::image::{NOTE_NAME, NOTE_TYPE};

/// Bytes kept for all of it at the start of the file; the exokernel is linked to begin right after.
pub(crate) const HEADERS: u64 = 0x400;
/// `XEN_ELFNOTE_PHYS32_ENTRY`: the physical address to enter in 32-bit mode.
const XEN_PHYS32_ENTRY: u32 = 18;

/// One `PT_LOAD` entry.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) offset: u64,
    pub(crate) address: u64,
    pub(crate) file_length: u64,
    pub(crate) memory_length: u64,
    /// `PF_*` bits.
    pub(crate) flags: u32,
}

/// The first [`HEADERS`] bytes of the file; `None` if there are too many segments. `pvh_entry` is the exokernel's.
pub(crate) fn headers(entry: u64, pvh_entry: Option<u64>, header_offset: u64, loads: &[Load]) -> Option<Vec<u8>> {
    let mut notes = Vec::new();
    if let Some(entry) = pvh_entry {
        note(&mut notes, "Xen", XEN_PHYS32_ENTRY, entry);
    }
    note(&mut notes, NOTE_NAME, NOTE_TYPE, header_offset);
    let count = loads.len() as u64 + 1;
    let notes_offset = 64 + 56 * count;

    let mut out = Vec::with_capacity(HEADERS as usize);
    out.extend_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    out.extend_from_slice(&2u16.to_le_bytes()); // ET_EXEC
    out.extend_from_slice(&62u16.to_le_bytes()); // EM_X86_64
    out.extend_from_slice(&1u32.to_le_bytes()); // EV_CURRENT
    for word in [entry, 64, 0] {
        out.extend_from_slice(&word.to_le_bytes());
    }
    out.extend_from_slice(&0u32.to_le_bytes()); // e_flags
    for half in [64, 56, count as u16, 64, 0, 0] {
        out.extend_from_slice(&half.to_le_bytes());
    }
    program_header(&mut out, 4, 4, &[notes_offset, 0, 0, notes.len() as u64, notes.len() as u64, 4]);
    for l in loads {
        let words = [l.offset, l.address, l.address, l.file_length, l.memory_length, abi::PAGE_SIZE];
        program_header(&mut out, 1, l.flags, &words);
    }
    out.extend_from_slice(&notes);
    if out.len() as u64 > HEADERS {
        return None;
    }
    out.resize(HEADERS as usize, 0);
    Some(out)
}

fn program_header(out: &mut Vec<u8>, kind: u32, flags: u32, words: &[u64; 6]) {
    out.extend_from_slice(&kind.to_le_bytes());
    out.extend_from_slice(&flags.to_le_bytes());
    words.iter().for_each(|w| out.extend_from_slice(&w.to_le_bytes()));
}

/// A note with an 8-byte description: QEMU reads a PVH entry of a 64-bit file as 8 bytes whatever its length says.
fn note(out: &mut Vec<u8>, name: &str, kind: u32, value: u64) {
    for word in [name.len() as u32 + 1, 8, kind] {
        out.extend_from_slice(&word.to_le_bytes());
    }
    out.extend_from_slice(name.as_bytes());
    out.push(0);
    out.resize(out.len().next_multiple_of(4), 0);
    out.extend_from_slice(&value.to_le_bytes());
}

/// The file offset of the image header, as our note in a sealed file gives it.
pub(crate) fn header_offset(file: &[u8]) -> Option<u64> {
    let half = |at: usize| Some(u16::from_le_bytes(file.get(at..at + 2)?.try_into().ok()?));
    let word = |at: usize| Some(u64::from_le_bytes(file.get(at..at.checked_add(8)?)?.try_into().ok()?));
    if file.get(..6)? != b"\x7fELF\x02\x01" || word(32)? != 64 || half(54)? != 56 {
        return None;
    }
    let headers = (0..usize::from(half(56)?)).map(|i| 64 + 56 * i);
    let start = headers.into_iter().find(|&at| file.get(at..at + 4) == Some(&[4, 0, 0, 0]))?;
    let (offset, length) = (usize::try_from(word(start + 8)?).ok()?, usize::try_from(word(start + 32)?).ok()?);
    let mut notes = file.get(offset..offset.checked_add(length)?)?;
    loop {
        let field = |at: usize| Some(u32::from_le_bytes(notes.get(at..at + 4)?.try_into().ok()?));
        let (name_length, length, kind) = (field(0)? as usize, field(4)? as usize, field(8)?);
        let name = notes.get(12..12usize.checked_add(name_length)?)?;
        let value_at = 12 + name_length.next_multiple_of(4);
        let value = notes.get(value_at..value_at.checked_add(length)?)?;
        if kind == NOTE_TYPE && name.strip_suffix(&[0]) == Some(NOTE_NAME.as_bytes()) {
            return Some(u64::from_le_bytes(value.try_into().ok()?));
        }
        notes = notes.get(value_at + length.next_multiple_of(4)..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn our_note_is_found_again() {
        let load = Load { offset: 0, address: 0, file_length: 1, memory_length: 1, flags: 4 };
        for entry in [None, Some(0x10_0400)] {
            let bytes = headers(1, entry, 0x5000, &[load; 7]).expect("fits");
            assert_eq!(header_offset(&bytes), Some(0x5000));
        }
        assert!(headers(1, None, 0, &[load; 20]).is_none());
    }

    proptest! {
        #[test]
        fn nonsense_never_panics(at in 0usize..0x400, value: u8, length in 0usize..0x400) {
            let load = Load { offset: 0, address: 0, file_length: 1, memory_length: 1, flags: 4 };
            let mut bytes = headers(1, Some(1), 0x5000, &[load; 7]).expect("fits");
            bytes[at] = value;
            let _ = header_offset(&bytes);
            let _ = header_offset(&bytes[..length]);
        }
    }
}
