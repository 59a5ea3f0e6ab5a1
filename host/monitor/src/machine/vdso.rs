//! The kernel's clock without a system call: `clock_gettime` from the vDSO (`vdso(7)`).
//!
//! It needs no thread pointer and little stack, so the guest may call it too. Where there is no vDSO, or it does not have
//! the function, a function of ours makes the system call; the filter then lets that through.

use host_device::system;
use std::sync::atomic::{AtomicUsize, Ordering};

type ClockFn = unsafe extern "C" fn(i32, *mut [i64; 2]) -> i32;

static FUNCTION: AtomicUsize = AtomicUsize::new(0);

/// The address of a `clock_gettime`.
pub(crate) fn function() -> u64 {
    match FUNCTION.load(Ordering::Relaxed) {
        0 => {
            let found = pages().and_then(|(start, _)| find(start)).unwrap_or(fallback as *const () as usize);
            FUNCTION.store(found, Ordering::Relaxed);
            found as u64
        }
        found => found as u64,
    }
}

/// A clock's time in ns.
pub(crate) fn now(clock: i32) -> u64 {
    let mut time = [0i64; 2];
    // SAFETY: `function` is a `clock_gettime`, and `time` has the two words that it writes.
    unsafe { core::mem::transmute::<usize, ClockFn>(function() as usize)(clock, &raw mut time) };
    (time[0] as u64).wrapping_mul(1_000_000_000).wrapping_add(time[1] as u64)
}

/// The vDSO's pages: first byte, one past the last.
pub(crate) fn pages() -> Option<(usize, usize)> {
    // SAFETY: reads this process's auxiliary vector.
    let start = unsafe { libc::getauxval(libc::AT_SYSINFO_EHDR) } as usize;
    // The vDSO is two pages today; it and the pages before it are the kernel's own.
    (start != 0).then_some((start, start + (4 << 12)))
}

unsafe extern "C" fn fallback(clock: i32, into: *mut [i64; 2]) -> i32 {
    system::clock_gettime(clock, into) as i32
}

/// Looks `__vdso_clock_gettime` up in the dynamic symbols, by the section headers that the kernel leaves in.
fn find(start: usize) -> Option<usize> {
    // SAFETY: the kernel mapped an ELF file there; offsets are checked against its pages before they are followed.
    let read = |offset: usize, bytes: usize| unsafe {
        let mut out = [0u8; 8];
        (offset + bytes <= 4 << 12).then(|| {
            std::ptr::copy_nonoverlapping((start + offset) as *const u8, out.as_mut_ptr(), bytes);
            u64::from_le_bytes(out) as usize
        })
    };
    let (table, size, count) = (read(0x28, 8)?, read(0x3a, 2)?, read(0x3c, 2)?);
    for index in 0..count {
        let section = table + index * size;
        if read(section + 4, 4)? != 11 {
            continue; // SHT_DYNSYM
        }
        let (symbols, bytes, link) = (read(section + 24, 8)?, read(section + 32, 8)?, read(section + 40, 4)?);
        let names = read(table + link * size + 24, 8)?;
        for symbol in (symbols..symbols + bytes).step_by(24) {
            let name = names + read(symbol, 4)?;
            let wanted = b"__vdso_clock_gettime\0";
            if wanted.iter().enumerate().all(|(i, b)| read(name + i, 1) == Some(usize::from(*b))) {
                return Some(start + read(symbol + 8, 8)?);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    #[test]
    fn clocks_run() {
        let first = super::now(libc::CLOCK_MONOTONIC);
        assert!(first > 0 && super::now(libc::CLOCK_MONOTONIC) >= first);
        assert!(super::now(libc::CLOCK_REALTIME) > 1_700_000_000_000_000_000);
    }
}
