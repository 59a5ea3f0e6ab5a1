//! A place in the tree, and holding on to one.

use crate::special::Special;
use crate::tmp::Id;
use crate::volume::Volume;

/// Where something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// An entry of the sealed files, by its number.
    Sealed(u32),
    /// A node of the file system in memory.
    Tmp(Id),
    /// What every machine has.
    Special(Special),
}

impl Place {
    /// The top of the tree, which is the top of the sealed files.
    pub(crate) const ROOT: Place = Place::Sealed(0);
}

/// A place that somebody holds: it stays what it is, with or without a name, for as long as this lives.
pub struct Handle {
    pub(crate) volume: &'static Volume,
    pub(crate) place: Place,
}

impl Drop for Handle {
    fn drop(&mut self) {
        if let Place::Tmp(id) = self.place {
            self.volume.lock().tmp.let_go(id);
        }
    }
}
