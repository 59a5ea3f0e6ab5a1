//! mmap and its family, from the page allocator.
//!
//! There is no address space to reserve beyond the machine's memory, so every mapping is memory, and code cannot be made
//! (`EACCES`). A shared mapping of a file is the file's own memory, and so is one of a sealed file that is only read; any
//! other private mapping of a file is a copy. Where there are no files ([`crate::fs`]) they cannot be mapped (`ENODEV`),
//! but for the sealed symbol file that std maps for its backtraces where panics unwind.

use crate::errno;
use core::ffi::{c_int, c_void};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, Ordering};
use memory::pages;
use posix::names::Memory;

const PROT_WRITE: c_int = 2;
const PROT_EXEC: c_int = 4;
const MAP_PRIVATE: c_int = 2;
const MAP_FIXED: c_int = 0x10;
const MAP_ANONYMOUS: c_int = 0x20;
const MAP_FAILED: *mut c_void = usize::MAX as *mut c_void;
const MREMAP_MAYMOVE: c_int = 1;
const PAGE: usize = abi::PAGE_SIZE as usize;

/// Is there a file that can be mapped?
const HAS_FILES: bool = cfg!(any(panic = "unwind", ampoule_unwind, not(ampoule_image)));

/// Has any page been protected? Then pages that come back must be made writable first.
static PROTECTED: AtomicBool = AtomicBool::new(false);

fn failed(code: c_int) -> *mut c_void {
    errno::set(code);
    MAP_FAILED
}

/// POSIX mmap.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub extern "C" fn mmap64(
    _address: *mut c_void,
    length: usize,
    protection: c_int,
    flags: c_int,
    fd: c_int,
    offset: i64,
) -> *mut c_void {
    if length == 0 || flags & MAP_FIXED != 0 {
        return failed(errno::EINVAL);
    }
    let is_file = flags & MAP_ANONYMOUS == 0;
    if protection & PROT_EXEC != 0 {
        return failed(errno::EACCES);
    }
    if is_file {
        match map_file(fd, offset, length, protection, flags) {
            Ok(None) => {}
            Ok(Some(address)) => return address as *mut c_void,
            Err(error) => return failed(error.0),
        }
    }
    let Some(run) = pages::allocate(length) else { return failed(errno::ENOMEM) };
    if is_file
        // SAFETY: `length` bytes that are ours.
        && let Err(error) = unsafe { copy_file(fd, offset, run.as_ptr(), length) }
    {
        // SAFETY: nobody has seen the pages.
        unsafe { pages::free(run, length.next_multiple_of(PAGE)) };
        return failed(error.0);
    }
    if protection & PROT_WRITE == 0 {
        // A refusal leaves it writable, which no correct program notices.
        let _ = mprotect(run.as_ptr().cast(), length, protection);
    }
    run.as_ptr().cast()
}

/// The place of a mapping that needs no copy, if this is one.
fn map_file(
    fd: c_int,
    offset: i64,
    length: usize,
    protection: c_int,
    flags: c_int,
) -> Result<Option<usize>, posix::errno::Errno> {
    use posix::errno::Errno;
    let shared = flags & MAP_PRIVATE == 0;
    match crate::fs::names() {
        Some(names) => {
            let mapping = posix::names::Mapping { shared, write: protection & PROT_WRITE != 0 };
            names.map(fd, offset, length, mapping)
        }
        None if HAS_FILES && !shared => Ok(None),
        None => Err(Errno::NODEV),
    }
}

/// Fills a mapping from a file; what lies behind its end stays zero.
///
/// # Safety
/// `length` bytes at `to` may be written.
unsafe fn copy_file(fd: c_int, offset: i64, to: *mut u8, length: usize) -> Result<(), posix::errno::Errno> {
    let mut done = 0;
    while done < length {
        // SAFETY: the rest of the caller's bytes.
        match unsafe { crate::fd::do_pread(fd, to.add(done).cast(), length - done, offset + done as i64) }? {
            0 => break,
            count => done += count as usize,
        }
    }
    Ok(())
}

/// The same: offsets are 64 bits wide on this architecture.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub extern "C" fn mmap(
    address: *mut c_void,
    length: usize,
    protection: c_int,
    flags: c_int,
    fd: c_int,
    offset: i64,
) -> *mut c_void {
    mmap64(address, length, protection, flags, fd, offset)
}

/// What memory of a file a mapping begins with, if it does.
fn of_file(address: *mut c_void) -> Option<Memory> {
    crate::fs::names()?.memory(address as usize)
}

