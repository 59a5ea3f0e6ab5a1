//! The sealed files: the tree that the manifest's `files` puts into the image, read-only, as one range of bytes.
//!
//! The sealing tool writes it and proves it ([`Files::check`]); whoever loads the image takes it along as part of a
//! read-only segment; the library OS reads it in place. Reading trusts nothing: a table that lies gives `None`, never
//! a byte from outside.
//!
//! # Layout
//! All integers little-endian, all offsets in bytes from the table's first byte, which is page-aligned.
//! ```text
//! 0    magic u64, entries u32, start u32, time u64, length u64   HEADER bytes
//! 32   entries, 32 bytes each; the first is the root         see `Entry`
//!      names, one after the other
//!      contents; those of a page or more begin on a page, and zeros follow them up to the next one
//! ```
//! A directory's children stand one after the other, ascending by name, after the directory itself. So a name is found
//! by halving, and no table can be walked in a circle.

/// `"AMPFILES"`, read as a little-endian number.
pub const FILES_MAGIC: u64 = u64::from_le_bytes(*b"AMPFILES");
/// Bytes of the header.
pub const HEADER: usize = 32;
/// Bytes of an entry.
pub const ENTRY: usize = 32;
/// The longest name of a file, in bytes (`NAME_MAX`).
pub const NAME_MAX: usize = 255;
/// The longest path, in bytes, its NUL included (`PATH_MAX`).
pub const PATH_MAX: usize = 4096;
/// Entries that a table has at most.
pub const ENTRIES_MAX: u64 = 1 << 20;

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A directory: the number of its first child, and how many it has.
    Directory {
        /// First child.
        first: u32,
        /// Children.
        count: u32,
    },
    /// A file: where its bytes are.
    File {
        /// First byte.
        offset: u64,
        /// Bytes.
        length: u64,
    },
}

/// One directory or file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The directory that it is in; the root is in itself.
    pub parent: u32,
    /// Where its name stands.
    pub name_at: u32,
    /// Bytes of its name; 0 for the root.
    pub name_length: u16,
    /// What it is.
    pub kind: Kind,
}

impl Entry {
    /// Its bytes in the table: parent, name, name's length, kind (1 directory, 2 file), a reserved word, and the kind's two
    /// numbers.
    pub fn encode(&self) -> [u8; ENTRY] {
        let (kind, a, b) = match self.kind {
            Kind::Directory { first, count } => (1u16, first.into(), count.into()),
            Kind::File { offset, length } => (2, offset, length),
        };
        let mut out = [0; ENTRY];
        out[..4].copy_from_slice(&self.parent.to_le_bytes());
        out[4..8].copy_from_slice(&self.name_at.to_le_bytes());
        out[8..10].copy_from_slice(&self.name_length.to_le_bytes());
        out[10..12].copy_from_slice(&kind.to_le_bytes());
        out[16..24].copy_from_slice(&a.to_le_bytes());
        out[24..].copy_from_slice(&b.to_le_bytes());
        out
    }

    fn decode(bytes: &[u8; ENTRY]) -> Option<Entry> {
        let (a, b) = (long(bytes, 16)?, long(bytes, 24)?);
        Some(Entry {
            parent: word(bytes, 0)?,
            name_at: word(bytes, 4)?,
            name_length: half(bytes, 8)?,
            kind: match half(bytes, 10)? {
                1 => Kind::Directory { first: a.try_into().ok()?, count: b.try_into().ok()? },
                2 => Kind::File { offset: a, length: b },
                _ => return None,
            },
        })
    }
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn long(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// A table of sealed files.
#[derive(Clone, Copy, Debug)]
pub struct Files<'a> {
    bytes: &'a [u8],
    entries: &'a [[u8; ENTRY]],
    start: u32,
    time_s: u64,
}

impl<'a> Files<'a> {
    /// The table in `bytes`; `None` if its header is none.
    pub fn new(bytes: &'a [u8]) -> Option<Self> {
        let header = bytes.get(..HEADER)?;
        let count = word(header, 8)?;
        if long(header, 0)? != FILES_MAGIC || long(header, 24)? != bytes.len() as u64 || u64::from(count) > ENTRIES_MAX
        {
            return None;
        }
        let table = bytes.get(HEADER..HEADER.checked_add(count as usize * ENTRY)?)?;
        Some(Files { bytes, entries: table.as_chunks().0, start: word(header, 12)?, time_s: long(header, 16)? })
    }

