//! The sealed files on the host: a tree of names and bytes, packed into the table of [`abi::files`], and listed again.
//!
//! Order, alignment and times come from the tree alone, so the same files give the same bytes.

use abi::PAGE_SIZE;
use abi::files::{ENTRIES_MAX, ENTRY, Entry, Files, HEADER, Kind, PATH_MAX, is_name};
use std::collections::{BTreeMap, VecDeque};

/// Files on their way into an image.
#[derive(Clone, Debug, Default)]
pub struct FileTree {
    root: Folder,
    entries: u64,
    /// Where the program starts; empty for the root.
    start: Vec<u8>,
}

type Folder = BTreeMap<Vec<u8>, Node>;

#[derive(Clone, Debug)]
enum Node {
    Folder(Folder),
    File(Vec<u8>),
}

/// Why a file cannot go where it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// two files of one name
    #[error("two files would have this name; leave one out")]
    Twice,
    /// a file and a folder of one name
    #[error("a file and a folder would have this name; leave one out")]
    FileAndFolder,
    /// no absolute path, or one with an impossible part
    #[error("a path starts with `/`; its parts have 1 to 255 bytes and are neither `.` nor `..`")]
    Path,
    /// longer than a program can say
    #[error("a path has at most {} bytes", PATH_MAX - 1)]
    TooLong,
    /// more than a table holds
    #[error("an image holds at most {ENTRIES_MAX} files and folders")]
    TooMany,
}

impl FileTree {
    /// Puts a file at an absolute `path`, whose directories come along.
    pub fn add_file(&mut self, path: &[u8], bytes: Vec<u8>) -> Result<(), TreeError> {
        let (folder, name) = path.split_at(path.iter().rposition(|b| *b == b'/').ok_or(TreeError::Path)?);
        let name = &name[1..];
        self.check(path, name)?;
        let place = self.folder(folder)?;
        match place.get(name) {
            Some(Node::File(_)) => return Err(TreeError::Twice),
            Some(Node::Folder(_)) => return Err(TreeError::FileAndFolder),
            None => place.insert(name.to_vec(), Node::File(bytes)),
        };
        self.count()
    }

    /// Puts a directory at an absolute `path`; one that is there already stays.
    pub fn add_folder(&mut self, path: &[u8]) -> Result<(), TreeError> {
        self.folder(path.strip_suffix(b"/").unwrap_or(path)).map(drop)
    }

    /// Makes a directory the one that the program starts in; it is made if need be.
    pub fn start_in(&mut self, path: &[u8]) -> Result<(), TreeError> {
        self.add_folder(path)?;
        self.start = path.strip_suffix(b"/").unwrap_or(path).to_vec();
        Ok(())
    }

    /// Is nothing in it?
    pub fn is_empty(&self) -> bool {
        self.root.is_empty()
    }

    fn check(&self, path: &[u8], name: &[u8]) -> Result<(), TreeError> {
        match () {
            () if path.len() >= PATH_MAX => Err(TreeError::TooLong),
            () if !is_name(name) => Err(TreeError::Path),
            () => Ok(()),
        }
    }

    fn count(&mut self) -> Result<(), TreeError> {
        self.entries += 1;
        // The root is one too.
        if self.entries < ENTRIES_MAX { Ok(()) } else { Err(TreeError::TooMany) }
    }

    /// The directory at `path`, made if need be; the empty path is the root.
    fn folder(&mut self, path: &[u8]) -> Result<&mut Folder, TreeError> {
        if path.len() >= PATH_MAX {
            return Err(TreeError::TooLong);
        }
        let mut made = 0;
        let mut folder = &mut self.root;
        let mut parts = path.split(|b| *b == b'/');
        if parts.next() != Some(b"") {
            return Err(TreeError::Path);
        }
        for part in parts {
            if !is_name(part) {
                return Err(TreeError::Path);
            }
            let node = folder.entry(part.to_vec()).or_insert_with(|| {
                made += 1;
                Node::Folder(Folder::new())
            });
            let Node::Folder(next) = node else { return Err(TreeError::FileAndFolder) };
            folder = next;
        }
        self.entries += made;
        Ok(folder)
    }

