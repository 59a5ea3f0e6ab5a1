//! The heap behind malloc.
//!
//! Small blocks come from talc, which grows by steps of pages; blocks of [`LARGE`] bytes and more are runs of pages of
//! their own, so that they go back when they are freed and can grow where they stand. Each block is preceded by a
//! 16-byte header that says what it is: C's `free` is told nothing else. The smallest blocks pass through a [`Cache`], whose
//! lists hold them without their headers' contents but at their sizes, which are rounded for that.

use crate::cache::{Cache, round};
use crate::pages;
use crate::runs::PAGE;
use core::alloc::Layout;
use core::ptr::{NonNull, null_mut};
use sync::SpinLock;
use talc::DefaultBinning;
use talc::base::{Talc, binning::Binning};
use talc::source::Source;

/// From this many bytes on a block is a run of pages of its own.
pub const LARGE: usize = 128 << 10;
/// The step by which the heap of small blocks grows.
const STEP: usize = 32 << 10;
/// The least alignment, which is also the header's size (C's `max_align_t`).
const ALIGN: usize = 16;

#[repr(C, align(16))]
struct Header {
    /// Bytes of the whole block, from its start on.
    bytes: usize,
    /// From the block's start to the address that was handed out; a power of two, at least 16.
    before: u32,
    /// 1: a run of pages.
    large: u32,
}

/// Where talc gets more from: the piece that follows its last one, or else another piece.
#[derive(Debug)]
struct Pages {
    end: Option<(NonNull<u8>, usize)>,
    /// Bytes of all pieces.
    bytes: usize,
}

// SAFETY: `acquire` uses only the page allocator, never the global one.
unsafe impl Source for Pages {
    fn acquire<B: Binning>(talc: &mut Talc<Self, B>, layout: Layout) -> Result<(), ()> {
        let wanted = (layout.size() + layout.align() + 2 * PAGE).next_multiple_of(STEP);
        if let Some((heap_end, run_end)) = talc.source.end {
            let run = NonNull::new(run_end as *mut u8).ok_or(())?;
            let least = layout.size().next_multiple_of(PAGE) + PAGE;
            // SAFETY: the claimed run ends at `run_end`; growing it by what follows makes that part of it.
            let grow = |bytes: &usize| unsafe { pages::grow(run.sub(PAGE), PAGE, PAGE + bytes) };
            if let Some(bytes) = [wanted, least].into_iter().find(grow) {
                let new_end = run_end + bytes;
                // SAFETY: the memory up to `new_end` is writable and nobody else's.
                let heap_end = unsafe { talc.extend(heap_end, new_end as *mut u8) };
                talc.source.end = Some((heap_end, new_end));
                talc.source.bytes += bytes;
                return Ok(());
            }
        }
        let least = (layout.size() + layout.align() + PAGE).next_multiple_of(PAGE);
        let (run, bytes) =
            [wanted, least].into_iter().find_map(|b| pages::allocate_uninit(b).map(|p| (p, b))).ok_or(())?;
        // SAFETY: a run of our own, never given back.
        let heap_end = unsafe { talc.claim(run.as_ptr(), bytes) }.ok_or(())?;
        talc.source.end = Some((heap_end, run.as_ptr() as usize + bytes));
        talc.source.bytes += bytes;
        Ok(())
    }
}

/// What talc takes for a block of so many bytes: those and a word, in whole units. Left out, a heap of small blocks would seem
/// to have a third of its memory free when it has none.
const fn taken(bytes: usize) -> usize {
    (bytes + size_of::<usize>()).next_multiple_of(talc::base::CHUNK_UNIT)
}

struct Heap {
    talc: Talc<Pages, DefaultBinning>,
    cache: Cache,
    /// Bytes that talc has handed out, to the cache too.
    out: usize,
}
// SAFETY: the pointers are to memory that talc manages, and to blocks of its that the cache alone has.
unsafe impl Send for Heap {}

static HEAP: SpinLock<Heap> =
    SpinLock::new(Heap { talc: Talc::new(Pages { end: None, bytes: 0 }), cache: Cache::new(), out: 0 });

