//! Addresses as devices see them.

use abi::address::BusAddr;

/// What devices call this address of the arena. Only arena memory (pages and heap) may be handed to a device.
#[inline]
pub fn bus_address(pointer: *const u8) -> BusAddr {
    let arena = &crate::boot().arena;
    let offset = (pointer as u64).wrapping_sub(arena.address.0);
    debug_assert!(offset < arena.length, "only arena memory may be handed to a device");
    BusAddr(arena.bus.0.wrapping_add(offset))
}
