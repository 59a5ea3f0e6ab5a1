//! Backtraces by frame pointers.
//!
//! The library OS and (by the builder's flags) the program keep them, and so does the prebuilt std outside leaf
//! functions. A chain is followed only while it stays inside the thread's stack and climbs, so a smashed stack gives a
//! short backtrace, never a second fault.

use core::ops::Range;
use core::sync::atomic::{AtomicBool, Ordering};

use abi::gate::BACKTRACE_MAX;

static SHOWN: AtomicBool = AtomicBool::new(false);

/// Was a backtrace shown before?
pub fn is_shown() -> bool {
    SHOWN.load(Ordering::Relaxed)
}

/// Has the far side show the chain from `frame_pointer` inside `stack`, after these addresses, which are the innermost; where
/// one is 0, it is left out. A return address is behind its call, and so the far side looks before each.
#[cold]
#[inline(never)]
pub fn show(first: [u64; 2], frame_pointer: usize, stack: Range<usize>) {
    SHOWN.store(true, Ordering::Relaxed);
    let mut frames = [0u64; BACKTRACE_MAX as usize];
    let mut count = 0;
    for address in first.into_iter().filter(|address| *address != 0) {
        frames[count] = address;
        count += 1;
    }
    walk(frame_pointer, stack, |address| {
        frames[count] = address as u64;
        count += 1;
        count < frames.len()
    });
    crate::gate::backtrace(&frames[..count]);
}

/// Follows the chain from `frame_pointer` inside `stack`, and hands each return address to `each` until it says false.
pub fn walk(mut frame_pointer: usize, stack: Range<usize>, mut each: impl FnMut(usize) -> bool) {
    while frame_pointer >= stack.start && frame_pointer.is_multiple_of(8) && frame_pointer + 16 <= stack.end {
        // SAFETY: two aligned words inside the thread's own stack, which is mapped.
        let (next, address) = unsafe {
            let words = frame_pointer as *const usize;
            (words.read(), words.add(1).read())
        };
        if address == 0 || !each(address) || next <= frame_pointer {
            return;
        }
        frame_pointer = next;
    }
}

/// The frame pointer of the function that this is inlined into.
#[inline(always)]
pub fn frame_pointer() -> usize {
    crate::arch::frame_pointer()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_inside_and_climbs() {
        let mut stack = [0usize; 8];
        let base = stack.as_ptr() as usize;
        let range = base..base + 64;
        // Links: 0 → 2 → 6, and 6 goes down again, which ends the walk.
        for (index, value) in [(0, base + 16), (1, 11), (2, base + 48), (3, 22), (6, base), (7, 33)] {
            stack[index] = value;
        }
        std::hint::black_box(&mut stack);
        let mut seen = Vec::new();
        walk(base, range.clone(), |a| {
            seen.push(a);
            true
        });
        assert_eq!(seen, [11, 22, 33]);
        walk(base + 56, range.clone(), |_| panic!("half a frame"));
        walk(4, range, |_| panic!("outside"));
    }
}
