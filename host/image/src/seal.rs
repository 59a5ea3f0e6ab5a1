//! Sealing: a linked guest, its manifest and an exokernel become one file.
//!
//! The guest keeps its layout and moves up by the length of what is put before it (header, manifest, strings), so that
//! the header is at link address 0. Everything that depends on an address moves alike: segments, entry, the words in
//! the relocation table and where they point. The guest's own ELF header stays as linked; it describes the guest
//! relative to itself, which is how the library OS reads it.

use crate::elf::{self, HEADERS, Load};
use crate::guest::{Guest, Segment};
use crate::image::Image;
use crate::{header, manifest, relr, syscalls};
use abi::PAGE_SIZE;
use abi::boot::{MAX_SEGMENTS, SEGMENT_EXECUTE, SEGMENT_READ, SEGMENT_WRITE};
use abi::image::{IMAGE_ALIGN, IMAGE_MAGIC, IMAGE_VERSION, ImageHeader, ImageSegment, LinkRange, default_stack};
use abi::manifest::Manifest;
use object::LittleEndian;
use object::read::elf::{FileHeader as _, ProgramHeader as _};
use sha2::{Digest as _, Sha256};

/// What goes into an image.
#[derive(Clone, Copy, Debug)]
pub struct SealInput<'a> {
    /// The linked program: a static position-independent ELF file with its section headers and symbols.
    pub elf: &'a [u8],
    /// What the machine is given and may do.
    pub manifest: &'a Manifest,
    /// The exokernel's ELF file, or `None` for an image that only our own backends can start.
    pub exokernel: Option<&'a [u8]>,
    /// The symbol file that is sealed in (see [`crate::debug::symbol_file`]), or empty.
    pub symbols: &'a [u8],
    /// The sealed files (see [`crate::files::FileTree`]), or empty.
    pub files: &'a [u8],
    /// Keep the tables for unwinding: needed with `panic = "unwind"`, dead weight without.
    pub unwind: bool,
}

/// A sealed image.
#[derive(Clone, Debug)]
pub struct Sealed {
    /// The file.
    pub bytes: Vec<u8>,
    /// By how much the guest's link addresses moved up. [`crate::debug::write`] wants it.
    pub shift: u64,
    /// How many `syscall` instructions were rewritten.
    pub syscalls: usize,
    /// The file's digest.
    pub digest: [u8; 32],
}

/// Why a program cannot be sealed.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// the file is no readable ELF
    #[error("the linked program is not a readable ELF file: {0}")]
    Elf(#[from] object::read::Error),
    /// a segment lies outside the file
    #[error("the linked program is cut short: a segment lies outside the file")]
    Truncated,
    /// another machine's
    #[error("the linked program is not for x86-64")]
    NotX86,
    /// linked for a fixed address
    #[error("the linked program is not position-independent; link it with -static-pie")]
    NotPositionIndependent,
    /// a segment makes no sense
    #[error("the linked program's segment at {0:#x} has an impossible address or length")]
    BadSegment(u64),
    /// a segment is writable and executable
    #[error(
        "the segment at {0:#x} is writable and executable; no image may have such a one (an executable stack or a -z linker option?)"
    )]
    WritableCode(u64),
    /// two segments on one page
    #[error("the segment at {0:#x} shares a page with the one before; link with -z separate-code")]
    SharedPage(u64),
    /// RELRO in the middle of a segment
    #[error("the read-only-after-relocation part at {0:#x} does not start its segment; link with -z relro -z now")]
    BadRelro(u64),
    /// too many
    #[error("the linked program has more segments than an image holds ({MAX_SEGMENTS})")]
    TooManySegments,
    /// the RELR table is damaged
    #[error("the linked program's RELR table does not decode")]
    BadRelr,
    /// a relocation at an odd address
    #[error("the word at {0:#x} must be relocated and has an odd address; a packed struct holds a pointer?")]
    OddRelocation(u64),
    /// a relocation outside data
    #[error(
        "the word at {0:#x} must be relocated but lies outside the program's data; is something compiled without -fPIE?"
    )]
    TextRelocation(u64),
    /// another kind of relocation
    #[error(
        "relocation {kind} at {offset:#x} against {name}: an image can only be moved as a whole; link everything statically"
    )]
    Relocation {
        /// The kind, by its ABI name.
        kind: String,
        /// Where.
        offset: u64,
        /// The symbol it names.
        name: String,
    },
    /// a symbol nobody defines
    #[error("the program wants the symbol `{0}`, which nothing in the image defines")]
    Undefined(String),
    /// a NUL in a string
    #[error("the manifest's string \"{0}\" holds a NUL byte")]
    Nul(String),
    /// the exokernel file is wrong
    #[error("the exokernel cannot be used: {0}")]
    Exokernel(&'static str),
    /// the linker's file contradicts itself
    #[error("the program is no sound ELF file, for what is made of it is no image: {0}")]
    Unsound(String),
    /// memory too small
    #[error(
        "the manifest gives the machine {memory} bytes of memory; this image needs at least {needed}: raise `memory`"
    )]
    Memory {
        /// What the manifest says.
        memory: u64,
        /// The least that holds image and stack.
        needed: u64,
    },
}

