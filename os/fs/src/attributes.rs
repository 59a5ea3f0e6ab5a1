//! What is known of a file besides its contents.

/// `S_IFDIR`
pub const DIRECTORY: u32 = 0o040000;
/// `S_IFREG`
pub const REGULAR: u32 = 0o100000;
/// `S_IFLNK`
pub const LINK: u32 = 0o120000;
/// `S_IFIFO`
pub const FIFO: u32 = 0o010000;
/// `S_IFSOCK`
pub const SOCKET: u32 = 0o140000;
/// `S_IFCHR`
pub const CHARACTER: u32 = 0o020000;
/// `S_IFMT`: the type's bits of a mode.
pub const TYPE: u32 = 0o170000;

/// A point in time, from 1970 on (negative: before), as `struct timespec` has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time {
    /// Seconds.
    pub seconds: i64,
    /// Nanoseconds, below a thousand million.
    pub nanoseconds: u32,
}

impl Time {
    /// So many nanoseconds after 1970.
    pub fn from_ns(ns: u64) -> Time {
        Time { seconds: (ns / 1_000_000_000) as i64, nanoseconds: (ns % 1_000_000_000) as u32 }
    }
}

/// The four times of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// Of the last reading (as `noatime` has it: only set, never by reading).
    pub access: Time,
    /// Of the last change to its contents.
    pub change: Time,
    /// Of the last change to its attributes.
    pub status: Time,
    /// Of its making.
    pub birth: Time,
}

/// Attributes, as `stat` wants them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Which of the machine's file systems it is on.
    pub device: u64,
    /// Its number there, never used twice.
    pub inode: u64,
    /// Type and permissions.
    pub mode: u32,
    /// Names it has; for a directory 2 and its subdirectories.
    pub links: u32,
    /// Owner.
    pub user: u32,
    /// Group.
    pub group: u32,
    /// Bytes.
    pub size: u64,
    /// Bytes of memory that its contents take.
    pub allocated: u64,
    /// A device's number, Linux's encoding.
    pub special: u64,
    /// Its times.
    pub times: Times,
}

/// What `utimensat` says of one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewTime {
    /// Leave it (`UTIME_OMIT`).
    Same,
    /// The present (`UTIME_NOW`).
    Now,
    /// This.
    At(Time),
}

/// A change to the attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attribute {
    /// Permission bits.
    Mode(u32),
    /// Owner and group; `u32::MAX` leaves one as it is.
    Owner(u32, u32),
    /// Times of access and change.
    Times(NewTime, NewTime),
    /// Length of a file: cut, or extended by zeros.
    Length(u64),
}
