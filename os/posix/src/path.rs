//! Names of files, as far as every machine has them: a read-only, nearly empty root with the devices that programs expect,
//! and the image itself where it carries symbols. All else is not there (`ENOENT`), and nothing can be made (`EROFS`).
//! Where files are sealed in, or may be made, [`crate::files`] takes this one's place, and asks it what these few are.

use crate::console;
use crate::errno::{Errno, Result};
use crate::file::{self, ACCESS_MODE, Description, File, NON_BLOCKING, Open, READ_ONLY};
use crate::special::{Directory, Null, Random, RandomBytes, Sealed, Zero};
use crate::stat::{self, Stat};
use crate::table::table;

/// The longest path, in bytes (`PATH_MAX`).
pub const PATH_MAX: usize = 4096;

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Node {
    Directory,
    Null,
    Zero,
    Full,
    Random,
    /// `/dev/stdin`, `/dev/fd/3`, `/proc/self/fd/3`
    Descriptor(i32),
    /// `/dev/tty`, `/dev/console`
    Console,
    /// `/proc/self/exe`
    Image,
}

/// What there is, apart from the descriptors below the two directories that end in `fd`.
const NAMES: [(&[u8], Node); 17] = [
    (b"", Node::Directory),
    (b"dev", Node::Directory),
    (b"dev/null", Node::Null),
    (b"dev/zero", Node::Zero),
    (b"dev/full", Node::Full),
    (b"dev/random", Node::Random),
    (b"dev/urandom", Node::Random),
    (b"dev/tty", Node::Console),
    (b"dev/console", Node::Console),
    (b"dev/stdin", Node::Descriptor(0)),
    (b"dev/stdout", Node::Descriptor(1)),
    (b"dev/stderr", Node::Descriptor(2)),
    (b"dev/fd", Node::Directory),
    (b"proc", Node::Directory),
    (b"proc/self", Node::Directory),
    (b"proc/self/fd", Node::Directory),
    (b"proc/self/exe", Node::Image),
];

fn parts(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|b| *b == b'/').filter(|part| !matches!(*part, b"" | b"."))
}

/// What of `path` lies below `name`, if it begins with that.
fn below<'a>(path: &'a [u8], name: &[u8]) -> Option<impl Iterator<Item = &'a [u8]>> {
    let mut rest = parts(path);
    parts(name).all(|part| rest.next() == Some(part)).then_some(rest)
}

/// Finds `path`. Relative paths start at `/`, the only directory one can be in.
fn find(path: &[u8]) -> Result<Node> {
    if path.is_empty() {
        return Err(Errno::NOENT);
    }
    if path.len() >= PATH_MAX {
        return Err(Errno::NAMETOOLONG);
    }
    for (name, node) in NAMES {
        let Some(mut rest) = below(path, name) else { continue };
        match (rest.next(), node) {
            (_, Node::Image) if machine::sealed::symbols().is_empty() => {}
            (None, node) => return Ok(node),
            (Some(number), Node::Directory) if name.ends_with(b"fd") => {
                return if rest.next().is_none() { decimal(number).map(Node::Descriptor) } else { Err(Errno::NOENT) };
            }
            (Some(_), Node::Directory) => {}
            (Some(_), _) => return Err(Errno::NOTDIR),
        }
    }
    Err(Errno::NOENT)
}

fn decimal(digits: &[u8]) -> Result<i32> {
    core::str::from_utf8(digits).ok().and_then(|d| d.parse().ok()).ok_or(Errno::NOENT)
}

/// `open`: `flags` are `O_*`; `random` serves `/dev/urandom`.
pub fn open(path: &[u8], flags: u32, random: Random) -> Result<Open> {
    let node = match find(path) {
        Err(Errno::NOENT) if flags & file::CREATE != 0 => return Err(Errno::ROFS),
        found => found?,
    };
    let writes = flags & ACCESS_MODE != READ_ONLY;
    if flags & file::CREATE != 0 && flags & 0o200 != 0 {
        return Err(Errno::EXIST);
    }
    match node {
        Node::Directory if writes => return Err(Errno::ISDIR),
        Node::Image if writes || flags & file::TRUNCATE != 0 => return Err(Errno::ROFS),
        Node::Directory => {}
        _ if flags & file::DIRECTORY != 0 => return Err(Errno::NOTDIR),
        _ => {}
    }
    open_node(node, flags & (ACCESS_MODE | NON_BLOCKING | file::APPEND), random)
}

fn open_node(node: Node, flags: u32, random: Random) -> Result<Open> {
    Ok(match node {
        Node::Directory => Description::open(Directory, flags),
        Node::Null => Description::open(Null, flags),
        Node::Zero => Description::open(Zero { full: false }, flags),
        Node::Full => Description::open(Zero { full: true }, flags),
        Node::Random => Description::open(RandomBytes(random), flags),
        Node::Image => Description::open(Sealed::new(machine::sealed::symbols()), flags),
        Node::Descriptor(fd) => table().get(fd)?,
        Node::Console => console::terminal(flags),
    })
}

/// [`open`] of `/dev/null`, for who knows that name without looking.
pub fn null(flags: u32) -> Result<Open> {
    match flags {
        _ if flags & (file::CREATE | 0o200) == file::CREATE | 0o200 => Err(Errno::EXIST),
        _ if flags & file::DIRECTORY != 0 => Err(Errno::NOTDIR),
        _ => Ok(Description::open(Null, flags & (ACCESS_MODE | NON_BLOCKING | file::APPEND))),
    }
}

