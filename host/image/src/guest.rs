//! Reading the linked guest: its segments, the words to relocate, and everything that would keep it from being sealed.
//!
//! What comes in is one static position-independent ELF file as the linker leaves it, with section headers and symbols.
//! What the sealed image cannot express is refused by name here, so that a loader never meets it.

use crate::seal::SealError;
use abi::PAGE_SIZE;
use abi::boot::{SEGMENT_EXECUTE, SEGMENT_READ, SEGMENT_WRITE};
use object::LittleEndian;
use object::elf;
use object::read::elf::{FileHeader as _, ProgramHeader as _, Rela as _, SectionHeader as _, SectionTable, Sym as _};

type Header = elf::FileHeader64<LittleEndian>;
const LE: LittleEndian = LittleEndian;

/// One segment as linked.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    /// Link address of the first byte that the file gives.
    pub(crate) address: u64,
    pub(crate) bytes: Vec<u8>,
    /// Bytes in memory from `address` on.
    pub(crate) memory_length: u64,
    /// `SEGMENT_*` bits after relocation.
    pub(crate) access: u64,
    /// May words in it be relocated?
    pub(crate) relocatable: bool,
}

impl Segment {
    /// The pages it lies on: first byte, one past the last.
    pub(crate) fn pages(&self) -> (u64, u64) {
        (self.address & !(PAGE_SIZE - 1), (self.address + self.memory_length).next_multiple_of(PAGE_SIZE))
    }

    /// The `length` bytes at a link address, if the file gives them.
    pub(crate) fn slice(&mut self, address: u64, length: u64) -> Option<&mut [u8]> {
        let start = usize::try_from(address.checked_sub(self.address)?).ok()?;
        self.bytes.get_mut(start..start.checked_add(usize::try_from(length).ok()?)?)
    }
}

/// The linked guest.
#[derive(Debug)]
pub(crate) struct Guest {
    pub(crate) entry: u64,
    pub(crate) segments: Vec<Segment>,
    /// Link addresses of the words to relocate, ascending; each word already holds its link-time value.
    pub(crate) relocations: Vec<u64>,
    /// The linker's own RELR table, whose place can be used again.
    pub(crate) relr: Option<(u64, u64)>,
    /// The strictest alignment that any segment asks for.
    pub(crate) alignment: u64,
    /// Functions, as (link address, bytes), ascending.
    pub(crate) functions: Vec<(u64, u64)>,
}

/// Does this ELF file ask for a dynamic loader? Then it is the host's, and nothing that could be sealed.
pub fn is_dynamic(file: &[u8]) -> bool {
    let Ok(header) = Header::parse(file) else { return false };
    let headers = header.program_headers(LE, file).unwrap_or_default();
    headers.iter().any(|header| header.p_type(LE) == elf::PT_INTERP)
}

impl Guest {
    /// Reads and checks `file`. Without `unwind` the tables for unwinding are left out where they end their segment.
    pub(crate) fn read(file: &[u8], unwind: bool) -> Result<Guest, SealError> {
        let header = Header::parse(file)?;
        if header.e_machine(LE) != elf::EM_X86_64 || !header.is_little_endian() {
            return Err(SealError::NotX86);
        }
        if header.e_type(LE) != elf::ET_DYN {
            return Err(SealError::NotPositionIndependent);
        }
        let sections = header.sections(LE, file)?;
        check_symbols(file, &sections)?;
        let mut guest = Guest {
            entry: header.e_entry(LE),
            segments: Vec::new(),
            relocations: Vec::new(),
            relr: None,
            alignment: PAGE_SIZE,
            functions: functions(file, &sections)?,
        };
        guest.read_segments(file, header, &sections, unwind)?;
        guest.read_relocations(file, &sections)?;
        Ok(guest)
    }

