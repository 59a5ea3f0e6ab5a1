//! System calls, all of them from one instruction.
//!
//! The tender's filter lets calls through only from [`site`], so that a `syscall` instruction anywhere else, the guest's
//! text above all, is stopped whatever its number and arguments are. Hence no libc and no inlined assembly here: the
//! one stub below has the System V ABI of C's `syscall`, and returns the kernel's result as it is (negative: errno).
//!
//! The functions take raw addresses because what they name is guest memory; the kernel checks it and says `EFAULT`.
//! None needs thread-local storage.

use core::arch::global_asm;

global_asm!(
    ".pushsection .text.ampoule_system_call,\"ax\",@progbits",
    ".globl ampoule_system_call",
    ".type ampoule_system_call,@function",
    "ampoule_system_call:",
    "mov rax, rdi",
    "mov rdi, rsi",
    "mov rsi, rdx",
    "mov rdx, rcx",
    "mov r10, r8",
    "mov r8, r9",
    "mov r9, [rsp + 8]",
    "syscall",
    ".globl ampoule_system_call_site",
    "ampoule_system_call_site:",
    "ret",
    ".size ampoule_system_call, . - ampoule_system_call",
    ".popsection",
);

unsafe extern "sysv64" {
    fn ampoule_system_call(number: usize, a: usize, b: usize, c: usize, d: usize, e: usize, f: usize) -> isize;
    static ampoule_system_call_site: u8;
}

/// Numbers of the calls that a locked-down tender may make (x86-64, `arch/x86/entry/syscalls/syscall_64.tbl`).
pub mod number {
    /// `read`
    pub const READ: u32 = 0;
    /// `write`
    pub const WRITE: u32 = 1;
    /// `close`
    pub const CLOSE: u32 = 3;
    /// `mprotect`
    pub const MPROTECT: u32 = 10;
    /// `rt_sigreturn`
    pub const RT_SIGRETURN: u32 = 15;
    /// `madvise`
    pub const MADVISE: u32 = 28;
    /// `recvmsg`
    pub const RECVMSG: u32 = 47;
    /// `shutdown`
    pub const SHUTDOWN: u32 = 48;
    /// `clock_gettime`
    pub const CLOCK_GETTIME: u32 = 228;
    /// `exit_group`
    pub const EXIT_GROUP: u32 = 231;
    /// `epoll_ctl`
    pub const EPOLL_CTL: u32 = 233;
    /// `accept4`
    pub const ACCEPT4: u32 = 288;
    /// `epoll_pwait2`
    pub const EPOLL_PWAIT2: u32 = 441;
}

/// Errno values that the servers act on, positive.
pub mod errno {
    /// Interrupted by a signal.
    pub const EINTR: i32 = 4;
    /// Bad descriptor.
    pub const EBADF: i32 = 9;
    /// Nothing to do right now.
    pub const EAGAIN: i32 = 11;
    /// Out of memory.
    pub const ENOMEM: i32 = 12;
    /// Forbidden.
    pub const EACCES: i32 = 13;
    /// Bad address.
    pub const EFAULT: i32 = 14;
    /// Invalid argument.
    pub const EINVAL: i32 = 22;
    /// Too many open files in the system.
    pub const ENFILE: i32 = 23;
    /// Too many open files.
    pub const EMFILE: i32 = 24;
    /// Nobody reads any more.
    pub const EPIPE: i32 = 32;
    /// The datagram is too long.
    pub const EMSGSIZE: i32 = 90;
    /// Not supported on this socket.
    pub const EOPNOTSUPP: i32 = 95;
    /// The connection was aborted.
    pub const ECONNABORTED: i32 = 103;
    /// No buffer space.
    pub const ENOBUFS: i32 = 105;
    /// The socket is not connected.
    pub const ENOTCONN: i32 = 107;
}

/// Where the program counter stands when the kernel sees a call of ours: behind the one `syscall` instruction.
pub fn site() -> u64 {
    &raw const ampoule_system_call_site as u64
}

