//! Pages of the arena: runs, guard pages. Any of it may be handed to a device (`machine::dma`).

use crate::runs::{PAGE, Runs, Taken};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicPtr, Ordering};
use sync::{Guard, SpinLock};

static RUNS: SpinLock<Runs> = SpinLock::new(Runs::empty());

fn runs() -> Guard<'static, Runs> {
    let mut runs = RUNS.lock();
    if !runs.started() {
        let arena = &machine::boot().arena;
        let start = arena.address.0 as usize;
        // SAFETY: the arena is the guest's to hand out, and this is the only place that does.
        unsafe { runs.start(start, start + arena.length as usize) };
    }
    runs
}

fn take(bytes: usize) -> Option<(Taken, usize)> {
    let bytes = bytes.max(1).checked_next_multiple_of(PAGE)?;
    let taken = runs().take(bytes);
    Some((taken.or_else(|| if reclaim() { runs().take(bytes) } else { None })?, bytes))
}

static RECLAIM: AtomicPtr<()> = AtomicPtr::new(core::ptr::null_mut());

/// Has `give_back` called when there is no run that is long enough: whoever keeps pages in case they are wanted again gives
/// them back with [`free`], and says whether there were any. It MUST NOT allocate.
pub fn on_shortage(give_back: fn() -> bool) {
    RECLAIM.store(give_back as *mut (), Ordering::Relaxed);
}

#[cold]
fn reclaim() -> bool {
    let give_back = RECLAIM.load(Ordering::Relaxed);
    // SAFETY: only `on_shortage` stores here, and it stores a `fn() -> bool`.
    !give_back.is_null() && unsafe { core::mem::transmute::<*mut (), fn() -> bool>(give_back) }()
}

/// `bytes`, rounded up to pages, in one piece and zeroed; `None` if there is no such piece.
pub fn allocate(bytes: usize) -> Option<NonNull<u8>> {
    let (taken, bytes) = take(bytes)?;
    let pointer = taken.address as *mut u8;
    if !taken.zero {
        // SAFETY: taken just now.
        unsafe { pointer.write_bytes(0, bytes) };
    }
    NonNull::new(pointer)
}

/// As [`allocate`], but the contents are whatever they were. For stacks and buffers.
pub fn allocate_uninit(bytes: usize) -> Option<NonNull<u8>> {
    NonNull::new(take(bytes)?.0.address as *mut u8)
}

/// As [`allocate_uninit`], and whether the pages happen to be zero.
pub(crate) fn allocate_maybe_zero(bytes: usize) -> Option<(NonNull<u8>, bool)> {
    let (taken, _) = take(bytes)?;
    Some((NonNull::new(taken.address as *mut u8)?, taken.zero))
}

/// Gives a piece back.
///
/// # Safety
/// `pointer` came from here with this length (what [`grow`] added included), its pages are readable and writable, and
/// nothing refers to it any more.
pub unsafe fn free(pointer: NonNull<u8>, bytes: usize) {
    // SAFETY: passed on to the caller.
    unsafe { runs().give(pointer.as_ptr() as usize, bytes.max(1).next_multiple_of(PAGE)) }
}

/// Makes a piece longer where it stands, if what follows is free. The new part's contents are undefined.
///
/// # Safety
/// `pointer` came from here with `old_bytes`.
pub unsafe fn grow(pointer: NonNull<u8>, old_bytes: usize, new_bytes: usize) -> bool {
    let old = old_bytes.max(1).next_multiple_of(PAGE);
    let Some(new) = new_bytes.checked_next_multiple_of(PAGE) else { return false };
    new <= old || runs().take_after(pointer.as_ptr() as usize + old, new - old)
}

/// How much is free, in bytes; not necessarily in one piece.
pub fn free_bytes() -> usize {
    runs().free_bytes()
}

/// How much there was at the start, in bytes.
pub fn total_bytes() -> usize {
    machine::boot().arena.length as usize
}

/// Makes whole pages of a piece inaccessible; false if the far side refuses.
///
/// # Safety
/// Nothing refers to them, and [`unguard`] comes before [`free`].
pub unsafe fn guard(address: usize, bytes: usize) -> bool {
    machine::gate::protect(address, bytes, abi::gate::ACCESS_NONE).is_ok()
}

/// Takes [`guard`] back.
pub fn unguard(address: usize, bytes: usize) -> bool {
    machine::gate::protect(address, bytes, abi::gate::ACCESS_READ_WRITE).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeroed_again_after_use() {
        let first = allocate(3 * PAGE).expect("room");
        // SAFETY: three pages of our own.
        unsafe {
            first.as_ptr().write_bytes(0xaa, 3 * PAGE);
            free(first, 3 * PAGE);
            let again = allocate(2 * PAGE).expect("room");
            assert!(core::slice::from_raw_parts(again.as_ptr(), 2 * PAGE).iter().all(|b| *b == 0));
            assert!((again.as_ptr() as usize).is_multiple_of(PAGE));
            free(again, 2 * PAGE);
        }
    }
}
