//! Names as a machine with files has them: [`fs`]'s tree, and behind some of its names what `posix` knows itself.

use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use fs::{Found, Move, Opened, Opening, SpaceReport, Start};
use sync::SpinLock;

use crate::directory::{Held, OpenDirectory};
use crate::errno::{Errno, Result};
use crate::fifo::Fifo;
use crate::file::{self, ACCESS_MODE, Description, Kind, NON_BLOCKING, Open, READ_ONLY, READ_WRITE, WRITE_ONLY};
use crate::names::{At, CURRENT, Change, Mapping, Memory, Names};
use crate::path;
use crate::regular::Regular;
use crate::socket::{AF_UNIX, Socket};
use crate::special::Random;
use crate::stat::{self, Attributes};
use crate::table::{spare, table};

/// `O_EXCL`
const EXCLUSIVE: u32 = 0o200;
/// `O_NOFOLLOW`
const NO_FOLLOW: u32 = 0o400000;
/// `O_PATH`
const PATH: u32 = 0o10000000;
/// `__O_TMPFILE`; the flag that programs give has `O_DIRECTORY` in it as well.
const NAMELESS: u32 = 0o20000000;
const PAGE: usize = abi::PAGE_SIZE as usize;

/// The tree.
pub fn names() -> &'static dyn Names {
    &Tree
}

struct Tree;

/// Where a path begins, held for as long as it is walked.
enum From {
    Current,
    Open(Open),
}

impl From {
    /// For a path, which may be absolute: then it does not matter.
    fn new(at: At, path: &[u8]) -> Result<From> {
        spare()?;
        match at {
            CURRENT => Ok(From::Current),
            _ if matches!(path.first(), None | Some(b'/')) => Ok(From::Current),
            fd => From::itself(fd, Errno::NOTDIR),
        }
    }

    /// The file that is open at `at`; `other` is the error where it is none of the tree's.
    fn itself(at: At, other: Errno) -> Result<From> {
        if at == CURRENT {
            return Ok(From::Current);
        }
        let file = table().get(at)?;
        if !matches!(file.file().kind(), Kind::Node(_)) {
            return Err(other);
        }
        Ok(From::Open(file))
    }

    fn start(&self) -> Start<'_> {
        match self {
            From::Open(file) => match file.file().kind() {
                Kind::Node(node) => Start::At(node.handle()),
                _ => Start::Current,
            },
            From::Current => Start::Current,
        }
    }
}

fn opening(flags: u32, mode: u32) -> Opening {
    // With O_PATH only these count, and what else there is is ignored (open(2)).
    if flags & PATH != 0 {
        let (directory, no_follow) = (flags & file::DIRECTORY != 0, flags & NO_FOLLOW != 0);
        return Opening { directory, no_follow, only_place: true, ..Opening::default() };
    }
    let nameless = flags & NAMELESS != 0;
    Opening {
        write: flags & ACCESS_MODE != READ_ONLY,
        create: (flags & file::CREATE != 0 || nameless).then_some(mode & 0o7777),
        exclusive: flags & EXCLUSIVE != 0 && !nameless,
        truncate: flags & file::TRUNCATE != 0,
        directory: flags & file::DIRECTORY != 0,
        no_follow: flags & NO_FOLLOW != 0,
        nameless,
        only_place: false,
    }
}

impl Names for Tree {
    fn open(&self, at: At, path: &[u8], flags: u32, mode: u32, random: Random) -> Result<Open> {
        let opened = fs::volume().open(From::new(at, path)?.start(), path, opening(flags, mode))?;
        let kept = flags & (ACCESS_MODE | NON_BLOCKING | file::APPEND);
        Ok(match opened {
            Opened::File(handle)
            | Opened::Directory(handle)
            | Opened::Link(handle)
            | Opened::Fifo(handle)
            | Opened::Socket(handle)
                if flags & PATH != 0 =>
            {
                Description::open(Held(handle), kept | PATH)
            }
            Opened::Fifo(handle) => Description::open(Fifo::open(handle, flags)?, kept),
            Opened::File(handle) => Description::open(Regular::new(handle, flags), kept),
            Opened::Directory(handle) => Description::open(OpenDirectory::new(handle), kept | file::DIRECTORY),
            Opened::Link(_) => return Err(Errno::LOOP),
            Opened::Socket(_) => return Err(Errno::NXIO),
            Opened::Special(special) => path::open_special(special, kept, random)?,
        })
    }

