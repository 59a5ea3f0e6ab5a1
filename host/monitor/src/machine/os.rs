//! The few calls to the kernel that the parent needs, each behind a safe function.

use crate::Error;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// Fresh randomness.
pub(crate) fn random() -> Result<[u8; 32], Error> {
    let mut seed = [0u8; 32];
    // SAFETY: fills the array.
    let got = unsafe { libc::getrandom(seed.as_mut_ptr().cast(), seed.len(), 0) };
    if got == 32 { Ok(seed) } else { Err(Error::last("get randomness for the machine")) }
}

/// This process.
pub(crate) fn own_id() -> i32 {
    // SAFETY: cannot fail.
    unsafe { libc::getpid() }
}

/// A pair of connected sockets that keep messages apart.
pub(crate) fn socket_pair() -> Result<(OwnedFd, OwnedFd), Error> {
    let mut pair = [0; 2];
    let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC;
    // SAFETY: fills the array with two fresh descriptors, which are owned from here on.
    unsafe {
        if libc::socketpair(libc::AF_UNIX, kind, 0, pair.as_mut_ptr()) != 0 {
            return Err(Error::last("make the control socket"));
        }
        Ok((OwnedFd::from_raw_fd(pair[0]), OwnedFd::from_raw_fd(pair[1])))
    }
}

/// A child, its descriptor for waiting, and its fate.
#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) id: i32,
    /// Readable when it has ended.
    pub(crate) handle: OwnedFd,
    reaped: bool,
}

/// How a child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Exited(u8),
    Killed(i32),
}

/// Forks; `None` in the child.
pub(crate) fn fork() -> Result<Option<Child>, Error> {
    // SAFETY: the caller's process has one thread (`crate::run`), so the child may do what it likes.
    let id = unsafe { libc::fork() };
    match id {
        0 => Ok(None),
        id if id > 0 => {
            // SAFETY: a fresh descriptor, owned from here on.
            let handle = unsafe { libc::syscall(libc::SYS_pidfd_open, id, 0) } as RawFd;
            if handle < 0 {
                let error = Error::last("watch the machine's process");
                // SAFETY: the child is ours and not reaped.
                unsafe { libc::kill(id, libc::SIGKILL) };
                return Err(error);
            }
            // SAFETY: as above.
            let handle = unsafe { OwnedFd::from_raw_fd(handle) };
            Ok(Some(Child { id, handle, reaped: false }))
        }
        _ => Err(Error::last("start the machine's process")),
    }
}

impl Child {
    /// Sends a signal; the child is not reaped before this value says so, so its number is its own.
    pub(crate) fn signal(&self, signal: i32) {
        if !self.reaped {
            // SAFETY: a child of ours.
            unsafe { libc::kill(self.id, signal) };
        }
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> Result<Fate, Error> {
        let mut status = 0;
        loop {
            // SAFETY: a child of ours, not yet reaped.
            let result = unsafe { libc::waitpid(self.id, &raw mut status, 0) };
            if result == self.id {
                break;
            }
            if std::io::Error::last_os_error().kind() != std::io::ErrorKind::Interrupted {
                return Err(Error::last("wait for the machine's process"));
            }
        }
        self.reaped = true;
        if libc::WIFSIGNALED(status) {
            Ok(Fate::Killed(libc::WTERMSIG(status)))
        } else {
            Ok(Fate::Exited(libc::WEXITSTATUS(status) as u8))
        }
    }
}

/// A copy of one of the child's descriptors.
pub(crate) fn descriptor_of(child: &Child, descriptor: RawFd) -> Result<OwnedFd, rustix::io::Errno> {
    use rustix::process::{ForeignRawFd, PidfdGetfdFlags, pidfd_getfd};
    pidfd_getfd(&child.handle, descriptor as ForeignRawFd, PidfdGetfdFlags::empty())
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.reaped {
            self.signal(libc::SIGKILL);
            let _ = self.wait();
        }
    }
}

/// SIGTERM and SIGINT, taken as a descriptor while this value lives.
#[derive(Debug)]
pub(crate) struct Signals {
    pub(crate) handle: OwnedFd,
    before: libc::sigset_t,
}

impl Signals {
    pub(crate) fn take() -> Result<Self, Error> {
        // SAFETY: the sets are filled before they are used; a fresh descriptor, owned from here on.
        unsafe {
            let mut set = std::mem::zeroed();
            let mut before = std::mem::zeroed();
            libc::sigemptyset(&raw mut set);
            libc::sigaddset(&raw mut set, libc::SIGTERM);
            libc::sigaddset(&raw mut set, libc::SIGINT);
            // A child inherits the mask: a nudge that comes before it can take one waits.
            let mut blocked = set;
            libc::sigaddset(&raw mut blocked, super::signals::NUDGE);
            libc::sigprocmask(libc::SIG_BLOCK, &raw const blocked, &raw mut before);
            let handle = libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK);
            if handle < 0 {
                return Err(Error::last("take signals"));
            }
            Ok(Self { handle: OwnedFd::from_raw_fd(handle), before })
        }
    }

    /// The next signal, if one came.
    pub(crate) fn next(&self) -> Option<i32> {
        // SAFETY: a plain structure that the kernel fills.
        let mut info = unsafe { std::mem::zeroed::<libc::signalfd_siginfo>() };
        let size = size_of_val(&info);
        // SAFETY: room for one.
        let got = unsafe { libc::read(self.handle.as_raw_fd(), (&raw mut info).cast(), size) };
        (got == size as isize).then_some(info.ssi_signo as i32)
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        // What came meanwhile was the machine's; it must not end the tool now.
        while self.next().is_some() {}
        // SAFETY: the mask that stood before.
        unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const self.before, std::ptr::null_mut()) };
    }
}