    /// The table. `time_s` is when every file says it was last changed, in seconds since 1970.
    pub fn pack(&self, time_s: u64) -> Vec<u8> {
        let (mut entries, mut names, mut files) = (Vec::new(), Vec::new(), Vec::new());
        // What is left of the way to the directory to start in, as long as that leads on from here.
        let (mut start, mut way) = (0, self.start.split(|b| *b == b'/').skip(1).peekable());
        let root = Kind::Directory { first: 0, count: 0 };
        entries.push(Entry { parent: 0, name_at: 0, name_length: 0, kind: root });
        let mut queue = VecDeque::from([(0u32, &self.root)]);
        while let Some((number, folder)) = queue.pop_front() {
            let first = entries.len() as u32;
            entries[number as usize].kind = Kind::Directory { first, count: folder.len() as u32 };
            let mut next_start = start;
            for (name, node) in folder {
                let own = entries.len() as u32;
                if [start, next_start] == [number; 2] && way.next_if(|part| part == name).is_some() {
                    next_start = own;
                }
                let kind = match node {
                    Node::Folder(folder) => {
                        queue.push_back((own, folder));
                        root
                    }
                    Node::File(bytes) => {
                        files.push((own, bytes.as_slice()));
                        Kind::File { offset: 0, length: bytes.len() as u64 }
                    }
                };
                let name_at = names.len() as u32;
                entries.push(Entry { parent: number, name_at, name_length: name.len() as u16, kind });
                names.extend_from_slice(name);
            }
            start = next_start;
        }
        write(entries, start, &names, &files, time_s)
    }
}

/// Lays the parts out; offsets in `entries` count from the names until here.
fn write(mut entries: Vec<Entry>, start: u32, names: &[u8], files: &[(u32, &[u8])], time_s: u64) -> Vec<u8> {
    let names_at = HEADER + entries.len() * ENTRY;
    entries.iter_mut().for_each(|e| e.name_at += names_at as u32);
    let mut out = vec![0; names_at];
    out.extend_from_slice(names);
    // First the small ones: then only the large ones need padding.
    let is_large = |bytes: &[u8]| bytes.len() as u64 >= PAGE_SIZE;
    for large in [false, true] {
        for (number, bytes) in files.iter().filter(|f| is_large(f.1) == large) {
            let alignment = if large { PAGE_SIZE as usize } else { 16 };
            out.resize(out.len().next_multiple_of(alignment), 0);
            entries[*number as usize].kind = Kind::File { offset: out.len() as u64, length: bytes.len() as u64 };
            out.extend_from_slice(bytes);
        }
    }
    let header = Files::header(entries.len() as u32, start, time_s, out.len() as u64);
    out[..HEADER].copy_from_slice(&header);
    for (to, entry) in out[HEADER..].as_chunks_mut().0.iter_mut().zip(&entries) {
        *to = entry.encode();
    }
    out
}

/// A line of what is sealed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The path in the machine.
    pub path: Vec<u8>,
    /// Bytes, of a file.
    pub length: Option<u64>,
}