    fn read_segments(
        &mut self,
        file: &[u8],
        header: &Header,
        sections: &SectionTable<'_, Header>,
        unwind: bool,
    ) -> Result<(), SealError> {
        let program_headers = header.program_headers(LE, file)?;
        let relro = program_headers.iter().find(|p| p.p_type(LE) == elf::PT_GNU_RELRO);
        let relro = relro.map(|p| (p.p_vaddr(LE), p.p_vaddr(LE).saturating_add(p.p_memsz(LE))));
        for load in program_headers.iter().filter(|p| p.p_type(LE) == elf::PT_LOAD && p.p_memsz(LE) > 0) {
            let address = load.p_vaddr(LE);
            let bytes = load.data(LE, file).map_err(|()| SealError::Truncated)?;
            let memory_length = load.p_memsz(LE);
            if memory_length < bytes.len() as u64 || address.checked_add(memory_length).is_none_or(|e| e > MAX_SPAN) {
                return Err(SealError::BadSegment(address));
            }
            // gABI, p_align: 0, 1 or a power of two.
            let alignment = load.p_align(LE);
            if alignment & alignment.wrapping_sub(1) != 0 && alignment != 0 {
                return Err(SealError::BadSegment(address));
            }
            self.alignment = self.alignment.max(alignment);
            let access = access(load.p_flags(LE).0);
            if access & SEGMENT_WRITE != 0 && access & SEGMENT_EXECUTE != 0 {
                return Err(SealError::WritableCode(address));
            }
            let keep = if access & (SEGMENT_WRITE | SEGMENT_EXECUTE) == 0 && !unwind {
                without_unwind_tables(sections, address, bytes.len() as u64)
            } else {
                bytes.len() as u64
            };
            let memory_length = if keep < bytes.len() as u64 { keep } else { memory_length };
            if memory_length == 0 {
                continue; // nothing but tables
            }
            let segment = Segment {
                address,
                bytes: bytes[..keep as usize].to_vec(),
                memory_length,
                access,
                relocatable: access & SEGMENT_WRITE != 0,
            };
            self.push_split(segment, relro)?;
        }
        if let Some(pair) = self.segments.windows(2).find(|pair| pair[0].pages().1 > pair[1].pages().0) {
            return Err(SealError::SharedPage(pair[1].address));
        }
        match self.segments.first() {
            Some(first) if first.address == 0 => Ok(()),
            _ => Err(SealError::BadSegment(self.segments.first().map_or(0, |s| s.address))),
        }
    }

    /// Adds a segment, its part that is read-only after relocation (PT_GNU_RELRO) as a segment of its own.
    fn push_split(&mut self, mut segment: Segment, relro: Option<(u64, u64)>) -> Result<(), SealError> {
        let end = segment.address + segment.memory_length;
        let Some((start, stop)) = relro.filter(|r| segment.relocatable && r.0 >= segment.address && r.0 < end) else {
            self.segments.push(segment);
            return Ok(());
        };
        if start != segment.address || (stop < end && stop % PAGE_SIZE != 0) {
            return Err(SealError::BadRelro(start));
        }
        if stop < end {
            let cut = (stop - start).min(segment.bytes.len() as u64) as usize;
            let rest = segment.bytes.split_off(cut);
            let rest = Segment { address: stop, bytes: rest, memory_length: end - stop, ..segment };
            segment.memory_length = stop - start;
            segment.access = SEGMENT_READ;
            self.segments.extend([segment, rest]);
        } else {
            segment.access = SEGMENT_READ;
            self.segments.push(segment);
        }
        Ok(())
    }

    /// Collects relative relocations in either form, stores the explicit addends, and refuses every other kind.
    fn read_relocations(&mut self, file: &[u8], sections: &SectionTable<'_, Header>) -> Result<(), SealError> {
        let mut targets = Vec::new();
        for section in sections.iter() {
            if section.sh_flags(LE).0 & elf::SHF_ALLOC.0 == 0 {
                continue;
            }
            if section.sh_type(LE) == elf::SHT_RELR {
                let bytes = section.data(LE, file)?;
                let words = bytes.as_chunks::<8>().0.iter().map(|w| u64::from_le_bytes(*w));
                targets.extend(crate::relr::decode(words).ok_or(SealError::BadRelr)?);
                self.relr = Some((section.sh_addr(LE), bytes.len() as u64));
            }
            let Some((relocations, link)) = section.rela(LE, file)? else { continue };
            for relocation in relocations {
                let offset = relocation.r_offset(LE);
                if relocation.r_type(LE, false) != elf::R_X86_64_RELATIVE {
                    let kind: u32 = relocation.r_type(LE, false).0;
                    let name = symbol_name(file, sections, link, relocation.r_sym(LE, false));
                    return Err(SealError::Relocation { kind: kind_name(kind), offset, name });
                }
                let addend = relocation.r_addend(LE) as u64;
                self.word(offset)?.copy_from_slice(&addend.to_le_bytes());
                targets.push(offset);
            }
        }
        targets.sort_unstable();
        targets.dedup();
        for &target in &targets {
            self.word(target)?;
        }
        self.relocations = targets;
        Ok(())
    }

