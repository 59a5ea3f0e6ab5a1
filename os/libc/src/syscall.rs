//! The Linux system-call numbers (x86-64): for the C function `syscall`, and for `syscall` instructions that programs
//! bring along, which arrive through the fault path ([`ampoule_syscall`]).
//!
//! # Three tables
//! std itself calls `syscall` for futexes, so this file is in every image. One table of everything would put every
//! service, sockets included, into a program that prints a line. Hence futexes are dealt with at once, and the rest is
//! reached through the weak symbol `ampoule_syscall_rest`. The builder defines it: as [`ampoule_syscall_few`], what
//! crates ask for by number, for a program with the crate `libc` among its own, and as [`ampoule_syscall_all`], which
//! holds what is left too, for one that makes raw system calls (rustix with its linux_raw backend, for one). Without it
//! the other numbers are `ENOSYS`.
#![cfg_attr(not(ampoule_image), allow(dead_code, reason = "only an image has the C names"))]

use super::fd::{give, set_errno};
use super::poll::Time;
use super::{epoll, fd, fs, message, poll, signal, socket};
use crate::{exit, mmap, time, transfer};
use core::ffi::{c_int, c_long};
use core::sync::atomic::AtomicU32;
use posix::errno::{Errno, Result};
use thread::futex::{self, Outcome};

/// The six arguments of a system call.
type Arguments = [usize; 6];

/// What `clock_gettime` gives for a clock, in ns.
fn clock_ns(real: bool) -> u64 {
    if real { machine::clock::wall_ns() } else { machine::clock::monotonic_ns() }
}

/// The monotonic deadline of a futex timeout: relative for `FUTEX_WAIT`, else a time on one of the clocks.
unsafe fn futex_deadline(timeout: *const Time, relative: bool, real: bool) -> Result<Option<u64>> {
    if timeout.is_null() {
        return Ok(None);
    }
    // SAFETY: the caller's contract.
    let ns = unsafe { fd::value(timeout) }?.ns()?;
    let now = machine::clock::monotonic_ns();
    Ok(Some(match (relative, real) {
        (true, _) => now.saturating_add(ns),
        (false, false) => ns,
        (false, true) => now.saturating_add(ns.saturating_sub(clock_ns(true))),
    }))
}

/// futex(2): `FUTEX_WAIT`, `FUTEX_WAKE`, their `_BITSET` forms, and requeueing, which wakes instead of moving waiters:
/// they look at their condition again, as after any wake.
///
/// # Safety
/// `a[0]` is null or the address of a futex word that lives as long as somebody waits; `a[3]` is null or a time.
#[inline]
unsafe fn futex(a: &Arguments) -> Result<i64> {
    const REAL: usize = 256;
    let (operation, real) = (a[1] & 127, a[1] & REAL != 0);
    // SAFETY: the caller's contract.
    let word = unsafe { (a[0] as *const AtomicU32).as_ref() }.ok_or(Errno::FAULT)?;
    let count = a[2] as u32;
    match operation {
        1 if count == 1 => Ok(futex::wake_one(word).into()),
        1 => Ok(futex::wake(word, count).into()),
        10 if a[5] as u32 == 0 => Err(Errno::INVAL),
        10 => Ok(futex::wake_bits(word, count, a[5] as u32).into()),
        0 | 9 => {
            let bits = if operation == 0 { futex::ANY } else { a[5] as u32 };
            if bits == 0 {
                return Err(Errno::INVAL);
            }
            // SAFETY: the caller's contract.
            let deadline = unsafe { futex_deadline(a[3] as *const Time, operation == 0, real) }?;
            match futex::wait_bits(word, count, deadline, bits) {
                Outcome::Woken => Ok(0),
                Outcome::Changed => Err(Errno::AGAIN),
                Outcome::TimedOut => Err(Errno::TIMEDOUT),
                Outcome::Interrupted => Err(Errno::INTR),
            }
        }
        4 if word.load(core::sync::atomic::Ordering::SeqCst) != a[5] as u32 => Err(Errno::AGAIN),
        3 | 4 => Ok(futex::wake(word, count.saturating_add(a[3] as u32)).into()),
        _ => Err(Errno::NOSYS),
    }
}

/// What a C function said that reports by `errno`.
fn by_errno(result: i64) -> Result<i64> {
    if result == -1 {
        // SAFETY: the running thread's own word.
        return Err(Errno(unsafe { *crate::errno::__errno_location() }));
    }
    Ok(result)
}

