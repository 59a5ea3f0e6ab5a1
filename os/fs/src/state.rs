//! What the volume's lock guards: places looked at, opened, made, renamed. [`mod@crate::volume`] asks, path by path.

use crate::attributes::{Attribute, Attributes, CHARACTER, DIRECTORY, REGULAR, Time, Times};
use crate::error::{Error, Result};
use crate::lock::{Lock, Locks};
use crate::place::Place;
use crate::record::Records;
use crate::special::{self, Special};
use crate::tmp::data::Data;
use crate::tmp::seed::seed;
use crate::tmp::{self, Body, Id, Tmp};
use crate::volume::{Found, Move, Opening, Start, now};
use crate::walk::Walked;
use abi::files::{Files, Kind, NAME_MAX};
use alloc::vec::Vec;
use core::ops::Bound;

/// The sealed files' number as a file system (`st_dev`).
const SEALED_DEVICE: u64 = 1;
/// That of what every machine has.
const SPECIAL_DEVICE: u64 = 3;

/// The tree's contents.
pub(crate) struct State {
    pub(crate) sealed: Option<Files<'static>>,
    pub(crate) tmp: Tmp,
    /// The current directory, held.
    pub(crate) current: Place,
    /// Locks on what is sealed, while somebody has one.
    pub(crate) sealed_locks: Vec<(Place, Locks)>,
    /// Locks on ranges of bytes.
    pub(crate) records: Records,
}

impl Place {
    pub(crate) fn device(self) -> u64 {
        match self {
            Place::Sealed(_) => SEALED_DEVICE,
            Place::Tmp(_) => super::TMP_DEVICE,
            Place::Special(_) => SPECIAL_DEVICE,
        }
    }
}

impl State {
    /// How the sealed files have it at the beginning: what is in `/tmp`, and which directory is the current one.
    pub(crate) fn begin(&mut self, files: &Files<'static>) {
        let start = Place::Sealed(files.start());
        self.current = if self.is_directory(start) { start } else { Place::ROOT };
        if files.child(0, b"tmp").is_some() {
            self.tmp.start(now);
            if let Some(id) = seed(&mut self.tmp, files)
                && self.tmp.hold(id).is_ok()
            {
                self.current = Place::Tmp(id);
            }
        }
    }

    pub(crate) fn start(&self, start: Start<'_>) -> Place {
        match start {
            Start::Current => self.current,
            Start::At(handle) => handle.place,
        }
    }

    pub(crate) fn is_directory(&self, place: Place) -> bool {
        match place {
            Place::Sealed(0) => true,
            Place::Sealed(number) => {
                let entry = self.sealed.and_then(|s| s.entry(number));
                entry.is_some_and(|e| matches!(e.kind, Kind::Directory { .. }))
            }
            Place::Tmp(id) => self.tmp.is_directory(id),
            Place::Special(special) => special.is_directory(),
        }
    }

    fn has_body(&self, place: Place, is: impl FnOnce(&Body) -> bool) -> bool {
        matches!(place, Place::Tmp(id) if self.tmp.node(id).is_ok_and(|node| is(&node.body)))
    }

    pub(crate) fn is_fifo(&self, place: Place) -> bool {
        self.has_body(place, |body| matches!(body, Body::Fifo))
    }

    pub(crate) fn is_socket(&self, place: Place) -> bool {
        self.has_body(place, |body| matches!(body, Body::Socket))
    }

    pub(crate) fn open(&mut self, start: Start<'_>, path: &[u8], how: Opening) -> Result<Place> {
        let from = self.start(start);
        let walked = self.walk(from, path, !(how.no_follow || how.create.is_some() && how.exclusive))?;
        if how.nameless {
            return self.open_nameless(walked.found()?, how);
        }
        let Some(place) = walked.place else {
            let mode = how.create.ok_or(Error::NotFound)?;
            if walked.wants_directory {
                return Err(Error::IsDirectory);
            }
            return self.make(&walked, mode, || Body::File(Data::default())).map(Place::Tmp);
        };
        if how.create.is_some() && how.exclusive {
            return Err(Error::Exists);
        }
        let is_directory = self.is_directory(place);
        if self.link(place).is_some() && !how.only_place {
            return Err(if how.directory { Error::NotDirectory } else { Error::Loop });
        }
        match is_directory {
            true if how.write || how.create.is_some() || how.truncate => return Err(Error::IsDirectory),
            false if how.directory => return Err(Error::NotDirectory),
            _ => {}
        }
        if self.is_socket(place) && !how.only_place {
            return Err(Error::NoAddress);
        }
        let is_sealed = matches!(place, Place::Sealed(_) | Place::Special(Special::Image));
        if is_sealed && (how.write || how.truncate) {
            return Err(Error::ReadOnly);
        }
        if let (Place::Tmp(id), true) = (place, how.truncate && !self.is_fifo(place)) {
            let (node, space) = self.tmp.file_mut(id)?;
            node.set(Attribute::Length(0), now(), space)?;
        }
        Ok(place)
    }

