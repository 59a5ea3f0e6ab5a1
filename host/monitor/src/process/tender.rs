//! Where the gate and the signal handlers find the far side: one value a process, put there before the guest runs.
//!
//! The handlers never touch it while it runs; calls cannot nest, because no upcall is delivered inside.

use super::gate;
use crate::machine::tender::{Platform, Tender};
use crate::machine::upcall::Upcall;
use abi::vcpu::Vcpu;
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

/// The guest's view of memory is the child's own, and the slice timer always runs: nothing is left to do.
#[derive(Debug)]
pub(crate) struct Process;

impl Platform for Process {
    fn set_access(&mut self, _: u64, _: u64, _: u64) {}
    fn set_slices(&mut self, _: u64) {}
}

/// The one tender of the process.
static TENDER: AtomicPtr<Tender<Process>> = AtomicPtr::new(core::ptr::null_mut());

/// Room for the tender, so that it needs no heap.
pub(crate) struct Room(UnsafeCell<core::mem::MaybeUninit<Tender<Process>>>);

// SAFETY: used once, by `install`, in a process with one thread.
unsafe impl Sync for Room {}

static ROOM: Room = Room(UnsafeCell::new(core::mem::MaybeUninit::uninit()));

/// Puts the tender where the gate finds it.
///
/// # Safety
/// Once a process, before the guest runs, with no other thread.
pub(crate) unsafe fn install(tender: Tender<Process>) {
    // SAFETY: this function's contract: nobody else looks at the room.
    let place = unsafe { (*ROOM.0.get()).write(tender) };
    TENDER.store(place, Ordering::Relaxed);
}

/// Where upcalls go, for the signal handlers.
pub(crate) fn upcall() -> Option<(Upcall, &'static Vcpu)> {
    let tender = TENDER.load(Ordering::Relaxed);
    if tender.is_null() {
        return None;
    }
    // SAFETY: installed for good; the handlers ask only while the guest runs, so nobody holds the tender.
    let tender = unsafe { &*tender };
    Some((tender.upcall, tender.vcpu()))
}

/// A gate call. The number and arguments are the guest's.
pub(crate) extern "sysv64" fn dispatch(call: u64, a: u64, b: u64, c: u64) -> i64 {
    // SAFETY: installed before the guest runs, which is the only caller; calls cannot nest, since no upcall is delivered
    // inside, so this is the only reference.
    let tender = unsafe { &mut *TENDER.load(Ordering::Relaxed) };
    let result = tender.dispatch(call, a, b, c);
    if NUDGED.load(Ordering::Relaxed) {
        NUDGED.store(false, Ordering::Relaxed);
        tender.hear_parent();
        tender.vcpu().pending.store(1, Ordering::Relaxed);
    }
    result
}

/// The parent has something, and it came while the tender ran. Whoever next finds it so looks.
static NUDGED: AtomicBool = AtomicBool::new(false);

/// Notes that the parent has something, for the end of the call that is under way. For the signal handlers.
pub(crate) fn note_nudge() {
    NUDGED.store(true, Ordering::Relaxed);
}

/// Is there such a note? Takes it. For the signal handlers, while the guest runs: the note may have come too late for the
/// last call.
pub(crate) fn take_nudge() -> bool {
    NUDGED.swap(false, Ordering::Relaxed)
}

/// Hears the parent. For the signal handlers.
///
/// # Safety
/// The guest runs, so nobody holds the tender.
pub(crate) unsafe fn hear_parent() {
    // SAFETY: installed before the guest runs, and this function's contract.
    unsafe { &mut *TENDER.load(Ordering::Relaxed) }.hear_parent();
}

/// Is this address the machine's?
pub(crate) fn is_guest(address: u64) -> bool {
    let tender = TENDER.load(Ordering::Relaxed);
    // SAFETY: as in `upcall`; the layout never changes.
    !tender.is_null() && unsafe { ((*tender).layout.image.start..(*tender).layout.arena.end).contains(&address) }
}

/// Does the tender run, or the way in and out of it?
pub(crate) fn runs(pointer: u64) -> bool {
    gate::inside() || gate::is_stub(pointer)
}