/// What crates ask for by number in spite of having a C library. `None`: not one of them.
///
/// # Safety
/// The arguments are what the call of this number takes.
unsafe fn few(number: usize, a: &Arguments) -> Option<Result<i64>> {
    // SAFETY: the caller's contract, for each of the calls.
    Some(unsafe {
        match number {
            0 => fd::do_read(a[0] as c_int, a[1] as *mut _, a[2]),
            1 => fd::do_write(a[0] as c_int, a[1] as *const _, a[2]),
            3 => fd::do_close(a[0] as c_int),
            9 => by_errno(
                mmap::mmap64(a[0] as *mut _, a[1], a[2] as c_int, a[3] as c_int, a[4] as c_int, a[5] as i64) as i64
            ),
            10 => by_errno(mmap::mprotect(a[0] as *mut _, a[1], a[2] as c_int).into()),
            11 => by_errno(mmap::munmap(a[0] as *mut _, a[1]).into()),
            24 => {
                thread::yield_now();
                Ok(0)
            }
            // getpid; getuid, getgid, geteuid, getegid
            39 => Ok(1),
            102 | 104 | 107 | 108 => Ok(0),
            60 | 231 => exit::_exit(a[0] as c_int),
            186 => Ok(crate::pthread::gettid().into()),
            228 => by_errno(time::clock_gettime(a[0] as c_int, a[1] as *mut _).into()),
            318 => by_errno(crate::random::getrandom(a[0] as *mut _, a[1], a[2] as u32) as i64),
            332 => fs::do_statx(a[0] as c_int, a[1] as *const _, a[2] as c_int, a[4] as *mut _),
            _ => return None,
        }
    })
}

/// The short table; see the module's "Three tables".
///
/// # Safety
/// The arguments are what the call of this number takes.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn ampoule_syscall_few(number: usize, a: &Arguments) -> i64 {
    // SAFETY: the caller's contract.
    raw(unsafe { few(number, a) }.unwrap_or(Err(Errno::NOSYS)))
}

/// All other numbers; see the module's "Three tables".
///
/// # Safety
/// The arguments are what the call of this number takes.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn ampoule_syscall_all(number: usize, a: &Arguments) -> i64 {
    // SAFETY: the caller's contract.
    let found = unsafe {
        few(number, a).or_else(|| files(number, a)).or_else(|| sockets(number, a)).or_else(|| rest(number, a))
    };
    raw(found.unwrap_or(Err(Errno::NOSYS)))
}

/// `AT_FDCWD`, `AT_REMOVEDIR`, `AT_SYMLINK_NOFOLLOW`
const CWD: c_int = -100;
const REMOVE_DIRECTORY: c_int = 0x200;
const NO_FOLLOW: c_int = 0x100;

