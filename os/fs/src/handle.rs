//! What is asked of an open file or directory.

use crate::attributes::Attribute;
use crate::error::{Error, Result};
use crate::lock::Lock;
use crate::place::{Handle, Place};
use crate::record::Range;
use crate::special::Special;
use crate::tmp::data::{LENGTH_MAX, Mapping};
use crate::volume::{Found, now};
use alloc::vec::Vec;

/// Bytes that are copied with the lock held, and so without pre-emption.
const STEP: usize = 64 << 10;

/// What a mapping of a file begins with.
pub enum Mapped {
    /// Memory of the image, which never changes.
    Sealed(&'static [u8]),
    /// Memory of the file itself.
    File(Mapping),
}

/// How `fallocate` is to go about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allocation {
    /// The file becomes as long as that.
    Extend,
    /// Its length stays (`FALLOC_FL_KEEP_SIZE`).
    KeepLength,
    /// The range becomes zeros, the length stays (`FALLOC_FL_PUNCH_HOLE`).
    Punch,
    /// The range becomes zeros, and the file as long as that (`FALLOC_FL_ZERO_RANGE`).
    Zero,
}

impl Handle {
    /// Attributes.
    pub fn attributes(&self) -> Result<Found> {
        self.volume.lock().look(self.place)
    }

    /// The directory that every machine has, if it is one.
    pub fn special(&self) -> Option<Special> {
        match self.place {
            Place::Special(special) => Some(special),
            _ => None,
        }
    }

    /// Is it sealed in, or does every machine have it, so that nothing in it changes?
    pub fn is_read_only(&self) -> bool {
        !matches!(self.place, Place::Tmp(_))
    }

    /// Reads from a position on; fewer bytes than asked for only at the end.
    pub fn read_at(&self, to: &mut [u8], offset: u64) -> Result<usize> {
        match self.place {
            Place::Sealed(number) => {
                let bytes = self.volume.lock().sealed_bytes(number);
                let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
                let count = to.len().min(bytes.len() - start);
                to[..count].copy_from_slice(&bytes[start..start + count]);
                Ok(count)
            }
            Place::Tmp(id) => {
                let mut done = 0;
                while done < to.len() {
                    let end = to.len().min(done + STEP);
                    let count = self.volume.lock().tmp.node(id)?.data()?.read(offset + done as u64, &mut to[done..end]);
                    if count == 0 {
                        break;
                    }
                    done += count;
                }
                Ok(done)
            }
            Place::Special(_) => Err(Error::IsDirectory),
        }
    }