    /// The word at a link address, if it may be relocated.
    pub(crate) fn word(&mut self, address: u64) -> Result<&mut [u8], SealError> {
        if !address.is_multiple_of(2) {
            return Err(SealError::OddRelocation(address));
        }
        let segment = self.segments.iter_mut().find(|s| s.relocatable && s.pages().1 > address);
        segment.and_then(|s| s.slice(address, 8)).ok_or(SealError::TextRelocation(address))
    }
}

/// More address space than this is a mistake: 1 TiB.
const MAX_SPAN: u64 = 1 << 40;

fn access(flags: u32) -> u64 {
    let bit = |flag: u32, access: u64| if flags & flag != 0 { access } else { 0 };
    SEGMENT_READ | bit(1, SEGMENT_EXECUTE) | bit(2, SEGMENT_WRITE)
}

/// How many of a read-only segment's `length` bytes come before the unwinding tables that end it.
fn without_unwind_tables(sections: &SectionTable<'_, Header>, start: u64, length: u64) -> u64 {
    let mut inside: Vec<_> = sections
        .iter()
        .filter(|s| s.sh_flags(LE).0 & elf::SHF_ALLOC.0 != 0 && (start..start + length).contains(&s.sh_addr(LE)))
        .collect();
    inside.sort_by_key(|s| s.sh_addr(LE));
    let mut end = start + length;
    for section in inside.into_iter().rev() {
        match sections.section_name(LE, section) {
            Ok(b".eh_frame" | b".eh_frame_hdr" | b".gcc_except_table") => end = section.sh_addr(LE),
            _ => {
                end = end.min(section.sh_addr(LE).saturating_add(section.sh_size(LE)).max(start));
                break;
            }
        }
    }
    end - start
}

/// Refuses a program that still wants a symbol from elsewhere.
fn check_symbols(file: &[u8], sections: &SectionTable<'_, Header>) -> Result<(), SealError> {
    for kind in [elf::SHT_DYNSYM, elf::SHT_SYMTAB] {
        let table = sections.symbols(LE, file, kind)?;
        for symbol in table.iter().skip(1) {
            if symbol.is_undefined(LE) && symbol.st_bind() == elf::STB_GLOBAL {
                let name = String::from_utf8_lossy(symbol.name(LE, table.strings())?);
                return Err(SealError::Undefined(rustc_demangle::demangle(&name).to_string()));
            }
        }
    }
    Ok(())
}

fn functions(file: &[u8], sections: &SectionTable<'_, Header>) -> Result<Vec<(u64, u64)>, SealError> {
    let table = sections.symbols(LE, file, elf::SHT_SYMTAB)?;
    let mut out: Vec<_> = table
        .iter()
        .filter(|s| s.st_type() == elf::STT_FUNC && !s.is_undefined(LE))
        .map(|s| (s.st_value(LE), s.st_size(LE)))
        .collect();
    out.sort_unstable();
    out.dedup_by_key(|f| f.0);
    Ok(out)
}

fn symbol_name(file: &[u8], sections: &SectionTable<'_, Header>, link: object::SectionIndex, index: u32) -> String {
    let name = || {
        let table = sections.symbol_table_by_index(LE, file, link).ok()?;
        let symbol = table.symbol(object::SymbolIndex(index as usize)).ok()?;
        let name = symbol.name(LE, table.strings()).ok()?;
        Some(rustc_demangle::demangle(&String::from_utf8_lossy(name)).to_string())
    };
    name().filter(|n| !n.is_empty()).unwrap_or_else(|| "no symbol".into())
}

fn kind_name(kind: u32) -> String {
    match kind {
        1 => "R_X86_64_64".into(),
        6 => "R_X86_64_GLOB_DAT".into(),
        7 => "R_X86_64_JUMP_SLOT".into(),
        16 => "R_X86_64_DTPMOD64 (a dynamic thread-local)".into(),
        17 => "R_X86_64_DTPOFF64 (a dynamic thread-local)".into(),
        18 => "R_X86_64_TPOFF64 (a dynamic thread-local)".into(),
        36 => "R_X86_64_TLSDESC (a dynamic thread-local)".into(),
        37 => "R_X86_64_IRELATIVE (an indirect function)".into(),
        other => format!("type {other}"),
    }
}
