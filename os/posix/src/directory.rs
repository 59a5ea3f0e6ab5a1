//! An open directory, or a place that is only held (`O_PATH`).
//!
//! Reading goes on behind the last name that was given, in the order of the names: what is made or removed meanwhile
//! neither hides nor repeats another entry, and a directory of any size is read without memory for it.

use alloc::vec::Vec;
use core::fmt::Write as _;
use fs::{Allocation, Attribute, Handle, Lock, Special};
use sync::SpinLock;

use crate::advisory::Advisory;
use crate::errno::{Errno, Result};
use crate::file::{File, Kind};
use crate::names::{Node, Record};
use crate::stat::Stat;
use crate::table::table;

/// Where the name stands in a `struct dirent64`.
const NAME_AT: usize = 19;

/// An open directory.
pub(crate) struct OpenDirectory {
    handle: Handle,
    reading: SpinLock<Reading>,
    lock: Advisory,
}

#[derive(Default)]
struct Reading {
    /// How many entries were given; what `d_off` says.
    index: u64,
    /// The last one's name, unless the place was chosen by its number.
    last: Option<Vec<u8>>,
}

/// A place that is held, and neither read nor written.
pub(crate) struct Held(pub(crate) Handle);

impl OpenDirectory {
    pub(crate) fn new(handle: Handle) -> Self {
        OpenDirectory { handle, reading: SpinLock::new(Reading::default()), lock: Advisory::new() }
    }

    /// The descriptors, which are named by their numbers: those behind `.` and `..`.
    fn descriptors(records: &mut Records<'_>) {
        let mut next = table().next_open(records.index.saturating_sub(2) as i32);
        while let Some(fd) = next {
            let mut name = Digits::default();
            _ = write!(name, "{fd}");
            // Where the next one is looked for.
            records.index = fd as u64 + 2;
            if !records.push(Special::Descriptor(fd).inode(), crate::stat::CHARACTER, name.as_bytes()) {
                return;
            }
            next = table().next_open(fd + 1);
        }
    }
}

/// Room that is filled with `struct dirent64`s.
struct Records<'a> {
    room: &'a mut [u8],
    /// Bytes that are filled.
    length: usize,
    index: u64,
    /// Where the last name stands.
    last: core::ops::Range<usize>,
    /// One found no room.
    is_full: bool,
}

impl Records<'_> {
    /// Appends one; false if there is no room for it.
    fn push(&mut self, inode: u64, kind: u32, name: &[u8]) -> bool {
        let length = (NAME_AT + name.len() + 1).next_multiple_of(8);
        let Some(record) = self.room.get_mut(self.length..self.length + length) else {
            self.is_full = true;
            return false;
        };
        self.index += 1;
        record.fill(0);
        record[..8].copy_from_slice(&inode.to_ne_bytes());
        record[8..16].copy_from_slice(&self.index.to_ne_bytes());
        record[16..18].copy_from_slice(&(length as u16).to_ne_bytes());
        // DT_*: the type's bits of a mode, moved down.
        record[18] = (kind >> 12) as u8;
        record[NAME_AT..NAME_AT + name.len()].copy_from_slice(name);
        self.last = self.length + NAME_AT..self.length + NAME_AT + name.len();
        self.length += length;
        true
    }
}

/// A number's digits.
#[derive(Default)]
struct Digits {
    bytes: [u8; 12],
    length: usize,
}

impl Digits {
    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl core::fmt::Write for Digits {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        let end = self.length + text.len();
        self.bytes.get_mut(self.length..end).ok_or(core::fmt::Error)?.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}

impl Drop for OpenDirectory {
    fn drop(&mut self) {
        self.lock.release(&self.handle);
    }
}

impl File for OpenDirectory {
    fn read(&self, _: &mut [u8]) -> Result<usize> {
        Err(Errno::ISDIR)
    }

    fn read_at(&self, _: &mut [u8], _: u64) -> Result<usize> {
        Err(Errno::ISDIR)
    }