    fn status(&self, at: At, path: &[u8], follow: bool) -> Result<Attributes> {
        match fs::volume().attributes(From::new(at, path)?.start(), path, follow)? {
            Found::Here(attributes) => Ok(attributes),
            Found::Special(special) => Ok(path::status_special(special)?.into()),
        }
    }

    fn access(&self, at: At, path: &[u8], mode: u32, follow: bool) -> Result<()> {
        let found = self.status(at, path, follow)?;
        let is_fixed = matches!(found.mode & stat::TYPE_MASK, stat::REGULAR | stat::DIRECTORY);
        let is_made = found.device == stat::TMP_FILES;
        match mode {
            0..8 if mode & 2 != 0 && is_fixed && !is_made => Err(Errno::ROFS),
            // Who has all rights may still only run what somebody may run (access(2)); directories he may search.
            0..8 if mode & 1 != 0 && found.mode & 0o111 == 0 && found.mode & stat::TYPE_MASK != stat::DIRECTORY => {
                Err(Errno::ACCES)
            }
            0..8 => Ok(()),
            _ => Err(Errno::INVAL),
        }
    }

    fn socket(&self, path: &[u8]) -> Result<u64> {
        Ok(fs::volume().socket(path)?)
    }

    fn bind(&self, socket: &dyn Socket, path: &[u8], mode: u32) -> Result<()> {
        if socket.family_and_type().0 != AF_UNIX {
            return socket.bind_name(path, 0);
        }
        let node = match fs::volume().make_socket(Start::Current, path, mode) {
            Err(fs::Error::Exists) => return Err(Errno::ADDRINUSE),
            made => made?,
        };
        let bound = socket.bind_name(path, node);
        if bound.is_err() {
            _ = fs::volume().remove(Start::Current, path, false);
        }
        bound
    }

    fn read_link(&self, at: At, path: &[u8], room: &mut [u8]) -> Result<usize> {
        let target = fs::volume().read_link(From::new(at, path)?.start(), path)?;
        let count = target.len().min(room.len());
        room[..count].copy_from_slice(&target[..count]);
        Ok(count)
    }

    fn current(&self, room: &mut [u8]) -> Result<usize> {
        let mut path = fs::volume().absolute(Start::Current, b".")?;
        path.push(0);
        room.get_mut(..path.len()).ok_or(Errno::RANGE)?.copy_from_slice(&path);
        Ok(path.len())
    }

    fn absolute(&self, at: At, path: &[u8]) -> Result<Vec<u8>> {
        Ok(fs::volume().absolute(From::new(at, path)?.start(), path)?)
    }

    fn enter(&self, at: At, path: Option<&[u8]>) -> Result<()> {
        let from = if path.is_some() { From::Current } else { From::itself(at, Errno::NOTDIR)? };
        Ok(fs::volume().enter(from.start(), path)?)
    }

    fn change(&self, at: At, path: &[u8], change: Change<'_>) -> Result<()> {
        let from = From::new(at, path)?;
        let (volume, start) = (fs::volume(), from.start());
        Ok(match change {
            Change::MakeDirectory(mode) => volume.make_directory(start, path, mode & 0o1777),
            Change::MakeFile(mode) => volume.make_file(start, path, mode),
            Change::MakeFifo(mode) => volume.make_fifo(start, path, mode),
            Change::MakeSocket(mode) => volume.make_socket(start, path, mode).map(drop),
            Change::MakeLink(target) => volume.make_link(start, path, target),
            Change::RemoveFile => volume.remove(start, path, false),
            Change::RemoveDirectory => volume.remove(start, path, true),
            Change::Set(attribute, follow) => volume.set(start, path, follow, attribute),
        }?)
    }

    fn link(&self, at: At, path: Option<&[u8]>, follow: bool, to: At, new: &[u8]) -> Result<()> {
        let from = match path {
            Some(path) => From::new(at, path)?,
            None => From::itself(at, Errno::XDEV)?,
        };
        let to = From::new(to, new)?;
        Ok(fs::volume().link(from.start(), path, follow, to.start(), new)?)
    }