/// What a machine with files finds here too.
fn node(special: fs::Special) -> Node {
    use fs::Special;
    match special {
        Special::Dev | Special::Proc | Special::ProcSelf | Special::Descriptors => Node::Directory,
        Special::Null => Node::Null,
        Special::Zero => Node::Zero,
        Special::Full => Node::Full,
        Special::Random => Node::Random,
        Special::Console => Node::Console,
        Special::Descriptor(fd) => Node::Descriptor(fd),
        Special::Image => Node::Image,
    }
}

/// Opens what [`crate::files`] found; `flags` are the description's.
pub(crate) fn open_special(special: fs::Special, flags: u32, random: Random) -> Result<Open> {
    open_node(node(special), flags, random)
}

/// The attributes of what [`crate::files`] found.
pub(crate) fn status_special(special: fs::Special) -> Result<Stat> {
    status_node(node(special))
}

/// `stat`: the attributes behind a name.
pub fn status(path: &[u8]) -> Result<Stat> {
    status_node(find(path)?)
}

fn status_node(node: Node) -> Result<Stat> {
    use crate::special::character;
    Ok(match node {
        Node::Directory => Directory.stat(),
        Node::Null => character(1, 3),
        Node::Zero => character(1, 5),
        Node::Full => character(1, 7),
        Node::Random => character(1, 9),
        Node::Console => character(5, 1),
        Node::Image => Sealed::new(machine::sealed::symbols()).stat(),
        Node::Descriptor(fd) => table().get(fd)?.file().stat(),
    })
}

/// `access`: `mode` has bits 4 read, 2 write, 1 execute.
pub fn access(path: &[u8], mode: u32) -> Result<()> {
    let found = status(path)?;
    let writable = matches!(found.mode & stat::TYPE_MASK, stat::CHARACTER | stat::FIFO | stat::SOCKET);
    match mode {
        _ if mode & 2 != 0 && !writable => Err(Errno::ROFS),
        _ if mode & 1 != 0 && found.mode & 0o111 == 0 => Err(Errno::ACCES),
        _ => Ok(()),
    }
}

/// `readlink`: copies what a link points to, and gives its length.
pub fn read_link(path: &[u8], buffer: &mut [u8]) -> Result<usize> {
    match find(path)? {
        Node::Image => {
            let target = b"/proc/self/exe";
            let count = target.len().min(buffer.len());
            buffer[..count].copy_from_slice(&target[..count]);
            Ok(count)
        }
        _ => Err(Errno::INVAL),
    }
}

/// What every call says that would change the file system: why it cannot.
pub fn change(path: &[u8], creates: bool) -> Errno {
    match find(path) {
        Err(Errno::NOENT) if creates => Errno::ROFS,
        Err(error) => error,
        Ok(_) if creates => Errno::EXIST,
        Ok(_) => Errno::ROFS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn try_open(path: &str, flags: u32) -> Result<Open> {
        open(path.as_bytes(), flags, |buffer| buffer.fill(4))
    }

    #[test]
    fn names_lead_where_they_should() {
        assert_eq!(find(b"/"), Ok(Node::Directory));
        assert_eq!(find(b"//dev/./null"), Ok(Node::Null));
        assert_eq!(find(b"dev/urandom"), Ok(Node::Random));
        assert_eq!(find(b"/proc/self/fd/12"), Ok(Node::Descriptor(12)));
        assert_eq!(find(b"/dev/fd/0"), Ok(Node::Descriptor(0)));
        assert_eq!(find(b"/dev/fd/0/1"), Err(Errno::NOENT));
        assert_eq!(find(b"/dev/fd/x"), Err(Errno::NOENT));
        assert_eq!(find(b"/proc/self/"), Ok(Node::Directory));
        assert_eq!(find(b"/dev/null/x"), Err(Errno::NOTDIR));
        assert_eq!(find(b"/etc/resolv.conf"), Err(Errno::NOENT));
        assert_eq!(find(b""), Err(Errno::NOENT));
        assert_eq!(find(&[b'x'; 5000]), Err(Errno::NAMETOOLONG));
    }

    #[test]
    fn nothing_can_be_made_or_changed() {
        assert_eq!(try_open("/tmp/new", file::CREATE | 1).err(), Some(Errno::ROFS));
        assert_eq!(try_open("/tmp/new", 1).err(), Some(Errno::NOENT));
        assert_eq!(try_open("/", 1).err(), Some(Errno::ISDIR));
        assert_eq!(change(b"/tmp/x", true), Errno::ROFS);
        assert_eq!(change(b"/dev/null", false), Errno::ROFS);
        assert_eq!(change(b"/tmp/x", false), Errno::NOENT);
    }

    #[test]
    fn devices_behave() {
        let mut buffer = [1; 4];
        let random = try_open("/dev/urandom", 0).expect("there");
        assert_eq!(random.file().read(&mut buffer), Ok(4));
        assert_eq!(buffer, [4; 4]);
        let null = try_open("/dev/null", 2).expect("there");
        assert_eq!((null.file().read(&mut buffer), null.file().write(b"gone")), (Ok(0), Ok(4)));
        assert!(null.file().observers().is_none());
    }

    #[test]
    fn a_sealed_file_is_read_and_sought() {
        let file = Sealed::new(b"0123456789");
        let mut buffer = [0; 4];
        assert_eq!(file.seek(-3, 2), Ok(7));
        assert_eq!(file.read(&mut buffer), Ok(3));
        assert_eq!(file.read(&mut buffer), Ok(0));
        assert_eq!(file.seek(-11, 1), Err(Errno::INVAL));
        assert_eq!(file.read_at(&mut buffer, 2), Ok(4));
        assert_eq!(&buffer, b"2345");
    }
}
