//! Questions about the system: sysconf, CPUs, names, limits.

use crate::errno;
use core::ffi::{c_char, c_int, c_long};

/// POSIX sysconf, for what programs ask.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub extern "C" fn sysconf(name: c_int) -> c_long {
    match name {
        0 => 2 << 20,                                                           // _SC_ARG_MAX
        2 => 100,                                                               // _SC_CLK_TCK
        4 => 1024,                                                              // _SC_OPEN_MAX
        30 => abi::PAGE_SIZE as c_long,                                         // _SC_PAGESIZE
        60 => 1024,                                                             // _SC_IOV_MAX
        70 => 1024,                                                             // _SC_GETPW_R_SIZE_MAX
        75 => 16384,                                                            // _SC_THREAD_STACK_MIN
        83 | 84 => 1,                                                           // _SC_NPROCESSORS_CONF, _ONLN
        85 => (memory::pages::total_bytes() as u64 / abi::PAGE_SIZE) as c_long, // _SC_PHYS_PAGES
        86 => (memory::pages::free_bytes() as u64 / abi::PAGE_SIZE) as c_long,  // _SC_AVPHYS_PAGES
        180 => 64,                                                              // _SC_HOST_NAME_MAX
        187 | 190 => 64,                                                        // _SC_LEVEL1_{I,D}CACHE_LINESIZE
        _ => {
            errno::set(errno::EINVAL);
            -1
        }
    }
}

/// POSIX getpagesize.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub extern "C" fn getpagesize() -> c_int {
    abi::PAGE_SIZE as c_int
}

/// Linux sched_getaffinity: CPU 0.
///
/// # Safety
/// `length` bytes at `mask` may be written.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn sched_getaffinity(_process: c_int, length: usize, mask: *mut u8) -> c_int {
    if length < size_of::<c_long>() {
        return errno::fail(errno::EINVAL);
    }
    // SAFETY: the caller's bytes.
    unsafe {
        mask.write_bytes(0, length);
        mask.write(1);
    }
    0
}

/// Linux sched_setaffinity: there is one CPU to choose.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub extern "C" fn sched_setaffinity(_process: c_int, _length: usize, _mask: *const u8) -> c_int {
    0
}

/// glibc pthread_getaffinity_np.
///
/// # Safety
/// As [`sched_getaffinity`].
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn pthread_getaffinity_np(_thread: usize, length: usize, mask: *mut u8) -> c_int {
    // SAFETY: passed on.
    unsafe { sched_getaffinity(0, length, mask) }
}

/// Linux sched_getcpu.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub extern "C" fn sched_getcpu() -> c_int {
    0
}

/// glibc get_nprocs.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub extern "C" fn get_nprocs() -> c_int {
    1
}

/// POSIX sched_yield.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub extern "C" fn sched_yield() -> c_int {
    thread::yield_now();
    0
}

/// POSIX getpid: the machine is process 1.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub extern "C" fn getpid() -> c_int {
    1
}

/// POSIX getppid.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub extern "C" fn getppid() -> c_int {
    0
}

macro_rules! root {
    ($($name:ident)*) => { $(
        /// POSIX: there is one user, 0.
        #[cfg_attr(ampoule_image, unsafe(no_mangle))]
        pub extern "C" fn $name() -> c_int {
            0
        }
    )* };
}

root! { getuid geteuid getgid getegid }

/// POSIX gethostname.
///
/// # Safety
/// `length` bytes at `out` may be written.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn gethostname(out: *mut c_char, length: usize) -> c_int {
    const NAME: &[u8] = b"ampoule\0";
    if length < NAME.len() {
        return errno::fail(errno::EINVAL);
    }
    // SAFETY: the caller's bytes.
    unsafe { out.copy_from_nonoverlapping(NAME.as_ptr().cast(), NAME.len()) };
    0
}

/// `struct utsname` (Linux: six fields of 65 bytes).
pub type Utsname = [[u8; 65]; 6];

/// POSIX uname.
///
/// # Safety
/// `out` may be written.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn uname(out: *mut Utsname) -> c_int {
    let mut fields = [[0u8; 65]; 6];
    // The release is the Linux version whose calls are offered.
    let texts: [&[u8]; 6] = [b"Linux", b"ampoule", b"6.1.0", b"ampoule", b"x86_64", b"(none)"];
    for (field, text) in fields.iter_mut().zip(texts) {
        field[..text.len()].copy_from_slice(text);
    }
    // SAFETY: the caller's pointer.
    unsafe { out.write(fields) };
    0
}

/// `struct rlimit`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// What holds now.
    pub soft: u64,
    /// What it may be raised to.
    pub hard: u64,
}

/// POSIX getrlimit: the stack's and the descriptors' limit are told, all else is unlimited.
///
/// # Safety
/// `out` may be written.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn getrlimit(resource: c_int, out: *mut Limit) -> c_int {
    const STACK: c_int = 3;
    const FILES: c_int = 7;
    let limit = match resource {
        STACK => machine::boot().stack.length,
        FILES => 65_536,
        _ => u64::MAX,
    };
    // SAFETY: the caller's pointer.
    unsafe { out.write(Limit { soft: limit, hard: limit }) };
    0
}

/// The same: limits are 64 bits wide on this architecture.
///
/// # Safety
/// As [`getrlimit`].
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn getrlimit64(resource: c_int, out: *mut Limit) -> c_int {
    // SAFETY: passed on.
    unsafe { getrlimit(resource, out) }
}

/// POSIX setrlimit: accepted, without effect.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub extern "C" fn setrlimit(_resource: c_int, _limit: *const Limit) -> c_int {
    0
}

/// The version of glibc whose symbols are offered.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub extern "C" fn gnu_get_libc_version() -> *const c_char {
    c"2.36".as_ptr()
}
