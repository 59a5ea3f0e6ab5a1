//! From a path to a place (POSIX, "Pathname Resolution"; path_resolution(7)), without recursion.

use crate::error::{Error, Result};
use crate::place::Place;
use crate::special;
use crate::state::State;
use crate::tmp::{self, Body};
use abi::files::{NAME_MAX, PATH_MAX};
use alloc::vec::Vec;

/// Links that one path may lead through (what Linux allows).
const LINKS_MAX: u32 = 40;

/// Where a path leads.
pub(crate) struct Walked {
    /// The directory that the last name is in.
    pub(crate) parent: Place,
    /// The last name; empty where the path ends with the root, `.` or `..`.
    pub(crate) name: Vec<u8>,
    /// What it stands for, if that is there.
    pub(crate) place: Option<Place>,
    /// The path ends with a slash: a directory is meant.
    pub(crate) wants_directory: bool,
}

impl Walked {
    pub(crate) fn found(&self) -> Result<Place> {
        self.place.ok_or(Error::NotFound)
    }
}

impl State {
    /// Goes along `path`, from the directory `start` unless it is absolute. With `follow` a link at its end is followed,
    /// as one before its end, or before a slash, always is.
    pub(crate) fn walk(&self, start: Place, path: &[u8], follow: bool) -> Result<Walked> {
        if path.is_empty() {
            return Err(Error::NotFound);
        }
        if path.len() >= PATH_MAX {
            return Err(Error::NameTooLong);
        }
        let mut path = path.to_vec();
        let mut at = if path[0] == b'/' { Place::ROOT } else { start };
        let (mut next, mut links) = (0, 0);
        loop {
            next += path[next..].iter().take_while(|b| **b == b'/').count();
            if next == path.len() {
                // Only the root has no name here.
                return Ok(Walked { parent: at, name: Vec::new(), place: Some(at), wants_directory: true });
            }
            let name = path[next..].split(|b| *b == b'/').next().unwrap_or_default();
            let after = next + name.len();
            let is_last = path[after..].iter().all(|b| *b == b'/');
            let wants_directory = after < path.len();
            if name.len() > NAME_MAX {
                return Err(Error::NameTooLong);
            }
            let found = self.step(at, name)?;
            if let Some(target) = found.and_then(|place| self.link(place))
                && (follow || wants_directory)
            {
                links += 1;
                if links > LINKS_MAX {
                    return Err(Error::Loop);
                }
                let whole = [target, &path[after..]].concat();
                if whole.len() >= PATH_MAX {
                    return Err(Error::NameTooLong);
                }
                if target.first() == Some(&b'/') {
                    at = Place::ROOT;
                }
                (path, next) = (whole, 0);
                continue;
            }
            match found {
                _ if is_last => {
                    if wants_directory && found.is_some_and(|place| !self.is_directory(place)) {
                        return Err(Error::NotDirectory);
                    }
                    let name = if matches!(name, b"." | b"..") { Vec::new() } else { name.to_vec() };
                    return Ok(Walked { parent: at, name, place: found, wants_directory });
                }
                Some(place) => (at, next) = (place, after),
                None => return Err(Error::NotFound),
            }
        }
    }

    /// What `name` stands for in a directory.
    fn step(&self, at: Place, name: &[u8]) -> Result<Option<Place>> {
        if !self.is_directory(at) {
            return Err(Error::NotDirectory);
        }
        match name {
            b"." => Ok(Some(at)),
            b".." => Ok(Some(self.parent(at))),
            _ => self.child(at, name),
        }
    }

    fn child(&self, at: Place, name: &[u8]) -> Result<Option<Place>> {
        if at == Place::ROOT {
            let own = special::ROOT.into_iter().find(|n| n.0 == name).map(|n| Place::Special(n.1));
            if let Some(own) = own.or((name == b"tmp").then_some(Place::Tmp(tmp::TOP))) {
                return Ok(Some(own));
            }
        }
        Ok(match at {
            Place::Sealed(number) => self.sealed.and_then(|s| s.child(number, name)).map(Place::Sealed),
            Place::Tmp(id) => self.tmp.child(id, name)?.map(Place::Tmp),
            Place::Special(special) => special.child(name).map(Place::Special),
        })
    }

    pub(crate) fn parent(&self, at: Place) -> Place {
        match at {
            Place::Tmp(tmp::TOP) => Place::ROOT,
            Place::Tmp(id) => Place::Tmp(self.tmp.parent(id)),
            Place::Sealed(number) => Place::Sealed(self.sealed.and_then(|s| s.entry(number)).map_or(0, |e| e.parent)),
            Place::Special(special) => special.parent().map_or(Place::ROOT, Place::Special),
        }
    }

    /// What a symbolic link says.
    pub(crate) fn link(&self, place: Place) -> Option<&[u8]> {
        let Place::Tmp(id) = place else { return None };
        match &self.tmp.node(id).ok()?.body {
            Body::Link(target) => Some(target),
            _ => None,
        }
    }

    /// The absolute path of a directory, or of what has this name in it.
    pub(crate) fn path(&self, directory: Place, name: &[u8]) -> Result<Vec<u8>> {
        // From the end to the beginning; turned round at last.
        let mut names: Vec<&[u8]> = Vec::new();
        if !name.is_empty() {
            names.push(name);
        }
        let mut at = directory;
        while at != Place::ROOT {
            names.push(match at {
                Place::Tmp(tmp::TOP) => b"tmp",
                Place::Tmp(id) => self.tmp.name(id).ok_or(Error::NotFound)?,
                Place::Special(special) => special.name(),
                Place::Sealed(number) => {
                    let name = self.sealed.and_then(|s| s.name(&s.entry(number)?));
                    name.ok_or(Error::NotFound)?
                }
            });
            at = self.parent(at);
        }
        let mut path = Vec::new();
        for name in names.iter().rev() {
            path.push(b'/');
            path.extend_from_slice(name);
        }
        if path.is_empty() {
            path.push(b'/');
        }
        Ok(path)
    }
}
