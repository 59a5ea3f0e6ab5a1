//! The unwinder's symbols in images without one.
//!
//! With `panic = "abort"` nothing unwinds, but the prebuilt std still names these functions. They are *weak*: where the
//! program is built with `panic = "unwind"`, std asks for `_Unwind_RaiseException` too, which is not here, so the linker
//! takes libgcc_eh's object and its definitions win over ours.
//!
//! [`backtrace`] follows frame pointers. If the image carries its symbols, std names the frames itself; otherwise the
//! addresses go to the far side, which has the debug file, and std prints none.

use core::ffi::{c_int, c_void};

const URC_END_OF_STACK: c_int = 5;

/// What the trace function is handed as `_Unwind_Context`.
#[repr(C)]
struct Context {
    address: usize,
    frame: usize,
}

type Trace = unsafe extern "C" fn(*mut Context, *mut c_void) -> c_int;

extern "C" fn backtrace(trace: Trace, argument: *mut c_void) -> c_int {
    let (start, length) = thread::current().stack();
    let mut addresses = [0u64; abi::gate::BACKTRACE_MAX as usize];
    let mut count = 0;
    machine::backtrace::walk(machine::backtrace::frame_pointer(), start..start + length, |address| {
        addresses[count] = address as u64;
        count += 1;
        count < addresses.len()
    });
    if machine::boot().symbols.length == 0 {
        machine::end::flush();
        machine::gate::backtrace(&addresses[..count]);
        return URC_END_OF_STACK;
    }
    for address in &addresses[..count] {
        let mut context = Context { address: *address as usize, frame: 0 };
        // SAFETY: the caller's function, with the argument it gave.
        if unsafe { trace(&mut context, argument) } != 0 {
            break;
        }
    }
    URC_END_OF_STACK
}

unsafe extern "C" fn get_ip(context: *const Context) -> usize {
    // SAFETY: `backtrace` made it.
    unsafe { (*context).address }
}

unsafe extern "C" fn get_ip_info(context: *const Context, before: *mut c_int) -> usize {
    // SAFETY: as above, and the caller's pointer.
    unsafe {
        before.write(0);
        (*context).address
    }
}

unsafe extern "C" fn get_cfa(context: *const Context) -> usize {
    // SAFETY: `backtrace` made it.
    unsafe { (*context).frame }
}

extern "C" fn find_enclosing_function(address: *mut c_void) -> *mut c_void {
    address
}

extern "C" fn none() -> usize {
    0
}

extern "C" fn resume() -> ! {
    machine::end::run_hooks();
    machine::gate::log(b"a panic tried to unwind in an image built with panic = \"abort\"\n");
    machine::gate::exit(abi::vcpu::STATUS_ABORT)
}

/// `weak!(symbol, function)`: the symbol jumps to the function, unless somebody stronger defines it.
macro_rules! weak {
    ($($symbol:literal => $function:path;)*) => {
        #[cfg(ampoule_image)]
        mod symbols {
            use super::*;
            $(core::arch::global_asm!(
                concat!(".section .text.", $symbol, ",\"ax\",@progbits"),
                concat!(".weak ", $symbol),
                concat!(".type ", $symbol, ",@function"),
                concat!($symbol, ":"),
                "jmp {function}",
                ".text",
                function = sym $function,
            );)*
        }
        /// Keeps the functions used where there are no symbols for them.
        #[cfg(not(ampoule_image))]
        #[allow(dead_code)] // images name them by symbol
        fn used() -> impl Sized {
            ($($function as *const (),)*)
        }
    };
}

weak! {
    "_Unwind_Backtrace" => backtrace;
    "_Unwind_GetIP" => get_ip;
    "_Unwind_GetIPInfo" => get_ip_info;
    "_Unwind_GetCFA" => get_cfa;
    "_Unwind_FindEnclosingFunction" => find_enclosing_function;
    "_Unwind_GetDataRelBase" => none;
    "_Unwind_GetTextRelBase" => none;
    "_Unwind_GetLanguageSpecificData" => none;
    "_Unwind_GetRegionStart" => none;
    "_Unwind_GetGR" => none;
    "_Unwind_SetGR" => none;
    "_Unwind_SetIP" => none;
    "_Unwind_DeleteException" => none;
    "_Unwind_Resume" => resume;
}
