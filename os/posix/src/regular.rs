//! An open file of the tree: an offset, and what `O_APPEND` makes of it.

use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
use fs::{Allocation, Attribute, Handle, Lock};
use sync::SpinLock;

use crate::advisory::Advisory;
use crate::errno::{Errno, Result};
use crate::file::{APPEND, File, Kind};
use crate::names::{Node, Record};
use crate::stat::Stat;

/// Bytes of one step: the offset is locked meanwhile.
const STEP: usize = 64 << 10;
/// The largest offset.
const OFFSET_MAX: u64 = i64::MAX as u64;

/// An open file.
pub(crate) struct Regular {
    handle: Handle,
    offset: SpinLock<u64>,
    append: AtomicBool,
    lock: Advisory,
}

impl Regular {
    pub(crate) fn new(handle: Handle, flags: u32) -> Self {
        let append = AtomicBool::new(flags & APPEND != 0);
        Regular { handle, offset: SpinLock::new(0), append, lock: Advisory::new() }
    }
}

impl Drop for Regular {
    fn drop(&mut self) {
        self.lock.release(&self.handle);
    }
}

impl File for Regular {
    fn read(&self, buffer: &mut [u8]) -> Result<usize> {
        let mut done = 0;
        for step in buffer.chunks_mut(STEP) {
            let mut offset = self.offset.lock();
            let count = self.handle.read_at(step, *offset)?;
            *offset += count as u64;
            done += count;
            if count < step.len() {
                break;
            }
        }
        Ok(done)
    }

    fn write(&self, bytes: &[u8]) -> Result<usize> {
        let mut done = 0;
        for step in bytes.chunks(STEP) {
            let mut offset = self.offset.lock();
            let written = match self.append.load(Relaxed) {
                true => self.handle.append(step).map(|(count, end)| {
                    *offset = end;
                    count
                }),
                false => self.handle.write_at(step, *offset).inspect(|count| *offset += *count as u64),
            };
            match written {
                Ok(count) => done += count,
                Err(error) if done == 0 => return Err(error.into()),
                Err(_) => break,
            }
        }
        // What is missing has no space, and a blocking write would try for ever.
        Ok(done)
    }

    fn stat(&self) -> Stat {
        Node::stat(self)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        Ok(self.handle.read_at(buffer, offset)?)
    }

    fn seek(&self, offset: i64, whence: u32) -> Result<u64> {
        let mut current = self.offset.lock();
        let base = match whence {
            0 => 0,
            1 => *current,
            2 => self.handle.length(),
            // SEEK_DATA, SEEK_HOLE
            3 | 4 => {
                let from = u64::try_from(offset).map_err(|_| Errno::NXIO)?;
                *current = self.handle.seek(from, whence == 3).ok_or(Errno::NXIO)?;
                return Ok(*current);
            }
            _ => return Err(Errno::INVAL),
        };
        *current = base.checked_add_signed(offset).filter(|o| *o <= OFFSET_MAX).ok_or(Errno::INVAL)?;
        Ok(*current)
    }

    fn available(&self) -> Result<usize> {
        Ok(self.handle.length().saturating_sub(*self.offset.lock()) as usize)
    }

    fn kind(&self) -> Kind<'_> {
        Kind::Node(self)
    }
}

impl Node for Regular {
    fn handle(&self) -> &Handle {
        &self.handle
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<usize> {
        // Linux appends here too, whatever the offset (pwrite(2), "BUGS").
        match self.append.load(Relaxed) {
            true => Ok(self.handle.append(bytes)?.0),
            false => Ok(self.handle.write_at(bytes, offset)?),
        }
    }

    fn set(&self, attribute: Attribute) -> Result<()> {
        Ok(self.handle.set(attribute)?)
    }

    fn allocate(&self, how: Allocation, offset: u64, length: u64) -> Result<()> {
        Ok(self.handle.allocate(how, offset, length)?)
    }

    fn entries(&self, _: &mut [u8]) -> Result<usize> {
        Err(Errno::NOTDIR)
    }

    fn lock(&self, wants: Lock, wait: bool) -> Result<()> {
        self.lock.change(&self.handle, wants, wait)
    }

    fn record(&self, command: i32, flags: u32, record: Record) -> Result<Record> {
        let current = *self.offset.lock();
        self.lock.record(&self.handle, current, (command, flags), record)
    }

    fn set_append(&self, on: bool) {
        self.append.store(on, Relaxed);
    }
}
