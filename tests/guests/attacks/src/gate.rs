//! The gate, called wrongly.

use crate::places::{self, jump, place};
use crate::refused;
use abi::PAGE_SIZE;
use abi::boot::{SEGMENT_EXECUTE, Segment};
use abi::gate::{ACCESS_EXECUTE, ACCESS_NONE, ACCESS_READ, ACCESS_READ_WRITE, Call, GateError, GateFn, LogKind};
use abi::vcpu::{UPCALL_FAULT, Vcpu};
use machine::boot;
use std::sync::atomic::Ordering;

/// A call, whatever its number and arguments.
pub(crate) fn call(number: u64, a: u64, b: u64, c: u64) -> i64 {
    // SAFETY: the boot information gives the gate's address; it harms nobody whatever it is given, says abi::gate.
    unsafe { std::mem::transmute::<usize, GateFn>(boot().gate.0 as usize)(number, a, b, c) }
}

/// Fails unless the call has one of these results.
fn must(number: u64, [a, b, c]: [u64; 3], results: &[i64]) {
    let result = call(number, a, b, c);
    if !results.contains(&result) {
        println!("call {number} ({a:#x}, {b:#x}, {c:#x}) gave {result} instead of {results:?}");
        std::process::exit(3);
    }
}

const fn error(error: GateError) -> i64 {
    -(error as i64)
}
const NO_SUCH_CALL: i64 = error(GateError::NoSuchCall);
const BAD_ADDRESS: i64 = error(GateError::BadAddress);
const BAD_ARGUMENT: i64 = error(GateError::BadArgument);
const SEALED: i64 = error(GateError::Sealed);
const NO_RESOURCES: i64 = error(GateError::NoResources);

/// A page of our own that can be run if anything can: it holds `ret`.
fn page() -> u64 {
    let page = memory::pages::allocate(PAGE_SIZE as usize).expect("a page").as_ptr();
    // SAFETY: ours, just now.
    unsafe { page.write_bytes(places::RET, PAGE_SIZE as usize) };
    page as u64
}

/// Writable and executable at once.
pub(crate) fn writable_code(_: &[String]) {
    let page = page();
    for access in [ACCESS_EXECUTE, ACCESS_EXECUTE | ACCESS_READ, ACCESS_EXECUTE | ACCESS_READ_WRITE] {
        must(Call::Protect as u64, [page, PAGE_SIZE, access], &[SEALED]);
        must(Call::Map as u64, [page, PAGE_SIZE, access], &[SEALED]);
    }
    places::say_target(page as usize);
    jump(page as usize);
}

/// First writable, then executable: in place, and after the page was unmapped.
pub(crate) fn writable_code_later(_: &[String]) {
    let page = page();
    let protect = Call::Protect as u64;
    must(protect, [page, PAGE_SIZE, ACCESS_READ], &[0]);
    must(protect, [page, PAGE_SIZE, ACCESS_READ | ACCESS_EXECUTE], &[SEALED]);
    must(protect, [page, PAGE_SIZE, ACCESS_NONE], &[0]);
    must(protect, [page, PAGE_SIZE, ACCESS_EXECUTE], &[SEALED]);
    must(Call::Unmap as u64, [page, PAGE_SIZE, 0], &[0]);
    must(Call::Map as u64, [page, PAGE_SIZE, ACCESS_READ | ACCESS_EXECUTE], &[SEALED]);
    must(Call::Map as u64, [page, PAGE_SIZE, ACCESS_READ_WRITE], &[0]);
    // SAFETY: ours, and mapped again.
    unsafe { (page as *mut u8).write_bytes(places::RET, PAGE_SIZE as usize) };
    must(protect, [page, PAGE_SIZE, ACCESS_READ], &[0]);
    places::say_target(page as usize);
    jump(page as usize);
}

/// Mapping, unmapping and protecting every segment of the image; then the text is still there, and still not writable.
pub(crate) fn over_the_image(_: &[String]) {
    let before = header_digest();
    for Segment { address, length, .. } in segments() {
        for access in [ACCESS_NONE, ACCESS_READ, ACCESS_READ_WRITE] {
            must(Call::Map as u64, [address.0, *length, access], &[SEALED]);
            must(Call::Protect as u64, [address.0, *length, access], &[SEALED]);
            must(Call::Protect as u64, [address.0, PAGE_SIZE, access], &[SEALED]);
        }
        must(Call::Unmap as u64, [address.0, *length, 0], &[SEALED]);
    }
    let (first, end) = (boot().image_base.0, boot().arena.address.0 + boot().arena.length);
    // From the image into the arena, where the one lies below the other.
    must(Call::Protect as u64, [first, end.wrapping_sub(first), ACCESS_READ_WRITE], &[SEALED, BAD_ADDRESS]);
    assert_eq!(before, header_digest(), "the image has changed");
    places::write(&["text".to_owned()]);
}