fn in_arena(address: usize, length: usize) -> bool {
    let arena = &machine::boot().arena;
    let start = arena.address.0 as usize;
    address.is_multiple_of(PAGE)
        && address >= start
        && address.checked_add(length).is_some_and(|end| end <= start + arena.length as usize)
}

/// POSIX munmap; parts of a mapping may go by themselves.
///
/// # Safety
/// The range was mapped, and nothing refers to it any more.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn munmap(address: *mut c_void, length: usize) -> c_int {
    let rounded = length.checked_next_multiple_of(PAGE).unwrap_or(0);
    if rounded != 0 && crate::fs::names().is_some_and(|names| names.unmap(address as usize, rounded)) {
        return 0;
    }
    let Some(run) = NonNull::new(address.cast()).filter(|_| rounded != 0 && in_arena(address as usize, rounded)) else {
        return errno::fail(errno::EINVAL);
    };
    if PROTECTED.load(Ordering::Relaxed) {
        pages::unguard(address as usize, rounded);
    }
    // SAFETY: the caller's mapping.
    unsafe { pages::free(run, rounded) };
    0
}

/// POSIX mprotect.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub extern "C" fn mprotect(address: *mut c_void, length: usize, protection: c_int) -> c_int {
    use abi::gate::{ACCESS_NONE, ACCESS_READ, ACCESS_READ_WRITE};
    let rounded = length.checked_next_multiple_of(PAGE).unwrap_or(0);
    if protection & PROT_EXEC != 0 {
        return errno::fail(errno::EACCES);
    }
    match of_file(address) {
        // What is sealed stays as it is.
        Some(Memory::Sealed) if protection & PROT_WRITE != 0 => return errno::fail(errno::EACCES),
        // Files are written to by way of the same pages.
        Some(_) => return 0,
        None => {}
    }
    if !in_arena(address as usize, rounded) {
        return errno::fail(errno::EINVAL);
    }
    let access = match protection {
        0 => ACCESS_NONE,
        p if p & PROT_WRITE != 0 => ACCESS_READ_WRITE,
        _ => ACCESS_READ,
    };
    PROTECTED.store(true, Ordering::Relaxed);
    match machine::gate::protect(address as usize, rounded, access) {
        Ok(()) => 0,
        Err(_) => errno::fail(errno::EACCES),
    }
}

/// Linux mremap.
///
/// # Safety
/// The range was mapped.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn mremap(address: *mut c_void, old: usize, new: usize, flags: c_int) -> *mut c_void {
    let Some(run) = NonNull::new(address.cast::<u8>()).filter(|_| old != 0 && new != 0) else {
        return failed(errno::EINVAL);
    };
    let (old, new) = (old.next_multiple_of(PAGE), new.checked_next_multiple_of(PAGE).unwrap_or(usize::MAX));
    // SAFETY: the caller's mapping; what is added is zeroed, as a mapping's growth is.
    unsafe {
        if new < old {
            munmap(address.byte_add(new), old - new);
            return address;
        }
        // A file's memory has the file's neighbours.
        if of_file(address).is_some() {
            return failed(errno::ENOMEM);
        }
        if pages::grow(run, old, new) {
            run.add(old).write_bytes(0, new - old);
            return address;
        }
        if flags & MREMAP_MAYMOVE == 0 {
            return failed(errno::ENOMEM);
        }
        let Some(moved) = pages::allocate(new) else { return failed(errno::ENOMEM) };
        moved.copy_from_nonoverlapping(run, old);
        munmap(address, old);
        moved.as_ptr().cast()
    }
}

/// Linux madvise. `MADV_DONTNEED` (4) zeroes, which programs rely on; all else is advice.
///
/// # Safety
/// The range is mapped.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn madvise(address: *mut c_void, length: usize, advice: c_int) -> c_int {
    if advice == 4 && in_arena(address as usize, length) && of_file(address).is_none() {
        // SAFETY: the caller's mapping.
        unsafe { address.cast::<u8>().write_bytes(0, length) };
    }
    0
}

/// POSIX mlock: memory never leaves the machine.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub extern "C" fn mlock(_address: *const c_void, _length: usize) -> c_int {
    0
}

/// POSIX munlock.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub extern "C" fn munlock(_address: *const c_void, _length: usize) -> c_int {
    0
}

/// POSIX msync: a shared mapping is the file itself.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub extern "C" fn msync(_address: *mut c_void, _length: usize, _flags: c_int) -> c_int {
    0
}
