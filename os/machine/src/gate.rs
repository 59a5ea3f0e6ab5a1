//! The gate's calls as functions. What each means stands in [`abi::gate`].

use crate::arch;
pub use abi::gate::GateError;
use abi::gate::{BACKTRACE_MAX, Call, LOG_MAX, LogKind};

fn call(call: Call, a: u64, b: u64, c: u64) -> Result<u64, GateError> {
    let result = arch::gate(call as u64, a, b, c);
    u64::try_from(result).map_err(|_| GateError::from_result(result))
}

/// Ends the machine at once, without flushing anything; see [`crate::end::finish`] for the orderly way.
pub fn exit(status: u64) -> ! {
    loop {
        let _ = call(Call::Exit, status, 0, 0);
    }
}

/// Emergency text: needs no driver and no heap, and appears before this returns.
pub fn log(text: &[u8]) {
    for part in text.chunks(LOG_MAX as usize) {
        let _ = call(Call::Log, LogKind::Text as u64, part.as_ptr() as u64, part.len() as u64);
    }
}

/// A line of a trace, its newline included: out before this returns. What is too long is cut off.
pub fn trace(line: &[u8]) {
    let _ = call(Call::Log, LogKind::Trace as u64, line.as_ptr() as u64, line.len() as u64);
}

/// Hands return addresses, innermost first, to the far side, which prints them with what names it knows.
pub fn backtrace(frames: &[u64]) {
    let count = frames.len().min(BACKTRACE_MAX as usize);
    let _ = call(Call::Log, LogKind::Backtrace as u64, frames.as_ptr() as u64, count as u64 * 8);
}

/// Serves all rings and sleeps until an event or `until_ns` on the monotonic clock ([`abi::gate::WAIT_POLL`],
/// [`abi::gate::WAIT_FOREVER`]).
pub fn wait(until_ns: u64) {
    let _ = call(Call::Wait, until_ns, 0, 0);
}

/// Has this queue served now.
pub fn kick(device: usize, queue: usize) {
    let _ = call(Call::Kick, device as u64, queue as u64, 0);
}

/// Makes unmapped pages of the arena accessible again, as zeros. `access` is one of [`abi::gate`]'s `ACCESS_*`.
pub fn map(address: usize, length: usize, access: u64) -> Result<(), GateError> {
    call(Call::Map, address as u64, length as u64, access).map(drop)
}

/// Gives the contents of pages of the arena up; every access faults until they are mapped again.
pub fn unmap(address: usize, length: usize) -> Result<(), GateError> {
    call(Call::Unmap, address as u64, length as u64, 0).map(drop)
}

/// Changes the access to pages of the arena, which keep their contents.
pub fn protect(address: usize, length: usize, access: u64) -> Result<(), GateError> {
    call(Call::Protect, address as u64, length as u64, access).map(drop)
}

/// Asks for a slice upcall every `ns` nanoseconds; 0 stops it.
pub fn slice(ns: u64) {
    let _ = call(Call::Slice, ns, 0, 0);
}

/// Says where upcalls enter, and in which range of instructions none may.
#[cfg_attr(not(ampoule_image), allow(dead_code))]
pub(crate) fn upcall(entry: u64, critical_start: u64, critical_end: u64) -> Result<(), GateError> {
    call(Call::Upcall, entry, critical_start, critical_end).map(drop)
}
