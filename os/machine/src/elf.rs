//! The image's own ELF header, as it lies in memory: thread-local template and unwind tables are found through it.

/// An ELF64 program header (gABI, "Program Header").
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct ProgramHeader {
    /// `PT_*`.
    pub kind: u32,
    /// `PF_*`.
    pub flags: u32,
    /// Where in the file.
    pub offset: u64,
    /// Link address.
    pub address: u64,
    /// Physical address.
    pub physical: u64,
    /// Bytes in the file.
    pub file_length: u64,
    /// Bytes in memory.
    pub memory_length: u64,
    /// Alignment.
    pub align: u64,
}

/// [`ProgramHeader::kind`]: loaded.
pub const PT_LOAD: u32 = 1;
/// [`ProgramHeader::kind`]: the thread-local template.
pub const PT_TLS: u32 = 7;
/// [`ProgramHeader::kind`]: `.eh_frame_hdr`.
pub const PT_GNU_EH_FRAME: u32 = 0x6474_e550;

/// What was added to the program's link addresses.
pub fn base() -> usize {
    crate::arch::elf_header() as usize
}

/// The program headers as they were linked.
pub fn headers() -> &'static [ProgramHeader] {
    let header = crate::arch::elf_header();
    if header.is_null() {
        return &[];
    }
    // SAFETY: the linker lays the ELF header out at the image's first address, read-only, with e_phoff at 32 and
    // e_phnum at 56 (gABI, "ELF Header"), and the table inside the same segment.
    unsafe {
        let offset = header.add(32).cast::<u64>().read() as usize;
        let count = header.add(56).cast::<u16>().read() as usize;
        core::slice::from_raw_parts(header.add(offset).cast(), count)
    }
}
