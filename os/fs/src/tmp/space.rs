//! How much memory the files may take. A file system in memory must not be what ends the machine: past its bound, and
//! where the machine itself has little left, there is no space.

use crate::error::{Error, Result};
use memory::Shared;

/// Part of the machine's memory that files may take (as Linux's tmpfs has it by default).
const SHARE: u64 = 2;
/// Part of the machine's memory that files leave free for everybody else.
const RESERVE: u64 = 16;
/// Bytes of memory for each file or directory that there may be.
const BYTES_A_NODE: u64 = 4096;

/// Bytes that a node takes in the table, with its share of a table that has grown by doubling.
const NODE: usize = 512;

/// Bytes that a name takes: its own in the heap, and its part of a directory's tree, whose nodes are half full at worst.
fn name_bytes(length: usize) -> usize {
    length + 160
}

/// The account.
pub(crate) struct Space {
    used: u64,
    nodes: u64,
}

/// What `statfs` wants to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpaceReport {
    /// Bytes there are in all.
    pub total: u64,
    /// Bytes that files may still take.
    pub free: u64,
    /// Files and directories there may be.
    pub nodes: u64,
    /// How many there may still be.
    pub nodes_free: u64,
}

impl Space {
    pub(crate) const fn new() -> Space {
        Space { used: 0, nodes: 0 }
    }

    fn total() -> u64 {
        memory::pages::total_bytes() as u64 / SHARE
    }

    fn left(&self) -> u64 {
        let reserve = memory::pages::total_bytes() as u64 / RESERVE;
        let machine = (memory::free_bytes() as u64).saturating_sub(reserve);
        Self::total().saturating_sub(self.used).min(machine)
    }

    /// Takes memory for contents.
    pub(crate) fn take(&mut self, bytes: usize) -> Result<Shared> {
        if bytes as u64 > self.left() {
            return Err(Error::NoSpace);
        }
        let run = Shared::new(bytes).ok_or(Error::NoSpace)?;
        self.used += bytes as u64;
        Ok(run)
    }

    /// Contents of so many bytes are gone.
    pub(crate) fn give(&mut self, bytes: usize) {
        self.used = self.used.saturating_sub(bytes as u64);
    }

    /// Is there memory for a name of so many bytes, or for what a link says?
    pub(crate) fn has_room(&self, length: usize) -> Result<()> {
        if name_bytes(length) as u64 > self.left() { Err(Error::NoSpace) } else { Ok(()) }
    }

    /// There is another name. A name that moves has room wherever it goes, so this is no question.
    pub(crate) fn count_name(&mut self, length: usize) {
        self.used += name_bytes(length) as u64;
    }

    /// A name is gone.
    pub(crate) fn give_name(&mut self, length: usize) {
        self.give(name_bytes(length));
    }

    /// Another file or directory.
    pub(crate) fn take_node(&mut self) -> Result<()> {
        if self.nodes >= Self::total() / BYTES_A_NODE {
            return Err(Error::NoSpace);
        }
        if NODE as u64 > self.left() {
            return Err(Error::NoSpace);
        }
        self.used += NODE as u64;
        self.nodes += 1;
        Ok(())
    }

    /// One of them is gone.
    pub(crate) fn give_node(&mut self) {
        self.nodes = self.nodes.saturating_sub(1);
        self.give(NODE);
    }

    #[cfg(test)]
    pub(crate) fn used(&self) -> u64 {
        self.used
    }

    pub(crate) fn report(&self) -> SpaceReport {
        let nodes = Self::total() / BYTES_A_NODE;
        let nodes_free = nodes.saturating_sub(self.nodes);
        SpaceReport { total: Self::total(), free: self.left(), nodes, nodes_free }
    }
}
