//! Guest memory for the targets: rings and RAM, each between two guards that nobody may touch.

use crate::input::Input;
use abi::address::BusAddr;
use abi::ring::{Areas, Device, Layout};
use host_device::Ram;

/// What stands in the guards.
const GUARD: u8 = 0xa5;
/// Bytes of a guard, a multiple of the alignment that rings want.
const GUARD_LENGTH: usize = 256;

/// Bytes between guards.
pub(crate) struct Guarded {
    words: Vec<u128>,
    length: usize,
}

impl Guarded {
    pub(crate) fn new(length: usize) -> Self {
        let words = vec![u128::from_ne_bytes([GUARD; 16]); (2 * GUARD_LENGTH + length).div_ceil(16)];
        let mut this = Self { words, length };
        // SAFETY: `length` bytes behind the first guard.
        unsafe { this.start().write_bytes(0, length) };
        this
    }

    pub(crate) fn start(&mut self) -> *mut u8 {
        self.words.as_mut_ptr().cast::<u8>().wrapping_add(GUARD_LENGTH)
    }

    /// Writes as the guest does: anywhere in its memory, and what does not fit is left out.
    pub(crate) fn poke(&mut self, at: usize, bytes: &[u8]) {
        let at = at % self.length;
        let length = bytes.len().min(self.length - at);
        // SAFETY: inside the memory.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.start().add(at), length) };
    }

    pub(crate) fn half(&mut self, at: usize) -> u16 {
        assert!(at + 2 <= self.length);
        // SAFETY: inside the memory, as just asserted.
        unsafe { self.start().add(at).cast::<u16>().read_unaligned() }
    }

    /// Panics if a guard has changed.
    pub(crate) fn assert_whole(&self) {
        let byte = |at: usize| self.words[at / 16].to_ne_bytes()[at % 16];
        let (before, behind) = (0..GUARD_LENGTH, GUARD_LENGTH + self.length..self.words.len() * 16);
        before.chain(behind).for_each(|at| assert_eq!(byte(at), GUARD, "byte {at} outside of the memory was written"));
    }
}

/// A queue that a hostile driver writes to.
pub(crate) struct Queue {
    pub(crate) memory: Guarded,
    pub(crate) size: u16,
}

impl Queue {
    pub(crate) fn new(size: u16) -> Self {
        Self { memory: Guarded::new(Layout::of(size).length), size }
    }

    /// The device's half. The queue must outlive it.
    pub(crate) fn device(&mut self, event_idx: bool) -> Device {
        let block = self.memory.start();
        // SAFETY: the block is as long as the layout says, aligned, and outlives the half, which the targets see to.
        let areas = unsafe { Areas::in_block(self.size, block) }.expect("a valid size");
        Device::new(areas, event_idx)
    }

    /// Bytes somewhere in the queue, or one descriptor after another and their chain made available.
    pub(crate) fn scribble(&mut self, input: &mut Input<'_>) {
        if input.byte() & 3 == 0 {
            let at = usize::from(input.half());
            let count = usize::from(input.byte() & 31);
            self.memory.poke(at, input.bytes(count));
            return;
        }
        let count = input.byte() & 3;
        for n in 0..=count {
            let next = if n < count { 1 } else { 0 };
            let at = usize::from(n) * 16;
            self.memory.poke(at, &address(input).to_le_bytes());
            self.memory.poke(at + 8, &length(input).to_le_bytes());
            self.memory.poke(at + 12, &(u16::from(input.byte() & 2) | next).to_le_bytes());
            self.memory.poke(at + 14, &u16::from(n + 1).to_le_bytes());
        }
        self.offer(0);
    }

    /// Makes a descriptor available.
    pub(crate) fn offer(&mut self, head: u16) {
        let available = Layout::of(self.size).available;
        let index = self.memory.half(available + 2);
        self.memory.poke(available + 4 + 2 * usize::from(index % self.size), &head.to_le_bytes());
        self.memory.poke(available + 2, &index.wrapping_add(1).to_le_bytes());
    }
}

/// Where RAM begins for devices.
pub(crate) const BASE: u64 = 0x10_0000;
/// Bytes of RAM.
pub(crate) const LENGTH: usize = 16 << 10;

/// RAM, as devices are given it. The memory must outlive it.
pub(crate) fn ram(memory: &mut Guarded) -> Ram {
    // SAFETY: that many bytes, which outlive the value, and of which no reference exists.
    unsafe { Ram::new(BusAddr(BASE), memory.start(), LENGTH as u64) }
}

/// A buffer's address: mostly in RAM, or near its end, or anywhere.
fn address(input: &mut Input<'_>) -> u64 {
    match input.byte() & 7 {
        0 => input.long(),
        1 => BASE + LENGTH as u64 - u64::from(input.byte()),
        _ => BASE + u64::from(input.half()) % LENGTH as u64,
    }
}

fn length(input: &mut Input<'_>) -> u32 {
    match input.byte() & 7 {
        0 => input.word(),
        1 => u32::from(input.byte()),
        _ => u32::from(input.half()) % 5000,
    }
}
