//! What stands behind a descriptor: the [`File`] trait, and the open file description that holds one.
//!
//! A file only ever *tries*: an operation that cannot go on says [`Errno::AGAIN`] and changes nothing. Blocking,
//! timeouts and `O_NONBLOCK` are written once, in [`Description`], over [`Observers::wait`].

use alloc::sync::Arc;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::epoll::Epoll;
use crate::errno::{Errno, Result};
use crate::events;
use crate::names::Node;
use crate::observe::Observers;
use crate::patience;
use crate::socket::Socket;
use crate::stat::Stat;
use crate::timerfd::Timer;

/// `O_ACCMODE`'s bits, of a description's flags.
pub const ACCESS_MODE: u32 = 3;
/// `O_RDONLY`
pub const READ_ONLY: u32 = 0;
/// `O_WRONLY`
pub const WRITE_ONLY: u32 = 1;
/// `O_RDWR`
pub const READ_WRITE: u32 = 2;
/// `O_CREAT`
pub const CREATE: u32 = 0o100;
/// `O_TRUNC`
pub const TRUNCATE: u32 = 0o1000;
/// `O_APPEND`
pub const APPEND: u32 = 0o2000;
/// `O_NONBLOCK`
pub const NON_BLOCKING: u32 = 0o4000;
/// `O_DIRECTORY`
pub const DIRECTORY: u32 = 0o200000;
/// `O_CLOEXEC`: a flag of the descriptor; remembered although there is no exec.
pub const CLOSE_ON_EXEC: u32 = 0o2000000;

/// What else a file is, for the calls that only some files know.
pub enum Kind<'a> {
    /// Nothing else.
    Plain,
    /// A directory.
    Directory,
    /// A socket.
    Socket(&'a dyn Socket),
    /// An epoll instance.
    Epoll(&'a Arc<Epoll>),
    /// A file or directory of the tree.
    Node(&'a dyn Node),
    /// A timer.
    Timer(&'a Arc<Timer>),
}

/// A file of any sort. No method blocks.
pub trait File: Send + Sync {
    /// Reads some bytes; 0 is the end.
    fn read(&self, buffer: &mut [u8]) -> Result<usize> {
        let _ = buffer;
        Err(Errno::BADF)
    }

    /// Writes some bytes.
    fn write(&self, bytes: &[u8]) -> Result<usize> {
        let _ = bytes;
        Err(Errno::BADF)
    }

    /// What it is ready for now: bits of [`events`].
    fn ready(&self) -> u32 {
        events::READABLE | events::WRITABLE
    }

    /// As [`File::ready`], where only these bits matter to the caller.
    fn ready_for(&self, events: u32) -> u32 {
        let _ = events;
        self.ready()
    }

    /// Who is told of changes; `None` for files that are always ready (and which epoll therefore refuses, as on Linux).
    fn observers(&self) -> Option<&Observers> {
        None
    }

    /// What `fstat` says.
    fn stat(&self) -> Stat;

    /// Reads at a position, not at the file's own offset.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        let _ = (buffer, offset);
        Err(Errno::SPIPE)
    }

    /// Moves the offset; `whence` is `SEEK_SET` 0, `SEEK_CUR` 1 or `SEEK_END` 2.
    fn seek(&self, offset: i64, whence: u32) -> Result<u64> {
        let _ = (offset, whence);
        Err(Errno::SPIPE)
    }

    /// Bytes that a read would give now (`FIONREAD`).
    fn available(&self) -> Result<usize> {
        Err(Errno::NOTTY)
    }

    /// How long a blocked read or write may take, in ns (`SO_RCVTIMEO`, `SO_SNDTIMEO`); 0 for ever.
    fn timeout_ns(&self, writing: bool) -> u64 {
        let _ = writing;
        0
    }

    /// What else it is.
    fn kind(&self) -> Kind<'_> {
        Kind::Plain
    }
}

/// An open file description: a file, and the status flags that all duplicates of a descriptor share.
pub struct Description<F: ?Sized + File = dyn File> {
    flags: AtomicU32,
    file: F,
}

/// An open file, as the descriptor table holds it.
pub type Open = Arc<Description>;

impl<F: File + 'static> Description<F> {
    /// Opens `file` with these status flags (`O_*`).
    pub fn open(file: F, flags: u32) -> Open {
        Arc::new(Description { flags: AtomicU32::new(flags & !CLOSE_ON_EXEC), file })
    }
}

