//! POSIX threads over `thread`: creating, joining, naming, attributes.
//!
//! A `pthread_t` points to a [`Record`], which lives until the thread has ended and somebody has joined or detached it.
//! Further door words of a thread: 1 its thread-local destructors, 2 its keys' values, 3 its record.

mod attr;
mod cond;
mod destructors;
mod key;
mod mutex;
mod once;
mod rwlock;
mod semaphore;

pub use attr::*;
pub use cond::*;
pub use destructors::__cxa_thread_atexit_impl;
pub(crate) use destructors::run_destructors;
pub use key::*;
pub use mutex::*;
pub use once::*;
pub use rwlock::*;
pub use semaphore::*;

use crate::errno;
use alloc::boxed::Box;
use core::ffi::{CStr, c_char, c_int, c_void};
use core::sync::atomic::{AtomicU8, Ordering};
use thread::{Spawn, Thread};

type Start = unsafe extern "C" fn(*mut c_void) -> *mut c_void;

const RECORD_SLOT: usize = 3;
const JOINABLE: u8 = 0;
const DETACHED: u8 = 1;
const ENDED: u8 = 2;

/// What a `pthread_t` points to.
pub struct Record {
    thread: sync::Once<Thread>,
    start: Option<Start>,
    argument: usize,
    state: AtomicU8,
}

/// The stack that a thread gets when nobody says how much: the least of 2 MiB (std's and Linux's habit) and what leaves
/// room for sixty-four such stacks, and less when memory is short, but never under 64 KiB. Stacks are memory of the
/// machine, all of it, since there is no address space beyond.
fn default_stack() -> usize {
    let share = (memory::pages::total_bytes() / 64).min(2 * memory::pages::free_bytes() / 64);
    share.clamp(64 << 10, attr::DEFAULT_STACK)
}

fn main(record: usize) -> usize {
    thread::slot(RECORD_SLOT).store(record, Ordering::Relaxed);
    // SAFETY: `pthread_create` passed it, and it stays at least until this thread has ended.
    let record = unsafe { &*(record as *const Record) };
    record.thread.get_or_init(thread::current);
    // SAFETY: the creator vouched for function and argument.
    let result = record.start.map_or(0, |start| unsafe { start(record.argument as *mut c_void) as usize });
    end();
    result
}

/// What a thread does last: destructors, and its record if nobody will join it.
fn end() {
    run_destructors();
    let record = thread::slot(RECORD_SLOT).swap(0, Ordering::Relaxed) as *mut Record;
    // SAFETY: the running thread's record; whoever comes second of this thread and the one that detaches frees it.
    unsafe {
        if !record.is_null() && (*record).state.swap(ENDED, Ordering::AcqRel) == DETACHED {
            drop(Box::from_raw(record));
        }
    }
}

/// POSIX pthread_create.
///
/// # Safety
/// `out` may be written, `attributes` is null or initialised, and `start` may be called with `argument` on a thread.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn pthread_create(
    out: *mut *mut Record,
    attributes: *const Attributes,
    start: Start,
    argument: *mut c_void,
) -> c_int {
    // SAFETY: the caller's attributes.
    let (stack, detached) = match unsafe { attributes.as_ref() } {
        Some(a) => (a.stack(), a.detached()),
        None => (None, false),
    };
    let state = AtomicU8::new(if detached { DETACHED } else { JOINABLE });
    let record =
        memory::try_box(Record { thread: sync::Once::new(), start: Some(start), argument: argument as usize, state });
    let Some(record) = record.map(Box::into_raw) else { return errno::EAGAIN };
    // SAFETY: the caller's pointer; written before the thread can look at it.
    unsafe { out.write(record) };
    let spawn = |stack_size| Spawn { stack_size, name: b"", entry: main, argument: record as usize };
    let spawned = match stack {
        Some(bytes) => thread::spawn(spawn(bytes)),
        None => thread::spawn(spawn(default_stack())).or_else(|_| thread::spawn(spawn(64 << 10))),
    };
    match spawned {
        Ok(thread) => {
            if !detached {
                // SAFETY: a joinable record stays until it is joined or detached, which nobody can do before this returns.
                unsafe { (*record).thread.get_or_init(|| thread) };
            }
            0
        }
        Err(_) => {
            // SAFETY: made above, and there is no thread that knows it.
            drop(unsafe { Box::from_raw(record) });
            errno::EAGAIN
        }
    }
}

