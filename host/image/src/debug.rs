//! The debug file beside an image, and names for addresses.
//!
//! The image itself carries no names. The debug file is the program as it was linked, with a trailer that says by how much
//! sealing moved it and which image it belongs to; every ELF tool still reads it. Between the two stands what the build
//! wrote down of its packages ([`crate::record`]):
//! ```text
//! the ELF file
//! the record, JSON        then its length, u64, and "AMPBUILD"; a debug file may come without
//! "AMPDEBUG"              then by how much the program was moved, u64, and the image's digest
//! ```

use crate::record::Record;
use addr2line::Context;
use gimli::{EndianSlice, LittleEndian};
use object::read::elf::ElfFile64;
use object::{Object as _, ObjectSection as _, ObjectSymbol as _};

const MAGIC: &[u8; 8] = b"AMPDEBUG";
const TRAILER: usize = 8 + 8 + 32;
const RECORD_MAGIC: &[u8; 8] = b"AMPBUILD";

/// Why a debug file does not help.
#[derive(Debug, thiserror::Error)]
pub enum DebugError {
    /// not one
    #[error("this is not a debug file of an ampoule image")]
    NotADebugFile,
    /// of another image
    #[error("this debug file belongs to another image; build both again")]
    OtherImage,
    /// the record of the build does not decode
    #[error("the debug file's record of the build is damaged: {0}; build both again")]
    Record(String),
    /// the ELF part cannot be read
    #[error("the debug file is damaged: {0}")]
    Elf(#[from] object::read::Error),
}

/// The debug file of a program that was sealed, with the build's record if there is one.
pub fn write(elf: &[u8], sealed: &crate::Sealed, record: Option<&Record>) -> Vec<u8> {
    let mut out = Vec::with_capacity(elf.len() + TRAILER);
    out.extend_from_slice(elf);
    if let Some(record) = record {
        let text = record.encode();
        out.extend_from_slice(&text);
        out.extend_from_slice(&(text.len() as u64).to_le_bytes());
        out.extend_from_slice(RECORD_MAGIC);
    }
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&sealed.shift.to_le_bytes());
    out.extend_from_slice(&sealed.digest);
    out
}

/// The debug file's ELF part and shift; with a digest it must belong to that image.
pub fn read<'a>(file: &'a [u8], digest: Option<&[u8; 32]>) -> Result<(&'a [u8], u64), DebugError> {
    let (elf, trailer) = file.split_last_chunk::<TRAILER>().ok_or(DebugError::NotADebugFile)?;
    let (magic, rest) = trailer.split_at(8);
    let (shift, owner) = rest.split_first_chunk::<8>().ok_or(DebugError::NotADebugFile)?;
    if magic != MAGIC {
        return Err(DebugError::NotADebugFile);
    }
    if digest.is_some_and(|d| d != owner) {
        return Err(DebugError::OtherImage);
    }
    Ok((elf, u64::from_le_bytes(*shift)))
}

/// The record of the build, if the debug file has one.
///
/// # Errors
/// The file is no debug file, or the record is damaged.
pub fn record(file: &[u8]) -> Result<Option<Record>, DebugError> {
    let (rest, _) = read(file, None)?;
    let Some((rest, length)) = rest.strip_suffix(RECORD_MAGIC).and_then(|rest| rest.split_last_chunk::<8>()) else {
        return Ok(None);
    };
    let start = usize::try_from(u64::from_le_bytes(*length)).ok().and_then(|length| rest.len().checked_sub(length));
    let start = start.ok_or_else(|| DebugError::Record("it is longer than the file".into()))?;
    Record::decode(&rest[start..]).map(Some).map_err(DebugError::Record)
}

/// One name for an address; inlined functions give several, innermost first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The function, readable.
    pub function: String,
    /// Source file and line, if known.
    pub line: Option<(String, u32)>,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.line {
            Some((file, line)) => write!(f, "{} ({file}:{line})", self.function),
            None => f.write_str(&self.function),
        }
    }
}

/// Names addresses of one image.
pub struct Symboliser<'a> {
    shift: u64,
    context: Option<Context<EndianSlice<'a, LittleEndian>>>,
    /// (link address before the shift, length, name), ascending.
    functions: Vec<(u64, u64, &'a str)>,
}

impl<'a> Symboliser<'a> {
    /// Reads a debug file; see [`read`].
    pub fn new(file: &'a [u8], digest: Option<&[u8; 32]>) -> Result<Self, DebugError> {
        let (elf, shift) = read(file, digest)?;
        Self::with_shift(elf, shift)
    }

    /// Of a program as it was linked.
    pub(crate) fn of_program(elf: &'a [u8]) -> Result<Self, object::read::Error> {
        Self::with_shift(elf, 0).map_err(|error| match error {
            DebugError::Elf(error) => error,
            // Only `read` says anything else.
            DebugError::NotADebugFile | DebugError::OtherImage | DebugError::Record(_) => {
                unreachable!("a program is no debug file")
            }
        })
    }

    fn with_shift(elf: &'a [u8], shift: u64) -> Result<Self, DebugError> {
        let elf = ElfFile64::<object::LittleEndian>::parse(elf)?;
        let section = |id: gimli::SectionId| -> Result<_, gimli::Error> {
            let data = elf.section_by_name(id.name()).and_then(|s| s.data().ok()).unwrap_or_default();
            Ok(EndianSlice::new(data, LittleEndian))
        };
        let context = gimli::Dwarf::load(section).and_then(Context::from_dwarf).ok();
        let mut functions: Vec<_> = elf
            .symbols()
            .filter(|s| s.kind() == object::SymbolKind::Text && s.is_definition())
            .filter_map(|s| Some((s.address(), s.size(), s.name().ok()?)))
            .collect();
        functions.sort_unstable();
        Ok(Symboliser { shift, context, functions })
    }