    /// The header of a table.
    pub fn header(entries: u32, start: u32, time_s: u64, length: u64) -> [u8; HEADER] {
        let mut out = [0; HEADER];
        let counts = u64::from(entries) | u64::from(start) << 32;
        for (to, value) in out.as_chunks_mut().0.iter_mut().zip([FILES_MAGIC, counts, time_s, length]) {
            *to = value.to_le_bytes();
        }
        out
    }

    /// How many entries there are.
    pub fn len(&self) -> u32 {
        self.entries.len() as u32
    }

    /// Is there not even a root?
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The number of the directory that the program starts in: its first current one.
    pub fn start(&self) -> u32 {
        self.start
    }

    /// When everything in it was last changed, in seconds since 1970: one time for all.
    pub fn time_s(&self) -> u64 {
        self.time_s
    }

    /// The entry of this number; 0 is the root.
    pub fn entry(&self, number: u32) -> Option<Entry> {
        Entry::decode(self.entries.get(number as usize)?)
    }

    /// An entry's name.
    pub fn name(&self, entry: &Entry) -> Option<&'a [u8]> {
        self.bytes.get(entry.name_at as usize..)?.get(..entry.name_length.into())
    }

    /// A file's bytes; none for a directory.
    pub fn content(&self, entry: &Entry) -> Option<&'a [u8]> {
        let Kind::File { offset, length } = entry.kind else { return None };
        self.bytes.get(usize::try_from(offset).ok()?..)?.get(..usize::try_from(length).ok()?)
    }

    /// The number of the child of this name.
    pub fn child(&self, directory: u32, name: &[u8]) -> Option<u32> {
        let Kind::Directory { first, count } = self.entry(directory)?.kind else { return None };
        let (mut low, mut high) = (first, first.checked_add(count)?);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.name(&self.entry(middle)?)?.cmp(name) {
                core::cmp::Ordering::Equal => return Some(middle),
                core::cmp::Ordering::Less => low = middle + 1,
                core::cmp::Ordering::Greater => high = middle,
            }
        }
        None
    }

    /// Proves every promise of the table, or says which it breaks.
    pub fn check(&self) -> Result<(), &'static str> {
        let root = self.entry(0).ok_or("the sealed files have no root")?;
        if root.parent != 0 || root.name_length != 0 || !matches!(root.kind, Kind::Directory { .. }) {
            return Err("the sealed files have no root");
        }
        let mut next = 1;
        for number in 0..self.len() {
            let entry = self.entry(number).ok_or("a sealed file is of no kind")?;
            match entry.kind {
                Kind::File { .. } => drop(self.content(&entry).ok_or("a sealed file lies outside the image")?),
                Kind::Directory { first, count } => {
                    // Directories and their children come in the same order, so the children leave no gap.
                    if first != next || count > self.len() - next {
                        return Err("the sealed directories do not hold together");
                    }
                    next += count;
                    self.check_children(number, first..next)?;
                }
            }
        }
        if next != self.len() {
            return Err("a sealed file is in no directory");
        }
        match self.entry(self.start).map(|entry| entry.kind) {
            Some(Kind::Directory { .. }) => Ok(()),
            _ => Err("the program is to start in no sealed directory"),
        }
    }

    fn check_children(&self, directory: u32, children: core::ops::Range<u32>) -> Result<(), &'static str> {
        let mut last: &[u8] = &[];
        for number in children {
            let entry = self.entry(number).ok_or("a sealed file is of no kind")?;
            let name = self.name(&entry).ok_or("a sealed file's name lies outside the image")?;
            if entry.parent != directory || number <= directory {
                return Err("a sealed file names another directory than its own");
            }
            if !is_name(name) {
                return Err("a sealed file has an impossible name");
            }
            if name <= last {
                return Err("the sealed files are out of order");
            }
            last = name;
        }
        Ok(())
    }
}

/// Can a directory hold this name?
pub fn is_name(name: &[u8]) -> bool {
    !matches!(name, b"" | b"." | b"..") && name.len() <= NAME_MAX && !name.iter().any(|b| matches!(b, 0 | b'/'))
}
