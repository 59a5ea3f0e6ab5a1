//! Files that the manifest seals in: read, listed, mapped, and refused to be changed, each as Linux does it on a file system
//! that is mounted read-only. Ends with 0.

#[cfg(feature = "line")]
use ampoule as _;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::Path;

fn errno<T>(result: std::io::Result<T>) -> i32 {
    result.err().and_then(|error| error.raw_os_error()).unwrap_or(0)
}

fn names(path: &str) -> Vec<String> {
    let entries = fs::read_dir(path).expect("a directory").map(|e| e.expect("an entry"));
    let mut names: Vec<_> = entries
        .map(|e| {
            let slash = if e.file_type().expect("a type").is_dir() { "/" } else { "" };
            format!("{}{slash}", e.file_name().into_string().expect("text"))
        })
        .collect();
    names.sort();
    names
}

fn reading() {
    assert_eq!(fs::read_to_string("/etc/motd").expect("sealed"), "Good morning\n");
    assert_eq!(fs::read("/www/css/link.html").expect("its target's bytes"), b"<h1>index</h1>\n");
    let mut file = File::open("/www/css/site.css").expect("sealed");
    let mut text = String::new();
    assert_eq!(file.read_to_string(&mut text).expect("text"), 9001);
    assert_eq!(file.seek(SeekFrom::End(-4)).expect("a position"), 8997);
    let mut four = [0; 4];
    file.read_exact(&mut four).expect("four");
    assert_eq!(&four, b"a{}\n");
    assert_eq!(file.read(&mut four).expect("the end"), 0);
    assert_eq!(file.seek(SeekFrom::Start(20_000)).expect("behind the end"), 20_000);
    assert_eq!(file.read(&mut four).expect("nothing"), 0);
    assert_eq!(errno(file.seek(SeekFrom::Current(-30_000))), libc::EINVAL);
    file.read_exact_at(&mut four, 3).expect("four");
    assert_eq!(&four, b"a{}a");
    let copy = file.try_clone().expect("another descriptor");
    (&file).seek(SeekFrom::Start(6)).expect("a position");
    (&copy).read_exact(&mut four[..1]).expect("one, at the same offset");
    assert_eq!(four[0], b'a');
}

fn attributes() {
    let file = fs::metadata("/www/css/site.css").expect("attributes");
    assert!(file.is_file() && file.len() == 9001 && file.permissions().mode() & 0o7777 == 0o444);
    assert_eq!((file.mtime(), file.uid(), file.nlink()), (0, 0, 1));
    let folder = fs::metadata("/www/css/").expect("attributes");
    assert!(folder.is_dir() && folder.permissions().mode() & 0o7777 == 0o555);
    let inodes = ["/", "/www", "/www/css", "/www/index.html", "/etc"].map(|p| fs::metadata(p).expect("there").ino());
    assert!((1..inodes.len()).all(|i| !inodes[..i].contains(&inodes[i])), "{inodes:?}");
    assert_eq!(fs::canonicalize("/www/./css/..//css/site.css").expect("there"), Path::new("/www/css/site.css"));
    assert!(!Path::new("/www/nothing").exists());
}

fn directories() {
    assert_eq!(names("/"), ["dev/", "etc/", "proc/", "tmp/", "www/"]);
    assert_eq!(names("/www"), ["css/", "empty/", "index.html", "large"]);
    assert_eq!(names("/www/css"), ["link.html", "site.css"]);
    assert_eq!(std::env::current_dir().expect("a directory"), Path::new("/"));
    std::env::set_current_dir("/www/css").expect("a directory");
    assert_eq!(std::env::current_dir().expect("a directory"), Path::new("/www/css"));
    assert_eq!(File::open("../index.html").expect("relative").metadata().expect("attributes").len(), 15);
    std::env::set_current_dir("/").expect("a directory");
}