    /// What lies at an offset into the image (a link address), innermost first; empty if nobody knows. Give a return
    /// address minus one.
    pub fn places(&self, offset: u64) -> Vec<Place> {
        let Some(address) = offset.checked_sub(self.shift) else { return Vec::new() };
        let mut places = self.by_lines(address).unwrap_or_default();
        if places.is_empty() {
            places.extend(self.function(address).map(|name| Place { function: readable(name), line: None }));
        }
        places
    }

    fn by_lines(&self, address: u64) -> Option<Vec<Place>> {
        let mut frames = self.context.as_ref()?.find_frames(address).skip_all_loads().ok()?;
        let mut places = Vec::new();
        while let Ok(Some(frame)) = frames.next() {
            let line = frame.location.as_ref().and_then(|l| Some((l.file?.to_string(), l.line?)));
            let name = frame.function.as_ref().and_then(|f| f.raw_name().ok()).map(|n| readable(&n));
            let name = name.or_else(|| self.function(address).map(readable));
            places.extend(name.map(|function| Place { function, line }));
        }
        // The last is the function that the others were inlined into. Line tables may know it without its path.
        if let (Some(last), Some(name)) = (places.last_mut(), self.function(address)) {
            last.function = readable(name);
        }
        Some(places)
    }

    fn function(&self, address: u64) -> Option<&'a str> {
        let after = self.functions.partition_point(|f| f.0 <= address);
        let &(start, length, name) = self.functions.get(after.checked_sub(1)?)?;
        (address - start < length.max(1) || length == 0).then_some(name)
    }
}

/// A name without its hash.
fn readable(name: &str) -> String {
    format!("{:#}", rustc_demangle::demangle(name))
}

/// The symbol file that can be sealed into an image: an ELF file with nothing but the names of `elf`'s functions, at the
/// addresses as linked (the guest's ELF header is where they count from). A program's own backtraces read it.
pub fn symbol_file(elf: &[u8]) -> Result<Vec<u8>, DebugError> {
    let elf = ElfFile64::<object::LittleEndian>::parse(elf)?;
    let mut functions: Vec<_> = elf
        .symbols()
        .filter(|s| s.kind() == object::SymbolKind::Text && s.is_definition())
        .filter_map(|s| Some((s.address(), s.size(), s.name().ok()?)))
        .collect();
    functions.sort_unstable();
    functions.dedup_by_key(|f| f.0);
    let mut strings = vec![0];
    let mut symbols = vec![0; 24];
    for (address, size, name) in functions {
        symbols.extend_from_slice(&(strings.len() as u32).to_le_bytes());
        symbols.extend_from_slice(&[2, 0, 1, 0]); // local function, section 1
        symbols.extend_from_slice(&address.to_le_bytes());
        symbols.extend_from_slice(&size.to_le_bytes());
        strings.extend_from_slice(name.as_bytes());
        strings.push(0);
    }
    let locals = (symbols.len() / 24) as u32;
    let names = b"\0.text\0.symtab\0.strtab\0.shstrtab\0";
    let symbols_at = 64u64;
    let strings_at = symbols_at + symbols.len() as u64;
    let names_at = strings_at + strings.len() as u64;
    let sections_at = (names_at + names.len() as u64).next_multiple_of(8);

    let mut out = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 62, 0, 1, 0, 0, 0];
    for word in [0, 0, sections_at] {
        out.extend_from_slice(&word.to_le_bytes());
    }
    out.extend_from_slice(&[0; 4]);
    for half in [64u16, 56, 0, 64, 5, 4] {
        out.extend_from_slice(&half.to_le_bytes());
    }
    out.extend([symbols, strings, names.to_vec()].concat());
    out.resize(sections_at as usize, 0);
    let text = elf.section_by_name(".text").map_or((0, 0), |s| (s.address(), s.size()));
    // name, type, flags, address, offset, size, link, info, alignment, entry size
    section(&mut out, 0, 0, 0, (0, 0, 0), (0, 0, 0, 0));
    section(&mut out, 1, 8, 6, (text.0, 64, text.1), (0, 0, 1, 0));
    section(&mut out, 7, 2, 0, (0, symbols_at, strings_at - symbols_at), (3, locals, 8, 24));
    section(&mut out, 15, 3, 0, (0, strings_at, names_at - strings_at), (0, 0, 1, 0));
    section(&mut out, 23, 3, 0, (0, names_at, names.len() as u64), (0, 0, 1, 0));
    Ok(out)
}

fn section(out: &mut Vec<u8>, name: u32, kind: u32, flags: u64, place: (u64, u64, u64), rest: (u32, u32, u64, u64)) {
    out.extend_from_slice(&name.to_le_bytes());
    out.extend_from_slice(&kind.to_le_bytes());
    for word in [flags, place.0, place.1, place.2] {
        out.extend_from_slice(&word.to_le_bytes());
    }
    out.extend_from_slice(&rest.0.to_le_bytes());
    out.extend_from_slice(&rest.1.to_le_bytes());
    out.extend_from_slice(&rest.2.to_le_bytes());
    out.extend_from_slice(&rest.3.to_le_bytes());
}