/// Every file and directory of a checked table but the root, directories before what is in them.
pub fn list(files: &Files<'_>) -> Vec<Listed> {
    let mut all: Vec<Listed> = Vec::new();
    let mut paths = vec![Vec::new()];
    for number in 1..files.len() {
        let Some(entry) = files.entry(number) else { break };
        // A checked table's parents come first.
        let mut path: Vec<u8> = paths.get(entry.parent as usize).cloned().unwrap_or_default();
        path.push(b'/');
        path.extend_from_slice(files.name(&entry).unwrap_or_default());
        let length = files.content(&entry).map(|bytes| bytes.len() as u64);
        paths.push(path.clone());
        all.push(Listed { path, length });
    }
    all.sort_by(|a, b| a.path.split(|b| *b == b'/').cmp(b.path.split(|b| *b == b'/')));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tree(files: &[(&str, usize)]) -> FileTree {
        let mut tree = FileTree::default();
        for (path, length) in files {
            tree.add_file(path.as_bytes(), vec![b'x'; *length]).expect("goes in");
        }
        tree
    }

    #[test]
    fn what_is_packed_is_found_again() {
        let mut tree = tree(&[("/etc/motd", 6), ("/www/a/index.html", 5000), ("/www/a.b", 0), ("/www/a/logo", 4096)]);
        tree.add_folder(b"/empty").expect("goes in");
        let bytes = tree.pack(7);
        let files = Files::new(&bytes).expect("a table");
        assert_eq!((files.check(), files.time_s()), (Ok(()), 7));
        let find = |path: &str| path.split('/').skip(1).try_fold(0, |at, part| files.child(at, part.as_bytes()));
        let index = files.entry(find("/www/a/index.html").expect("there")).expect("there");
        assert_eq!(files.content(&index), Some(&[b'x'; 5000][..]));
        let Kind::File { offset, .. } = index.kind else { panic!("a file") };
        assert!(offset.is_multiple_of(PAGE_SIZE), "it can be mapped as it is");
        assert_eq!(find("/www/b"), None);
        assert_eq!(find("/etc/motd/x"), None);
        let listed: Vec<_> = list(&files).into_iter().map(|l| String::from_utf8(l.path).expect("text")).collect();
        let wanted = ["/empty", "/etc", "/etc/motd", "/www", "/www/a", "/www/a/index.html", "/www/a/logo", "/www/a.b"];
        assert_eq!(listed, wanted);
    }

    #[test]
    fn the_directory_to_start_in_is_found() {
        for path in ["", "/", "/a", "/a/b/", "/b/a", "/a/b/c", "/new/one"] {
            let mut tree = tree(&[("/a/b/c/x", 1), ("/a/a/b/x", 1), ("/b/a/x", 1), ("/c", 1)]);
            tree.start_in(path.as_bytes()).expect("a directory");
            let bytes = tree.pack(0);
            let files = Files::new(&bytes).expect("a table");
            let parts = path.split('/').filter(|part| !part.is_empty());
            let wanted = parts.fold(0, |at, part| files.child(at, part.as_bytes()).expect("there"));
            assert_eq!((files.start(), files.check()), (wanted, Ok(())), "{path}");
        }
        let mut tree = tree(&[("/c", 1)]);
        assert_eq!(tree.start_in(b"/c"), Err(TreeError::FileAndFolder));
        let mut bytes = tree.pack(0);
        bytes[12] = 1;
        assert!(Files::new(&bytes).expect("a table").check().is_err(), "a file is nothing to start in");
    }

    #[test]
    fn the_order_of_adding_does_not_matter() {
        let one = tree(&[("/a/b", 1), ("/c", 2)]).pack(0);
        assert_eq!(one, tree(&[("/c", 2), ("/a/b", 1)]).pack(0));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let mut tree = tree(&[("/a", 1), ("/b/c", 1)]);
        let mut add = |path: &str| tree.add_file(path.as_bytes(), Vec::new()).expect_err("refused");
        assert_eq!(add("/a"), TreeError::Twice);
        assert_eq!(add("/b"), TreeError::FileAndFolder);
        assert_eq!(add("/a/x"), TreeError::FileAndFolder);
        for path in ["x", "", "/", "//x", "/./x", "/../x", "/x/..", "/x\0"] {
            assert_eq!(add(path), TreeError::Path, "{path:?}");
        }
        assert_eq!(add(&format!("/{}", "x".repeat(256))), TreeError::Path);
        assert_eq!(add(&"/x".repeat(2048)), TreeError::TooLong);
    }

    proptest! {
        #[test]
        fn a_damaged_table_is_never_walked_out_of(at in 0usize..400, value: u8, length in 0usize..400) {
            let mut bytes = tree(&[("/etc/motd", 6), ("/www/a", 50), ("/www/b", 0)]).pack(0);
            let end = bytes.len();
            bytes[at % end] = value;
            for bytes in [&bytes[..], &bytes[..length % end]] {
                if let Some(files) = Files::new(bytes) {
                    let checked = files.check();
                    for number in 0..files.len() + 1 {
                        _ = files.child(number, b"motd");
                        let entry = files.entry(number);
                        _ = entry.map(|e| (files.name(&e), files.content(&e)));
                    }
                    if checked.is_ok() {
                        list(&files);
                    }
                }
            }
        }
    }
}