fn header_digest() -> Vec<u8> {
    places::header().digest.to_vec()
}

fn segments() -> &'static [Segment] {
    &boot().segments[..boot().segment_count as usize]
}

/// Every call with every kind of wrong argument: each gives the error that `abi::gate` says.
pub(crate) fn arguments(_: &[String]) {
    for number in [10, 11, 99, 1 << 32, 1 << 63, u64::MAX] {
        must(number, [0; 3], &[NO_SUCH_CALL]);
        must(number, [u64::MAX; 3], &[NO_SUCH_CALL]);
    }
    let ranges = wrong_ranges();
    ranges.iter().for_each(|&range| memory_calls(range));
    right_ranges();
    logs();
    kicks();
    upcalls();
    for until in [0, 1, machine::clock::monotonic_ns()] {
        must(Call::Wait as u64, [until, u64::MAX, u64::MAX], &[0]);
    }
    for entry in [0, 1, u64::MAX, place("text") as u64] {
        must(Call::StartCpu as u64, [entry, entry, 0], &[NO_RESOURCES]);
    }
    refused(format_args!("every wrong call, {} ranges among them", ranges.len()));
}

/// Addresses and lengths that no call may touch, by the error that they are.
fn wrong_ranges() -> Vec<(u64, u64)> {
    let (arena, length) = (boot().arena.address.0, boot().arena.length);
    let outside = [
        0,
        PAGE_SIZE,
        0x10_0000,
        0xfee0_0000,
        arena - PAGE_SIZE,
        arena + length,
        boot().stack.address.0,
        boot().vcpu.0,
        place("boot") as u64,
        boot().gate.0,
        1 << 47,
        !0 << 47,
        u64::MAX,
        u64::MAX - (PAGE_SIZE - 1),
    ];
    let lengths = [PAGE_SIZE, 2 * PAGE_SIZE, 1 << 30, 1 << 47, 1 << 63, u64::MAX, u64::MAX - (PAGE_SIZE - 1), 0, 1];
    let mut ranges: Vec<_> = outside.iter().flat_map(|a| lengths.map(|l| (*a, l))).collect();
    // In the arena, but not whole pages, or not all of it.
    let last = arena + length - PAGE_SIZE;
    ranges.extend([(arena + 1, PAGE_SIZE), (arena, 1), (arena, PAGE_SIZE - 1), (arena, PAGE_SIZE + 1)]);
    ranges.extend([(last, 2 * PAGE_SIZE), (last, u64::MAX - last), (last, 0u64.wrapping_sub(last)), (arena, 0)]);
    ranges.extend([(arena, length + PAGE_SIZE), (arena - PAGE_SIZE, length + PAGE_SIZE)]);
    ranges
}

fn memory_calls((address, length): (u64, u64)) {
    for access in [ACCESS_NONE, ACCESS_READ, ACCESS_READ_WRITE] {
        must(Call::Map as u64, [address, length, access], &[BAD_ADDRESS, SEALED]);
        must(Call::Protect as u64, [address, length, access], &[BAD_ADDRESS, SEALED]);
    }
    for access in [2, ACCESS_EXECUTE, 5, 6, 7, 8, 1 << 32, 1 << 63, u64::MAX] {
        let results = &[BAD_ADDRESS, BAD_ARGUMENT, SEALED];
        must(Call::Map as u64, [address, length, access], results);
        must(Call::Protect as u64, [address, length, access], results);
    }
    must(Call::Unmap as u64, [address, length, u64::MAX], &[BAD_ADDRESS, SEALED]);
}

/// Where the range is right the access is what counts.
fn right_ranges() {
    let page = page();
    for access in [2, 8, 0x10, 1 << 32, 1 << 63] {
        must(Call::Protect as u64, [page, PAGE_SIZE, access], &[BAD_ARGUMENT]);
        must(Call::Map as u64, [page, PAGE_SIZE, access], &[BAD_ARGUMENT]);
    }
    for access in [ACCESS_EXECUTE, 5, 6, 7, 12, 1 << 63 | ACCESS_EXECUTE, u64::MAX] {
        must(Call::Protect as u64, [page, PAGE_SIZE, access], &[SEALED]);
        must(Call::Map as u64, [page, PAGE_SIZE, access], &[SEALED]);
    }
    // SAFETY: still ours.
    assert_eq!(unsafe { (page as *const u8).read_volatile() }, places::RET, "a refused call has changed the page");
}

fn logs() {
    let outside = [0, PAGE_SIZE, place("behind-ram") as u64, place("guard") as u64, 1 << 47, u64::MAX];
    for (address, length) in outside.into_iter().flat_map(|a| [1, 4096, u64::MAX].map(|l| (a, l))) {
        must(Call::Log as u64, [LogKind::Text as u64, address, length], &[BAD_ADDRESS]);
    }
    for address in [0, PAGE_SIZE, 1 << 47, !0 << 47, u64::MAX - 7] {
        for length in [8, 4096, u64::MAX] {
            must(Call::Log as u64, [LogKind::Backtrace as u64, address, length], &[BAD_ADDRESS]);
        }
    }
    for kind in [2, 3, 1 << 32, u64::MAX] {
        must(Call::Log as u64, [kind, 0, 0], &[BAD_ARGUMENT]);
        must(Call::Log as u64, [kind, place("constants") as u64, 8], &[BAD_ARGUMENT]);
    }
}

