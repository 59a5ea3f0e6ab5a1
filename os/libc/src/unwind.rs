//! The unwinder's symbols in images without one.
//!
//! With `panic = "abort"` nothing unwinds, but the prebuilt std still names these functions. With `panic = "unwind"` they are
//! libgcc_eh's, and these have no symbols: the two must not meet. (`libc.a` itself is always built to abort, so there the
//! builder says `--cfg ampoule_unwind` for a program that unwinds; see `os/archive`.)
//!
//! [`_Unwind_Backtrace`] follows frame pointers and hands the addresses to the far side, which has the debug file. It never
//! calls std's trace function, and link-time optimisation sees that: std's own symboliser (some 250 KB) is then out of reach
//! and out of the image.
#![allow(non_snake_case)] // the ABI's names
#![cfg_attr(any(panic = "unwind", ampoule_unwind, not(ampoule_image)), allow(dead_code))]

use core::ffi::{c_int, c_void};

const URC_END_OF_STACK: c_int = 5;

/// Prints the backtrace by the far side; the trace function is never called.
#[cfg_attr(all(ampoule_image, panic = "abort", not(ampoule_unwind)), unsafe(no_mangle))]
pub extern "C" fn _Unwind_Backtrace(_trace: *mut c_void, _argument: *mut c_void) -> c_int {
    let (start, length) = thread::current().stack();
    machine::end::flush();
    machine::backtrace::show([0; 2], machine::backtrace::frame_pointer(), start..start + length);
    URC_END_OF_STACK
}

/// There is nothing to resume.
#[cfg_attr(all(ampoule_image, panic = "abort", not(ampoule_unwind)), unsafe(no_mangle))]
pub extern "C" fn _Unwind_Resume(_exception: *mut c_void) -> ! {
    machine::end::run_hooks();
    machine::gate::log(b"a panic tried to unwind in an image built with panic = \"abort\"\n");
    machine::gate::exit(abi::vcpu::STATUS_ABORT)
}

macro_rules! never_called {
    ($($name:ident)*) => { $(
        /// Named by std's personality function, which nobody calls here.
        #[cfg_attr(all(ampoule_image, panic = "abort", not(ampoule_unwind)), unsafe(no_mangle))]
        pub extern "C" fn $name() -> usize {
            0
        }
    )* };
}

never_called! {
    _Unwind_GetIP _Unwind_GetIPInfo _Unwind_GetCFA _Unwind_FindEnclosingFunction _Unwind_GetDataRelBase
    _Unwind_GetTextRelBase _Unwind_GetLanguageSpecificData _Unwind_GetRegionStart _Unwind_GetGR _Unwind_SetGR
    _Unwind_SetIP _Unwind_DeleteException
}
