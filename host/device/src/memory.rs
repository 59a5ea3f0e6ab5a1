//! Guest memory as a device may touch it: bounded, and never as a Rust reference.

use abi::address::BusAddr;
use abi::ring::Buffer;

/// The guest named memory that devices have no business with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfRam {
    /// Where it begins.
    pub address: BusAddr,
    /// Bytes.
    pub length: u64,
}

/// The stretch of guest RAM that device buffers may lie in.
///
/// Invariant: `host` leads to `length` bytes that stay mapped as long as the machine lives. The guest may change them at
/// any time and may have made some inaccessible; so they are only copied from and to, byte by byte from Rust's view, and
/// a fault while doing so is caught by whoever runs the machine.
#[derive(Clone, Copy, Debug)]
pub struct Ram {
    bus: u64,
    host: *mut u8,
    length: u64,
}

// SAFETY: the pointer stands for memory that belongs to the machine, not to a thread; it is only used for copies.
unsafe impl Send for Ram {}

impl Ram {
    /// RAM that the guest's devices name from `bus` on.
    ///
    /// # Safety
    /// `host` leads to `length` bytes that stay mapped while this value or a copy of it is used, and of which no Rust
    /// reference exists.
    pub unsafe fn new(bus: BusAddr, host: *mut u8, length: u64) -> Self {
        Self { bus: bus.0, host, length }
    }

    /// The host's pointer to `length` bytes at `address`.
    ///
    /// # Errors
    /// [`OutOfRam`], if any of them lies outside.
    pub fn locate(&self, address: BusAddr, length: u64) -> Result<*mut u8, OutOfRam> {
        let outside = OutOfRam { address, length };
        let offset = address.0.checked_sub(self.bus).ok_or(outside)?;
        let end = offset.checked_add(length).ok_or(outside)?;
        if end > self.length {
            return Err(outside);
        }
        Ok(self.host.wrapping_add(offset as usize))
    }

    /// The host's pointer to a whole buffer.
    ///
    /// # Errors
    /// [`OutOfRam`].
    pub fn buffer(&self, buffer: &Buffer) -> Result<*mut u8, OutOfRam> {
        self.locate(buffer.address, u64::from(buffer.length))
    }

    /// Copies a value out of the guest.
    ///
    /// # Errors
    /// [`OutOfRam`].
    pub fn read<T: Plain>(&self, address: BusAddr) -> Result<T, OutOfRam> {
        let from = self.locate(address, size_of::<T>() as u64)?;
        // SAFETY: `locate` bounds the bytes, `Plain` makes any bytes a value.
        Ok(unsafe { from.cast::<T>().read_unaligned() })
    }

    /// Copies a value into the guest.
    ///
    /// # Errors
    /// [`OutOfRam`].
    pub fn write<T: Plain>(&self, address: BusAddr, value: &T) -> Result<(), OutOfRam> {
        let to = self.locate(address, size_of::<T>() as u64)?;
        // SAFETY: `locate` bounds the bytes; `Plain` has no padding, so nothing of the host leaks.
        unsafe { to.cast::<T>().write_unaligned(*value) };
        Ok(())
    }

    /// Copies bytes out of the guest, as many as `into` has.
    ///
    /// # Errors
    /// [`OutOfRam`].
    pub fn read_bytes(&self, address: BusAddr, into: &mut [u8]) -> Result<(), OutOfRam> {
        let from = self.locate(address, into.len() as u64)?;
        // SAFETY: `locate` bounds the source; the target is a buffer of ours and cannot overlap guest memory.
        unsafe { core::ptr::copy_nonoverlapping(from, into.as_mut_ptr(), into.len()) };
        Ok(())
    }

    /// Copies bytes into the guest.
    ///
    /// # Errors
    /// [`OutOfRam`].
    pub fn write_bytes(&self, address: BusAddr, bytes: &[u8]) -> Result<(), OutOfRam> {
        let to = self.locate(address, bytes.len() as u64)?;
        // SAFETY: `locate` bounds the target; the source is a buffer of ours and cannot overlap guest memory.
        unsafe { core::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) };
        Ok(())
    }
}

/// Types that are the same on both sides of the gate, byte for byte.
///
/// # Safety
/// Every bit pattern is a value, and there is no padding.
pub unsafe trait Plain: Copy {}

/// A value's bytes.
pub fn bytes_of<T: Plain>(value: &T) -> &[u8] {
    // SAFETY: `Plain` has no padding, so all its bytes are there to be read.
    unsafe { core::slice::from_raw_parts(core::ptr::from_ref(value).cast(), size_of::<T>()) }
}

/// The value that `bytes` begin with; `None` if they are too few.
pub fn value_of<T: Plain>(bytes: &[u8]) -> Option<T> {
    // SAFETY: long enough, and `Plain` makes any bytes a value.
    (bytes.len() >= size_of::<T>()).then(|| unsafe { bytes.as_ptr().cast::<T>().read_unaligned() })
}

// SAFETY: an integer.
unsafe impl Plain for u64 {}
// SAFETY: `repr(C)` structures of integers without padding, see `abi::hostnet`.
unsafe impl Plain for abi::hostnet::Request {}
// SAFETY: as above.
unsafe impl Plain for abi::hostnet::Response {}
// SAFETY: as above.
unsafe impl Plain for abi::hostnet::Address {}
// SAFETY: as above.
unsafe impl Plain for abi::hostnet::SendHeader {}
// SAFETY: as above.
unsafe impl Plain for abi::hostnet::SendStatus {}
// SAFETY: as above.
unsafe impl Plain for abi::hostnet::EventHeader {}

const _: () = {
    use abi::hostnet::{Address, EventHeader, Request, Response, SendHeader, SendStatus};
    assert!(size_of::<Address>() == 24 && size_of::<Request>() == 40 && size_of::<Response>() == 40);
    assert!(size_of::<SendHeader>() == 64 && size_of::<SendStatus>() == 8 && size_of::<EventHeader>() == 68);
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_inside() {
        let mut memory = [0u8; 64];
        // SAFETY: the array outlives the value and is not borrowed while it is used.
        let ram = unsafe { Ram::new(BusAddr(0x1000), memory.as_mut_ptr(), 64) };
        assert!(ram.locate(BusAddr(0x1000), 64).is_ok());
        assert!(ram.locate(BusAddr(0x1040), 0).is_ok());
        for (address, length) in [(0xfff, 1), (0x1000, 65), (0x1040, 1), (u64::MAX, 2), (0x1001, u64::MAX)] {
            assert!(ram.locate(BusAddr(address), length).is_err(), "{address:#x} {length:#x}");
        }
        assert!(ram.write(BusAddr(0x1038), &7u64).is_ok());
        assert_eq!(ram.read::<u64>(BusAddr(0x1038)), Ok(7));
        assert!(ram.read::<u64>(BusAddr(0x1039)).is_err());
    }
}
