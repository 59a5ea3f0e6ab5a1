//! Addresses of the guest, as numbers that the host cannot dereference by mistake.
//!
//! Two kinds exist. A [`GuestAddr`] is what the program sees (virtual). A [`BusAddr`] is what a device is told
//! (guest-physical under a hypervisor, equal to the virtual one in a process). The boot information's RAM region maps
//! one to the other; see [`crate::boot::Region`].

/// A virtual address in the guest.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GuestAddr(pub u64);

/// An address as devices see it: what stands in a virtqueue's descriptors.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BusAddr(pub u64);

impl GuestAddr {
    /// The address `offset` bytes on, or `None` where it would wrap.
    pub fn checked_add(self, offset: u64) -> Option<Self> {
        self.0.checked_add(offset).map(Self)
    }
}

impl BusAddr {
    /// The address `offset` bytes on, or `None` where it would wrap.
    pub fn checked_add(self, offset: u64) -> Option<Self> {
        self.0.checked_add(offset).map(Self)
    }
}