/// Waits until one of the descriptors is readable, or `timeout_ns` is over; says which are.
pub(crate) fn poll(descriptors: &[BorrowedFd<'_>], timeout_ns: Option<u64>) -> Vec<bool> {
    let mut set: Vec<_> =
        descriptors.iter().map(|d| libc::pollfd { fd: d.as_raw_fd(), events: libc::POLLIN, revents: 0 }).collect();
    let time = timeout_ns
        .map(|ns| libc::timespec { tv_sec: (ns / 1_000_000_000) as i64, tv_nsec: (ns % 1_000_000_000) as i64 });
    let time = time.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: the set and the time live through the call.
    unsafe { libc::ppoll(set.as_mut_ptr(), set.len() as libc::nfds_t, time, std::ptr::null()) };
    set.iter().map(|p| p.revents != 0).collect()
}

/// Has the other end of a socket been closed?
pub(crate) fn has_hung_up(socket: BorrowedFd<'_>) -> bool {
    let mut set = libc::pollfd { fd: socket.as_raw_fd(), events: 0, revents: 0 };
    let at_once = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the set and the time live through the call.
    unsafe { libc::ppoll(&raw mut set, 1, &raw const at_once, std::ptr::null()) };
    set.revents != 0 // only these three are told unasked: POLLHUP, POLLERR, POLLNVAL
}

/// What a receive gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Got {
    Message(usize),
    Nothing,
    /// The other end is closed.
    End,
}

/// Takes one message without waiting.
pub(crate) fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> Got {
    // SAFETY: the buffer is ours.
    let got = unsafe {
        libc::recv(socket.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), libc::MSG_DONTWAIT | libc::MSG_TRUNC)
    };
    match usize::try_from(got) {
        Ok(0) => Got::End,
        Ok(length) if length <= buffer.len() => Got::Message(length),
        Ok(_) => Got::Nothing, // too long for any message of ours
        Err(_) => match std::io::Error::last_os_error().kind() {
            std::io::ErrorKind::WouldBlock | std::io::ErrorKind::Interrupted => Got::Nothing,
            _ => Got::End,
        },
    }
}

/// Sends one message, with a descriptor if there is one. Never waits: false if the other end does not read.
pub(crate) fn send(socket: BorrowedFd<'_>, parts: &[&[u8]], descriptor: Option<BorrowedFd<'_>>) -> bool {
    let mut vectors: Vec<_> =
        parts.iter().map(|p| libc::iovec { iov_base: p.as_ptr().cast_mut().cast(), iov_len: p.len() }).collect();
    // Room for a cmsghdr and one descriptor, aligned as a cmsghdr wants it.
    let mut control = [0u64; 3];
    // SAFETY: a plain structure.
    let mut message = unsafe { std::mem::zeroed::<libc::msghdr>() };
    message.msg_iov = vectors.as_mut_ptr();
    message.msg_iovlen = vectors.len();
    if let Some(descriptor) = descriptor {
        message.msg_control = control.as_mut_ptr().cast();
        // SAFETY: `control` has room for one header with one descriptor (CMSG_SPACE(4) is 24).
        unsafe {
            message.msg_controllen = libc::CMSG_SPACE(4) as usize;
            let header = libc::CMSG_FIRSTHDR(&raw const message);
            (*header).cmsg_level = libc::SOL_SOCKET;
            (*header).cmsg_type = libc::SCM_RIGHTS;
            (*header).cmsg_len = libc::CMSG_LEN(4) as usize;
            libc::CMSG_DATA(header).cast::<RawFd>().write_unaligned(descriptor.as_raw_fd());
        }
    }
    // SAFETY: everything that the message names lives through the call.
    let put = unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const message, libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL) };
    put >= 0
}

/// The status of a child that could not become the machine.
pub(crate) const UNABLE: u8 = 2;

/// In the child: says why the machine could not be built, and ends. The parent passes the text on.
pub(crate) fn fail(error: &Error) -> ! {
    use super::message::{Head, Kind};
    let (kind, text) = match error {
        Error::NoKvm(why) => (Kind::NoKvm, why.clone()),
        _ => (Kind::Report, format!("it could not be started: {error}")),
    };
    let message = [&Head::new(kind).bytes()[..], text.as_bytes()].concat();
    // SAFETY: ends the process without running what belongs to the parent.
    unsafe {
        libc::write(super::tender::CONTROL, message.as_ptr().cast(), message.len());
        libc::_exit(UNABLE.into())
    }
}
