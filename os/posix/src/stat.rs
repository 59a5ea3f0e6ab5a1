//! What `stat` says of a file, as plain numbers: few for what is no file of the tree, all for what is ([`Attributes`]).

pub use fs::{Attributes, Time};

use crate::file::{File, Kind};

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

/// `S_IFLNK`
pub const LINK: u32 = 0o120000;
/// [`Attributes::device`] of `/tmp`.
pub const TMP_FILES: u64 = 2;

/// A file's attributes, as far as every file has them.
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

impl From<Stat> for Attributes {
    fn from(stat: Stat) -> Attributes {
        Attributes {
            device: 1,
            inode: stat.inode,
            mode: stat.mode,
            links: 1,
            size: stat.size,
            allocated: stat.size,
            special: stat.device,
            ..Attributes::default()
        }
    }
}

/// All attributes of an open file.
pub fn attributes(file: &dyn File) -> Attributes {
    match file.kind() {
        Kind::Node(node) => node.attributes(),
        _ => file.stat().into(),
    }
}