impl Heap {
    /// A block from talc; what the cache holds goes back to it if there is no other way.
    #[inline(never)]
    fn allocate(&mut self, layout: Layout) -> Option<NonNull<u8>> {
        // SAFETY: `block` asks for no empty layout.
        let mut start = unsafe { self.talc.allocate(layout) };
        if start.is_none() {
            let Heap { talc, cache, out } = self;
            // SAFETY: the cache's blocks came from talc with this layout.
            let gave = cache.empty(|start, bytes| unsafe {
                talc.deallocate(start.as_ptr(), Layout::from_size_align_unchecked(bytes, ALIGN));
                *out -= taken(bytes);
            });
            if gave {
                // SAFETY: as above.
                start = unsafe { talc.allocate(layout) };
            }
        }
        if start.is_some() {
            self.out += taken(layout.size());
        }
        start
    }
}

/// Bytes that the heap has taken from the pages and nobody uses, in pieces of any size.
pub fn free_bytes() -> usize {
    let heap = HEAP.lock();
    heap.talc.source.bytes.saturating_sub(heap.out)
}

/// Did the last allocation fail? An abort that follows is one for want of memory.
pub fn exhausted() -> bool {
    machine::end::is_out_of_memory()
}

/// A block for `layout` (any size, 0 included), or null. Its contents are undefined.
#[inline]
pub fn allocate(layout: Layout) -> *mut u8 {
    block(layout).0
}

/// As [`allocate`], zeroed.
pub fn allocate_zeroed(layout: Layout) -> *mut u8 {
    let (pointer, zero) = block(layout);
    if !pointer.is_null() && !zero {
        // SAFETY: a block of at least that size, taken just now.
        unsafe { pointer.write_bytes(0, layout.size()) };
    }
    pointer
}

fn block(layout: Layout) -> (*mut u8, bool) {
    let before = layout.align().max(ALIGN);
    let Some(bytes) = layout.size().checked_add(before).filter(|b| *b <= isize::MAX as usize - PAGE) else {
        return exhaust();
    };
    let bytes = round(bytes);
    let (start, bytes, large, zero) = if bytes >= LARGE && before <= PAGE {
        let bytes = bytes.next_multiple_of(PAGE);
        match pages::allocate_maybe_zero(bytes) {
            Some((run, zero)) => (run.as_ptr(), bytes, 1, zero),
            None => return exhaust(),
        }
    } else {
        // SAFETY: not of size 0, and the alignment is a power of two.
        let (layout, mut heap) = unsafe { (Layout::from_size_align_unchecked(bytes, before), HEAP.lock()) };
        let kept = if before == ALIGN { heap.cache.take(bytes) } else { None };
        match kept.or_else(|| heap.allocate(layout)) {
            Some(start) => (start.as_ptr(), bytes, 0, false),
            None => {
                drop(heap);
                return exhaust();
            }
        }
    };
    if exhausted() {
        machine::end::out_of_memory(false);
    }
    // SAFETY: `before` bytes of the block are the header's, the header in the last 16 of them.
    unsafe {
        let pointer = start.add(before);
        pointer.cast::<Header>().sub(1).write(Header { bytes, before: before as u32, large });
        (pointer, zero)
    }
}

#[cold]
fn exhaust() -> (*mut u8, bool) {
    machine::end::out_of_memory(true);
    (null_mut(), false)
}

/// # Safety
/// `pointer` is a live block's.
unsafe fn header(pointer: *mut u8) -> &'static mut Header {
    // SAFETY: every live block has its header there.
    unsafe { &mut *pointer.cast::<Header>().sub(1) }
}

/// Gives a block back.
///
/// # Safety
/// `pointer` is a live block's and nothing refers to it any more.
#[inline]
pub unsafe fn free(pointer: *mut u8) {
    // SAFETY: the caller gives the block; start and layout are those it was made with.
    unsafe {
        let Header { bytes, before, large } = *header(pointer);
        let start = pointer.sub(before as usize);
        if large != 0 {
            pages::free(NonNull::new_unchecked(start), bytes);
        } else {
            let mut heap = HEAP.lock();
            if before as usize != ALIGN || !heap.cache.keep(start, bytes) {
                heap.talc.deallocate(start, Layout::from_size_align_unchecked(bytes, before as usize));
                heap.out -= taken(bytes);
            }
        }
    }
}

