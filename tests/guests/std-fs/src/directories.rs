//! Directories: making, listing, removing them; and calls that begin at an open one.

use crate::{by_errno, say};
use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, DirEntryExt, MetadataExt, PermissionsExt};

pub(crate) fn run() {
    making();
    listing();
    removing();
    relative();
}

fn making() {
    say("mkdir", fs::create_dir("d"));
    say("once more", fs::create_dir("d"));
    say("with a slash", fs::create_dir("d2/"));
    say("in nothing", fs::create_dir("x/y"));
    say("in a file", fs::create_dir("h2/y"));
    say("all the way", fs::create_dir_all("d/e/f/g"));
    say("all there", fs::create_dir_all("d/e/f/g"));
    say("through a file", fs::create_dir_all("h2/e/f"));
    say("with a mode", DirBuilder::new().mode(0o700).create("d3"));
    say("mode", fs::metadata("d3").map(|m| format!("{:o}", m.permissions().mode())));
    say("the root", fs::create_dir("/"));
    say("dot", fs::create_dir("."));
}

fn names(path: &str) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        let kind = if kind.is_dir() {
            "/"
        } else if kind.is_symlink() {
            "@"
        } else {
            ""
        };
        names.push(format!("{}{kind}", entry.file_name().to_string_lossy()));
        if entry.ino() != entry.metadata()?.ino() {
            names.push("another inode".to_owned());
        }
    }
    names.sort();
    Ok(names)
}

fn listing() {
    say("an empty one", names("d2"));
    fs::create_dir("l").expect("made");
    for name in ["b", "a", "ä", "c d", ".hidden"] {
        fs::write(format!("l/{name}"), name).expect("made");
    }
    fs::create_dir("l/sub").expect("made");
    std::os::unix::fs::symlink("a", "l/link").expect("made");
    say("its names", names("l"));
    say("of a file", names("h2"));
    say("of nothing", names("nothing"));
    fs::create_dir("many").expect("made");
    for number in 0..3000 {
        File::create(format!("many/file number {number}")).expect("made");
    }
    let list =
        || fs::read_dir("many").map(|d| d.map(|e| e.expect("an entry").file_name()).collect::<BTreeSet<_>>().len());
    say("many", list());
    let mut removed = 0;
    for entry in fs::read_dir("many").expect("there") {
        fs::remove_file(entry.expect("an entry").path()).expect("there");
        removed += 1;
    }
    println!("removed {removed} while listing");
    say("none left", list());
    say("dev", names("/dev").map(|n| ["null", "zero", "urandom", "full"].iter().all(|d| n.iter().any(|n| n == d))));
}

fn removing() {
    say("rmdir", fs::remove_dir("d2"));
    say("one that is not empty", fs::remove_dir("d"));
    say("a file", fs::remove_dir("h2"));
    say("nothing", fs::remove_dir("d2"));
    say("unlink a directory", fs::remove_file("d3"));
    say("unlink with a slash", fs::remove_file("h2/"));
    say("dot", fs::remove_dir("d3/."));
    say("dot dot", fs::remove_dir("d/e/.."));
    say("all of it", fs::remove_dir_all("d"));
    say("all of nothing", fs::remove_dir_all("d"));
    say("all of a file", fs::remove_dir_all("h2"));
    fs::create_dir("deep").expect("made");
    let top = File::open("deep").expect("there");
    std::env::set_current_dir("deep").expect("entered");
    for _ in 0..500 {
        fs::create_dir("x").expect("made");
        std::env::set_current_dir("x").expect("entered");
    }
    // SAFETY: a descriptor.
    say("back to the top", by_errno(unsafe { libc::fchdir(top.as_raw_fd()) }.into()));
    std::env::set_current_dir("..").expect("entered");
    say("a deep tree goes", fs::remove_dir_all("deep"));
    say("links of a directory", fs::create_dir_all("n/a").and_then(|()| fs::create_dir("n/b")).map(drop));
}

fn relative() {
    fs::create_dir_all("at/sub").expect("made");
    let directory = File::open("at").expect("there");
    let fd = directory.as_raw_fd();
    // SAFETY: paths, descriptors and numbers.
    unsafe {
        let made = libc::openat(fd, c"file".as_ptr(), libc::O_CREAT | libc::O_WRONLY, 0o644);
        say("openat", Ok(made >= 0 && libc::close(made) == 0));
        say("it is there", fs::metadata("at/file").map(|m| m.is_file()));
        say("mkdirat", by_errno(libc::mkdirat(fd, c"sub/more".as_ptr(), 0o755).into()));
        say("renameat", by_errno(libc::renameat(fd, c"file".as_ptr(), fd, c"sub/file".as_ptr()).into()));
        say("symlinkat", by_errno(libc::symlinkat(c"sub".as_ptr(), fd, c"link".as_ptr()).into()));
        let mut room = [0; 16];
        say("readlinkat", by_errno(libc::readlinkat(fd, c"link".as_ptr(), room.as_mut_ptr(), 2) as i64));
        say("faccessat", by_errno(libc::faccessat(fd, c"link/file".as_ptr(), libc::R_OK, 0).into()));
        say("unlinkat", by_errno(libc::unlinkat(fd, c"sub/file".as_ptr(), 0).into()));
        say("of a directory", by_errno(libc::unlinkat(fd, c"sub/more".as_ptr(), 0).into()));
        say("as one", by_errno(libc::unlinkat(fd, c"sub/more".as_ptr(), libc::AT_REMOVEDIR).into()));
        say("at no directory", by_errno(libc::mkdirat(0, c"x".as_ptr(), 0o755).into()));
        say("at nothing", by_errno(libc::mkdirat(999, c"x".as_ptr(), 0o755).into()));
        let mut stat: libc::stat = std::mem::zeroed();
        say("fstatat of itself", by_errno(libc::fstatat(fd, c"".as_ptr(), &mut stat, libc::AT_EMPTY_PATH).into()));
        say("it is a directory", Ok(stat.st_mode & libc::S_IFMT == libc::S_IFDIR));
        say("of nothing", by_errno(libc::fstatat(fd, c"".as_ptr(), &mut stat, 0).into()));
        say("fchdir to a file", by_errno(libc::fchdir(File::open("h2").expect("there").as_raw_fd()).into()));
        let held = libc::open(c"h2".as_ptr(), libc::O_PATH);
        say("read what is only held", by_errno(libc::read(held, room.as_mut_ptr().cast(), 1) as i64));
        say("fstat of it", by_errno(libc::fstat(held, &mut stat).into()));
        libc::close(held);
        let no_follow = libc::open(c"at/link".as_ptr(), libc::O_RDONLY | libc::O_NOFOLLOW);
        say("not through a link", by_errno(no_follow.into()));
        let mut space: libc::statvfs = std::mem::zeroed();
        say("statvfs", by_errno(libc::statvfs(c".".as_ptr(), &mut space).into()));
        say("has room", Ok(space.f_bavail > 0 && space.f_namemax == 255));
        say("fstatvfs", by_errno(libc::fstatvfs(fd, &mut space).into()));
        say("fsync of a directory", by_errno(libc::fsync(fd).into()));
        say("a fifo in nothing", by_errno(libc::mkdirat(fd, c"no/fifo".as_ptr(), 0o644).into()));
    }
}
