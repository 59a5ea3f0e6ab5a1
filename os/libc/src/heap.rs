//! malloc and its family, over [`memory::heap`].

use crate::errno;
use core::alloc::Layout;
use core::ffi::{c_int, c_void};
use core::ptr::null_mut;

const ALIGN: usize = 16;

fn layout(size: usize, align: usize) -> Option<Layout> {
    Layout::from_size_align(size, align).ok()
}

fn checked(pointer: *mut u8) -> *mut c_void {
    if pointer.is_null() {
        errno::set(errno::ENOMEM);
    }
    pointer.cast()
}

/// C malloc.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub extern "C" fn malloc(size: usize) -> *mut c_void {
    checked(layout(size, ALIGN).map_or(null_mut(), memory::heap::allocate))
}

/// C calloc.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub extern "C" fn calloc(count: usize, size: usize) -> *mut c_void {
    let layout = count.checked_mul(size).and_then(|bytes| layout(bytes, ALIGN));
    checked(layout.map_or(null_mut(), memory::heap::allocate_zeroed))
}

/// C free.
///
/// # Safety
/// `pointer` is null or a live block's.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn free(pointer: *mut c_void) {
    if !pointer.is_null() {
        // SAFETY: the caller's block.
        unsafe { memory::heap::free(pointer.cast()) };
    }
}

/// C realloc; a size of 0 gives an empty block.
///
/// # Safety
/// As [`free`]; the old block is gone unless null is returned.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn realloc(pointer: *mut c_void, size: usize) -> *mut c_void {
    if pointer.is_null() {
        return malloc(size);
    }
    // SAFETY: the caller's block.
    checked(unsafe { memory::heap::reallocate(pointer.cast(), size) })
}

/// glibc reallocarray.
///
/// # Safety
/// As [`realloc`].
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn reallocarray(pointer: *mut c_void, count: usize, size: usize) -> *mut c_void {
    match count.checked_mul(size) {
        // SAFETY: the caller's block.
        Some(bytes) => unsafe { realloc(pointer, bytes) },
        None => checked(null_mut()),
    }
}

/// POSIX posix_memalign.
///
/// # Safety
/// `out` may be written.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn posix_memalign(out: *mut *mut c_void, align: usize, size: usize) -> c_int {
    if !align.is_power_of_two() || !align.is_multiple_of(size_of::<usize>()) {
        return errno::EINVAL;
    }
    let pointer = layout(size, align).map_or(null_mut(), memory::heap::allocate);
    if pointer.is_null() {
        return errno::ENOMEM;
    }
    // SAFETY: the caller's pointer.
    unsafe { out.write(pointer.cast()) };
    0
}

/// C aligned_alloc.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub extern "C" fn aligned_alloc(align: usize, size: usize) -> *mut c_void {
    checked(layout(size, align).map_or(null_mut(), memory::heap::allocate))
}

/// The old name of [`aligned_alloc`].
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub extern "C" fn memalign(align: usize, size: usize) -> *mut c_void {
    aligned_alloc(align, size)
}

/// glibc malloc_usable_size.
///
/// # Safety
/// As [`free`].
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn malloc_usable_size(pointer: *mut c_void) -> usize {
    // SAFETY: the caller's block.
    if pointer.is_null() { 0 } else { unsafe { memory::heap::usable_size(pointer.cast()) } }
}
