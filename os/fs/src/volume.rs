//! The machine's one tree of names, and everything that is asked of it by name.

use crate::attributes::{Attribute, Attributes, Time};
use crate::error::{Error, Result};
use crate::place::{Handle, Place};
use crate::record::Records;
use crate::special::Special;
use crate::state::State;
use crate::tmp::data::Data;
use crate::tmp::space::SpaceReport;
use crate::tmp::{self, Body, Tmp};
use abi::files::{Files, PATH_MAX};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use machine::clock;
use sync::{Guard, Once, SpinLock};

/// The tree: what is sealed, what every machine has, and what the program makes below `/tmp`.
pub struct Volume {
    state: SpinLock<State>,
}

/// Where a relative path begins.
#[derive(Clone, Copy)]
pub enum Start<'a> {
    /// In the current directory.
    Current,
    /// In an open one.
    At(&'a Handle),
}

/// How something is opened; what `O_*` say beyond that is `posix`'s affair.
#[derive(Clone, Copy, Debug, Default)]
pub struct Opening {
    /// To be written to (`O_WRONLY`, `O_RDWR`).
    pub write: bool,
    /// Made if it is not there (`O_CREAT`), with these permissions.
    pub create: Option<u32>,
    /// Only if it is not there (`O_EXCL`).
    pub exclusive: bool,
    /// Emptied (`O_TRUNC`).
    pub truncate: bool,
    /// Only a directory (`O_DIRECTORY`).
    pub directory: bool,
    /// Not through a link at the end (`O_NOFOLLOW`).
    pub no_follow: bool,
    /// A file without a name, in this directory (`O_TMPFILE`).
    pub nameless: bool,
    /// Not to be read or written at all (`O_PATH`).
    pub only_place: bool,
}

/// What was opened.
pub enum Opened {
    /// A file.
    File(Handle),
    /// A directory.
    Directory(Handle),
    /// A symbolic link, by [`Opening::only_place`].
    Link(Handle),
    /// A pipe with a name; it is `posix` that has pipes.
    Fifo(Handle),
    /// A socket's name, by [`Opening::only_place`].
    Socket(Handle),
    /// What `posix` has the meaning of.
    Special(Special),
}

/// How a name is moved (`renameat2`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// What had the new name before is replaced.
    Replace,
    /// It is an error if something has it (`RENAME_NOREPLACE`).
    Keep,
    /// The two change places (`RENAME_EXCHANGE`).
    Exchange,
}

/// The machine's tree.
pub fn volume() -> &'static Volume {
    static VOLUME: Once<Volume> = Once::new();
    VOLUME.get_or_init(|| Volume::new(machine::sealed::files()))
}

pub(crate) fn now() -> Time {
    Time::from_ns(clock::wall_ns())
}

impl Volume {
    /// A tree with these sealed files (a table of [`abi::files`], or nothing).
    pub fn new(sealed: &'static [u8]) -> Volume {
        let sealed = Files::new(sealed);
        let mut state = State {
            sealed,
            tmp: Tmp::new(),
            current: Place::ROOT,
            sealed_locks: Vec::new(),
            records: Records::default(),
        };
        if let Some(files) = &sealed {
            state.begin(files);
        }
        Volume { state: SpinLock::new(state) }
    }