    fn rename(&self, at: At, path: &[u8], to: At, new: &[u8], how: Move) -> Result<()> {
        let (from, to) = (From::new(at, path)?, From::new(to, new)?);
        Ok(fs::volume().rename(from.start(), path, to.start(), new, how)?)
    }

    fn space(&self, at: At, path: Option<&[u8]>) -> Result<Option<SpaceReport>> {
        match (path, From::itself(at, Errno::NOTDIR)) {
            (Some(_), _) => Ok(fs::volume().space(Start::Current, path)?),
            // Pipes and sockets are on file systems that have no space at all.
            (None, Err(Errno::NOTDIR)) => Ok(None),
            (None, from) => Ok(fs::volume().space(from?.start(), None)?),
        }
    }

    fn map(&self, fd: i32, offset: i64, length: usize, mapping: Mapping) -> Result<Option<usize>> {
        let offset = u64::try_from(offset).ok().filter(|o| o.is_multiple_of(abi::PAGE_SIZE)).ok_or(Errno::INVAL)?;
        let file = table().get(fd)?;
        let node = match file.file().kind() {
            Kind::Node(node) => node,
            // The sealed symbol file, which std maps for its backtraces.
            Kind::Plain if !mapping.shared && file.file().stat().mode & stat::TYPE_MASK == stat::REGULAR => {
                return Ok(None);
            }
            _ => return Err(Errno::NODEV),
        };
        let access = file.flags() & ACCESS_MODE;
        if access == WRITE_ONLY || mapping.shared && mapping.write && access != READ_WRITE {
            return Err(Errno::ACCES);
        }
        let is_read_only = node.handle().is_read_only();
        if !mapping.shared && (mapping.write || !is_read_only) {
            return Ok(None);
        }
        match node.handle().map(offset, length as u64)? {
            fs::Mapped::Sealed(bytes) => {
                let start = bytes.as_ptr().addr();
                let fits = start.is_multiple_of(PAGE) && length <= bytes.len().next_multiple_of(PAGE);
                Ok(fits.then_some(start))
            }
            fs::Mapped::File(memory) => {
                let start = memory.address();
                MAPPINGS.lock().push(Mapped { start, end: start + length.next_multiple_of(PAGE), memory });
                COUNT.fetch_add(1, Relaxed);
                Ok(Some(start))
            }
        }
    }

    fn unmap(&self, address: usize, length: usize) -> bool {
        if is_sealed(address) {
            return true;
        }
        COUNT.load(Relaxed) > 0 && forget(address, address.saturating_add(length))
    }

    fn memory(&self, address: usize) -> Option<Memory> {
        let is_file = || COUNT.load(Relaxed) > 0 && MAPPINGS.lock().iter().any(|m| (m.start..m.end).contains(&address));
        match () {
            () if is_sealed(address) => Some(Memory::Sealed),
            () if is_file() => Some(Memory::File),
            () => None,
        }
    }
}

fn is_sealed(address: usize) -> bool {
    let sealed = machine::sealed::files().as_ptr_range();
    (sealed.start.addr()..sealed.end.addr()).contains(&address)
}

/// A part of a file that the program has mapped.
struct Mapped {
    start: usize,
    end: usize,
    memory: fs::Mapping,
}

static MAPPINGS: SpinLock<Vec<Mapped>> = SpinLock::new(Vec::new());
/// How many there are, for those who need not look.
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// Takes a range out of one mapping that holds all of it; false if none does. Two mappings of one file may lie at one
/// place: then it is one of them.
fn forget(start: usize, end: usize) -> bool {
    let mut mappings = MAPPINGS.lock();
    let exact = mappings.iter().position(|m| m.start == start && m.end == end);
    let holds = |m: &Mapped| m.start <= start && end <= m.end;
    let Some(index) = exact.or_else(|| mappings.iter().position(holds)) else { return false };
    let gone = mappings.swap_remove(index);
    for (start, end) in [(gone.start, start), (end, gone.end)] {
        if start < end {
            mappings.push(Mapped { start, end, memory: gone.memory.clone() });
        }
    }
    COUNT.store(mappings.len(), Relaxed);
    drop(mappings);
    // Only now, with no lock held, its memory may go.
    drop(gone);
    true
}

impl core::convert::From<fs::Error> for Errno {
    fn from(error: fs::Error) -> Errno {
        Errno(error as i32)
    }
}
