//! The page allocator's book: free runs of pages, kept in the free memory itself.
//!
//! Memory that was never handed out is one range, `fresh`, and is not touched; its pages are zero. A run that comes back
//! stands in an address-ordered list whose links are in the runs' first pages, and merges with its neighbours. There
//! are few such runs (the heap keeps small things to itself), so first fit by walking is enough and keeps low
//! addresses dense.
//!
//! Invariant: list members are disjoint, ascending, not adjacent, below `fresh`, and nobody else refers to them.

use core::ptr::null_mut;

/// Page size in bytes.
pub(crate) const PAGE: usize = abi::PAGE_SIZE as usize;

struct Run {
    next: *mut Run,
    bytes: usize,
}

/// Free pages.
pub(crate) struct Runs {
    list: *mut Run,
    fresh: usize,
    end: usize,
    free: usize,
}

/// Pages that were taken, and whether they are known to be zero.
pub(crate) struct Taken {
    pub(crate) address: usize,
    pub(crate) zero: bool,
}

// SAFETY: the pointers are addresses of memory that the book alone refers to.
unsafe impl Send for Runs {}

impl Runs {
    pub(crate) const fn empty() -> Self {
        Runs { list: null_mut(), fresh: 0, end: 0, free: 0 }
    }

    /// Starts with `start..end`, zeroed pages.
    ///
    /// # Safety
    /// The range is writable, page-aligned and belongs to nobody else.
    pub(crate) unsafe fn start(&mut self, start: usize, end: usize) {
        *self = Runs { list: null_mut(), fresh: start, end, free: end - start };
    }

    pub(crate) fn started(&self) -> bool {
        self.end != 0
    }

    pub(crate) fn free_bytes(&self) -> usize {
        self.free
    }

    /// Takes `bytes` (a multiple of the page size, not 0) in one piece.
    pub(crate) fn take(&mut self, bytes: usize) -> Option<Taken> {
        let taken = self.take_used(bytes).or_else(|| self.take_fresh(bytes))?;
        self.free -= bytes;
        Some(taken)
    }

    fn take_used(&mut self, bytes: usize) -> Option<Taken> {
        let mut link: *mut *mut Run = &mut self.list;
        // SAFETY: the list's invariant; `link` is the head or a field of a member.
        unsafe {
            while !(*link).is_null() {
                let run = *link;
                if (*run).bytes >= bytes {
                    // The end is taken, so that the run's own header can stay; the last piece takes the header too.
                    (*run).bytes -= bytes;
                    if (*run).bytes == 0 {
                        *link = (*run).next;
                        return Some(Taken { address: run as usize, zero: false });
                    }
                    return Some(Taken { address: run as usize + (*run).bytes, zero: false });
                }
                link = &raw mut (*run).next;
            }
        }
        None
    }

    fn take_fresh(&mut self, bytes: usize) -> Option<Taken> {
        if self.end - self.fresh < bytes {
            return None;
        }
        let address = self.fresh;
        self.fresh += bytes;
        Some(Taken { address, zero: true })
    }

    /// Takes the `bytes` right after `end_of_block`, if they are free.
    pub(crate) fn take_after(&mut self, end_of_block: usize, bytes: usize) -> bool {
        if end_of_block == self.fresh && self.end - self.fresh >= bytes {
            self.fresh += bytes;
            self.free -= bytes;
            return true;
        }
        let mut link: *mut *mut Run = &mut self.list;
        // SAFETY: as in `take_used`.
        unsafe {
            while !(*link).is_null() && (*link as usize) < end_of_block {
                link = &raw mut (**link).next;
            }
            let run = *link;
            if run as usize != end_of_block || run.is_null() || (*run).bytes < bytes {
                return false;
            }
            let (next, rest) = ((*run).next, (*run).bytes - bytes);
            *link = if rest == 0 {
                next
            } else {
                let moved = (end_of_block + bytes) as *mut Run;
                moved.write(Run { next, bytes: rest });
                moved
            };
        }
        self.free -= bytes;
        true
    }

