//! An open directory, or a place that is only held (`O_PATH`).
//!
//! The first reading takes all entries down at once, and so do the next after a return to the start: what is made or
//! removed in between neither hides nor repeats another entry (POSIX `readdir` leaves open whether it shows).

use alloc::vec::Vec;
use core::fmt::Write as _;
use fs::{Allocation, Attribute, Handle, Lock, Special};
use sync::SpinLock;

use crate::errno::{Errno, Result};
use crate::file::{File, Kind};
use crate::names::Node;
use crate::regular::Advisory;
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
    /// Whole `struct dirent64`s, of which `d_off` is where the next begins.
    entries: Option<Vec<u8>>,
    at: usize,
}

/// A place that is held, and neither read nor written.
pub(crate) struct Held(pub(crate) Handle);

impl OpenDirectory {
    pub(crate) fn new(handle: Handle) -> Self {
        OpenDirectory { handle, reading: SpinLock::new(Reading::default()), lock: Advisory::new() }
    }

    fn take_down(&self) -> Result<Vec<u8>> {
        let mut entries = Vec::new();
        let mut lacks_memory = false;
        self.handle.list(&mut |inode, kind, name| lacks_memory |= !push(&mut entries, inode, kind, name))?;
        if self.handle.special() == Some(Special::Descriptors) {
            let mut next = table().next_open(0);
            while let Some(fd) = next {
                let mut name = Digits::default();
                _ = write!(name, "{fd}");
                let kind = crate::stat::CHARACTER;
                lacks_memory |= !push(&mut entries, Special::Descriptor(fd).inode(), kind, name.as_bytes());
                next = table().next_open(fd + 1);
            }
        }
        if lacks_memory { Err(Errno::NOMEM) } else { Ok(entries) }
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

/// Appends a `struct dirent64`; false if there is no memory for it.
fn push(entries: &mut Vec<u8>, inode: u64, kind: u32, name: &[u8]) -> bool {
    let start = entries.len();
    let length = (NAME_AT + name.len() + 1).next_multiple_of(8);
    if entries.try_reserve(length).is_err() {
        return false;
    }
    entries.extend_from_slice(&inode.to_ne_bytes());
    entries.extend_from_slice(&((start + length) as u64).to_ne_bytes());
    entries.extend_from_slice(&(length as u16).to_ne_bytes());
    // DT_*: the type's bits of a mode, moved down.
    entries.push((kind >> 12) as u8);
    entries.extend_from_slice(name);
    entries.resize(start + length, 0);
    true
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
            1 => offset.checked_add(reading.at as i64).ok_or(Errno::INVAL)?,
            _ => return Err(Errno::INVAL),
        };
        let target = usize::try_from(target).map_err(|_| Errno::INVAL)?;
        if target == 0 {
            *reading = Reading::default();
        }
        reading.at = target;
        Ok(target as u64)
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
        // Taken down with no lock of this file's held.
        if self.reading.lock().entries.is_none() {
            let entries = self.take_down()?;
            self.reading.lock().entries.get_or_insert(entries);
        }
        let mut reading = self.reading.lock();
        let Reading { entries: Some(entries), at } = &mut *reading else { return Ok(0) };
        let rest = entries.get(*at..).unwrap_or_default();
        let mut count = 0;
        while let Some(length) = rest.get(count + 16..).and_then(|entry| entry.first_chunk()) {
            let end = count + usize::from(u16::from_ne_bytes(*length));
            if end > room.len() || end > rest.len() {
                break;
            }
            count = end;
        }
        if count == 0 && !rest.is_empty() {
            return Err(Errno::INVAL);
        }
        room[..count].copy_from_slice(&rest[..count]);
        *at += count;
        Ok(count)
    }

    fn lock(&self, wants: Lock, wait: bool) -> Result<()> {
        self.lock.change(&self.handle, wants, wait)
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

    fn set_append(&self, _: bool) {}
}
