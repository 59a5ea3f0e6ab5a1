//! What is asked of names where a machine has more than the few of [`crate::path`].
//!
//! A table of methods on purpose: the C door finds it by a weak symbol, and a program that needs no files has none of what
//! is behind it. [`crate::files`] is the one implementation.

use alloc::vec::Vec;
pub use fs::{Allocation, Attribute, Lock, Move, NewTime, SpaceReport};

use crate::errno::Result;
use crate::file::Open;
use crate::socket::Socket;
use crate::special::Random;
use crate::stat::{Attributes, Stat};

/// Where a relative path begins: a descriptor of an open directory, or [`CURRENT`].
pub type At = i32;
/// `AT_FDCWD`: the current directory.
pub const CURRENT: At = -100;

/// A change to one name.
#[derive(Clone, Copy, Debug)]
pub enum Change<'a> {
    /// A directory of this mode is made.
    MakeDirectory(u32),
    /// An empty file of this mode is made.
    MakeFile(u32),
    /// A pipe with a name, of this mode, is made.
    MakeFifo(u32),
    /// A socket's name, of this mode, is made; nobody is there.
    MakeSocket(u32),
    /// A symbolic link that says this is made.
    MakeLink(&'a [u8]),
    /// The file is removed.
    RemoveFile,
    /// The directory is removed.
    RemoveDirectory,
    /// An attribute is set; of the link itself unless it is followed.
    Set(Attribute, bool),
}

/// A tree of names.
pub trait Names: Sync {
    /// `openat`: `flags` are `O_*`, `mode` is without the `umask`.
    fn open(&self, at: At, path: &[u8], flags: u32, mode: u32, random: Random) -> Result<Open>;
    /// `fstatat`; of a link itself unless it is followed.
    fn status(&self, at: At, path: &[u8], follow: bool) -> Result<Attributes>;
    /// `faccessat`: `mode` has bits 4 read, 2 write, 1 execute.
    fn access(&self, at: At, path: &[u8], mode: u32, follow: bool) -> Result<()>;
    /// The inode of the socket's name at `path`.
    fn socket(&self, path: &[u8]) -> Result<u64>;
    /// Makes a socket's name of this mode, and gives it to the socket.
    fn bind(&self, socket: &dyn Socket, path: &[u8], mode: u32) -> Result<()>;
    /// `readlinkat`: as much as there is room for.
    fn read_link(&self, at: At, path: &[u8], room: &mut [u8]) -> Result<usize>;
    /// `getcwd`: the path with its NUL.
    fn current(&self, room: &mut [u8]) -> Result<usize>;
    /// `realpath`.
    fn absolute(&self, at: At, path: &[u8]) -> Result<Vec<u8>>;
    /// `chdir`; without a path `fchdir` of `at`.
    fn enter(&self, at: At, path: Option<&[u8]>) -> Result<()>;
    /// `mkdirat`, `symlinkat`, `unlinkat`, `fchmodat` and their like.
    fn change(&self, at: At, path: &[u8], change: Change<'_>) -> Result<()>;
    /// `linkat`; without a path, of the file `at` itself.
    fn link(&self, at: At, path: Option<&[u8]>, follow: bool, to: At, new: &[u8]) -> Result<()>;
    /// `renameat2`.
    fn rename(&self, at: At, path: &[u8], to: At, new: &[u8], how: Move) -> Result<()>;
    /// `statvfs`; without a path, of the file `at` itself. `None`: nothing can be made there.
    fn space(&self, at: At, path: Option<&[u8]>) -> Result<Option<SpaceReport>>;
    /// `mmap` of a file: the address of memory that is the file from `offset` on, for `length` bytes, or `None` where
    /// a copy does as well.
    fn map(&self, fd: i32, offset: i64, length: usize, mapping: Mapping) -> Result<Option<usize>>;
    /// `munmap`: true if the range was memory of [`Names::map`], and is not any more.
    fn unmap(&self, address: usize, length: usize) -> bool;
    /// What memory of a file there is at this address, if there is any.
    fn memory(&self, address: usize) -> Option<Memory>;
}

/// Memory that a mapping of a file consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// The image's.
    Sealed,
    /// The file's own.
    File,
}

/// How a file is mapped.
#[derive(Clone, Copy, Debug)]
pub struct Mapping {
    /// `MAP_SHARED`.
    pub shared: bool,
    /// `PROT_WRITE`.
    pub write: bool,
}

/// `struct flock`: a lock on a range of a file's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Record {
    /// `F_RDLCK` 0, `F_WRLCK` 1, `F_UNLCK` 2.
    pub kind: i16,
    /// What `start` is counted from: 0 the file's beginning, 1 the offset, 2 the file's end.
    pub whence: i16,
    /// Where it begins.
    pub start: i64,
    /// How many bytes; negative: those before the beginning; 0: all that come.
    pub length: i64,
    /// Whose it is; -1: an open file's.
    pub process: i32,
}

impl Record {
    /// `F_UNLCK`.
    pub const UNLOCKED: i16 = 2;
    /// `F_GETLK`: what is in the process's way?
    pub const GET: i32 = 5;
    /// `F_SETLKW`: for the process, until it can be had.
    pub const WAIT: i32 = 7;
    /// `F_OFD_GETLK`: what is in the open file's way?
    pub const OPEN_GET: i32 = 36;
    /// `F_OFD_SETLKW`: for the open file, until it can be had.
    pub const OPEN_WAIT: i32 = 38;
}

/// An open file or directory of the tree, for the calls that only these know.
pub trait Node: Send + Sync {
    /// What is held.
    fn handle(&self) -> &fs::Handle;
    /// `fstat`.
    fn attributes(&self) -> Attributes {
        match self.handle().attributes() {
            Ok(fs::Found::Here(attributes)) => attributes,
            // A device is opened as what it is, and a file that is held is there.
            _ => Attributes::default(),
        }
    }
    /// The same, as far as every file has them.
    fn stat(&self) -> Stat {
        let Attributes { mode, size, inode, special, .. } = self.attributes();
        Stat { mode, size, inode, device: special }
    }
    /// `pwrite`.
    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<usize>;
    /// `ftruncate`, `fchmod`, `futimens` and their like.
    fn set(&self, attribute: Attribute) -> Result<()>;
    /// `fallocate`.
    fn allocate(&self, how: Allocation, offset: u64, length: u64) -> Result<()>;
    /// `getdents64`: whole entries, as many as there is room for; 0 is the end.
    fn entries(&self, room: &mut [u8]) -> Result<usize>;
    /// `flock`: waits until the lock can be had, or does not.
    fn lock(&self, wants: Lock, wait: bool) -> Result<()>;
    /// `fcntl` about a lock on a range of bytes, of a file that was opened with `flags`: gives what is in the way, where
    /// that is the question ([`Record::GET`], [`Record::OPEN_GET`]).
    fn record(&self, command: i32, flags: u32, record: Record) -> Result<Record>;
    /// `O_APPEND` was set or taken away.
    fn set_append(&self, on: bool);
}