/// POSIX pthread_self.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub extern "C" fn pthread_self() -> *mut Record {
    let slot = thread::slot(RECORD_SLOT);
    let mut record = slot.load(Ordering::Relaxed) as *mut Record;
    if record.is_null() {
        // The first thread, or one of the library OS's own.
        let thread = sync::Once::new();
        thread.get_or_init(thread::current);
        record = Box::into_raw(Box::new(Record { thread, start: None, argument: 0, state: AtomicU8::new(JOINABLE) }));
        slot.store(record as usize, Ordering::Relaxed);
    }
    record
}

/// The thread behind a `pthread_t`.
///
/// # Safety
/// It is a live record's.
unsafe fn thread_of<'a>(record: *mut Record) -> &'a Thread {
    // SAFETY: the caller's record.
    unsafe { (*record).thread.get_or_init(thread::current) }
}

/// POSIX pthread_join.
///
/// # Safety
/// `record` is joinable and joined once; `out` is null or may be written.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn pthread_join(record: *mut Record, out: *mut *mut c_void) -> c_int {
    if core::ptr::eq(record, thread::slot(RECORD_SLOT).load(Ordering::Relaxed) as *const Record) {
        return errno::EDEADLK;
    }
    // SAFETY: the caller's record, which the thread does not use any more once it has ended.
    unsafe {
        let result = thread_of(record).join();
        if !out.is_null() {
            out.write(result as *mut c_void);
        }
        drop(Box::from_raw(record));
    }
    0
}

/// POSIX pthread_detach.
///
/// # Safety
/// `record` is joinable, and nobody joins it.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn pthread_detach(record: *mut Record) -> c_int {
    // SAFETY: the caller's record; see `end`.
    unsafe {
        if (*record).state.swap(DETACHED, Ordering::AcqRel) == ENDED {
            drop(Box::from_raw(record));
        }
    }
    0
}

/// POSIX pthread_exit. Destructors of values on the stack do not run.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub extern "C" fn pthread_exit(result: *mut c_void) -> ! {
    end();
    thread::exit(result as usize)
}

/// POSIX pthread_equal.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub extern "C" fn pthread_equal(a: *const Record, b: *const Record) -> c_int {
    c_int::from(core::ptr::eq(a, b))
}

/// glibc pthread_setname_np: at most 15 bytes.
///
/// # Safety
/// `record` is a live thread's, `name` a C string.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn pthread_setname_np(record: *mut Record, name: *const c_char) -> c_int {
    // SAFETY: the caller's arguments.
    unsafe {
        let name = CStr::from_ptr(name).to_bytes();
        if name.len() > 15 {
            return errno::ERANGE;
        }
        thread_of(record).set_name(name);
    }
    0
}

/// glibc pthread_getname_np.
///
/// # Safety
/// `record` is a live thread's; `length` bytes at `out` may be written.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn pthread_getname_np(record: *mut Record, out: *mut c_char, length: usize) -> c_int {
    // SAFETY: the caller's arguments.
    unsafe {
        let name = thread_of(record).name();
        if length < name.len() {
            return errno::ERANGE;
        }
        out.copy_from_nonoverlapping(name.as_ptr().cast(), name.len());
    }
    0
}

/// glibc pthread_getattr_np: the thread's stack.
///
/// # Safety
/// `record` is a live thread's, and `out` may be written.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn pthread_getattr_np(record: *mut Record, out: *mut Attributes) -> c_int {
    // SAFETY: the caller's arguments.
    unsafe {
        let (start, length) = thread_of(record).stack();
        out.write(Attributes::of_thread(start, length));
    }
    0
}

/// POSIX pthread_atfork: nothing forks.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub extern "C" fn pthread_atfork(_prepare: usize, _parent: usize, _child: usize) -> c_int {
    0
}

/// POSIX pthread_setcancelstate: nothing cancels.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub extern "C" fn pthread_setcancelstate(_state: c_int, _old: *mut c_int) -> c_int {
    0
}

/// Linux gettid.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub extern "C" fn gettid() -> c_int {
    thread::current().id() as c_int
}