impl Description {
    /// The file.
    #[inline]
    pub fn file(&self) -> &dyn File {
        &self.file
    }

    /// Status flags, as `fcntl(F_GETFL)` gives them.
    pub fn flags(&self) -> u32 {
        self.flags.load(Relaxed)
    }

    /// Sets those status flags that `fcntl(F_SETFL)` may change.
    pub fn set_flags(&self, flags: u32) {
        let changeable = NON_BLOCKING | APPEND;
        let kept = self.flags() & !changeable;
        self.flags.store(kept | flags & changeable, Relaxed);
        if let Kind::Node(node) = self.file.kind() {
            node.set_append(flags & APPEND != 0);
        }
    }

    /// Is `O_NONBLOCK` set?
    #[inline]
    pub fn is_non_blocking(&self) -> bool {
        self.flags() & NON_BLOCKING != 0
    }

    /// The socket, or `ENOTSOCK`.
    pub fn socket(&self) -> Result<&dyn Socket> {
        match self.file.kind() {
            Kind::Socket(socket) => Ok(socket),
            _ => Err(Errno::NOTSOCK),
        }
    }

    /// `read`, blocking unless the description is non-blocking.
    #[inline]
    pub fn read(&self, buffer: &mut [u8]) -> Result<usize> {
        match self.file.read(buffer) {
            Err(Errno::AGAIN) => self.retry(self.is_non_blocking(), false, None, &mut || self.file.read(buffer)),
            done => done,
        }
    }

    /// `write`: all of `bytes` when blocking, some of them when not.
    #[inline]
    pub fn write(&self, bytes: &[u8]) -> Result<usize> {
        let taken = match self.file.write(bytes) {
            Ok(taken) if taken == bytes.len() => return Ok(taken),
            Ok(taken) => taken,
            Err(Errno::AGAIN) => 0,
            Err(error) => return Err(error),
        };
        self.write_on(bytes, taken)
    }

    /// The rest of a `write` whose first attempt took `taken` bytes.
    pub fn write_on(&self, bytes: &[u8], taken: usize) -> Result<usize> {
        self.write_rest(bytes, taken, self.is_non_blocking(), &mut |rest| self.file.write(rest))
    }

    /// Goes on after a first attempt took `taken` bytes.
    pub(crate) fn write_rest(
        &self,
        bytes: &[u8],
        mut taken: usize,
        non_blocking: bool,
        write: &mut dyn FnMut(&[u8]) -> Result<usize>,
    ) -> Result<usize> {
        if non_blocking && taken > 0 {
            return Ok(taken);
        }
        while taken < bytes.len() {
            match self.retry(non_blocking, true, None, &mut || write(&bytes[taken..])) {
                Ok(more) => taken += more,
                Err(_) if taken > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(taken)
    }

    /// Repeats an `attempt` that said [`Errno::AGAIN`]: once when `non_blocking`, else until it says something else,
    /// until the file's own timeout, or until `deadline_ns`.
    pub(crate) fn retry(
        &self,
        non_blocking: bool,
        writing: bool,
        deadline_ns: Option<u64>,
        attempt: &mut dyn FnMut() -> Result<usize>,
    ) -> Result<usize> {
        let Some(observers) = self.file.observers() else { return attempt() };
        if non_blocking {
            return if patience::look_at_devices() { attempt() } else { Err(Errno::AGAIN) };
        }
        let deadline_ns = match self.file.timeout_ns(writing) {
            0 => deadline_ns,
            timeout => Some(machine::clock::monotonic_ns().saturating_add(timeout)),
        };
        let mut result = Err(Errno::AGAIN);
        observers.wait(deadline_ns, &mut || {
            result = attempt();
            result != Err(Errno::AGAIN)
        });
        result
    }
}