    fn stat(&self) -> Stat {
        Node::stat(self)
    }

    fn seek(&self, offset: i64, whence: u32) -> Result<u64> {
        let mut reading = self.reading.lock();
        let target = match whence {
            0 => offset,
            1 if offset == 0 => return Ok(reading.index),
            1 => offset.checked_add_unsigned(reading.index).ok_or(Errno::INVAL)?,
            _ => return Err(Errno::INVAL),
        };
        let index = u64::try_from(target).map_err(|_| Errno::INVAL)?;
        *reading = Reading { index, last: None };
        Ok(index)
    }

    fn kind(&self) -> Kind<'_> {
        Kind::Node(self)
    }
}

impl Node for OpenDirectory {
    fn handle(&self) -> &Handle {
        &self.handle
    }

    fn write_at(&self, _: &[u8], _: u64) -> Result<usize> {
        Err(Errno::BADF)
    }

    fn set(&self, attribute: Attribute) -> Result<()> {
        match attribute {
            Attribute::Length(_) => Err(Errno::INVAL),
            attribute => Ok(self.handle.set(attribute)?),
        }
    }

    fn allocate(&self, _: Allocation, _: u64, _: u64) -> Result<()> {
        Err(Errno::BADF)
    }

    fn entries(&self, room: &mut [u8]) -> Result<usize> {
        let mut reading = self.reading.lock();
        let mut records = Records { room, length: 0, index: reading.index, last: 0..0, is_full: false };
        let push = &mut |inode, kind, name: &[u8]| records.push(inode, kind, name);
        self.handle.list(reading.index, reading.last.as_deref().filter(|_| reading.index > 2), push)?;
        if self.handle.special() == Some(Special::Descriptors) && !records.is_full {
            Self::descriptors(&mut records);
        }
        if records.length == 0 && records.is_full {
            return Err(Errno::INVAL);
        }
        if records.length > 0 {
            reading.index = records.index;
            let name = &records.room[records.last.clone()];
            // Without memory for the name its number does.
            let mut last = Vec::new();
            reading.last = last.try_reserve(name.len()).ok().map(|()| {
                last.extend_from_slice(name);
                last
            });
        }
        Ok(records.length)
    }

    fn lock(&self, wants: Lock, wait: bool) -> Result<()> {
        self.lock.change(&self.handle, wants, wait)
    }

    fn record(&self, command: i32, flags: u32, record: Record) -> Result<Record> {
        let current = self.reading.lock().index;
        self.lock.record(&self.handle, current, (command, flags), record)
    }

    fn set_append(&self, _: bool) {}
}

impl File for Held {
    fn stat(&self) -> Stat {
        Node::stat(self)
    }

    fn read_at(&self, _: &mut [u8], _: u64) -> Result<usize> {
        Err(Errno::BADF)
    }

    fn seek(&self, _: i64, _: u32) -> Result<u64> {
        Err(Errno::BADF)
    }

    fn kind(&self) -> Kind<'_> {
        Kind::Node(self)
    }
}

impl Node for Held {
    fn handle(&self) -> &Handle {
        &self.0
    }

    fn write_at(&self, _: &[u8], _: u64) -> Result<usize> {
        Err(Errno::BADF)
    }

    fn set(&self, _: Attribute) -> Result<()> {
        Err(Errno::BADF)
    }

    fn allocate(&self, _: Allocation, _: u64, _: u64) -> Result<()> {
        Err(Errno::BADF)
    }

    fn entries(&self, _: &mut [u8]) -> Result<usize> {
        Err(Errno::BADF)
    }

    fn lock(&self, _: Lock, _: bool) -> Result<()> {
        Err(Errno::BADF)
    }

    fn record(&self, _: i32, _: u32, _: Record) -> Result<Record> {
        Err(Errno::BADF)
    }

    fn set_append(&self, _: bool) {}
}