/// Descriptors and names.
unsafe fn files(number: usize, a: &Arguments) -> Option<Result<i64>> {
    let int = |i: usize| a[i] as c_int;
    // SAFETY: the caller's contract, for each of the calls.
    Some(unsafe {
        match number {
            2 => fs::do_open(a[0] as *const _, int(1), a[2] as u32),
            4 => fs::do_stat(a[0] as *const _, a[1] as *mut _),
            6 => fs::do_lstat(a[0] as *const _, a[1] as *mut _),
            5 => fs::do_fstat(int(0), a[1] as *mut _),
            7 => poll::do_poll(a[0] as *mut _, a[1] as u64, poll::deadline_ms(int(2))),
            8 => fd::do_lseek(int(0), a[1] as i64, int(2)),
            16 => fd::do_ioctl(int(0), a[1] as u64, a[2] as *mut _),
            17 => fd::do_pread(int(0), a[1] as *mut _, a[2], a[3] as i64),
            18 => fd::do_pwrite(int(0), a[1] as *const _, a[2], a[3] as i64),
            19 => fd::do_readv(int(0), a[1] as *const _, int(2)),
            20 => fd::do_writev(int(0), a[1] as *const _, int(2)),
            21 => fs::do_faccessat(CWD, a[0] as *const _, int(1), 0),
            22 => fd::do_pipe2(a[0] as *mut _, 0),
            32 => fd::do_dup(int(0)),
            33 => fd::do_dup3(int(0), int(1), 0, Ok(int(1).into())),
            72 => fd::do_fcntl(int(0), int(1), a[2] as u64),
            74 | 75 => fs::do_sync(int(0)),
            40 => transfer::do_sendfile(int(0), int(1), a[2] as *mut _, a[3]),
            73 => fs::do_flock(int(0), int(1)),
            76 => fs::do_truncate(a[0] as *const _, a[1] as i64),
            77 => fs::do_ftruncate(int(0), a[1] as i64),
            79 => fs::do_getcwd(a[0] as *mut _, a[1]),
            80 => fs::do_chdir(a[0] as *const _),
            81 => fs::do_fchdir(int(0)),
            82 => fs::do_renameat2(CWD, a[0] as *const _, CWD, a[1] as *const _, 0),
            83 => fs::do_mkdirat(CWD, a[0] as *const _, a[1] as u32),
            84 => fs::do_unlinkat(CWD, a[0] as *const _, REMOVE_DIRECTORY),
            85 => fs::do_open(a[0] as *const _, 0o1101, a[1] as u32),
            86 => fs::do_linkat(CWD, a[0] as *const _, CWD, a[1] as *const _, 0),
            87 => fs::do_unlinkat(CWD, a[0] as *const _, 0),
            88 => fs::do_symlinkat(a[0] as *const _, CWD, a[1] as *const _),
            89 => fs::do_readlinkat(CWD, a[0] as *const _, a[1] as *mut _, a[2]),
            90 => fs::do_fchmodat(CWD, a[0] as *const _, a[1] as u32, 0),
            91 => fs::do_fchmod(int(0), a[1] as u32),
            92 => fs::do_fchownat(CWD, a[0] as *const _, (a[1] as u32, a[2] as u32), 0),
            93 => fs::do_fchown(int(0), a[1] as u32, a[2] as u32),
            94 => fs::do_fchownat(CWD, a[0] as *const _, (a[1] as u32, a[2] as u32), NO_FOLLOW),
            95 => Ok(fs::umask(a[0] as u32).into()),
            133 => fs::do_mknodat(CWD, a[0] as *const _, a[1] as u32),
            137 => fs::do_statfs(a[0] as *const _, a[1] as *mut _),
            138 => fs::do_fstatfs(int(0), a[1] as *mut _),
            // setxattr to fremovexattr, three of each
            188..=199 => Err(Errno::OPNOTSUPP),
            217 => fs::do_getdents(int(0), a[1] as *mut _, a[2]),
            213 => epoll::do_epoll_create(0),
            232 => epoll::do_epoll_wait(int(0), a[1] as *mut _, int(2), poll::deadline_ms(int(3))),
            233 => epoll::do_epoll_ctl(int(0), int(1), int(2), a[3] as *const _),
            257 => fs::do_openat(int(0), a[1] as *const _, int(2), a[3] as u32),
            258 => fs::do_mkdirat(int(0), a[1] as *const _, a[2] as u32),
            259 => fs::do_mknodat(int(0), a[1] as *const _, a[2] as u32),
            260 => fs::do_fchownat(int(0), a[1] as *const _, (a[2] as u32, a[3] as u32), int(4)),
            262 => fs::do_fstatat(int(0), a[1] as *const _, a[2] as *mut _, int(3)),
            263 => fs::do_unlinkat(int(0), a[1] as *const _, int(2)),
            264 => fs::do_renameat2(int(0), a[1] as *const _, int(2), a[3] as *const _, 0),
            265 => fs::do_linkat(int(0), a[1] as *const _, int(2), a[3] as *const _, int(4)),
            266 => fs::do_symlinkat(a[0] as *const _, int(1), a[2] as *const _),
            267 => fs::do_readlinkat(int(0), a[1] as *const _, a[2] as *mut _, a[3]),
            268 => fs::do_fchmodat(int(0), a[1] as *const _, a[2] as u32, 0),
            269 => fs::do_faccessat(int(0), a[1] as *const _, int(2), 0),
            271 => poll::do_ppoll(a[0] as *mut _, a[1] as u64, a[2] as *const _),
            281 => epoll::do_epoll_wait(int(0), a[1] as *mut _, int(2), poll::deadline_ms(int(3))),
            277 => fs::do_sync(int(0)),
            280 => fs::do_utimensat(int(0), a[1] as *const _, a[2] as *const _, int(3)),
            283 => epoll::do_timerfd_create(int(0), int(1)),
            284 => fd::do_eventfd(a[0] as u32, 0),
            285 => fs::do_fallocate(int(0), int(1), a[2] as i64, a[3] as i64),
            286 => epoll::do_timerfd_settime(int(0), int(1), a[2] as *const _, a[3] as *mut _),
            287 => epoll::do_timerfd_gettime(int(0), a[1] as *mut _),
            290 => fd::do_eventfd(a[0] as u32, int(1)),
            291 => epoll::do_epoll_create(int(0)),
            292 => fd::do_dup3(int(0), int(1), int(2), Err(Errno::INVAL)),
            293 => fd::do_pipe2(a[0] as *mut _, int(1)),
            295 => fd::do_preadv(int(0), a[1] as *const _, int(2), a[3] as i64),
            296 => fd::do_pwritev(int(0), a[1] as *const _, int(2), a[3] as i64),
            306 => posix::table::table().get(int(0)).map(|_| 0),
            316 => fs::do_renameat2(int(0), a[1] as *const _, int(2), a[3] as *const _, a[4] as u32),
            326 => {
                let (from, to) = ((int(0), a[1] as *mut _), (int(2), a[3] as *mut _));
                transfer::do_copy_file_range(from, to, a[4], a[5] as u32)
            }
            436 => fd::do_close_range(a[0] as u32, a[1] as u32, int(2)),
            439 => fs::do_faccessat(int(0), a[1] as *const _, int(2), int(3)),
            441 => epoll::do_epoll_pwait2(int(0), a[1] as *mut _, int(2), a[3] as *const _),
            _ => return None,
        }
    })
}

