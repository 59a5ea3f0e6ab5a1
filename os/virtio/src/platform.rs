//! What the drivers ask of the machine. On the host, where the drivers are tested, plain memory stands in for it.

use abi::address::BusAddr;
use abi::ring::RingError;
use core::ptr::NonNull;

#[cfg(test)]
pub(crate) use fake::*;
#[cfg(not(test))]
pub(crate) use real::*;

#[cfg(not(test))]
mod real {
    use super::*;

    /// Pages for a device, zeroed; `None` when memory has run out.
    pub(crate) fn allocate(bytes: usize) -> Option<NonNull<u8>> {
        let pages = ::memory::pages::allocate(bytes)?;
        // SAFETY: the allocation has at least `bytes` bytes and is ours alone.
        unsafe { pages.write_bytes(0, bytes) };
        Some(pages)
    }

    /// What devices call this byte of the arena.
    pub(crate) fn bus_address(byte: *const u8) -> BusAddr {
        machine::dma::bus_address(byte)
    }

    /// Bytes of RAM that nobody has yet.
    pub(crate) fn free_bytes() -> usize {
        ::memory::pages::free_bytes()
    }

    /// Has this queue served now (shared transport).
    pub(crate) fn kick(device: usize, queue: usize) {
        machine::gate::kick(device, queue);
    }

    /// Lets the far side work for up to `ns`. Events that are pending already would end the wait before it began, and
    /// they are not for us to deal with; so they are put aside meanwhile.
    pub(crate) fn pause(ns: u64) {
        let pending = machine::cpu::take_events(u64::MAX);
        machine::gate::wait(machine::clock::monotonic_ns() + ns);
        machine::cpu::put_back_events(pending);
    }

    /// The devices that this machine has.
    pub(crate) fn devices() -> &'static [abi::boot::Device] {
        let boot = machine::boot();
        let count = (boot.device_count as usize).min(boot.devices.len());
        &boot.devices[..count]
    }

    /// Is the machine about to end, so that output must be out before `flush` returns?
    pub(crate) fn ending() -> bool {
        machine::end::ending()
    }

    /// Ends the machine, naming the device and what was wrong.
    pub(crate) fn broken(device: &'static str, error: RingError) -> ! {
        for part in [device, ": the far side broke the ring: ", error.describe(), "\n"] {
            machine::gate::log(part.as_bytes());
        }
        machine::gate::exit(abi::vcpu::STATUS_ABORT)
    }
}

#[cfg(test)]
mod fake {
    use super::*;
    use std::cell::RefCell;

    /// What is done about a kick of a device's queue.
    type Action = Box<dyn FnMut(usize, usize)>;

    std::thread_local! {
        /// What a test wants done when a queue is kicked.
        pub(crate) static ON_KICK: RefCell<Option<Action>> = const { RefCell::new(None) };
    }

    pub(crate) fn allocate(bytes: usize) -> Option<NonNull<u8>> {
        let layout = std::alloc::Layout::from_size_align(bytes.max(1), 4096).ok()?;
        // SAFETY: the layout is not empty.
        NonNull::new(unsafe { std::alloc::alloc_zeroed(layout) })
    }

    pub(crate) fn bus_address(byte: *const u8) -> BusAddr {
        BusAddr(byte as u64)
    }

    pub(crate) fn free_bytes() -> usize {
        64 << 20
    }

    pub(crate) fn kick(device: usize, queue: usize) {
        let taken = ON_KICK.with(|k| k.borrow_mut().take());
        if let Some(mut action) = taken {
            action(device, queue);
            ON_KICK.with(|k| *k.borrow_mut() = Some(action));
        }
    }

    pub(crate) fn pause(_ns: u64) {
        kick(usize::MAX, usize::MAX);
    }

    pub(crate) fn devices() -> &'static [abi::boot::Device] {
        &[]
    }

    pub(crate) fn ending() -> bool {
        false
    }

    pub(crate) fn broken(device: &'static str, error: RingError) -> ! {
        panic!("{device}: {}", error.describe())
    }
}
