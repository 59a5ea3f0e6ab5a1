//! The linked program: its sections, its named functions and objects, and its relocated words.

use super::ContentsError;
use crate::guest::Guest;
use crate::{Image, SealError};
use object::read::elf::ElfFile64;
use object::{Object as _, ObjectSection as _, ObjectSymbol as _, SectionFlags, SymbolKind};

/// A section that is loaded.
#[derive(Clone, Debug)]
pub(super) struct Section<'a> {
    pub(super) name: &'a str,
    pub(super) address: u64,
    pub(super) length: u64,
    /// Empty where it is zero at the start.
    pub(super) bytes: &'a [u8],
    pub(super) is_code: bool,
    /// Made by the linker for a loader or an unwinder, not by a crate.
    pub(super) is_table: bool,
    pub(super) is_thread_local: bool,
}

/// A function or an object with a name.
#[derive(Clone, Debug)]
pub(super) struct Symbol<'a> {
    pub(super) address: u64,
    pub(super) length: u64,
    pub(super) name: &'a str,
}

/// The program.
pub(super) struct Program<'a> {
    pub(super) entry: u64,
    /// Loaded sections that got into the image, ascending.
    pub(super) sections: Vec<Section<'a>>,
    /// Ascending; several may have one address.
    pub(super) functions: Vec<Symbol<'a>>,
    /// Ascending.
    pub(super) objects: Vec<Symbol<'a>>,
    /// Thread-local objects; their addresses count from their section's start.
    pub(super) thread_locals: Vec<Symbol<'a>>,
    /// Words that hold an address: where, and which.
    pub(super) pointers: Vec<(u64, u64)>,
    /// Sections for debugging, with their sizes.
    pub(super) debug: Vec<(&'a str, u64)>,
    /// Bytes of the symbol table for each name.
    pub(super) symbol_bytes: Vec<(&'a str, u64)>,
}

const SHF_ALLOC: u64 = 2;
const SHF_EXECINSTR: u64 = 4;
const SHF_TLS: u64 = 0x400;

impl<'a> Program<'a> {
    pub(super) fn read(bytes: &'a [u8], image: &Image, shift: u64) -> Result<Self, ContentsError> {
        let mut guest = Guest::read(bytes, true)?;
        let elf = ElfFile64::<object::LittleEndian>::parse(bytes)?;
        let mut program = Program {
            entry: guest.entry,
            sections: Vec::new(),
            functions: Vec::new(),
            objects: Vec::new(),
            thread_locals: Vec::new(),
            pointers: Vec::new(),
            debug: Vec::new(),
            symbol_bytes: Vec::new(),
        };
        program.read_sections(&elf, image, shift)?;
        program.read_symbols(&elf);
        program.pointers = pointers(&mut guest)?;
        Ok(program)
    }

    fn read_sections(
        &mut self,
        elf: &ElfFile64<'a, object::LittleEndian>,
        image: &Image,
        shift: u64,
    ) -> Result<(), ContentsError> {
        for section in elf.sections() {
            let SectionFlags::Elf { sh_flags, .. } = section.flags() else { continue };
            let sh_flags: u64 = sh_flags.0;
            let name = section.name().unwrap_or_default();
            if sh_flags & SHF_ALLOC == 0 {
                self.debug.push((name, section.data().map_or(0, |bytes| bytes.len() as u64)));
                continue;
            }
            // What is only for an unwinder is cut off an image that has none.
            let start = section.address().saturating_add(shift);
            let end = start.saturating_add(section.size());
            let inside = |s: &abi::image::ImageSegment| start >= s.address && end <= s.address + s.memory_length;
            if section.size() == 0 || name == ".relro_padding" || !image.segments().iter().any(inside) {
                continue;
            }
            self.sections.push(Section {
                name,
                address: section.address(),
                length: section.size(),
                bytes: section.data()?,
                is_code: sh_flags & SHF_EXECINSTR != 0,
                is_table: is_table(name),
                is_thread_local: sh_flags & SHF_TLS != 0,
            });
        }
        self.sections.sort_by_key(|s| s.address);
        Ok(())
    }

    fn read_symbols(&mut self, elf: &ElfFile64<'a, object::LittleEndian>) {
        let base = self.sections.iter().find(|s| s.is_thread_local).map_or(0, |s| s.address);
        for symbol in elf.symbols() {
            let name = symbol.name().unwrap_or_default();
            // A table entry of 24 bytes, the name and its NUL.
            self.symbol_bytes.push((name, 24 + name.len() as u64 + 1));
            if !symbol.is_definition() || name.is_empty() {
                continue;
            }
            let mut entry = Symbol { address: symbol.address(), length: symbol.size(), name };
            match symbol.kind() {
                SymbolKind::Text => self.functions.push(entry),
                // A label in assembly, of which nobody said what it is.
                SymbolKind::Unknown if self.section(entry.address).is_some_and(|s| s.is_code) => {
                    self.functions.push(entry)
                }
                SymbolKind::Tls => {
                    entry.address = entry.address.saturating_add(base);
                    self.thread_locals.push(entry);
                }
                SymbolKind::Data if entry.length > 0 => self.objects.push(entry),
                _ => {}
            }
        }
        for list in [&mut self.functions, &mut self.objects, &mut self.thread_locals] {
            list.sort_by(|a, b| (a.address, b.length, a.name).cmp(&(b.address, a.length, b.name)));
        }
    }

    /// The section at an address.
    pub(super) fn section(&self, address: u64) -> Option<&Section<'a>> {
        let after = self.sections.partition_point(|s| s.address <= address);
        let section = &self.sections[after.checked_sub(1)?];
        (address - section.address < section.length).then_some(section)
    }
}

fn is_table(name: &str) -> bool {
    const TABLES: [&str; 11] = [
        ".dynsym",
        ".dynstr",
        ".dynamic",
        ".gnu.hash",
        ".hash",
        ".relr.dyn",
        ".rela.dyn",
        ".eh_frame",
        ".eh_frame_hdr",
        ".gcc_except_table",
        ".debug_gdb_scripts",
    ];
    TABLES.contains(&name)
}

fn pointers(guest: &mut Guest) -> Result<Vec<(u64, u64)>, SealError> {
    let mut pointers = Vec::with_capacity(guest.relocations.len());
    for place in guest.relocations.clone() {
        let mut value = [0; 8];
        value.copy_from_slice(guest.word(place)?);
        pointers.push((place, u64::from_le_bytes(value)));
    }
    Ok(pointers)
}