unsafe fn sockets(number: usize, a: &Arguments) -> Option<Result<i64>> {
    let int = |i: usize| a[i] as c_int;
    // SAFETY: the caller's contract, for each of the calls.
    Some(unsafe {
        match number {
            41 => socket::do_socket(int(0), int(1), int(2)),
            42 => socket::do_connect(int(0), a[1] as *const _, a[2] as u32),
            43 => socket::do_accept(int(0), a[1] as *mut _, a[2] as *mut _, 0),
            44 => socket::do_send(int(0), a[1] as *const _, a[2], int(3), a[4] as *const _, a[5] as u32),
            45 => socket::do_recv(int(0), a[1] as *mut _, a[2], int(3), a[4] as *mut _, a[5] as *mut _),
            46 => message::do_sendmsg(int(0), a[1] as *const _, int(2)),
            47 => message::do_recvmsg(int(0), a[1] as *mut _, int(2)),
            48 => socket::do_shutdown(int(0), int(1)),
            49 => socket::do_bind(int(0), a[1] as *const _, a[2] as u32),
            50 => socket::do_listen(int(0), int(1)),
            51 => socket::do_name(int(0), a[1] as *mut _, a[2] as *mut _, false),
            52 => socket::do_name(int(0), a[1] as *mut _, a[2] as *mut _, true),
            53 => socket::do_socketpair(int(0), int(1), a[3] as *mut _),
            54 => socket::do_setsockopt(int(0), int(1), int(2), a[3] as *const _, a[4] as u32),
            55 => socket::do_getsockopt(int(0), int(1), int(2), a[3] as *mut _, a[4] as *mut _),
            288 => socket::do_accept(int(0), a[1] as *mut _, a[2] as *mut _, int(3)),
            299 => message::do_recvmmsg(int(0), a[1] as *mut _, a[2] as u32, int(3), a[4] as *const _),
            307 => message::do_sendmmsg(int(0), a[1] as *mut _, a[2] as u32, int(3)),
            _ => return None,
        }
    })
}

/// Memory, time, signals, and what a machine has not got.
unsafe fn rest(number: usize, a: &Arguments) -> Option<Result<i64>> {
    let int = |i: usize| a[i] as c_int;
    // SAFETY: the caller's contract, for each of the calls.
    Some(unsafe {
        match number {
            13 => signal::do_rt_sigaction(int(0), a[1] as *const _, a[2] as *mut _),
            14 => signal::do_sigprocmask(int(0), a[1] as *const _, a[2] as *mut _),
            25 => by_errno(mmap::mremap(a[0] as *mut _, a[1], a[2], int(3)) as i64),
            28 => by_errno(mmap::madvise(a[0] as *mut _, a[1], int(2)).into()),
            35 => by_errno(time::nanosleep(a[0] as *const _, a[1] as *mut _).into()),
            // fork, vfork, clone, clone3, execve, execveat
            56..=59 | 322 | 435 => Err(Errno::NOSYS),
            // wait4, waitid
            61 | 247 => Err(Errno::CHILD),
            62 => signal::do_kill(int(0), int(1)),
            110 => Ok(0),
            131 => signal::do_sigaltstack(a[1] as *mut _),
            200 => signal::raise_now(int(1)),
            229 => by_errno(time::clock_getres(int(0), a[1] as *mut _).into()),
            // clock_nanosleep gives the error itself.
            230 => match time::clock_nanosleep(int(0), int(1), a[2] as *const _, a[3] as *mut _) {
                0 => Ok(0),
                error => Err(Errno(error)),
            },
            234 => signal::raise_now(int(2)),
            _ => return None,
        }
    })
}