/// Makes the image. The same input gives the same bytes.
pub fn seal(input: &SealInput<'_>) -> Result<Sealed, SealError> {
    let mut guest = Guest::read(input.elf, input.unwind)?;
    let syscalls = syscalls::rewrite(&mut guest);
    let (info, shift) = Info::build(&mut guest, input)?;
    let exokernel = input.exokernel.map(Exokernel::read).transpose()?;
    let (bytes, digest) = write(&guest, info, shift, exokernel.as_ref(), input.manifest)?;
    // Whatever the linker's file says besides: nothing leaves here that its own reader would refuse.
    let bytes = Image::checked(bytes).map_err(|error| SealError::Unsound(error.to_string()))?;
    Ok(Sealed { bytes, shift, syscalls, digest })
}

/// The bytes of the first segment, and the header that will describe the rest.
struct Info {
    header: ImageHeader,
    bytes: Vec<u8>,
}

impl Info {
    /// Lays the info segment out and moves the guest up behind it.
    fn build(guest: &mut Guest, input: &SealInput<'_>) -> Result<(Info, u64), SealError> {
        let mut bytes = vec![0; header::LENGTH];
        let mut put_at = |alignment: u64, content: &[u8]| {
            bytes.resize(bytes.len().next_multiple_of(alignment as usize), 0);
            let range = LinkRange { address: bytes.len() as u64, length: content.len() as u64 };
            bytes.extend_from_slice(content);
            range
        };
        let mut put = |content: &[u8]| put_at(8, content);
        let strings = manifest::strings(input.manifest).map_err(SealError::Nul)?;
        let mut header = ImageHeader {
            magic: IMAGE_MAGIC,
            version: IMAGE_VERSION,
            manifest: put(&manifest::encode(input.manifest)),
            strings: put(&strings.bytes),
            argument_count: strings.arguments,
            environment_count: strings.environment,
            symbols: put(input.symbols),
            memory: input.manifest.memory,
            stack: input.manifest.stack.next_multiple_of(PAGE_SIZE),
            ..header::empty()
        };
        // The table's length does not depend on the shift, so it can be placed before the shift is known.
        let length = relr::encode(&guest.relocations).len() as u64 * 8;
        let own_place = guest.relr.filter(|&(_, room)| length <= room);
        header.relocations = match own_place {
            Some((address, _)) => LinkRange { address, length },
            None => put(&vec![0; length as usize]),
        };
        if !input.files.is_empty() {
            header.files = put_at(PAGE_SIZE, input.files);
        }
        let shift = (bytes.len() as u64).next_multiple_of(guest.alignment.max(PAGE_SIZE));
        if guest.alignment > IMAGE_ALIGN {
            return Err(SealError::BadSegment(0));
        }
        relocate(guest, shift)?;
        let table: Vec<u8> = relr::encode(&guest.relocations).iter().flat_map(|w| w.to_le_bytes()).collect();
        if let Some((address, room)) = own_place {
            header.relocations.address = address + shift;
            let place = guest.segments.iter_mut().find_map(|s| s.slice(address + shift, room));
            let place = place.ok_or(SealError::Truncated)?;
            place.fill(0);
            place[..table.len()].copy_from_slice(&table);
        } else {
            let start = header.relocations.address as usize;
            bytes[start..start + table.len()].copy_from_slice(&table);
        }
        header.entry = guest.entry;
        Ok((Info { header, bytes }, shift))
    }
}

/// Moves the guest up by `shift`.
fn relocate(guest: &mut Guest, shift: u64) -> Result<(), SealError> {
    for target in guest.relocations.clone() {
        let word = guest.word(target)?;
        let mut value = [0; 8];
        value.copy_from_slice(word);
        word.copy_from_slice(&u64::from_le_bytes(value).wrapping_add(shift).to_le_bytes());
    }
    guest.relocations.iter_mut().for_each(|r| *r += shift);
    guest.segments.iter_mut().for_each(|s| s.address += shift);
    // A symbol or an entry that lies nowhere stays nowhere.
    guest.functions.iter_mut().for_each(|f| f.0 = f.0.saturating_add(shift));
    guest.entry = guest.entry.saturating_add(shift);
    Ok(())
}

/// What the file takes over from the exokernel.
struct Exokernel<'a> {
    entry: u64,
    loads: Vec<(Load, &'a [u8])>,
    /// The first page after it, where the image is loaded: the exokernel knows it as the end of its own last section.
    end: u64,
}

