//! Arguments and environment.
//!
//! Both come from the boot information's strings. `environ` starts as an array of pointers to them; `setenv` replaces the
//! array and never frees old strings, since C lets a program keep what `getenv` gave it.

use crate::errno;
use alloc::vec::Vec;
use core::ffi::{CStr, c_char, c_int};
use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, Ordering};
use sync::SpinLock;

/// The environment: a null-terminated array of `NAME=value` strings (POSIX, environ).
#[allow(non_upper_case_globals)] // C's name
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub static environ: AtomicPtr<*mut c_char> = AtomicPtr::new(null_mut());
/// The same under the name that glibc also gives it.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
#[allow(non_upper_case_globals)] // C's name
pub static program_invocation_name: AtomicPtr<c_char> = AtomicPtr::new(null_mut());
static CHANGING: SpinLock<()> = SpinLock::new(());

/// Lays `argc`, `argv` and `envp` out, one after the other as at a process's entry.
#[cfg_attr(not(ampoule_image), allow(dead_code))] // `start` calls it
pub(crate) fn lay_out() -> (c_int, *mut *mut c_char, *mut *mut c_char) {
    let boot = machine::boot();
    let (arguments, entries) = (boot.argument_count as usize, boot.environment_count as usize);
    let mut table = Vec::with_capacity(arguments + entries + 2);
    let mut string = boot.strings.address.0 as *mut c_char;
    for index in 0..arguments + entries {
        if index == arguments {
            table.push(null_mut());
        }
        if index < arguments || !is_hidden(string) {
            table.push(string);
        }
        // SAFETY: the boot information holds that many NUL-terminated strings.
        string = unsafe { string.add(CStr::from_ptr(string).count_bytes() + 1) };
    }
    if entries == 0 {
        table.push(null_mut());
    }
    table.push(null_mut());
    let table = table.leak();
    let (argv, envp) = table.split_at_mut(arguments + 1);
    environ.store(envp.as_mut_ptr(), Ordering::Release);
    program_invocation_name.store(argv[0], Ordering::Relaxed);
    (arguments as c_int, argv.as_mut_ptr(), envp.as_mut_ptr())
}

/// Is the string for the library OS alone? In a traced image, what is to be traced.
fn is_hidden(string: *const c_char) -> bool {
    // SAFETY: one of the boot information's strings.
    cfg!(ampoule_trace) && unsafe { value_of(string.cast_mut(), abi::trace::VARIABLE.as_bytes()) }.is_some()
}

/// The entries, as they are now.
fn entries() -> impl Iterator<Item = *mut c_char> {
    let table = environ.load(Ordering::Acquire);
    // SAFETY: a null-terminated array, by C's contract for `environ`.
    (0..).map_while(move |i| unsafe {
        if table.is_null() { None } else { Some(*table.add(i)).filter(|entry| !entry.is_null()) }
    })
}

/// # Safety
/// `entry` is a C string.
unsafe fn value_of(entry: *mut c_char, name: &[u8]) -> Option<*mut c_char> {
    // SAFETY: the caller's string; it is long enough as far as the prefix matches.
    unsafe {
        let bytes = CStr::from_ptr(entry).to_bytes();
        (bytes.len() > name.len() && bytes[name.len()] == b'=' && bytes.starts_with(name))
            .then(|| entry.add(name.len() + 1))
    }
}

/// POSIX getenv.
///
/// # Safety
/// `name` is a C string.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn getenv(name: *const c_char) -> *mut c_char {
    // SAFETY: the caller's string, and the environment's.
    unsafe {
        let name = CStr::from_ptr(name).to_bytes();
        entries().find_map(|entry| value_of(entry, name)).unwrap_or(null_mut())
    }
}

/// glibc secure_getenv: nothing here runs with more rights than its caller.
///
/// # Safety
/// As [`getenv`].
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn secure_getenv(name: *const c_char) -> *mut c_char {
    // SAFETY: passed on.
    unsafe { getenv(name) }
}

/// # Safety
/// `name` is null or a C string.
unsafe fn checked_name<'a>(name: *const c_char) -> Option<&'a [u8]> {
    // SAFETY: not null, so the caller's string.
    let bytes = (!name.is_null()).then(|| unsafe { CStr::from_ptr(name).to_bytes() })?;
    (!bytes.is_empty() && !bytes.contains(&b'=')).then_some(bytes)
}

/// Replaces the entries of this name by `new` (or by none).
fn replace(name: &[u8], new: Option<*mut c_char>) {
    let _changing = CHANGING.lock();
    // SAFETY: the environment's own strings.
    let others = entries().filter(|entry| unsafe { value_of(*entry, name) }.is_none());
    let table: Vec<*mut c_char> = others.chain(new).chain([null_mut()]).collect();
    environ.store(table.leak().as_mut_ptr(), Ordering::Release);
}

/// POSIX setenv.
///
/// # Safety
/// `name` and `value` are C strings, or null.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn setenv(name: *const c_char, value: *const c_char, overwrite: c_int) -> c_int {
    // SAFETY: the caller's strings.
    unsafe {
        let Some(key) = checked_name(name) else { return errno::fail(errno::EINVAL) };
        if value.is_null() {
            return errno::fail(errno::EFAULT);
        }
        if overwrite == 0 && !getenv(name).is_null() {
            return 0;
        }
        let entry = [key, b"=", CStr::from_ptr(value).to_bytes_with_nul()].concat().leak();
        replace(key, Some(entry.as_mut_ptr().cast()));
        0
    }
}

/// POSIX unsetenv.
///
/// # Safety
/// `name` is a C string, or null.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn unsetenv(name: *const c_char) -> c_int {
    // SAFETY: the caller's string.
    let Some(key) = (unsafe { checked_name(name) }) else { return errno::fail(errno::EINVAL) };
    replace(key, None);
    0
}

/// POSIX putenv.
///
/// # Safety
/// `entry` is a C string that stays.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn putenv(entry: *mut c_char) -> c_int {
    // SAFETY: the caller's string.
    let bytes = unsafe { CStr::from_ptr(entry).to_bytes() };
    match bytes.iter().position(|b| *b == b'=') {
        Some(length) => replace(&bytes[..length], Some(entry)),
        None => replace(bytes, None),
    }
    0
}

/// POSIX getauxval's Linux meaning, for what programs ask: page size, program headers, randomness.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub extern "C" fn getauxval(kind: u64) -> u64 {
    const AT_PHDR: u64 = 3;
    const AT_PHENT: u64 = 4;
    const AT_PHNUM: u64 = 5;
    const AT_PAGESZ: u64 = 6;
    const AT_CLKTCK: u64 = 17;
    const AT_SECURE: u64 = 23;
    const AT_RANDOM: u64 = 25;
    const AT_HWCAP: u64 = 16;
    match kind {
        AT_PHDR => machine::elf::headers().as_ptr() as u64,
        AT_PHENT => size_of::<machine::elf::ProgramHeader>() as u64,
        AT_PHNUM => machine::elf::headers().len() as u64,
        AT_PAGESZ => abi::PAGE_SIZE,
        AT_CLKTCK => 100,
        AT_RANDOM => machine::boot().seed[16..].as_ptr() as u64,
        AT_SECURE | AT_HWCAP => 0,
        _ => {
            errno::set(errno::ENOENT);
            0
        }
    }
}
