//! What `stat` says of a file, as plain numbers.

/// `S_IFMT`: the file-type bits of a mode.
pub const TYPE_MASK: u32 = 0o170000;
/// `S_IFSOCK`
pub const SOCKET: u32 = 0o140000;
/// `S_IFREG`
pub const REGULAR: u32 = 0o100000;
/// `S_IFDIR`
pub const DIRECTORY: u32 = 0o040000;
/// `S_IFCHR`
pub const CHARACTER: u32 = 0o020000;
/// `S_IFIFO`
pub const FIFO: u32 = 0o010000;

/// A file's attributes. Times are the machine's start; owner and group are 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stat {
    /// Type and permission bits (`st_mode`).
    pub mode: u32,
    /// Bytes (`st_size`).
    pub size: u64,
    /// A number that tells files apart (`st_ino`).
    pub inode: u64,
    /// Device number of a character device (`st_rdev`), Linux's encoding.
    pub device: u64,
}

impl Stat {
    /// Attributes of a file without contents of its own: a pipe, a socket, a device.
    pub const fn special(mode: u32) -> Stat {
        Stat { mode, size: 0, inode: 1, device: 0 }
    }
}
