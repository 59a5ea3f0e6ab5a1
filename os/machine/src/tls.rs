//! Thread-local storage as the psABI lays it out (variant II: the block ends at the thread pointer).
//!
//! The template is the image's `PT_TLS` segment. Its block must end at an address that is a multiple of its alignment;
//! the linker counts every offset down from there.

use crate::elf;

/// What each thread's block looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Template {
    /// The initial bytes.
    pub image: *const u8,
    /// How many; the rest of the block is zero.
    pub image_length: usize,
    /// From the block's start to the thread pointer, in bytes.
    pub length: usize,
    /// The thread pointer's alignment, at least 64.
    pub align: usize,
}

/// The image's template.
pub fn template() -> Template {
    let Some(segment) = elf::headers().iter().find(|h| h.kind == elf::PT_TLS) else {
        return Template { image: core::ptr::null(), image_length: 0, length: 0, align: 64 };
    };
    layout(segment, elf::base())
}

fn layout(segment: &elf::ProgramHeader, base: usize) -> Template {
    let align = (segment.align as usize).max(1);
    let start = segment.address as usize;
    let end = (start + segment.memory_length as usize).next_multiple_of(align);
    Template {
        image: (base + start) as *const u8,
        image_length: segment.file_length as usize,
        length: end - start,
        align: align.max(64),
    }
}

impl Template {
    /// Bytes below the thread pointer that a block takes, a multiple of `align`.
    pub fn room(&self) -> usize {
        self.length.next_multiple_of(self.align)
    }

    /// Fills the block below `thread_pointer` afresh.
    ///
    /// # Safety
    /// [`Template::room`] bytes below `thread_pointer`, which is aligned to `align`, are writable and unused.
    pub unsafe fn fill(&self, thread_pointer: *mut u8) {
        // SAFETY: the caller gives the room; the image is part of the loaded program.
        unsafe {
            let start = thread_pointer.sub(self.length);
            if self.image_length > 0 {
                start.copy_from_nonoverlapping(self.image, self.image_length);
            }
            start.add(self.image_length).write_bytes(0, self.length - self.image_length);
        }
    }
}

/// The running thread's thread pointer.
#[inline(always)]
pub fn thread_pointer() -> *mut u8 {
    crate::arch::thread_pointer()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(address: u64, memory_length: u64, align: u64) -> elf::ProgramHeader {
        elf::ProgramHeader { address, memory_length, align, ..Default::default() }
    }

    #[test]
    fn block_ends_where_the_linker_counts_from() {
        assert_eq!(layout(&segment(0x1000, 0x28, 8), 0).length, 0x28);
        assert_eq!(layout(&segment(0x1000, 0x29, 32), 0).length, 0x40);
        assert_eq!(layout(&segment(0x1010, 0x10, 32), 0).length, 0x10, "a template that starts unaligned");
    }

    #[test]
    fn fill_copies_and_zeroes() {
        let image = [1u8, 2, 3];
        let mut memory = [0xffu8; 16];
        let template = Template { image: image.as_ptr(), image_length: 3, length: 8, align: 1 };
        // SAFETY: eight bytes below the end of the array.
        unsafe { template.fill(memory.as_mut_ptr().add(16)) };
        assert_eq!(memory[8..], [1, 2, 3, 0, 0, 0, 0, 0]);
        assert_eq!(memory[..8], [0xff; 8]);
    }
}