    pub(crate) fn lock(&self) -> Guard<'_, State> {
        let mut state = self.state.lock();
        state.tmp.start(now);
        state
    }

    fn hold(&'static self, state: &mut State, place: Place) -> Result<Handle> {
        if let Place::Tmp(id) = place {
            state.tmp.hold(id)?;
        }
        Ok(Handle { volume: self, place })
    }

    /// Opens, and makes if that is asked for.
    pub fn open(&'static self, start: Start<'_>, path: &[u8], how: Opening) -> Result<Opened> {
        let mut state = self.lock();
        let place = state.open(start, path, how)?;
        if let Place::Special(special) = place
            && !special.is_directory()
        {
            return Ok(Opened::Special(special));
        }
        let opened = match place {
            _ if state.is_directory(place) => Opened::Directory,
            _ if state.link(place).is_some() => Opened::Link,
            _ if state.is_fifo(place) => Opened::Fifo,
            _ if state.is_socket(place) => Opened::Socket,
            _ => Opened::File,
        };
        self.hold(&mut state, place).map(opened)
    }

    /// The attributes of what has this name; `Err(Ok(special))`: `posix` knows them.
    pub fn attributes(&self, start: Start<'_>, path: &[u8], follow: bool) -> Result<Found> {
        let state = self.lock();
        let place = state.walk(state.start(start), path, follow)?.found()?;
        state.look(place)
    }

    /// What a symbolic link says.
    pub fn read_link(&self, start: Start<'_>, path: &[u8]) -> Result<Vec<u8>> {
        let state = self.lock();
        let place = state.walk(state.start(start), path, false)?.found()?;
        match place {
            Place::Special(Special::Image) => Ok(b"/proc/self/exe".to_vec()),
            Place::Special(Special::ProcSelf) | Place::Sealed(_) | Place::Special(_) => Err(Error::Invalid),
            Place::Tmp(_) => state.link(place).map(<[u8]>::to_vec).ok_or(Error::Invalid),
        }
    }

    /// The absolute path, without links, of what has this name (`realpath`), or of the current directory for `.`.
    pub fn absolute(&self, start: Start<'_>, path: &[u8]) -> Result<Vec<u8>> {
        let state = self.lock();
        let walked = state.walk(state.start(start), path, true)?;
        let place = walked.found()?;
        match walked.name.is_empty() {
            true => state.path(place, b""),
            false => state.path(walked.parent, &walked.name),
        }
    }

    /// Makes a directory the current one.
    pub fn enter(&self, start: Start<'_>, path: Option<&[u8]>) -> Result<()> {
        let mut state = self.lock();
        let from = state.start(start);
        let place = match path {
            Some(path) => state.walk(from, path, true)?.found()?,
            None => from,
        };
        if !state.is_directory(place) {
            return Err(Error::NotDirectory);
        }
        if let Place::Tmp(id) = place {
            state.tmp.hold(id)?;
        }
        if let Place::Tmp(old) = core::mem::replace(&mut state.current, place) {
            state.tmp.let_go(old);
        }
        Ok(())
    }

    /// Makes a directory.
    pub fn make_directory(&self, start: Start<'_>, path: &[u8], mode: u32) -> Result<()> {
        let mut state = self.lock();
        let walked = state.walk(state.start(start), path, false)?;
        state.make(&walked, mode, || Body::Directory { parent: tmp::TOP, entries: BTreeMap::new() }).map(drop)
    }

    /// Makes an empty file; it must not be there yet.
    pub fn make_file(&self, start: Start<'_>, path: &[u8], mode: u32) -> Result<()> {
        let mut state = self.lock();
        let walked = state.walk(state.start(start), path, false)?;
        if walked.wants_directory && walked.place.is_none() {
            return Err(Error::NotFound);
        }
        state.make(&walked, mode, || Body::File(Data::default())).map(drop)
    }

    /// Makes a pipe with a name.
    pub fn make_fifo(&self, start: Start<'_>, path: &[u8], mode: u32) -> Result<()> {
        let mut state = self.lock();
        let walked = state.walk(state.start(start), path, false)?;
        if walked.wants_directory && walked.place.is_none() {
            return Err(Error::NotFound);
        }
        state.make(&walked, mode, || Body::Fifo).map(drop)
    }

    /// Makes a socket's name, and gives the inode that it has; who is there is `posix`'s affair.
    pub fn make_socket(&self, start: Start<'_>, path: &[u8], mode: u32) -> Result<u64> {
        let mut state = self.lock();
        let walked = state.walk(state.start(start), path, false)?;
        if walked.wants_directory && walked.place.is_none() {
            return Err(Error::NotFound);
        }
        let id = state.make(&walked, mode, || Body::Socket)?;
        Ok(state.tmp.node(id)?.inode())
    }

    /// The inode of the socket's name that this path leads to.
    pub fn socket(&self, path: &[u8]) -> Result<u64> {
        let state = self.lock();
        match state.walk(state.start(Start::Current), path, true)?.found()? {
            place @ Place::Tmp(id) if state.is_socket(place) => Ok(state.tmp.node(id)?.inode()),
            _ => Err(Error::Refused),
        }
    }

    /// Makes a symbolic link.
    pub fn make_link(&self, start: Start<'_>, path: &[u8], target: &[u8]) -> Result<()> {
        match target.len() {
            0 => return Err(Error::NotFound),
            PATH_MAX.. => return Err(Error::NameTooLong),
            _ => {}
        }
        let mut state = self.lock();
        let walked = state.walk(state.start(start), path, false)?;
        if walked.wants_directory && walked.place.is_none() {
            return Err(Error::NotFound);
        }
        state.make(&walked, 0o777, || Body::Link(target.into())).map(drop)
    }

    /// Gives a file another name. Without a path, the file that is open at `from` itself.
    pub fn link(&self, from: Start<'_>, old: Option<&[u8]>, follow: bool, to: Start<'_>, new: &[u8]) -> Result<()> {
        let mut state = self.lock();
        let origin = state.start(from);
        let place = match old {
            Some(path) => state.walk(origin, path, follow)?.found()?,
            None => origin,
        };
        let walked = state.walk(state.start(to), new, false)?;
        if walked.place.is_some() {
            return Err(Error::Exists);
        }
        if walked.wants_directory {
            return Err(Error::NotFound);
        }
        if state.is_directory(place) {
            return Err(Error::NotPermitted);
        }
        let (Place::Tmp(id), Place::Tmp(directory)) = (place, walked.parent) else {
            return Err(if place.device() == walked.parent.device() { Error::ReadOnly } else { Error::OtherDevice });
        };
        if !state.tmp.node(id)?.can_take_name() {
            return Err(Error::Links);
        }
        state.tmp.space.has_room(walked.name.len())?;
        state.tmp.add(directory, &walked.name, id, now())
    }

    /// Removes a name: a file's, or that of an empty directory.
    pub fn remove(&self, start: Start<'_>, path: &[u8], directory: bool) -> Result<()> {
        let mut state = self.lock();
        let from = state.start(start);
        let walked = state.walk(from, path, false)?;
        let place = walked.found()?;
        if walked.name.is_empty() {
            return Err(match directory {
                false => Error::IsDirectory,
                true if path.ends_with(b".") && !path.ends_with(b"..") => Error::Invalid,
                true if path.ends_with(b"..") => Error::NotEmpty,
                true => Error::Busy,
            });
        }
        let is_directory = state.is_directory(place);
        let (Place::Tmp(parent), Place::Tmp(id)) = (walked.parent, place) else {
            return Err(match (place, directory, is_directory) {
                (Place::Tmp(_), true, _) => Error::Busy,
                (_, true, false) => Error::NotDirectory,
                (_, false, true) => Error::IsDirectory,
                _ => Error::ReadOnly,
            });
        };
        match (directory, is_directory) {
            (true, false) => return Err(Error::NotDirectory),
            (false, true) => return Err(Error::IsDirectory),
            (true, true) if !state.tmp.node(id)?.is_empty_directory() => return Err(Error::NotEmpty),
            _ => {}
        }
        let id = state.tmp.remove(parent, &walked.name, now())?;
        state.tmp.sweep(id);
        Ok(())
    }

    /// Moves a name.
    pub fn rename(&self, from: Start<'_>, old: &[u8], to: Start<'_>, new: &[u8], how: Move) -> Result<()> {
        let mut state = self.lock();
        let source = state.walk(state.start(from), old, false)?;
        let target = state.walk(state.start(to), new, false)?;
        state.rename(&source, &target, how)
    }

    /// Changes attributes by name.
    pub fn set(&self, start: Start<'_>, path: &[u8], follow: bool, attribute: Attribute) -> Result<()> {
        let mut state = self.lock();
        let walked = state.walk(state.start(start), path, follow)?;
        let place = walked.found()?;
        state.set(place, attribute)
    }

    /// How much room there is where this path leads; `None` where nothing can be made.
    pub fn space(&self, start: Start<'_>, path: Option<&[u8]>) -> Result<Option<SpaceReport>> {
        let state = self.lock();
        let from = state.start(start);
        let place = match path {
            Some(path) => state.walk(from, path, true)?.found()?,
            None => from,
        };
        Ok(matches!(place, Place::Tmp(_)).then(|| state.tmp.space.report()))
    }
}

/// What [`Volume::attributes`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// A file, a directory or a link.
    Here(Attributes),
    /// A device, or a descriptor's file: `posix` knows more.
    Special(Special),
}
