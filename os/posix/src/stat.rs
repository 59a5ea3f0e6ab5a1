//! What `stat` says of a file, as plain numbers.

use fs::{Attributes, Found, Handle};
pub use fs::{Time, Times};

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
/// [`Stat::filesystem`] of `/tmp`.
pub const TMP_FILES: u64 = 2;

/// A file's attributes.
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
    /// What the file is on (`st_dev`); 0 where it is on nothing.
    pub filesystem: u64,
    /// Names it has (`st_nlink`); 0 counts as 1.
    pub links: u32,
    /// Owner.
    pub user: u32,
    /// Group.
    pub group: u32,
    /// Bytes of memory that its contents take.
    pub allocated: u64,
    /// Its times; 1970 where it has none.
    pub times: Times,
}

impl Stat {
    /// Attributes of a file without contents of its own: a pipe, a socket, a device.
    pub const fn special(mode: u32) -> Stat {
        Stat { inode: 1, ..Stat::with_mode(mode) }
    }

    /// Nothing but a mode.
    pub const fn with_mode(mode: u32) -> Stat {
        const NEVER: Time = Time { seconds: 0, nanoseconds: 0 };
        let times = Times { access: NEVER, change: NEVER, status: NEVER, birth: NEVER };
        Stat { mode, size: 0, inode: 0, device: 0, filesystem: 0, links: 0, user: 0, group: 0, allocated: 0, times }
    }

    /// Of what is open.
    pub(crate) fn of(handle: &Handle) -> Stat {
        match handle.attributes() {
            Ok(Found::Here(attributes)) => attributes.into(),
            _ => Stat::default(),
        }
    }
}

impl From<Attributes> for Stat {
    fn from(from: Attributes) -> Stat {
        Stat {
            mode: from.mode,
            size: from.size,
            inode: from.inode,
            device: 0,
            filesystem: from.device,
            links: from.links,
            user: from.user,
            group: from.group,
            allocated: from.allocated,
            times: from.times,
        }
    }
}