    fn open_nameless(&mut self, directory: Place, how: Opening) -> Result<Place> {
        match directory {
            _ if !self.is_directory(directory) => Err(Error::NotDirectory),
            _ if !how.write => Err(Error::Invalid),
            Place::Tmp(_) => {
                let body = Body::File(Data::default());
                self.tmp.make(body, how.create.unwrap_or(0o600), now()).map(Place::Tmp)
            }
            Place::Sealed(_) => Err(Error::ReadOnly),
            Place::Special(_) => Err(Error::Unsupported),
        }
    }

    /// Makes a node under a name that is free.
    pub(crate) fn make(&mut self, walked: &Walked, mode: u32, body: impl FnOnce() -> Body) -> Result<Id> {
        if walked.place.is_some() {
            return Err(Error::Exists);
        }
        let Place::Tmp(directory) = walked.parent else { return Err(Error::ReadOnly) };
        let now = now();
        self.tmp.space.has_room(walked.name.len())?;
        let id = self.tmp.make(body(), mode, now)?;
        let named = self.tmp.add(directory, &walked.name, id, now);
        if named.is_err() {
            self.tmp.sweep(id);
        }
        named.map(|()| id)
    }

    pub(crate) fn rename(&mut self, source: &Walked, target: &Walked, how: Move) -> Result<()> {
        let old = source.found()?;
        if source.name.is_empty() || target.name.is_empty() {
            return Err(Error::Busy);
        }
        if source.parent.device() != target.parent.device() {
            return Err(Error::OtherDevice);
        }
        let (Place::Tmp(from), Place::Tmp(to)) = (source.parent, target.parent) else {
            let is_mount = [source.place, target.place].into_iter().flatten().any(|p| p == Place::Tmp(tmp::TOP));
            return Err(if is_mount { Error::Busy } else { Error::ReadOnly });
        };
        let Place::Tmp(id) = old else { return Err(Error::ReadOnly) };
        let is_directory = self.tmp.is_directory(id);
        if !is_directory && (source.wants_directory || target.wants_directory) {
            return Err(Error::NotDirectory);
        }
        let other = match (target.place, how) {
            (Some(_), Move::Keep) => return Err(Error::Exists),
            (None, Move::Exchange) => return Err(Error::NotFound),
            (Some(Place::Tmp(other)), _) => Some(other),
            _ => None,
        };
        // A directory cannot go into itself.
        if is_directory && self.tmp.is_below(to, id) {
            return Err(Error::Invalid);
        }
        let Some(other) = other else { return self.carry(source, from, target, to) };
        if other == id {
            return Ok(());
        }
        let replaces_directory = self.tmp.is_directory(other);
        if how == Move::Exchange {
            if replaces_directory && self.tmp.is_below(from, other) {
                return Err(Error::Invalid);
            }
            return self.exchange(source, from, target, to);
        }
        match (is_directory, replaces_directory) {
            (true, false) => return Err(Error::NotDirectory),
            (false, true) => return Err(Error::IsDirectory),
            (true, true) if !self.tmp.node(other)?.is_empty_directory() => return Err(Error::NotEmpty),
            _ => {}
        }
        let gone = self.tmp.remove(to, &target.name, now())?;
        self.tmp.sweep(gone);
        self.carry(source, from, target, to)
    }

    /// Moves a name to where none is.
    fn carry(&mut self, source: &Walked, from: Id, target: &Walked, to: Id) -> Result<()> {
        // Before the old name goes: the new one may be impossible.
        if self.tmp.node(to)?.attributes().links < 2 {
            return Err(Error::NotFound);
        }
        let id = self.tmp.remove(from, &source.name, now())?;
        self.tmp.add(to, &target.name, id, now())
    }

    fn exchange(&mut self, source: &Walked, from: Id, target: &Walked, to: Id) -> Result<()> {
        let one = self.tmp.remove(from, &source.name, now())?;
        let other = self.tmp.remove(to, &target.name, now())?;
        self.tmp.add(to, &target.name, one, now())?;
        self.tmp.add(from, &source.name, other, now())
    }

    pub(crate) fn set(&mut self, place: Place, attribute: Attribute) -> Result<()> {
        match (place, attribute) {
            (Place::Tmp(id), _) => {
                let (node, space) = self.tmp.file_mut(id)?;
                node.set(attribute, now(), space)
            }
            (_, Attribute::Length(_)) if self.is_directory(place) => Err(Error::IsDirectory),
            (Place::Special(special), Attribute::Length(_)) if special != Special::Image => Err(Error::Invalid),
            _ => Err(Error::ReadOnly),
        }
    }

