//! What is neither sealed nor made by the program: the directories and devices that every machine has.
//!
//! What they do is `posix`'s affair; here they have names and places.

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Special {
    /// `/dev`
    Dev,
    /// `/proc`
    Proc,
    /// `/proc/self`
    ProcSelf,
    /// `/dev/fd`, `/proc/self/fd`: a name for each descriptor.
    Descriptors,
    /// `/dev/null`
    Null,
    /// `/dev/zero`
    Zero,
    /// `/dev/full`
    Full,
    /// `/dev/random`, `/dev/urandom`
    Random,
    /// `/dev/tty`, `/dev/console`
    Console,
    /// `/dev/stdin`, `/dev/fd/3`
    Descriptor(i32),
    /// `/proc/self/exe`, where the image carries symbols.
    Image,
}

use Special::{Console, Descriptor, Descriptors, Dev, Full, Image, Null, Proc, ProcSelf, Random, Zero};

/// Directory, name, and what it stands for; the root's are in [`ROOT`].
const NAMES: [(Special, &[u8], Special); 14] = [
    (Dev, b"console", Console),
    (Dev, b"fd", Descriptors),
    (Dev, b"full", Full),
    (Dev, b"null", Null),
    (Dev, b"random", Random),
    (Dev, b"stderr", Descriptor(2)),
    (Dev, b"stdin", Descriptor(0)),
    (Dev, b"stdout", Descriptor(1)),
    (Dev, b"tty", Console),
    (Dev, b"urandom", Random),
    (Dev, b"zero", Zero),
    (Proc, b"self", ProcSelf),
    (ProcSelf, b"exe", Image),
    (ProcSelf, b"fd", Descriptors),
];

/// What the root has of them.
pub(crate) const ROOT: [(&[u8], Special); 2] = [(b"dev", Dev), (b"proc", Proc)];

impl Special {
    /// Is it a directory?
    pub fn is_directory(self) -> bool {
        matches!(self, Dev | Proc | ProcSelf | Descriptors)
    }

    /// What is in a directory, by name.
    pub(crate) fn children(self) -> impl Iterator<Item = (&'static [u8], Special)> {
        let is_there = |special| special != Image || !machine::sealed::symbols().is_empty();
        NAMES.into_iter().filter(move |n| n.0 == self && is_there(n.2)).map(|n| (n.1, n.2))
    }

    pub(crate) fn child(self, name: &[u8]) -> Option<Special> {
        if self == Descriptors {
            let digits = core::str::from_utf8(name).ok().filter(|d| d.bytes().all(|b| b.is_ascii_digit()));
            return digits.and_then(|d| d.parse().ok()).map(Descriptor);
        }
        self.children().find(|(own, _)| *own == name).map(|(_, child)| child)
    }

    /// The directory it is in; `None` is the root.
    pub(crate) fn parent(self) -> Option<Special> {
        match self {
            Dev | Proc => None,
            ProcSelf => Some(Proc),
            Descriptors | Image => Some(ProcSelf),
            _ => Some(Dev),
        }
    }

    /// The name it has in [`Special::parent`].
    pub(crate) fn name(self) -> &'static [u8] {
        match self.parent() {
            None => ROOT.into_iter().find(|n| n.1 == self).map_or(b"", |n| n.0),
            Some(parent) => parent.children().find(|n| n.1 == self).map_or(b"", |n| n.0),
        }
    }

    /// A number that tells them apart.
    pub fn inode(self) -> u64 {
        match self {
            Dev => 2,
            Proc => 3,
            ProcSelf => 4,
            Descriptors => 5,
            Image => 6,
            Console => 7,
            Null => 19,
            Zero => 21,
            Full => 23,
            Random => 25,
            Descriptor(fd) => 1000 + fd as u64,
        }
    }
}