fn call(number: u32, a: usize, b: usize, c: usize, d: usize, e: usize) -> isize {
    // SAFETY: the calls of this module read and write only what their callers own or what the kernel checks: a wrong
    // guest address is an error result, and buffers of ours are passed by functions that hold references to them.
    unsafe { ampoule_system_call(number as usize, a, b, c, d, e, 0) }
}

/// Reads into `length` bytes at `buffer`.
///
/// # Safety
/// The bytes belong to guest memory, or to a buffer that the caller may write.
pub unsafe fn read(descriptor: i32, buffer: *mut u8, length: usize) -> isize {
    call(number::READ, descriptor as usize, buffer as usize, length, 0, 0)
}

/// Writes `length` bytes from `buffer`. The kernel checks the address; nothing here is written.
pub fn write(descriptor: i32, buffer: *const u8, length: usize) -> isize {
    call(number::WRITE, descriptor as usize, buffer as usize, length, 0, 0)
}

/// Closes a descriptor.
pub fn close(descriptor: i32) {
    call(number::CLOSE, descriptor as usize, 0, 0, 0, 0);
}

/// Ends the process.
pub fn exit(status: u8) -> ! {
    loop {
        call(number::EXIT_GROUP, usize::from(status), 0, 0, 0, 0);
    }
}

/// Changes the access of pages; `protection` as for `mprotect(2)`.
///
/// # Safety
/// The pages are guest memory of which no Rust reference exists.
pub unsafe fn protect(address: usize, length: usize, protection: usize) -> isize {
    call(number::MPROTECT, address, length, protection, 0, 0)
}

/// Gives pages back: they read as zero from now on.
///
/// # Safety
/// As for [`protect`].
pub unsafe fn discard(address: usize, length: usize) -> isize {
    const MADV_DONTNEED: usize = 4;
    call(number::MADVISE, address, length, MADV_DONTNEED, 0, 0)
}

/// Reads a clock, where there is no vDSO to do it. `into` has room for two words: the kernel checks the address.
pub fn clock_gettime(clock: i32, into: *mut [i64; 2]) -> isize {
    call(number::CLOCK_GETTIME, clock as usize, into as usize, 0, 0, 0)
}

/// Half-closes a socket; `how` is 0 (receive), 1 (send) or 2.
pub fn shutdown(descriptor: i32, how: u32) -> isize {
    call(number::SHUTDOWN, descriptor as usize, how as usize, 0, 0, 0)
}

/// `struct epoll_event`, which is packed on x86-64.
#[repr(C, packed)]
#[derive(Clone, Copy, Default)]
pub struct EpollEvent {
    /// `EPOLL*` bits.
    pub events: u32,
    /// What was given to [`epoll_add`].
    pub token: u64,
}

/// Readable.
pub const EPOLL_IN: u32 = 1;
/// Writable.
pub const EPOLL_OUT: u32 = 4;
/// An error is pending.
pub const EPOLL_ERROR: u32 = 8;
/// Both directions are over.
pub const EPOLL_HANG_UP: u32 = 16;
/// The peer will send no more.
pub const EPOLL_READ_END: u32 = 0x2000;
/// Report changes, not states.
pub const EPOLL_EDGE: u32 = 1 << 31;

/// Adds a descriptor to an epoll set.
pub fn epoll_add(set: i32, descriptor: i32, events: u32, token: u64) -> isize {
    const EPOLL_CTL_ADD: usize = 1;
    let event = EpollEvent { events, token };
    call(number::EPOLL_CTL, set as usize, EPOLL_CTL_ADD, descriptor as usize, &raw const event as usize, 0)
}

/// Waits for events; `timeout_ns` `None` is for ever. The number of events, or a negative errno.
pub fn epoll_wait(set: i32, events: &mut [EpollEvent], timeout_ns: Option<u64>) -> isize {
    let time = timeout_ns.map(|ns| [(ns / 1_000_000_000) as i64, (ns % 1_000_000_000) as i64]);
    let pointer = time.as_ref().map_or(core::ptr::null(), |t| t.as_ptr());
    call(number::EPOLL_PWAIT2, set as usize, events.as_mut_ptr() as usize, events.len(), pointer as usize, 0)
}
