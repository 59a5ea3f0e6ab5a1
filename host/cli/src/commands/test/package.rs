//! The files of the package whose tests run: what a test finds on Linux in its current directory, at their real paths.
//!
//! They are sealed into the test's image, read-only, and the test starts in the package's folder. Links are followed. Left
//! out are what version control and other tools keep for themselves (`.git`, and folders with a cache's tag,
//! <https://bford.info/cachedir/>, as cargo's target folder has it), what cannot be read or is no file, and what would take
//! more than an eighth of the machine's memory, or 128 MiB: the largest ones, with a note.

use std::fs::{self, Metadata};
use std::hash::{Hash, Hasher};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use image::files::FileTree;

use crate::manifest::is_own;
use crate::size::Size;

/// Part of the machine's memory that the files may take.
const SHARE: u64 = 8;
/// Bytes that they may take at most: each test program's image, which is kept, has all of them.
const BYTES_MAX: u64 = 128 << 20;
/// More files and folders are not looked at.
const ENTRIES_MAX: usize = 50_000;
/// Folders in folders: a link that leads back to where it is ends here, if not before.
const DEPTH_MAX: usize = 64;

/// What is in the package's folder.
#[derive(Debug, Default)]
pub(super) struct Package {
    /// The folder, as cargo names it; empty if there is none.
    root: PathBuf,
    folders: Vec<PathBuf>,
    files: Vec<File>,
    /// What the user has to be told.
    pub(super) notes: Vec<String>,
}

#[derive(Debug)]
struct File {
    path: PathBuf,
    data: Metadata,
}

impl Package {
    /// Looks through the package's folder, but not into `target`, for a machine of so many bytes of memory.
    pub(super) fn find(root: &Path, target: Option<&Path>, memory: u64) -> Self {
        let mut package = Self { root: root.to_owned(), ..Self::default() };
        if !root.is_absolute() || !root.is_dir() {
            return Self::default();
        }
        // Links or not, these are the machine's.
        let is_tmp = root.starts_with("/tmp");
        if is_own(root.as_os_str().as_bytes()) && !is_tmp {
            let note =
                format!("{} is a folder of the machine's own there, so the tests do not find it", root.display());
            return Self { notes: vec![note], ..Self::default() };
        }
        package.walk(target.and_then(|target| target.canonicalize().ok()).as_deref());
        package.files.sort_by(|a, b| a.path.cmp(&b.path));
        package.folders.sort();
        package.fit(BYTES_MAX.min(memory / SHARE));
        package
    }

    fn walk(&mut self, target: Option<&Path>) {
        let mut open = vec![(self.root.clone(), Vec::new())];
        while let Some((folder, above)) = open.pop() {
            let Ok(real) = folder.canonicalize() else { continue };
            let is_ours = target.is_some_and(|target| real == target);
            let is_cache = folder != self.root && (is_ours || is_cache(&folder));
            if is_cache || above.contains(&real) || above.len() > DEPTH_MAX {
                continue;
            }
            let above = [above, vec![real]].concat();
            for path in fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
                if self.files.len() + self.folders.len() > ENTRIES_MAX {
                    let note = format!(
                        "{} holds more than {ENTRIES_MAX} files; not all are in the machine",
                        self.root.display()
                    );
                    self.notes.push(note);
                    return;
                }
                match fs::metadata(&path) {
                    Ok(data) if data.is_dir() && !is_hidden_away(&path) => open.push((path, above.clone())),
                    Ok(data) if data.is_file() => self.files.push(File { path, data }),
                    _ => {}
                }
            }
            self.folders.push(folder);
        }
    }

    /// Leaves the largest files out until the others have at most so many bytes.
    fn fit(&mut self, bytes_max: u64) {
        let mut sum: u64 = self.files.iter().map(|file| file.data.len()).sum();
        let mut out: Vec<(u64, PathBuf)> = Vec::new();
        let mut sizes: Vec<u64> = self.files.iter().map(|file| file.data.len()).collect();
        sizes.sort_unstable();
        while sum > bytes_max {
            let Some(largest) = sizes.pop() else { break };
            sum -= largest;
            let at = self.files.iter().position(|file| file.data.len() == largest);
            out.extend(at.map(|at| (largest, self.files.remove(at).path)));
        }
        if let Some((bytes, path)) = out.first() {
            self.notes.push(format!(
                "{} files of {} are not in the machine, the largest {} ({}): all are to take at most {}, an eighth of \
                 its memory and no more than {}",
                out.len(),
                self.root.display(),
                path.strip_prefix(&self.root).unwrap_or(path).display(),
                Size(*bytes),
                Size(bytes_max),
                Size(BYTES_MAX),
            ));
        }
    }

    /// Tells this content from another, as the kernel does: by length, inode and times.
    pub(super) fn mark(&self, hasher: &mut impl Hasher) {
        (&self.root, &self.folders, self.files.len()).hash(hasher);
        for File { path, data } in &self.files {
            path.hash(hasher);
            (data.dev(), data.ino(), data.size()).hash(hasher);
            (data.mtime(), data.mtime_nsec(), data.ctime(), data.ctime_nsec()).hash(hasher);
        }
    }

    /// The table of sealed files, with the package's folder to start in; empty without one.
    ///
    /// # Errors
    /// A name that no image holds.
    pub(super) fn pack(&self) -> Result<Vec<u8>> {
        if self.root.as_os_str().is_empty() {
            return Ok(Vec::new());
        }
        let mut tree = FileTree::default();
        let cannot = |path: &Path| format!("cannot seal {} into the test's machine", path.display());
        for folder in &self.folders {
            tree.add_folder(folder.as_os_str().as_bytes()).with_context(|| cannot(folder))?;
        }
        for File { path, data } in &self.files {
            let Some(bytes) = read(path, data.len()) else { continue };
            tree.add_file(path.as_os_str().as_bytes(), bytes).with_context(|| cannot(path))?;
        }
        tree.start_in(self.root.as_os_str().as_bytes()).with_context(|| cannot(&self.root))?;
        Ok(tree.pack(0))
    }
}