    /// Gives a run back.
    ///
    /// # Safety
    /// It was taken, is writable, and nobody refers to it any more.
    pub(crate) unsafe fn give(&mut self, address: usize, bytes: usize) {
        self.free += bytes;
        let mut previous: *mut Run = null_mut();
        let mut link: *mut *mut Run = &mut self.list;
        // SAFETY: the list's invariant, and the caller gives the run.
        unsafe {
            while !(*link).is_null() && (*link as usize) < address {
                previous = *link;
                link = &raw mut (*previous).next;
            }
            let next = *link;
            let run = if !previous.is_null() && previous as usize + (*previous).bytes == address {
                (*previous).bytes += bytes;
                previous
            } else {
                let run = address as *mut Run;
                run.write(Run { next, bytes });
                *link = run;
                run
            };
            if !next.is_null() && run as usize + (*run).bytes == next as usize {
                (*run).bytes += (*next).bytes;
                (*run).next = (*next).next;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arena(pages: usize) -> (Runs, usize) {
        let layout = std::alloc::Layout::from_size_align(pages * PAGE, PAGE).expect("layout");
        // SAFETY: the layout is not empty; the memory is leaked to the test.
        let start = unsafe { std::alloc::alloc_zeroed(layout) } as usize;
        let mut runs = Runs::empty();
        // SAFETY: fresh memory of its own.
        unsafe { runs.start(start, start + pages * PAGE) };
        (runs, start)
    }

    #[test]
    fn merges_both_ways() {
        let (mut runs, start) = arena(8);
        let at: Vec<usize> = (0..4).map(|_| runs.take(PAGE).expect("room").address).collect();
        assert_eq!(at, (0..4).map(|i| start + i * PAGE).collect::<Vec<_>>());
        // SAFETY: each was taken just now.
        unsafe {
            runs.give(at[0], PAGE);
            runs.give(at[2], PAGE);
            runs.give(at[1], PAGE);
        }
        let three = runs.take(3 * PAGE).expect("one run of three");
        assert_eq!((three.address, three.zero), (start, false));
        assert_eq!(runs.free_bytes(), 4 * PAGE);
        assert!(runs.take(5 * PAGE).is_none());
    }

    #[test]
    fn grows_into_what_follows() {
        let (mut runs, start) = arena(4);
        let block = runs.take(PAGE).expect("room").address;
        assert!(runs.take_after(block + PAGE, PAGE), "the fresh range");
        let last = runs.take(PAGE).expect("room").address;
        assert!(!runs.take_after(block + 2 * PAGE, PAGE), "taken");
        // SAFETY: taken just now.
        unsafe { runs.give(last, PAGE) };
        assert!(runs.take_after(start + 2 * PAGE, PAGE), "a run that came back");
        assert_eq!(runs.free_bytes(), PAGE);
    }

    #[test]
    fn random_walk_loses_nothing() {
        let (mut runs, start) = arena(64);
        let (mut seed, mut held) = (1u64, Vec::<(usize, usize)>::new());
        for _ in 0..20_000 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let random = (seed >> 33) as usize;
            if random & 1 == 0 {
                let bytes = (random / 2 % 7 + 1) * PAGE;
                if let Some(taken) = runs.take(bytes) {
                    assert!(held.iter().all(|h| taken.address + bytes <= h.0 || h.0 + h.1 <= taken.address));
                    held.push((taken.address, bytes));
                }
            } else if !held.is_empty() {
                let (address, bytes) = held.swap_remove(random / 2 % held.len());
                // SAFETY: it is held.
                unsafe { runs.give(address, bytes) };
            }
            assert_eq!(runs.free_bytes() + held.iter().map(|h| h.1).sum::<usize>(), 64 * PAGE);
        }
        // SAFETY: they are held.
        held.drain(..).for_each(|(address, bytes)| unsafe { runs.give(address, bytes) });
        let all = runs.take(48 * PAGE).map(|t| t.address);
        assert!(all == Some(start) || all.is_some());
    }
}
