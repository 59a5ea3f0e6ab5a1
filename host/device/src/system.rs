//! System calls, all of them from one instruction.
//!
//! The tender's filter lets calls through only from [`site`], so that a `syscall` instruction anywhere else, the guest's
//! text above all, is stopped whatever its number and arguments are. Hence no libc and no inlined assembly here: the
//! one stub below has the System V ABI of C's `syscall`, and returns the kernel's result as it is (negative: errno).
//!
//! The functions take raw addresses because what they name is guest memory; the kernel checks it and says `EFAULT`.
//! None needs thread-local storage.

use crate::control::Control;
use abi::hostnet::Address;
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
    /// `ioctl`
    pub const IOCTL: u32 = 16;
    /// `madvise`
    pub const MADVISE: u32 = 28;
    /// `setitimer`
    pub const SETITIMER: u32 = 38;
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
    /// Not permitted.
    pub const EPERM: i32 = 1;
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

/// Makes a request of a device. The kernel checks the argument.
///
/// # Safety
/// What the request reads and writes behind `argument` is the caller's to give.
pub unsafe fn ioctl(descriptor: i32, request: u32, argument: usize) -> isize {
    call(number::IOCTL, descriptor as usize, request as usize, argument, 0, 0)
}

/// Has a timer of the process (`ITIMER_*`) expire every `every_us` microseconds from now on; 0 stops it.
pub fn set_timer(timer: i32, every_us: u32) -> isize {
    let every = [i64::from(every_us / 1_000_000), i64::from(every_us % 1_000_000)];
    let value = [every, every];
    call(number::SETITIMER, timer as usize, &raw const value as usize, 0, 0, 0)
}

/// Half-closes a socket; `how` is 0 (receive), 1 (send) or 2.
pub fn shutdown(descriptor: i32, how: u32) -> isize {
    call(number::SHUTDOWN, descriptor as usize, how as usize, 0, 0, 0)
}

/// What a call on a socket gave besides its result: an address as the kernel writes it (`sockaddr_in`, `sockaddr_in6`).
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default)]
pub struct SocketAddress {
    bytes: [u8; 28],
    length: u32,
}

impl SocketAddress {
    fn empty() -> Self {
        Self { bytes: [0; 28], length: 28 }
    }

    /// The address; family 0 where there is none. With `mapped`, an IPv4 address comes as `::ffff:a.b.c.d` (RFC 4291
    /// §2.5.5.2), as IPv6 sockets see such peers.
    pub fn address(&self, mapped: bool) -> Address {
        const AF_INET: u16 = 2;
        const AF_INET6: u16 = 10;
        let b = &self.bytes;
        let mut address = Address { port: u16::from_be_bytes([b[2], b[3]]), ..Address::default() };
        match u16::from_ne_bytes([b[0], b[1]]) {
            AF_INET if mapped => {
                address.family = 6;
                address.bytes[10..12].copy_from_slice(&[0xff, 0xff]);
                address.bytes[12..].copy_from_slice(&b[4..8]);
            }
            AF_INET => {
                address.family = 4;
                address.bytes[..4].copy_from_slice(&b[4..8]);
            }
            AF_INET6 => {
                address.family = 6;
                address.bytes.copy_from_slice(&b[8..24]);
                address.scope = u32::from_ne_bytes([b[24], b[25], b[26], b[27]]);
            }
            _ => return Address::default(),
        }
        address
    }
}

/// Accepts a connection: its descriptor, non-blocking, or a negative errno; and the peer.
pub fn accept(listener: i32) -> (isize, SocketAddress) {
    const SOCK_NONBLOCK_CLOEXEC: usize = 0o4000 | 0o2_000_000;
    let mut peer = SocketAddress::empty();
    let (bytes, length) = (&raw mut peer.bytes as usize, &raw mut peer.length as usize);
    let result = call(number::ACCEPT4, listener as usize, bytes, length, SOCK_NONBLOCK_CLOEXEC, 0);
    (result, peer)
}

/// `struct msghdr` with one vector.
#[repr(C)]
struct MessageHeader {
    name: *mut u8,
    name_length: u32,
    vectors: *mut Vector,
    vector_count: usize,
    control: *mut u8,
    control_length: usize,
    flags: i32,
}

#[repr(C)]
struct Vector {
    base: *mut u8,
    length: usize,
}

/// Receives a datagram without waiting: its full length, of which `length` bytes at most are at `buffer`, or a negative
/// errno; the sender; and what came along.
///
/// # Safety
/// As for [`read`].
pub unsafe fn receive_datagram(socket: i32, buffer: *mut u8, length: usize) -> (isize, SocketAddress, Control) {
    const MSG_TRUNC_DONTWAIT: usize = 0x20 | 0x40;
    let mut sender = SocketAddress::empty();
    let mut control = Control::empty();
    let mut vector = Vector { base: buffer, length };
    let mut header = MessageHeader {
        name: &raw mut sender.bytes as *mut u8,
        name_length: 28,
        vectors: &raw mut vector,
        vector_count: 1,
        control: control.room().as_mut_ptr(),
        control_length: control.room().len(),
        flags: 0,
    };
    let got = call(number::RECVMSG, socket as usize, &raw mut header as usize, MSG_TRUNC_DONTWAIT, 0, 0);
    control.cut(if got < 0 { 0 } else { header.control_length });
    (got, sender, control)
}

/// Receives a message from a UNIX socket, waiting for it: its length (or a negative errno) and a descriptor, if one came
/// along.
pub fn receive_message(socket: i32, buffer: &mut [u8]) -> (isize, Option<i32>) {
    const MSG_CMSG_CLOEXEC: usize = 0x4000_0000;
    // cmsghdr (length, level, type), then one descriptor.
    let mut control = [0u64; 3];
    let mut vector = Vector { base: buffer.as_mut_ptr(), length: buffer.len() };
    let mut header = MessageHeader {
        name: core::ptr::null_mut(),
        name_length: 0,
        vectors: &raw mut vector,
        vector_count: 1,
        control: control.as_mut_ptr().cast(),
        control_length: size_of_val(&control),
        flags: 0,
    };
    let got = call(number::RECVMSG, socket as usize, &raw mut header as usize, MSG_CMSG_CLOEXEC, 0, 0);
    const SOL_SOCKET_SCM_RIGHTS: u64 = 1 << 32 | 1;
    let came = got >= 0 && header.control_length >= 20 && control[1] == SOL_SOCKET_SCM_RIGHTS;
    (got, came.then_some(control[2] as u32 as i32))
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