/// A file's bytes, no more than there were when it was found; `None` if it cannot be read.
fn read(path: &Path, length: u64) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path).ok()?.take(length).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// Does version control keep its own things there?
fn is_hidden_away(folder: &Path) -> bool {
    folder.file_name().is_some_and(|name| [".git", ".hg", ".svn", ".jj"].iter().any(|own| name == *own))
}

/// Is it a cache, by its tag?
fn is_cache(folder: &Path) -> bool {
    const TAG: &[u8] = b"Signature: 8a477f597d28d172789f06886806bc55";
    let mut start = [0; TAG.len()];
    let tag = fs::File::open(folder.join("CACHEDIR.TAG"));
    tag.and_then(|mut file| file.read_exact(&mut start)).is_ok() && start == TAG
}

#[cfg(test)]
mod tests {
    use std::hash::DefaultHasher;
    use std::os::unix::fs::symlink;

    use abi::files::Files;

    use super::*;

    /// A package's folder, gone at the end of the test.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("ampoule-package-{name}-{}", std::process::id()));
            fs::create_dir_all(&folder).expect("made");
            Folder(folder)
        }

        fn write(&self, path: &str, text: &str) {
            let path = self.0.join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            fs::write(path, text).expect("written");
        }

        /// What is in the machine, below the package's folder, and what the user is told.
        fn sealed(&self, memory: u64) -> (Vec<String>, Vec<String>) {
            let package = Package::find(&self.0, Some(&self.0.join("out")), memory);
            let table = package.pack().expect("packed");
            let files = Files::new(&table).expect("a table");
            assert_eq!(files.check(), Ok(()));
            let root = self.0.to_str().expect("text");
            let listed = image::files::list(&files).into_iter();
            let paths = listed.map(|file| String::from_utf8(file.path).expect("text"));
            let below = paths.filter_map(|path| Some(path.strip_prefix(root)?.strip_prefix('/')?.to_owned()));
            let start = files.entry(files.start()).and_then(|entry| files.name(&entry));
            assert_eq!(start, self.0.file_name().map(OsStrExt::as_bytes));
            (below.collect(), package.notes)
        }

        fn mark(&self) -> u64 {
            let mut hasher = DefaultHasher::new();
            Package::find(&self.0, None, 1 << 30).mark(&mut hasher);
            hasher.finish()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn what_tests_read_is_taken_and_what_tools_keep_is_not() {
        let folder = Folder::new("taken");
        for path in ["Cargo.toml", "tests/data/a.txt", ".git/HEAD", "out/debug/x", "cache/x", "build/x"] {
            folder.write(path, path);
        }
        folder.write("cache/CACHEDIR.TAG", "Signature: 8a477f597d28d172789f06886806bc55\n# by somebody");
        folder.write("build/CACHEDIR.TAG", "no signature");
        fs::create_dir(folder.0.join("empty")).expect("made");
        symlink("tests/data", folder.0.join("link")).expect("made");
        symlink("..", folder.0.join("tests/up")).expect("made");
        symlink("nowhere", folder.0.join("dangling")).expect("made");
        assert!(std::process::Command::new("mkfifo").arg(folder.0.join("pipe")).status().expect("runs").success());
        let wanted =
            "Cargo.toml build build/CACHEDIR.TAG build/x empty link link/a.txt tests tests/data tests/data/a.txt";
        assert_eq!(folder.sealed(1 << 30), (wanted.split(' ').map(str::to_owned).collect(), Vec::new()));
    }

    #[test]
    fn too_much_is_left_out_and_said() {
        let folder = Folder::new("large");
        folder.write("small", "x");
        folder.write("large", &"x".repeat(3000));
        folder.write("larger", &"x".repeat(5000));
        let (files, notes) = folder.sealed(8 * 4000);
        assert_eq!(files, ["large", "small"]);
        assert!(notes.len() == 1 && notes[0].contains("1 files") && notes[0].contains("largest larger"), "{notes:?}");
    }

    #[test]
    fn other_files_are_another_image() {
        let folder = Folder::new("mark");
        folder.write("a", "x");
        let mark = folder.mark();
        assert_eq!(folder.mark(), mark);
        folder.write("b", "x");
        assert_ne!(folder.mark(), mark, "one more");
        fs::remove_file(folder.0.join("b")).expect("removed");
        folder.write("a", "longer");
        assert_ne!(folder.mark(), mark, "changed");
    }

    #[test]
    fn no_package_is_no_files() {
        for root in ["", "relative", "/dev/shm", "/no such folder"] {
            assert!(Package::find(Path::new(root), None, 1 << 30).pack().expect("nothing").is_empty(), "{root}");
        }
        assert_eq!(Package::find(Path::new("/dev/shm"), None, 1 << 30).notes.len(), 1);
    }
}