/// A result as the kernel gives it: the value, or the negated errno.
fn raw(result: Result<i64>) -> i64 {
    result.unwrap_or_else(|error| -i64::from(error.0))
}

type Rest = unsafe extern "C" fn(usize, &Arguments) -> i64;

#[cfg(ampoule_image)]
core::arch::global_asm!(".weak ampoule_syscall_rest");

/// The table of all but futexes that is in this image.
#[cfg(ampoule_image)]
fn other_table() -> Option<Rest> {
    let address: usize;
    // SAFETY: reads an entry of the global offset table: 0 where the weak symbol is not defined.
    unsafe {
        core::arch::asm!(
            "mov {}, qword ptr [rip + ampoule_syscall_rest@GOTPCREL]",
            out(reg) address,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    // SAFETY: null, or a function of this type: the builder defines the symbol as one of the two above.
    unsafe { core::mem::transmute::<usize, Option<Rest>>(address) }
}

#[cfg(not(ampoule_image))]
fn other_table() -> Option<Rest> {
    Some(ampoule_syscall_all)
}

#[inline]
unsafe fn dispatch(number: usize, a: &Arguments) -> i64 {
    match number {
        // SAFETY: the caller's contract.
        202 => raw(unsafe { futex(a) }),
        // SAFETY: the caller's contract.
        _ => other_table().map_or(-i64::from(Errno::NOSYS.0), |table| unsafe { table(number, a) }),
    }
}

/// What a `syscall` instruction does: the result, or a negated errno. The machine's fault path calls it.
///
/// # Safety
/// The arguments are what the call of this number takes.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn ampoule_syscall(
    number: usize,
    a: usize,
    b: usize,
    c: usize,
    d: usize,
    e: usize,
    f: usize,
) -> i64 {
    // SAFETY: the caller's contract.
    unsafe { dispatch(number, &[a, b, c, d, e, f]) }
}

/// Linux `syscall`, its variadic arguments fixed.
///
/// # Safety
/// The arguments are what the call of this number takes.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn syscall(
    number: c_long,
    a: usize,
    b: usize,
    c: usize,
    d: usize,
    e: usize,
    f: usize,
) -> c_long {
    // SAFETY: the caller's contract.
    let result = unsafe { dispatch(number as usize, &[a, b, c, d, e, f]) };
    if (-4095..0).contains(&result) {
        set_errno(Errno(-result as i32));
        return -1;
    }
    give(Ok(result))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_numbers_are_not_implemented() {
        // SAFETY: no call has this number.
        assert_eq!(unsafe { ampoule_syscall(9999, 0, 0, 0, 0, 0, 0) }, -38);
    }

    #[test]
    fn a_changed_word_is_not_waited_for() {
        let word = AtomicU32::new(1);
        let address = &raw const word as usize;
        // SAFETY: FUTEX_WAIT | FUTEX_PRIVATE_FLAG on a word that is there.
        assert_eq!(unsafe { ampoule_syscall(202, address, 128, 2, 0, 0, 0) }, -11);
        // SAFETY: FUTEX_WAKE.
        assert_eq!(unsafe { ampoule_syscall(202, address, 129, 1, 0, 0, 0) }, 0);
        // SAFETY: null is refused.
        assert_eq!(unsafe { ampoule_syscall(202, 0, 129, 1, 0, 0, 0) }, -14);
    }

    #[test]
    fn a_pipe_by_numbers() {
        let mut ends = [0 as c_int; 2];
        let mut buffer = [0u8; 4];
        // SAFETY: pipe2, write and read with buffers of their lengths.
        unsafe {
            assert_eq!(ampoule_syscall(293, ends.as_mut_ptr() as usize, 0, 0, 0, 0, 0), 0);
            assert_eq!(ampoule_syscall(1, ends[1] as usize, b"ping".as_ptr() as usize, 4, 0, 0, 0), 4);
            assert_eq!(ampoule_syscall(0, ends[0] as usize, buffer.as_mut_ptr() as usize, 4, 0, 0, 0), 4);
            assert_eq!(ampoule_syscall(0, ends[1] as usize, buffer.as_mut_ptr() as usize, 4, 0, 0, 0), -9);
            assert_eq!(ampoule_syscall(3, ends[0] as usize, 0, 0, 0, 0, 0), 0);
            assert_eq!(ampoule_syscall(1, ends[1] as usize, 0, 1, 0, 0, 0), -14);
        }
        assert_eq!(&buffer, b"ping");
    }
}
