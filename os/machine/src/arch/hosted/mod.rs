//! Not in an image: an ordinary process that stands in for the machine, so that unit tests of the crates above run.
//!
//! There is an arena, a clock and a console of last resort; upcalls never come, masking does nothing, and a thread is
//! whatever the host makes of it.

use crate::context::Context;
use abi::address::{BusAddr, GuestAddr};
use abi::boot::{BootInfo, Region};
use abi::gate::{Call, GateError};
use abi::vcpu::Vcpu;
use std::sync::OnceLock;
use std::time::Instant;

const ARENA: usize = 256 << 20;

/// Nobody is pre-empted here: the least that there is.
pub(crate) fn vector_area() -> usize {
    512
}

/// The boot information: an arena and nothing else.
pub fn boot() -> &'static BootInfo {
    static BOOT: OnceLock<&'static BootInfo> = OnceLock::new();
    BOOT.get_or_init(|| {
        let layout = std::alloc::Layout::from_size_align(ARENA, 4096).expect("a constant layout");
        // SAFETY: BootInfo and Vcpu are plain numbers, for which zero is valid; the layout is not empty.
        let (mut boot, vcpu, arena) = unsafe {
            let boot: Box<BootInfo> = Box::new(std::mem::zeroed());
            let vcpu: &'static mut Vcpu = Box::leak(Box::new(std::mem::zeroed()));
            (boot, vcpu, std::alloc::alloc_zeroed(layout) as u64)
        };
        boot.vcpu = GuestAddr(vcpu as *mut Vcpu as u64);
        boot.arena = Region { address: GuestAddr(arena), length: ARENA as u64, bus: BusAddr(arena) };
        Box::leak(boot)
    })
}

/// See [`crate::cpu::alone`]: a test's threads are the host's, and run side by side.
pub(crate) const ALONE: bool = false;

pub(crate) fn slice_hook() {}

pub(crate) fn vcpu() -> &'static Vcpu {
    // SAFETY: `boot` leaked it.
    unsafe { &*(boot().vcpu.0 as *const Vcpu) }
}

pub(crate) fn mask() {}

pub(crate) fn unmask() -> bool {
    false
}

pub(crate) fn thread_pointer() -> *mut u8 {
    std::thread_local!(static HERE: u8 = const { 0 });
    HERE.with(|here| std::ptr::from_ref(here).cast_mut())
}

pub(crate) fn fault_stack() -> std::ops::Range<usize> {
    0..0
}

pub(crate) fn frame_pointer() -> usize {
    0
}

pub(crate) fn gate(call: u64, a: u64, b: u64, c: u64) -> i64 {
    match Call::from_number(call) {
        Some(Call::Exit) => std::process::exit(a as i32),
        Some(Call::Log) if a == abi::gate::LogKind::Text as u64 => {
            // SAFETY: `gate::log` passes a slice.
            let text = unsafe { std::slice::from_raw_parts(b as *const u8, c as usize) };
            eprint!("{}", String::from_utf8_lossy(text));
            0
        }
        Some(Call::Wait) => {
            let now = monotonic_ns();
            std::thread::sleep(std::time::Duration::from_nanos(a.saturating_sub(now).min(1_000_000)));
            0
        }
        Some(Call::Log | Call::Kick | Call::Protect | Call::Slice | Call::Upcall) => 0,
        _ => -(GateError::NoSuchCall as i64),
    }
}

pub(crate) fn ticks() -> u64 {
    monotonic_ns()
}

pub(crate) fn wall_ns() -> u64 {
    boot().clock.wall_base_ns + monotonic_ns()
}

pub(crate) fn monotonic_ns() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_nanos() as u64
}

pub(crate) fn write_port(_port: u16, _value: u32) {}

pub(crate) fn elf_header() -> *const u8 {
    std::ptr::null()
}

pub(crate) unsafe fn prepare_stack(_end: usize, _entry: extern "C" fn(usize) -> !, _argument: usize) -> u64 {
    unreachable!("hosted threads are the host's")
}

pub(crate) unsafe fn switch(_old: *mut Context, _new: *mut Context) {
    unreachable!("hosted threads are the host's")
}

pub(crate) unsafe fn adopt(_context: *mut Context) {}
