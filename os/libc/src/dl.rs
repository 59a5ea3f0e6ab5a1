//! The dynamic linker's questions, answered for an image that is one object.

use core::ffi::{c_char, c_int, c_void};
use core::ptr::null_mut;
use machine::elf;

/// `struct dl_phdr_info` (glibc).
#[repr(C)]
pub struct PhdrInfo {
    base: usize,
    name: *const c_char,
    headers: *const elf::ProgramHeader,
    header_count: u16,
    loaded: u64,
    unloaded: u64,
    tls_module: usize,
    tls_data: *mut c_void,
}

/// glibc dl_iterate_phdr: calls `each` once.
///
/// # Safety
/// `each` may be called with `argument`.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn dl_iterate_phdr(
    each: unsafe extern "C" fn(*mut PhdrInfo, usize, *mut c_void) -> c_int,
    argument: *mut c_void,
) -> c_int {
    let headers = elf::headers();
    let mut info = PhdrInfo {
        base: elf::base(),
        name: c"".as_ptr(),
        headers: headers.as_ptr(),
        header_count: headers.len() as u16,
        loaded: 1,
        unloaded: 0,
        tls_module: 1,
        tls_data: null_mut(),
    };
    // SAFETY: the caller's function.
    unsafe { each(&mut info, size_of::<PhdrInfo>(), argument) }
}

/// `struct dl_find_object` (glibc 2.35).
#[repr(C)]
pub struct FoundObject {
    flags: u64,
    start: usize,
    end: usize,
    link_map: *mut c_void,
    eh_frame: usize,
    reserved: [u64; 7],
}

/// glibc _dl_find_object: where the unwind tables for an address are. libgcc's unwinder asks for every frame.
///
/// # Safety
/// `out` may be written.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn _dl_find_object(address: usize, out: *mut FoundObject) -> c_int {
    let (base, headers) = (elf::base(), elf::headers());
    let end = headers.iter().filter(|h| h.kind == elf::PT_LOAD).map(|h| h.address + h.memory_length).max();
    let end = base + end.unwrap_or(0) as usize;
    let Some(tables) = headers.iter().find(|h| h.kind == elf::PT_GNU_EH_FRAME) else { return -1 };
    if !(base..end).contains(&address) {
        return -1;
    }
    let found = FoundObject {
        flags: 0,
        start: base,
        end,
        link_map: null_mut(),
        eh_frame: base + tables.address as usize,
        reserved: [0; 7],
    };
    // SAFETY: the caller's pointer.
    unsafe { out.write(found) };
    0
}

/// POSIX dlsym: nothing is found at run time; std takes this as "not there" and falls back.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub extern "C" fn dlsym(_handle: *mut c_void, _name: *const c_char) -> *mut c_void {
    null_mut()
}

/// POSIX dlopen: refused, an image is complete.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub extern "C" fn dlopen(_path: *const c_char, _flags: c_int) -> *mut c_void {
    null_mut()
}

/// POSIX dlclose.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub extern "C" fn dlclose(_handle: *mut c_void) -> c_int {
    0
}

/// POSIX dlerror.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub extern "C" fn dlerror() -> *const c_char {
    c"an image loads nothing at run time: link it in".as_ptr()
}

/// glibc dladdr: no names at run time.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub extern "C" fn dladdr(_address: *const c_void, _info: *mut c_void) -> c_int {
    0
}

/// psABI `tls_index`: a module and an offset in its block.
#[repr(C)]
pub struct TlsIndex {
    module: usize,
    offset: usize,
}

/// psABI §3.4.6 `__tls_get_addr`. Object files that were compiled for shared libraries name it; the linker rewrites their
/// calls for a program that is one module, but where a call stays, the module is the program.
///
/// # Safety
/// `index` can be read, and its offset lies in the program's thread-local block.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn __tls_get_addr(index: *const TlsIndex) -> *mut c_void {
    let block = machine::tls::thread_pointer().wrapping_sub(machine::tls::template().length);
    // SAFETY: the caller's promise; the sum stays in the block.
    unsafe { block.add((*index).offset).cast() }
}
