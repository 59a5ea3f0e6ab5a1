//! What a Rust library needs to stand on its own: an allocator, and an end for panics of the library OS itself.

use core::alloc::{GlobalAlloc, Layout};
use core::fmt::Write;
use core::panic::PanicInfo;
use machine::fault::Line;
use memory::heap;

struct Heap;

#[global_allocator]
static HEAP: Heap = Heap;

// SAFETY: `heap` gives blocks of the layout's size and alignment, which stay until they are freed.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        heap::allocate(layout)
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        heap::allocate_zeroed(layout)
    }

    unsafe fn dealloc(&self, pointer: *mut u8, _layout: Layout) {
        // SAFETY: the caller's block.
        unsafe { heap::free(pointer) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, _layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's block; reallocation keeps its alignment.
        unsafe { heap::reallocate(pointer, size) }
    }
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    machine::end::run_hooks();
    let mut line = Line::default();
    let _ = writeln!(line, "the library OS panicked: {info}");
    machine::gate::log(line.as_bytes());
    use abi::vcpu::{STATUS_ABORT, STATUS_OUT_OF_MEMORY};
    machine::gate::exit(if heap::exhausted() { STATUS_OUT_OF_MEMORY } else { STATUS_ABORT })
}