    /// Writes to a position and on; fewer bytes than given only where there is no space for more.
    pub fn write_at(&self, from: &[u8], offset: u64) -> Result<usize> {
        let Place::Tmp(id) = self.place else { return Err(Error::ReadOnly) };
        let mut done = 0;
        while done < from.len() {
            let end = from.len().min(done + STEP);
            let written = {
                let mut state = self.volume.lock();
                let (node, space) = state.tmp.file_mut(id)?;
                node.wrote(now());
                node.data_mut()?.write(offset + done as u64, &from[done..end], space)
            };
            match written {
                Ok(count) => done += count,
                Err(error) if done == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(done)
    }

    /// Writes to the end, wherever that is (`O_APPEND`); gives also where the end is then. Other writers do not come
    /// in between as long as no more than 64 KiB are written at once.
    pub fn append(&self, from: &[u8]) -> Result<(usize, u64)> {
        let Place::Tmp(id) = self.place else { return Err(Error::ReadOnly) };
        let mut done = 0;
        loop {
            let mut state = self.volume.lock();
            let (node, space) = state.tmp.file_mut(id)?;
            node.wrote(now());
            let data = node.data_mut()?;
            let mut room = STEP;
            while done < from.len() && room > 0 {
                let end = from.len().min(done + room);
                match data.write(data.length(), &from[done..end], space) {
                    Ok(count) => {
                        done += count;
                        room -= count;
                    }
                    Err(error) if done == 0 => return Err(error),
                    Err(_) => return Ok((done, data.length())),
                }
            }
            if done == from.len() {
                return Ok((done, data.length()));
            }
        }
    }

    /// Bytes of the file.
    pub fn length(&self) -> u64 {
        match self.attributes() {
            Ok(Found::Here(found)) => found.size,
            _ => 0,
        }
    }

    /// Where the next data (or the next hole) is, from `offset` on; `None` behind the end.
    pub fn seek(&self, offset: u64, data: bool) -> Option<u64> {
        let state = self.volume.lock();
        match self.place {
            Place::Tmp(id) => state.tmp.node(id).ok()?.data().ok()?.seek(offset, data),
            Place::Sealed(number) => {
                let length = state.sealed_bytes(number).len() as u64;
                (offset < length).then_some(if data { offset } else { length })
            }
            Place::Special(_) => None,
        }
    }

    /// Changes an attribute.
    pub fn set(&self, attribute: Attribute) -> Result<()> {
        self.volume.lock().set(self.place, attribute)
    }

    /// Takes or gives memory for a range.
    pub fn allocate(&self, how: Allocation, offset: u64, length: u64) -> Result<()> {
        let Place::Tmp(id) = self.place else { return Err(Error::ReadOnly) };
        let end = offset.checked_add(length).filter(|end| *end <= LENGTH_MAX).ok_or(Error::TooLarge)?;
        let mut state = self.volume.lock();
        let (node, space) = state.tmp.file_mut(id)?;
        node.wrote(now());
        let data = node.data_mut()?;
        match how {
            Allocation::Extend => data.allocate(offset, length, false, space),
            Allocation::KeepLength => data.allocate(offset, length, true, space),
            Allocation::Punch => {
                data.punch(offset, length, space);
                Ok(())
            }
            Allocation::Zero => {
                data.punch(offset, length, space);
                if end > data.length() { data.set_length(end, space) } else { Ok(()) }
            }
        }
    }

    /// Calls `each` with inode, type (`S_IF*`) and name of what is in the directory, `.` and `..` first, until it says false.
    /// It goes on where an earlier call stopped: with the last name that was taken, of a directory in memory, whose names
    /// come and go; else with how many were.
    pub fn list(&self, skip: u64, last: Option<&[u8]>, each: &mut dyn FnMut(u64, u32, &[u8]) -> bool) -> Result<()> {
        match (self.place, last) {
            // What comes after the last name comes after those that were taken.
            (Place::Tmp(_), Some(last)) => self.volume.lock().list(self.place, 0, Some(last), each),
            _ => self.volume.lock().list(self.place, skip, None, each),
        }
    }

    /// The absolute path of the directory.
    pub fn path(&self) -> Result<Vec<u8>> {
        self.volume.lock().path(self.place, b"")
    }

    /// Memory that holds the file from `offset` on. Of a sealed file it is the image itself.
    pub fn map(&self, offset: u64, length: u64) -> Result<Mapped> {
        let mut state = self.volume.lock();
        match self.place {
            Place::Sealed(number) => {
                let bytes = state.sealed_bytes(number);
                let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
                Ok(Mapped::Sealed(&bytes[start..]))
            }
            Place::Tmp(id) => {
                let (node, space) = state.tmp.file_mut(id)?;
                node.data_mut().map_err(|_| Error::NoDevice)?.map(offset, length, space).map(Mapped::File)
            }
            Place::Special(_) => Err(Error::NoDevice),
        }
    }

    /// Changes the advisory lock of somebody who has `has`.
    pub fn lock(&self, has: Lock, wants: Lock) -> Result<()> {
        match self.place {
            Place::Tmp(id) => self.volume.lock().tmp.node_mut(id)?.locks.change(has, wants),
            _ => self.volume.lock().sealed_lock(self.place, has, wants),
        }
    }

    /// Changes how `owner`, which nobody else is, has a range of bytes.
    pub fn lock_range(&self, owner: u64, range: Range, wants: Lock) -> Result<()> {
        self.volume.lock().records.change(self.place, owner, range, wants)
    }

    /// What keeps `owner` from having a range of bytes so: the first range in the way, and how it is locked.
    pub fn blocker(&self, owner: u64, range: Range, wants: Lock) -> Option<(Range, Lock)> {
        self.volume.lock().records.blocker(self.place, owner, range, wants)
    }

    /// Gives up all ranges that `owner` has, of whatever file.
    pub fn release_ranges(&self, owner: u64) {
        self.volume.lock().records.release(owner);
    }
}