fn refusals() {
    let write = |path: &str| errno(OpenOptions::new().write(true).open(path));
    assert_eq!(write("/etc/motd"), libc::EROFS);
    assert_eq!(errno(OpenOptions::new().write(true).truncate(true).open("/etc/motd")), libc::EROFS);
    assert_eq!(errno(File::create("/etc/new")), libc::EROFS);
    assert_eq!(errno(File::create_new("/etc/motd")), libc::EEXIST);
    assert_eq!(write("/etc/nothing"), libc::ENOENT);
    assert_eq!(write("/etc"), libc::EISDIR);
    assert_eq!(errno(File::create("/etc")), libc::EISDIR);
    assert_eq!(errno(fs::read_to_string("/etc")), libc::EISDIR);
    assert_eq!(errno(File::open("/etc/motd/")), libc::ENOTDIR);
    assert_eq!(errno(File::open("/etc/motd/x")), libc::ENOTDIR);
    assert_eq!(errno(File::open("/nothing/x")), libc::ENOENT);
    assert_eq!(errno(fs::read_dir("/etc/motd")), libc::ENOTDIR);
    assert_eq!(errno(File::open(format!("/{}", "x".repeat(256)))), libc::ENAMETOOLONG);
    assert_eq!(errno(File::open(format!("/{}", "x/".repeat(2100)))), libc::ENAMETOOLONG);
    assert_eq!(errno(fs::remove_file("/etc/motd")), libc::EROFS);
    assert_eq!(errno(fs::remove_file("/etc")), libc::EISDIR);
    assert_eq!(errno(fs::remove_dir("/etc")), libc::EROFS);
    assert_eq!(errno(fs::remove_dir("/etc/motd")), libc::ENOTDIR);
    assert_eq!(errno(fs::create_dir("/etc")), libc::EEXIST);
    assert_eq!(errno(fs::create_dir("/etc/new")), libc::EROFS);
    assert_eq!(errno(fs::rename("/etc/motd", "/etc/other")), libc::EROFS);
    assert_eq!(errno(fs::rename("/etc/motd", "/tmp/other")), libc::EXDEV);
    assert_eq!(errno(fs::hard_link("/etc/motd", "/etc/other")), libc::EROFS);
    assert_eq!(errno(fs::read_link("/etc/motd")), libc::EINVAL);
    assert_eq!(errno(fs::set_permissions("/etc/motd", fs::Permissions::from_mode(0o600))), libc::EROFS);
    let file = File::open("/etc/motd").expect("sealed");
    assert_eq!(errno(file.set_len(1)), libc::EINVAL);
    assert_eq!(errno(std::io::Write::write(&mut &file, b"x")), libc::EBADF);
    assert_eq!(File::create("/etc/new").expect_err("refused").kind(), ErrorKind::ReadOnlyFilesystem);
}

/// The bytes of a mapping of `file`, and where it lies.
fn map(file: &File, length: usize, protection: i32, flags: i32) -> Result<&'static mut [u8], i32> {
    // SAFETY: a new mapping of whole pages, given back by nobody.
    unsafe {
        let address = libc::mmap(std::ptr::null_mut(), length, protection, flags, file.as_raw_fd(), 0);
        if address == libc::MAP_FAILED {
            return Err(std::io::Error::last_os_error().raw_os_error().expect("an errno"));
        }
        Ok(std::slice::from_raw_parts_mut(address.cast(), length))
    }
}

fn mapping() {
    let file = File::open("/www/css/site.css").expect("sealed");
    let wanted = fs::read("/www/css/site.css").expect("sealed");
    let read = map(&file, 9001, libc::PROT_READ, libc::MAP_PRIVATE).expect("a mapping");
    assert_eq!(read, wanted);
    let shared = map(&file, 9001, libc::PROT_READ, libc::MAP_SHARED).expect("a mapping");
    assert_eq!(shared.as_ptr(), read.as_ptr(), "the image itself, not copies of it");
    let whole = map(&file, 12288, libc::PROT_READ, libc::MAP_SHARED).expect("to the page's end");
    assert!(whole[9001..].iter().all(|b| *b == 0), "zeros behind the end");
    let own = map(&file, 9001, libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE).expect("a copy");
    own[0] = b'X';
    assert_eq!((own[0], read[0]), (b'X', b'a'));
    assert_eq!(map(&file, 9001, libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED).err(), Some(libc::EACCES));
    let small = map(&File::open("/etc/motd").expect("sealed"), 13, libc::PROT_READ, libc::MAP_SHARED);
    assert_eq!(small.expect("a mapping"), b"Good morning\n");
    for mapped in [read, whole] {
        // SAFETY: mapped above, and not used any more.
        assert_eq!(unsafe { libc::munmap(mapped.as_mut_ptr().cast(), mapped.len()) }, 0);
    }
    assert_eq!(fs::read("/www/css/site.css").expect("still there"), wanted);
}

fn main() {
    reading();
    attributes();
    directories();
    refusals();
    mapping();
    println!("what is sealed can be read, listed and mapped, and nothing can change it");
}
