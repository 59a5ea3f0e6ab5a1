//! A guest without a library OS: one property of the exokernel for each word on its command line.
//!
//! `exokernel-probe WORD...` prints `WORD: ok` for each and exits 0, or says what is wrong and exits 1. Some words end the
//! machine on purpose; the test that runs them says how.
#![no_std]
#![no_main]

mod machine;
mod properties;

use machine::{exit, print};

/// The first Rust function.
#[unsafe(no_mangle)]
extern "C" fn probe_main(boot: &'static abi::boot::BootInfo) -> ! {
    machine::set_boot(boot);
    let mut words = machine::arguments().skip(1).peekable();
    if words.peek().is_none() {
        print("hello from ring 3\n");
    }
    for word in words {
        match properties::check(word) {
            Ok(()) => {
                print(word);
                print(": ok\n");
            }
            Err(reason) => {
                print(word);
                print(": ");
                print(reason);
                print("\n");
                exit(1);
            }
        }
    }
    exit(0)
}

#[panic_handler]
fn panic(information: &core::panic::PanicInfo<'_>) -> ! {
    print("probe panic in ");
    print(information.location().map_or("?", |l| l.file()));
    print("\n");
    exit(101)
}

/// `abi` names `alloc`; nothing here allocates.
struct NoHeap;

// SAFETY: null is always an allowed answer.
unsafe impl core::alloc::GlobalAlloc for NoHeap {
    unsafe fn alloc(&self, _: core::alloc::Layout) -> *mut u8 {
        core::ptr::null_mut()
    }
    unsafe fn dealloc(&self, _: *mut u8, _: core::alloc::Layout) {}
}

#[global_allocator]
static HEAP: NoHeap = NoHeap;
