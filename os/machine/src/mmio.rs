//! Device registers: volatile accesses of a stated width.
//!
//! A [`Registers`] stands for a block of registers that the boot information named and the far side mapped; the safe
//! methods check every offset against its length.

use abi::address::GuestAddr;

/// A block of device registers.
#[derive(Clone, Copy, Debug)]
pub struct Registers {
    base: usize,
    length: usize,
}

impl Registers {
    /// The `length` bytes of registers at `base`.
    ///
    /// # Safety
    /// They must be mapped device registers (or memory shared with a device) for as long as the value lives, and no
    /// Rust reference may cover them.
    pub const unsafe fn new(base: GuestAddr, length: usize) -> Self {
        Registers { base: base.0 as usize, length }
    }

    /// The block from `offset` on; empty if that lies outside.
    pub fn from(self, offset: usize) -> Self {
        let offset = offset.min(self.length);
        Registers { base: self.base + offset, length: self.length - offset }
    }

    fn check<T>(self, offset: usize) -> *mut T {
        let end = offset.checked_add(size_of::<T>());
        let inside = end.is_some_and(|end| end <= self.length);
        assert!(inside && (self.base + offset).is_multiple_of(align_of::<T>()), "register offset outside the device");
        (self.base + offset) as *mut T
    }
}

macro_rules! accessors {
    ($($width:ty: $read:ident, $write:ident;)*) => {
        impl Registers {
            $(
                /// Reads the register at `offset` bytes with one access of this width.
                #[inline]
                pub fn $read(self, offset: usize) -> $width {
                    let pointer = self.check::<$width>(offset);
                    // SAFETY: inside the block that `new`'s caller vouched for, and aligned.
                    unsafe { pointer.read_volatile() }
                }

                /// Writes the register at `offset` bytes with one access of this width.
                #[inline]
                pub fn $write(self, offset: usize, value: $width) {
                    let pointer = self.check::<$width>(offset);
                    // SAFETY: inside the block that `new`'s caller vouched for, and aligned.
                    unsafe { pointer.write_volatile(value) }
                }
            )*
        }
    };
}

accessors! {
    u8: read_u8, write_u8;
    u16: read_u16, write_u16;
    u32: read_u32, write_u32;
    u64: read_u64, write_u64;
}

/// Rings a doorbell that is an I/O port (only ports that the boot information names are open).
#[inline]
pub fn write_port(port: u16, value: u32) {
    crate::arch::write_port(port, value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_and_bounds() {
        let mut memory = [0u64; 2];
        // SAFETY: the array outlives the block, and no reference to it is used meanwhile.
        let registers = unsafe { Registers::new(GuestAddr(memory.as_mut_ptr() as u64), 16) };
        registers.write_u32(4, 0x1234_5678);
        assert_eq!((registers.read_u16(4), registers.read_u8(7), registers.read_u64(8)), (0x5678, 0x12, 0));
        assert_eq!(registers.from(4).read_u32(0), 0x1234_5678);
        assert!(std::panic::catch_unwind(|| registers.read_u32(14)).is_err());
        assert!(std::panic::catch_unwind(|| registers.from(99).read_u8(0)).is_err());
    }
}