/// How many bytes of a block may be used.
///
/// # Safety
/// `pointer` is a live block's.
pub unsafe fn usable_size(pointer: *mut u8) -> usize {
    // SAFETY: passed on to the caller.
    let header = unsafe { header(pointer) };
    header.bytes - header.before as usize
}

/// A block of `size` bytes with the old one's contents as far as they go; null, and the old one stays, if there is no
/// room. Grows and shrinks in place where it can.
///
/// # Safety
/// `pointer` is a live block's; unless null is returned, only the result may be used afterwards.
pub unsafe fn reallocate(pointer: *mut u8, size: usize) -> *mut u8 {
    // SAFETY: the caller gives the block.
    unsafe {
        let before = header(pointer).before as usize;
        if size <= isize::MAX as usize - PAGE - before && resize_in_place(pointer, size + before) {
            return pointer;
        }
        let new = allocate(Layout::from_size_align_unchecked(size, before));
        if !new.is_null() {
            new.copy_from_nonoverlapping(pointer, usable_size(pointer).min(size));
            free(pointer);
        }
        new
    }
}

/// # Safety
/// `pointer` is a live block's.
unsafe fn resize_in_place(pointer: *mut u8, bytes: usize) -> bool {
    // SAFETY: the caller gives the block; header and layout agree by `block`.
    unsafe {
        let header = header(pointer);
        let start = pointer.sub(header.before as usize);
        if header.large == 0 {
            if bytes >= LARGE {
                return false;
            }
            let bytes = round(bytes);
            if bytes == header.bytes {
                return true;
            }
            let layout = Layout::from_size_align_unchecked(header.bytes, header.before as usize);
            let mut heap = HEAP.lock();
            let fits = heap.talc.try_realloc_in_place(start, layout, bytes);
            if fits {
                heap.out = heap.out - header.bytes + bytes;
                header.bytes = bytes;
            }
            return fits;
        }
        if bytes < LARGE / 2 {
            return false;
        }
        let bytes = bytes.next_multiple_of(PAGE);
        if bytes <= header.bytes {
            if bytes < header.bytes {
                pages::free(NonNull::new_unchecked(start.add(bytes)), header.bytes - bytes);
            }
        } else if !pages::grow(NonNull::new_unchecked(start), header.bytes, bytes) {
            return false;
        }
        header.bytes = bytes;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(size: usize, align: usize) -> Layout {
        Layout::from_size_align(size, align).expect("layout")
    }

    #[test]
    fn alignment_and_contents_survive() {
        for align in [1, 16, 64, 4096, 65536] {
            for size in [0, 1, 100, 5000, LARGE, 3 * LARGE] {
                let pointer = allocate_zeroed(layout(size, align));
                assert!((pointer as usize).is_multiple_of(align.max(16)));
                // SAFETY: a block of that size.
                unsafe {
                    assert!(core::slice::from_raw_parts(pointer, size).iter().all(|b| *b == 0));
                    pointer.write_bytes(0x5a, size);
                    let grown = reallocate(pointer, 2 * size + LARGE);
                    assert!(core::slice::from_raw_parts(grown, size).iter().all(|b| *b == 0x5a));
                    let shrunk = reallocate(grown, size / 2);
                    assert!(core::slice::from_raw_parts(shrunk, size / 2).iter().all(|b| *b == 0x5a));
                    free(shrunk);
                }
            }
        }
    }

    #[test]
    fn running_dry_is_null() {
        assert!(allocate(layout(1 << 40, 16)).is_null());
        assert!(exhausted());
        let fine = allocate(layout(10, 16));
        assert!(!exhausted() && !fine.is_null());
        // SAFETY: allocated above.
        unsafe {
            assert!(reallocate(fine, 1 << 40).is_null(), "and the old block stays");
            free(fine);
        }
    }
}
