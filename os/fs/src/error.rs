//! Why a file system refuses; the numbers are Linux's (`errno(3)`).

/// An error; `posix` gives it on as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Error {
    /// no such file or directory
    NotFound = 2,
    /// a socket's name: it cannot be opened, but connected to
    NoAddress = 6,
    /// permission denied
    Denied = 13,
    /// in use: the root, a mount point, or what the machine needs
    Busy = 16,
    /// file exists
    Exists = 17,
    /// the two names are on different file systems
    OtherDevice = 18,
    /// cannot be mapped
    NoDevice = 19,
    /// not a directory
    NotDirectory = 20,
    /// is a directory
    IsDirectory = 21,
    /// invalid argument
    Invalid = 22,
    /// file too large
    TooLarge = 27,
    /// no space left: neither within the file system's bound nor in the machine's memory
    NoSpace = 28,
    /// read-only file system
    ReadOnly = 30,
    /// too many links to one file
    Links = 31,
    /// no memory for another lock
    NoLocks = 37,
    /// file name too long
    NameTooLong = 36,
    /// directory not empty
    NotEmpty = 39,
    /// too many levels of symbolic links
    Loop = 40,
    /// not supported here
    Unsupported = 95,
    /// operation not permitted
    NotPermitted = 1,
    /// would block
    WouldBlock = 11,
    /// nobody listens there: the file is no socket
    Refused = 111,
}

/// What this crate returns.
pub type Result<T> = core::result::Result<T, Error>;
