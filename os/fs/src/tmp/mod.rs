//! The file system in memory: what `/tmp` holds.
//!
//! Files and directories are nodes in one table, named by their number in it. A node lives for as long as it has a name
//! or somebody holds it open. Everything here is called with the volume's lock held.

pub(crate) mod data;
pub(crate) mod seed;
pub(crate) mod space;

use crate::attributes::{Attribute, Attributes, DIRECTORY, FIFO, LINK, NewTime, REGULAR, SOCKET, Time, Times};
use crate::error::{Error, Result};
use crate::lock::Locks;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use data::Data;
use space::Space;

/// A node's number.
pub(crate) type Id = u32;
/// The top directory's.
pub(crate) const TOP: Id = 0;
/// The most names that a file may have (what Linux's tmpfs allows).
const LINKS_MAX: u32 = 32_000 * 2;

/// All nodes.
pub(crate) struct Tmp {
    nodes: Vec<Option<Node>>,
    free: Vec<Id>,
    next_inode: u64,
    pub(crate) space: Space,
}

/// A file, a directory, a symbolic link, a pipe or a socket's name.
pub(crate) struct Node {
    inode: u64,
    mode: u32,
    user: u32,
    group: u32,
    /// Names; a directory that was removed has 0.
    links: u32,
    /// Who holds it open.
    holders: u32,
    times: Times,
    pub(crate) body: Body,
    pub(crate) locks: Locks,
}

/// What a node is.
pub(crate) enum Body {
    File(Data),
    Directory { parent: Id, entries: BTreeMap<Box<[u8]>, Id> },
    Link(Box<[u8]>),
    Fifo,
    Socket,
}

impl Tmp {
    pub(crate) const fn new() -> Tmp {
        Tmp { nodes: Vec::new(), free: Vec::new(), next_inode: 1, space: Space::new() }
    }

    /// Makes the top directory, if this is the first time.
    pub(crate) fn start(&mut self, now: impl FnOnce() -> Time) {
        if self.nodes.is_empty() {
            // Where there is no memory even for this, it is tried again, and until then there is no /tmp.
            _ = self.make(Body::Directory { parent: TOP, entries: BTreeMap::new() }, 0o1777, now());
            if let Ok(top) = self.node_mut(TOP) {
                top.links = 1;
            }
        }
    }

    pub(crate) fn node(&self, id: Id) -> Result<&Node> {
        self.nodes.get(id as usize).and_then(Option::as_ref).ok_or(Error::NotFound)
    }

    pub(crate) fn node_mut(&mut self, id: Id) -> Result<&mut Node> {
        self.nodes.get_mut(id as usize).and_then(Option::as_mut).ok_or(Error::NotFound)
    }

    /// A node and the account of memory.
    pub(crate) fn file_mut(&mut self, id: Id) -> Result<(&mut Node, &mut Space)> {
        let node = self.nodes.get_mut(id as usize).and_then(Option::as_mut).ok_or(Error::NotFound)?;
        Ok((node, &mut self.space))
    }

    /// Makes a node without a name.
    pub(crate) fn make(&mut self, body: Body, mode: u32, now: Time) -> Result<Id> {
        if let Body::Link(target) = &body {
            self.space.has_room(target.len())?;
        }
        self.space.take_node()?;
        let times = Times { access: now, change: now, status: now, birth: now };
        let (inode, mode) = (self.next_inode, mode & 0o7777);
        let node = Node { inode, mode, user: 0, group: 0, links: 0, holders: 0, times, body, locks: Locks::default() };
        let id = match self.free.pop() {
            Some(id) => id,
            None => {
                let id = self.nodes.len() as Id;
                // Room for its number among the free ones, too: removing must not fail.
                let room = self.nodes.try_reserve(1).and_then(|()| self.free.try_reserve(self.nodes.len() + 1));
                if room.is_err() {
                    self.space.give_node();
                    return Err(Error::NoSpace);
                }
                self.nodes.push(None);
                id
            }
        };
        self.next_inode += 1;
        if let Body::Link(target) = &node.body {
            self.space.count_name(target.len());
        }
        self.nodes[id as usize] = Some(node);
        Ok(id)
    }

    /// Lets a node go that has neither a name nor a holder.
    pub(crate) fn sweep(&mut self, id: Id) {
        let Ok(node) = self.node_mut(id) else { return };
        if id == TOP || node.links > 0 || node.holders > 0 {
            return;
        }
        match self.nodes[id as usize].take().map(|node| node.body) {
            Some(Body::File(mut data)) => data.release(&mut self.space),
            Some(Body::Link(target)) => self.space.give_name(target.len()),
            _ => {}
        }
        self.space.give_node();
        self.free.push(id);
    }

    pub(crate) fn hold(&mut self, id: Id) -> Result<()> {
        self.node_mut(id)?.holders += 1;
        Ok(())
    }

    pub(crate) fn let_go(&mut self, id: Id) {
        if let Ok(node) = self.node_mut(id) {
            node.holders -= 1;
        }
        self.sweep(id);
    }

    /// What a name in a directory stands for.
    pub(crate) fn child(&self, directory: Id, name: &[u8]) -> Result<Option<Id>> {
        match &self.node(directory)?.body {
            Body::Directory { entries, .. } => Ok(entries.get(name).copied()),
            _ => Err(Error::NotDirectory),
        }
    }