fn kicks() {
    let strange = [8, 9, 255, 1 << 32, 1 << 63, u64::MAX];
    for (device, queue) in strange.into_iter().flat_map(|d| strange.map(|q| (d, q))) {
        must(Call::Kick as u64, [device, queue, u64::MAX], &[BAD_ARGUMENT]);
        must(Call::Kick as u64, [0, queue, 0], &[BAD_ARGUMENT]);
        must(Call::Kick as u64, [device, 0, 0], &[BAD_ARGUMENT]);
    }
}

/// Entries outside of the code, and critical ranges that end before they begin. What was registered stays.
fn upcalls() {
    let text = place("text") as u64;
    for entry in [0, PAGE_SIZE, place("heap") as u64, boot().stack.address.0, place("boot") as u64, 1 << 47, u64::MAX] {
        must(Call::Upcall as u64, [entry, text, text], &[BAD_ADDRESS]);
    }
    for (start, end) in [(text + 1, text), (u64::MAX, 0), (u64::MAX, text)] {
        must(Call::Upcall as u64, [text, start, end], &[BAD_ADDRESS]);
    }
}

/// Only the low eight bits of a status count.
pub(crate) fn exit(_: &[String]) {
    call(Call::Exit as u64, u64::MAX - 0xff + 77, u64::MAX, u64::MAX);
}

/// So many bytes of emergency text, and the end with a status that QEMU's exit device cannot carry.
pub(crate) fn log(arguments: &[String]) {
    let length = arguments.first().and_then(|length| length.parse().ok()).expect("a length");
    let text = "t".repeat(length);
    must(Call::Log as u64, [LogKind::Text as u64, text.as_ptr() as u64, length as u64], &[0]);
    call(Call::Exit as u64, 200, 0, 0);
}

/// Has the far side read from where the guest itself could not.
pub(crate) fn backtrace(arguments: &[String]) {
    let address = place(arguments.first().expect("a place")) as u64 & !7;
    places::say_target(address as usize);
    must(Call::Log as u64, [LogKind::Backtrace as u64, address, 8], &[BAD_ADDRESS]);
    refused(format_args!("the far side does not read there"));
}

/// Slices as short as can be asked for: the program still comes to its end.
pub(crate) fn short_slices(_: &[String]) {
    for ns in [u64::MAX, 1 << 63, 1, 0, 1] {
        must(Call::Slice as u64, [ns, u64::MAX, u64::MAX], &[0]);
        let mut sum = 0u64;
        (0..2_000_000u64).for_each(|n| sum = std::hint::black_box(sum.wrapping_add(n)));
    }
    must(Call::Slice as u64, [0, 0, 0], &[0]);
    refused(format_args!("the program still runs"));
}

/// Upcalls into text that faults by itself, so that a fault leads to a fault.
pub(crate) fn bad_upcall(_: &[String]) {
    let executable = |s: &&Segment| s.access & SEGMENT_EXECUTE != 0;
    let segment = segments().iter().find(executable).expect("text");
    // SAFETY: the bytes of a segment that can be read and stays.
    let text = unsafe { std::slice::from_raw_parts(segment.address.0 as *const u8, segment.length as usize) };
    let at = text.windows(2).position(|bytes| bytes == [0x0f, 0x0b]).expect("a ud2");
    must(Call::Upcall as u64, [segment.address.0 + at as u64, segment.address.0, segment.address.0], &[0]);
    places::read(&["page-0".to_owned()]);
}

/// The vCPU block is the guest's to write: one that says that a fault is being handled already.
pub(crate) fn forged_fault(_: &[String]) {
    // SAFETY: the block stays; all that is touched is atomic.
    let vcpu = unsafe { &*(boot().vcpu.0 as *const Vcpu) };
    vcpu.mask.store(u32::MAX, Ordering::Relaxed);
    vcpu.frame.rip.store(u64::MAX, Ordering::Relaxed);
    vcpu.frame.kind.store(UPCALL_FAULT, Ordering::Relaxed);
    places::write(&["text".to_owned()]);
}

/// Events that nobody deals with, pending for ever: what the program has printed must come out all the same.
pub(crate) fn forged_events(_: &[String]) {
    // SAFETY: the block stays; all that is touched is atomic.
    let vcpu = unsafe { &*(boot().vcpu.0 as *const Vcpu) };
    vcpu.events.fetch_or(0xffff << 40, Ordering::Relaxed);
    refused(format_args!("the program goes on"));
}
