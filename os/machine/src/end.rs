//! The end of the machine: what must still be brought out, and the exit.

use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};

const HOOKS_MAX: usize = 4;
static HOOKS: [AtomicPtr<()>; HOOKS_MAX] = [const { AtomicPtr::new(core::ptr::null_mut()) }; HOOKS_MAX];
static COUNT: AtomicUsize = AtomicUsize::new(0);
static ENDING: AtomicBool = AtomicBool::new(false);

/// Has `hook` called when the machine ends in whatever way (exit, abort, fault): to flush the console. It may run on
/// a small stack with upcalls masked, and must not block or allocate. There is room for four; more are ignored.
pub fn on_end(hook: fn()) {
    let index = COUNT.fetch_add(1, Ordering::AcqRel);
    if let Some(slot) = HOOKS.get(index) {
        slot.store(hook as *mut (), Ordering::Release);
    }
}

/// Is the machine ending? Then a lock that somebody holds will not be released any more.
pub fn ending() -> bool {
    ENDING.load(Ordering::Relaxed)
}

static OUT_OF_MEMORY: AtomicBool = AtomicBool::new(false);

/// Notes whether the last allocation failed, for want of memory.
#[inline]
pub fn out_of_memory(is_so: bool) {
    OUT_OF_MEMORY.store(is_so, Ordering::Relaxed);
}

/// Did the last allocation fail? An end that follows is one for want of memory.
#[inline]
pub fn is_out_of_memory() -> bool {
    OUT_OF_MEMORY.load(Ordering::Relaxed)
}

/// Ends the machine for want of memory, with a word to the operator.
pub fn without_memory() -> ! {
    run_hooks();
    crate::gate::log(b"the machine is out of memory: give it more (`memory` in the manifest, or --memory)\n");
    crate::gate::exit(abi::vcpu::STATUS_OUT_OF_MEMORY)
}

/// On an only CPU, a lock is wanted that is held. While the machine ends it is taken all the same. Otherwise whoever holds it
/// has called the program, most likely with the news that there is no memory, and that wants the same lock: it would never
/// end.
#[cold]
#[inline(never)]
pub fn locked_twice() {
    if ending() {
        return;
    }
    if is_out_of_memory() {
        without_memory();
    }
    run_hooks();
    crate::gate::log(b"the library OS waits for its own lock: a bug in Ampoule\n");
    crate::gate::exit(abi::vcpu::STATUS_ABORT)
}

/// Runs the hooks, once.
pub fn run_hooks() {
    if ENDING.swap(true, Ordering::AcqRel) {
        return;
    }
    for slot in &HOOKS {
        let hook = slot.load(Ordering::Acquire);
        if !hook.is_null() {
            // SAFETY: only `on_end` stores here, and it stores a `fn()`.
            let hook = unsafe { core::mem::transmute::<*mut (), fn()>(hook) };
            hook();
        }
    }
}

/// Runs the hooks and ends the machine.
pub fn finish(status: u64) -> ! {
    crate::cpu::mask();
    run_hooks();
    crate::gate::exit(status)
}

/// Flushes what the hooks flush, for a message that must come after everything written so far.
pub fn flush() {
    for slot in &HOOKS {
        let hook = slot.load(Ordering::Acquire);
        if !hook.is_null() {
            // SAFETY: as in `run_hooks`.
            let hook = unsafe { core::mem::transmute::<*mut (), fn()>(hook) };
            hook();
        }
    }
}