    pub(crate) fn is_directory(&self, id: Id) -> bool {
        self.node(id).is_ok_and(|node| matches!(node.body, Body::Directory { .. }))
    }

    /// Where `..` of a directory leads.
    pub(crate) fn parent(&self, id: Id) -> Id {
        match self.node(id).map(|node| &node.body) {
            Ok(Body::Directory { parent, .. }) => *parent,
            _ => TOP,
        }
    }

    /// The name that a directory has in its parent, if it still has one.
    pub(crate) fn name(&self, id: Id) -> Option<&[u8]> {
        match &self.node(self.parent(id)).ok()?.body {
            Body::Directory { entries, .. } => entries.iter().find(|e| *e.1 == id).map(|e| &**e.0),
            _ => None,
        }
    }

    /// Gives a node another name.
    pub(crate) fn add(&mut self, directory: Id, name: &[u8], id: Id, now: Time) -> Result<()> {
        let is_directory = self.is_directory(id);
        let (place, space) = self.file_mut(directory)?;
        // A directory that was removed takes nothing any more.
        if place.links == 0 {
            return Err(Error::NotFound);
        }
        let Body::Directory { entries, .. } = &mut place.body else { return Err(Error::NotDirectory) };
        space.count_name(name.len());
        entries.insert(name.into(), id);
        place.links += u32::from(is_directory);
        place.touch(now);
        let node = self.node_mut(id)?;
        node.links += 1;
        node.times.status = now;
        if let Body::Directory { parent, .. } = &mut node.body {
            *parent = directory;
        }
        Ok(())
    }

    /// Takes a name away, and gives the node that had it; the caller lets it go ([`Tmp::sweep`]).
    pub(crate) fn remove(&mut self, directory: Id, name: &[u8], now: Time) -> Result<Id> {
        let place = self.node_mut(directory)?;
        let Body::Directory { entries, .. } = &mut place.body else { return Err(Error::NotDirectory) };
        let id = entries.remove(name).ok_or(Error::NotFound)?;
        place.touch(now);
        self.space.give_name(name.len());
        let is_directory = self.is_directory(id);
        self.node_mut(directory)?.links -= u32::from(is_directory);
        let node = self.node_mut(id)?;
        node.links -= 1;
        node.times.status = now;
        Ok(id)
    }

    /// Is `id` the directory `above`, or somewhere below it?
    pub(crate) fn is_below(&self, mut id: Id, above: Id) -> bool {
        while id != above {
            if id == TOP {
                return false;
            }
            id = self.parent(id);
        }
        true
    }
}

impl Node {
    fn touch(&mut self, now: Time) {
        self.times.change = now;
        self.times.status = now;
    }

    /// The contents were written to.
    pub(crate) fn wrote(&mut self, now: Time) {
        self.touch(now);
    }

    pub(crate) fn inode(&self) -> u64 {
        self.inode
    }

    pub(crate) fn can_take_name(&self) -> bool {
        self.links < LINKS_MAX
    }

    pub(crate) fn is_empty_directory(&self) -> bool {
        matches!(&self.body, Body::Directory { entries, .. } if entries.is_empty())
    }

    pub(crate) fn data(&self) -> Result<&Data> {
        match &self.body {
            Body::File(data) => Ok(data),
            Body::Directory { .. } => Err(Error::IsDirectory),
            Body::Link(_) | Body::Fifo | Body::Socket => Err(Error::Invalid),
        }
    }

    pub(crate) fn data_mut(&mut self) -> Result<&mut Data> {
        match &mut self.body {
            Body::File(data) => Ok(data),
            Body::Directory { .. } => Err(Error::IsDirectory),
            Body::Link(_) | Body::Fifo | Body::Socket => Err(Error::Invalid),
        }
    }

    pub(crate) fn attributes(&self) -> Attributes {
        let (kind, size, allocated, more) = match &self.body {
            Body::File(data) => (REGULAR, data.length(), data.allocated(), 0),
            Body::Directory { entries, .. } => {
                (DIRECTORY, entries.len() as u64 * 20 + 40, 0, u32::from(self.links > 0))
            }
            Body::Link(target) => (LINK, target.len() as u64, 0, 0),
            Body::Fifo => (FIFO, 0, 0, 0),
            Body::Socket => (SOCKET, 0, 0, 0),
        };
        Attributes {
            device: super::TMP_DEVICE,
            inode: self.inode,
            mode: kind | self.mode,
            links: self.links + more,
            user: self.user,
            group: self.group,
            size,
            allocated,
            special: 0,
            times: self.times,
        }
    }

    pub(crate) fn set(&mut self, attribute: Attribute, now: Time, space: &mut Space) -> Result<()> {
        match attribute {
            Attribute::Mode(mode) => self.mode = mode & 0o7777,
            Attribute::Owner(user, group) => {
                self.user = if user == u32::MAX { self.user } else { user };
                self.group = if group == u32::MAX { self.group } else { group };
            }
            Attribute::Times(access, change) => {
                let pick = |new: NewTime, old: Time| match new {
                    NewTime::Same => old,
                    NewTime::Now => now,
                    NewTime::At(time) => time,
                };
                self.times.access = pick(access, self.times.access);
                self.times.change = pick(change, self.times.change);
            }
            Attribute::Length(length) => {
                self.data_mut()?.set_length(length, space)?;
                self.times.change = now;
            }
        }
        self.times.status = now;
        Ok(())
    }
}
