//! Ends: `exit`, `abort`, and what runs before them.

use crate::pthread;
use alloc::vec::Vec;
use core::ffi::{c_int, c_void};
use sync::SpinLock;

type Handler = unsafe extern "C" fn(*mut c_void);

struct AtExit {
    handler: Handler,
    argument: usize,
}

static HANDLERS: SpinLock<Vec<AtExit>> = SpinLock::new(Vec::new());

/// Itanium C++ ABI §3.3.6: `handler(argument)` runs at exit, last registered first.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub extern "C" fn __cxa_atexit(handler: Handler, argument: *mut c_void, _object: *mut c_void) -> c_int {
    HANDLERS.lock().push(AtExit { handler, argument: argument as usize });
    0
}

/// C atexit.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub extern "C" fn atexit(handler: unsafe extern "C" fn()) -> c_int {
    unsafe extern "C" fn call(handler: *mut c_void) {
        // SAFETY: `atexit` passed a function of this type.
        unsafe { core::mem::transmute::<*mut c_void, unsafe extern "C" fn()>(handler)() }
    }
    __cxa_atexit(call, handler as *mut c_void, core::ptr::null_mut())
}

/// C exit: destructors of this thread's thread-local values, handlers, then the end of the machine.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub extern "C" fn exit(status: c_int) -> ! {
    pthread::run_destructors();
    loop {
        let Some(AtExit { handler, argument }) = HANDLERS.lock().pop() else { break };
        // SAFETY: whoever registered it vouched for the pair.
        unsafe { handler(argument as *mut c_void) };
    }
    _exit(status)
}

/// POSIX _exit: the end of the machine. What was written is still brought out.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub extern "C" fn _exit(status: c_int) -> ! {
    machine::end::finish(status as u64 & 0xff)
}

/// C _Exit.
#[allow(non_snake_case)] // C's name
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub extern "C" fn _Exit(status: c_int) -> ! {
    _exit(status)
}

/// C abort: ends the machine as SIGABRT would. An abort that follows a failed allocation is reported as one for want of
/// memory, any other with the thread's name and a backtrace.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub extern "C" fn abort() -> ! {
    if memory::heap::exhausted() {
        machine::end::without_memory();
    }
    machine::fault::abort()
}

/// GCC's stack protector found a smashed frame.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub extern "C" fn __stack_chk_fail() -> ! {
    machine::end::run_hooks();
    machine::gate::log(b"a C function smashed its stack frame\n");
    machine::gate::exit(abi::vcpu::STATUS_ABORT)
}

/// C assert's failure.
///
/// # Safety
/// The arguments are C strings.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn __assert_fail(
    text: *const core::ffi::c_char,
    file: *const core::ffi::c_char,
    _line: u32,
    _function: *const core::ffi::c_char,
) -> ! {
    machine::end::flush();
    // SAFETY: the caller's strings.
    unsafe {
        for part in [file, c": assertion failed: ".as_ptr(), text, c"\n".as_ptr()] {
            machine::gate::log(core::ffi::CStr::from_ptr(part).to_bytes());
        }
    }
    machine::fault::abort()
}