    pub(crate) fn look(&self, place: Place) -> Result<Found> {
        let fixed = |inode, mode, size, seconds: u64| {
            let time = Time { seconds: seconds as i64, nanoseconds: 0 };
            Found::Here(Attributes {
                device: place.device(),
                inode,
                mode,
                links: if mode & DIRECTORY != 0 { 2 } else { 1 },
                size,
                allocated: size,
                times: Times { access: time, change: time, status: time, birth: time },
                ..Attributes::default()
            })
        };
        let sealed_time = self.sealed.map_or(0, |s| s.time_s());
        match place {
            Place::Tmp(id) => Ok(Found::Here(self.tmp.node(id)?.attributes())),
            Place::Special(special) if special.is_directory() => Ok(fixed(special.inode(), DIRECTORY | 0o555, 0, 0)),
            Place::Special(special) => Ok(Found::Special(special)),
            Place::Sealed(number) if self.is_directory(place) => {
                Ok(fixed(u64::from(number) + 1, DIRECTORY | 0o555, 0, sealed_time))
            }
            Place::Sealed(number) => {
                let size = self.sealed_bytes(number).len() as u64;
                Ok(fixed(u64::from(number) + 1, REGULAR | 0o444, size, sealed_time))
            }
        }
    }

    pub(crate) fn sealed_lock(&mut self, place: Place, has: Lock, wants: Lock) -> Result<()> {
        let index = match self.sealed_locks.iter().position(|l| l.0 == place) {
            Some(index) => index,
            None => {
                self.sealed_locks.push((place, Locks::default()));
                self.sealed_locks.len() - 1
            }
        };
        let changed = self.sealed_locks[index].1.change(has, wants);
        if self.sealed_locks[index].1.is_free() {
            self.sealed_locks.swap_remove(index);
        }
        changed
    }

    pub(crate) fn sealed_bytes(&self, number: u32) -> &'static [u8] {
        self.sealed.and_then(|s| s.content(&s.entry(number)?)).unwrap_or_default()
    }

    /// See [`crate::Handle::list`].
    pub(crate) fn list(
        &self,
        place: Place,
        skip: u64,
        after: Option<&[u8]>,
        each: &mut dyn FnMut(u64, u32, &[u8]) -> bool,
    ) -> Result<()> {
        // A directory that was removed has not even these.
        if matches!(place, Place::Tmp(id) if self.tmp.node(id)?.attributes().links == 0) {
            return Ok(());
        }
        let mut skip = skip;
        let mut give = |place: Place, name: &[u8]| {
            if skip > 0 {
                skip -= 1;
                return true;
            }
            let (inode, kind) = match self.look(place) {
                Ok(Found::Here(found)) => (found.inode, found.mode & crate::attributes::TYPE),
                Ok(Found::Special(special)) => (special.inode(), CHARACTER),
                Err(_) => (0, 0),
            };
            each(inode, kind, name)
        };
        if let (Place::Tmp(id), Some(after)) = (place, after) {
            let Body::Directory { entries, .. } = &self.tmp.node(id)?.body else { return Err(Error::NotDirectory) };
            let mut rest = entries.range::<[u8], _>((Bound::Excluded(after), Bound::Unbounded));
            _ = rest.all(|(name, id)| give(Place::Tmp(*id), name));
            return Ok(());
        }
        if !give(place, b".") || !give(self.parent(place), b"..") {
            return Ok(());
        }
        if place == Place::ROOT {
            let own = special::ROOT.into_iter().map(|(name, special)| (name, Place::Special(special)));
            let tmp: &[u8] = b"tmp";
            if !own.chain([(tmp, Place::Tmp(tmp::TOP))]).all(|(name, place)| give(place, name)) {
                return Ok(());
            }
        }
        match place {
            Place::Tmp(id) => match &self.tmp.node(id)?.body {
                Body::Directory { entries, .. } => _ = entries.iter().all(|(name, id)| give(Place::Tmp(*id), name)),
                _ => return Err(Error::NotDirectory),
            },
            Place::Special(special) => _ = special.children().all(|(name, child)| give(Place::Special(child), name)),
            Place::Sealed(number) => {
                let Some(files) = self.sealed else { return Ok(()) };
                let Some(Kind::Directory { first, count }) = files.entry(number).map(|e| e.kind) else {
                    return Err(Error::NotDirectory);
                };
                for child in first..first.saturating_add(count) {
                    let Some(name) = files.entry(child).and_then(|e| files.name(&e)) else { break };
                    // The root has a `/tmp` without them.
                    let is_tmp = place == Place::ROOT && name == b"tmp";
                    if !is_tmp && !name.is_empty() && name.len() <= NAME_MAX && !give(Place::Sealed(child), name) {
                        break;
                    }
                }
            }
        }
        Ok(())
    }
}
