//! The image behind the exokernel: found, moved to its random address, sealed.

use crate::paging::{self, PagingError};
use crate::ram;
use abi::PAGE_SIZE;
use abi::address::GuestAddr;
use abi::boot::{Bytes, MAX_SEGMENTS, SEGMENT_EXECUTE, SEGMENT_READ, SEGMENT_WRITE, Segment};
use abi::image::{IMAGE_MAGIC, IMAGE_VERSION, ImageHeader, LinkRange};

/// The image as the hypervisor loaded it, and where the guest will see it.
pub struct Image {
    /// Its header, in place.
    pub header: &'static ImageHeader,
    physical: u64,
    /// What is added to link addresses.
    pub base: GuestAddr,
}

impl Image {
    /// The image at a physical address, or `None` if there is none.
    ///
    /// # Safety
    /// The hypervisor loaded the file's segments from there on, and nothing else writes to them.
    pub unsafe fn find(physical: u64) -> Option<Image> {
        // SAFETY: the page after the exokernel: RAM, or reads as some constant.
        let header = unsafe { &*(physical as *const ImageHeader) };
        let known = header.magic == IMAGE_MAGIC && header.version == IMAGE_VERSION;
        let sane = header.span % PAGE_SIZE == 0 && header.span < ram::MAPPED_END;
        (known && sane && header.segment_count <= MAX_SEGMENTS as u64).then_some(Image {
            header,
            physical,
            base: GuestAddr(0),
        })
    }

    /// The first byte of RAM after it.
    pub fn end(&self) -> u64 {
        self.physical + self.header.span
    }

    /// Adds the base to every word that wants it (RELR, ELF gABI).
    ///
    /// The table is part of the file whose digest the sealing tool took; whoever could change it could change the code.
    pub fn relocate(&self) {
        let LinkRange { address, length } = self.header.relocations;
        let mut next = 0;
        let add = |at: u64| {
            if at < self.header.span - 8 {
                let word = (self.physical + at) as *mut u64;
                // SAFETY: inside the image, which nobody uses yet; the word may be unaligned.
                unsafe { word.write_unaligned(word.read_unaligned().wrapping_add(self.base.0)) };
            }
        };
        for index in 0..length / 8 {
            // SAFETY: the table lies inside the image.
            let word = unsafe { ((self.physical + address + index * 8) as *const u64).read() };
            if word & 1 == 0 {
                add(word);
                next = word + 8;
            } else {
                (0..63).filter(|bit| word >> (bit + 1) & 1 == 1).for_each(|bit| add(next + bit * 8));
                next += 63 * 8;
            }
        }
    }

    /// Maps every segment with its final access.
    pub fn seal(&self) -> Result<(), PagingError> {
        for segment in self.segments() {
            let flags = match segment.access {
                a if a & SEGMENT_EXECUTE != 0 && a & SEGMENT_WRITE == 0 => paging::PRESENT,
                a if a & SEGMENT_WRITE != 0 && a & SEGMENT_EXECUTE == 0 => {
                    paging::PRESENT | paging::WRITE | paging::NO_EXECUTE
                }
                SEGMENT_READ => paging::PRESENT | paging::NO_EXECUTE,
                _ => continue,
            };
            let physical = self.physical + (segment.address.0 - self.base.0);
            paging::map(segment.address.0, physical, segment.length, flags)?;
        }
        Ok(())
    }

    /// The segments where the guest sees them.
    pub fn segments(&self) -> impl Iterator<Item = Segment> {
        let header = self.header;
        header.segments[..header.segment_count as usize].iter().map(|s| Segment {
            address: GuestAddr(self.base.0 + s.address),
            length: s.memory_length,
            access: s.access,
        })
    }

    /// A range where the guest sees it.
    pub fn guest_bytes(&self, range: LinkRange) -> Bytes {
        Bytes { address: GuestAddr(self.base.0 + range.address), length: range.length }
    }

    /// A range's bytes as the exokernel sees them.
    pub fn bytes(&self, range: LinkRange) -> &'static [u8] {
        if range.address.saturating_add(range.length) > self.header.span {
            return &[];
        }
        // SAFETY: inside the image, in a read-only segment.
        unsafe { ram::bytes(self.physical + range.address, range.length) }
    }
}
