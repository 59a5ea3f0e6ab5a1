//! Files that are there in every machine: `/dev/null`, `/dev/zero`, `/dev/urandom`, and files sealed into the image.

use sync::SpinLock;

use crate::errno::{Errno, Result};
use crate::file::{File, Kind};
use crate::stat::{self, Stat};

/// Fills a buffer with random bytes; the C door has the generator.
pub type Random = fn(&mut [u8]);

/// `/dev/null`: takes everything, holds nothing.
pub(crate) struct Null;

/// `/dev/zero` or `/dev/full`.
pub(crate) struct Zero {
    pub(crate) full: bool,
}

/// `/dev/urandom` and `/dev/random`.
pub(crate) struct RandomBytes(pub(crate) Random);

/// A read-only file in memory, with an offset of its own.
pub(crate) struct Sealed {
    pub(crate) bytes: &'static [u8],
    offset: SpinLock<u64>,
}

/// A directory.
pub(crate) struct Directory;

impl Sealed {
    pub(crate) const fn new(bytes: &'static [u8]) -> Self {
        Sealed { bytes, offset: SpinLock::new(0) }
    }
}

/// A character device's attributes, by Linux's major and minor number.
pub(crate) const fn character(major: u64, minor: u64) -> Stat {
    Stat { mode: stat::CHARACTER | 0o666, size: 0, inode: 16 + minor, device: major << 8 | minor }
}

impl File for Null {
    fn read(&self, _: &mut [u8]) -> Result<usize> {
        Ok(0)
    }

    fn write(&self, bytes: &[u8]) -> Result<usize> {
        Ok(bytes.len())
    }

    fn stat(&self) -> Stat {
        character(1, 3)
    }
}

impl File for Zero {
    fn read(&self, buffer: &mut [u8]) -> Result<usize> {
        buffer.fill(0);
        Ok(buffer.len())
    }

    fn write(&self, bytes: &[u8]) -> Result<usize> {
        if self.full { Err(Errno::NOSPC) } else { Ok(bytes.len()) }
    }

    fn stat(&self) -> Stat {
        character(1, if self.full { 7 } else { 5 })
    }
}

impl File for RandomBytes {
    fn read(&self, buffer: &mut [u8]) -> Result<usize> {
        (self.0)(buffer);
        Ok(buffer.len())
    }

    fn write(&self, bytes: &[u8]) -> Result<usize> {
        Ok(bytes.len())
    }

    fn stat(&self) -> Stat {
        character(1, 9)
    }
}

impl File for Sealed {
    fn read(&self, buffer: &mut [u8]) -> Result<usize> {
        let mut offset = self.offset.lock();
        let count = self.read_at(buffer, *offset)?;
        *offset += count as u64;
        Ok(count)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(self.bytes.len());
        let rest = &self.bytes[start..];
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn seek(&self, offset: i64, whence: u32) -> Result<u64> {
        let mut current = self.offset.lock();
        let base = match whence {
            0 => 0,
            1 => *current,
            2 => self.bytes.len() as u64,
            _ => return Err(Errno::INVAL),
        };
        *current = base.checked_add_signed(offset).filter(|o| *o <= i64::MAX as u64).ok_or(Errno::INVAL)?;
        Ok(*current)
    }

    fn stat(&self) -> Stat {
        Stat { mode: stat::REGULAR | 0o555, size: self.bytes.len() as u64, inode: 3, device: 0 }
    }

    fn available(&self) -> Result<usize> {
        Ok((self.bytes.len() as u64).saturating_sub(*self.offset.lock()) as usize)
    }
}

impl File for Directory {
    fn read(&self, _: &mut [u8]) -> Result<usize> {
        Err(Errno::ISDIR)
    }

    fn stat(&self) -> Stat {
        Stat::special(stat::DIRECTORY | 0o555)
    }

    fn kind(&self) -> Kind<'_> {
        Kind::Directory
    }
}