impl<'a> Exokernel<'a> {
    fn read(file: &'a [u8]) -> Result<Self, SealError> {
        let header = object::elf::FileHeader64::<LittleEndian>::parse(file)?;
        let mut loads = Vec::new();
        for p in header.program_headers(LittleEndian, file)?.iter() {
            if p.p_type(LittleEndian) != object::elf::PT_LOAD || p.p_memsz(LittleEndian) == 0 {
                continue;
            }
            let bytes = p.data(LittleEndian, file).map_err(|()| SealError::Truncated)?;
            let load = Load {
                offset: 0,
                address: p.p_vaddr(LittleEndian),
                file_length: bytes.len() as u64,
                memory_length: p.p_memsz(LittleEndian),
                flags: p.p_flags(LittleEndian).0,
            };
            if load.flags & 3 == 3 {
                return Err(SealError::Exokernel("one of its segments is writable and executable"));
            }
            loads.push((load, bytes));
        }
        let end = loads.iter().map(|(l, _)| l.address + l.memory_length).max().unwrap_or(0);
        if loads.first().is_none_or(|(l, _)| l.address % PAGE_SIZE != HEADERS) || end > 2 << 20 {
            return Err(SealError::Exokernel("it is not linked by its own linker script"));
        }
        Ok(Exokernel { entry: header.e_entry(LittleEndian), loads, end: end.next_multiple_of(PAGE_SIZE) })
    }
}

/// Appends `content`, without padding but for words: every loader copies. Gives its offset, at least `before`, for that
/// many bytes of whatever precedes it are taken along ([`described`]).
fn append(file: &mut Vec<u8>, before: u64, content: &[u8]) -> u64 {
    let offset = file.len().next_multiple_of(8).max(before as usize);
    file.resize(offset, 0);
    file.extend_from_slice(content);
    offset as u64
}

fn write(
    guest: &Guest,
    info: Info,
    shift: u64,
    exokernel: Option<&Exokernel<'_>>,
    manifest: &Manifest,
) -> Result<(Vec<u8>, [u8; 32]), SealError> {
    let Info { mut header, bytes: mut info } = info;
    let mut file = vec![0; HEADERS as usize];
    let mut loads = Vec::new();
    for (load, bytes) in exokernel.map_or(&[][..], |e| &e.loads) {
        let offset = append(&mut file, 0, bytes);
        loads.push(Load { offset, ..*load });
    }

    let info_segment = Segment {
        address: 0,
        bytes: Vec::new(),
        memory_length: info.len() as u64,
        access: SEGMENT_READ,
        relocatable: false,
    };
    let header_offset = append(&mut file, 0, &info);
    let mut segments = vec![described(&info_segment, header_offset, info.len() as u64)];
    for segment in &guest.segments {
        let offset = append(&mut file, segment.address % PAGE_SIZE, &segment.bytes);
        segments.push(described(segment, offset, segment.bytes.len() as u64));
    }
    if segments.len() > MAX_SEGMENTS {
        return Err(SealError::TooManySegments);
    }
    header.segments[..segments.len()].copy_from_slice(&segments);
    header.segment_count = segments.len() as u64;
    header.span = segments.last().map_or(0, |s| s.address + s.memory_length);
    header.file_length = file.len() as u64;
    debug_assert!(header.entry >= shift);

    let stack = if header.stack == 0 { default_stack(manifest.memory) } else { header.stack };
    let needed = header.span.saturating_add(stack);
    if needed > manifest.memory {
        return Err(SealError::Memory { memory: manifest.memory, needed });
    }

    let base = exokernel.map_or(0, |e| e.end);
    loads.extend(segments.iter().map(|s| Load {
        offset: s.file_offset,
        address: base + s.address,
        file_length: s.file_length,
        memory_length: s.memory_length,
        flags: elf_flags(s.access),
    }));
    let entry = exokernel.map_or(header.entry, |e| e.entry);
    let headers = elf::headers(entry, exokernel.map(|e| e.entry), header_offset, &loads);
    file[..HEADERS as usize].copy_from_slice(&headers.ok_or(SealError::TooManySegments)?);

    info[..header::LENGTH].copy_from_slice(&header::encode(&header));
    let at = header_offset as usize;
    file[at..at + info.len()].copy_from_slice(&info);
    let digest: [u8; 32] = Sha256::digest(&file).into();
    file[at + header::DIGEST.start..at + header::DIGEST.end].copy_from_slice(&digest);
    Ok((file, digest))
}

/// A segment as loaders see it: whole pages. What precedes it on its first page is the end of its neighbour in the file.
fn described(segment: &Segment, offset: u64, length: u64) -> ImageSegment {
    let (start, end) = segment.pages();
    let before = segment.address - start;
    ImageSegment {
        address: start,
        memory_length: end - start,
        file_offset: offset - before,
        file_length: if length == 0 { 0 } else { before + length },
        access: segment.access,
    }
}

fn elf_flags(access: u64) -> u32 {
    let bit = |from: u64, to: u32| if access & from != 0 { to } else { 0 };
    bit(SEGMENT_EXECUTE, 1) | bit(SEGMENT_WRITE, 2) | bit(SEGMENT_READ, 4)
}
