//! Contents: opening, reading, writing, cutting, locking.

use crate::{by_errno, say};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::time::{Duration, SystemTime};

pub(crate) fn run() {
    opening();
    reading_and_writing();
    lengths();
    attributes();
    locks();
    without_a_name();
    copying();
}

fn opening() {
    say("open what is not there", File::open("a").map(drop));
    say("create", File::create("a").map(drop));
    say("create new once more", File::create_new("a").map(drop));
    say("write", fs::write("a", "hello"));
    say("create empties", File::create("a").and_then(|f| f.metadata()).map(|m| m.len()));
    let open = |o: &mut OpenOptions| o.open("a").map(drop);
    say("no access", open(&mut OpenOptions::new()));
    say("truncate without write", open(OpenOptions::new().read(true).truncate(true)));
    say("append", open(OpenOptions::new().append(true)));
    say("create without write", open(OpenOptions::new().read(true).create(true)));
    say("as a directory", open(OpenOptions::new().read(true).custom_flags(libc::O_DIRECTORY)));
    say("with a slash", File::open("a/").map(drop));
    say("below a file", File::open("a/b").map(drop));
    say("create with a slash", File::create("b/").map(drop));
    say("create in what is not there", File::create("b/c").map(drop));
    say("an empty name", File::open("").map(drop));
    say("a NUL", File::open("a\0b").map(drop));
    say("a long name", File::create("x".repeat(256)).map(drop));
    say("the longest name", File::create("x".repeat(255)).map(drop));
    say("it goes", fs::remove_file("x".repeat(255)));
    say("a directory to write", OpenOptions::new().write(true).open(".").map(drop));
    say("read a directory", File::open(".").and_then(|mut f| f.read(&mut [0; 4])));
    say(
        "mode",
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o640)
            .open("m")
            .and_then(|f| f.metadata())
            .map(|m| format!("{:o}", m.permissions().mode())),
    );
    say("default mode", fs::metadata("a").map(|m| format!("{:o}", m.permissions().mode())));
}

fn reading_and_writing() {
    let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open("rw").expect("opens");
    say("write 10", file.write(b"0123456789"));
    say("at the end", file.read(&mut [0; 4]));
    say("position", file.stream_position());
    say("seek", file.seek(SeekFrom::End(-4)));
    let mut text = String::new();
    say("read the rest", file.read_to_string(&mut text));
    println!("{text}");
    say("before the start", file.seek(SeekFrom::Current(-11)));
    say("behind the end", file.seek(SeekFrom::Start(15)));
    say("write there", file.write(b"x"));
    say("all of it", fs::read("rw"));
    say("read at", file.read_at(&mut [0; 4], 8));
    say("read at behind", file.read_at(&mut [0; 4], 100));
    say("write at", file.write_at(b"ab", 1));
    say("position stays", file.stream_position());
    say("all of it", fs::read("rw"));
    let mut appending = OpenOptions::new().append(true).open("rw").expect("opens");
    say("append", appending.write(b"end"));
    say("appended from", appending.stream_position());
    say("write at, appending", appending.write_at(b"!", 0));
    say("read it", appending.read(&mut [0; 1]));
    say("all of it", fs::read("rw"));
    say("write to what is read", File::open("rw").and_then(|mut f| f.write(b"x")));
    let (one, two) = (io::IoSlice::new(b"pieces"), io::IoSlice::new(b" of it"));
    say("vectored", File::create("v").and_then(|mut f| f.write_vectored(&[one, two])));
    say("all of it", fs::read_to_string("v"));
    let clone = file.try_clone().expect("another descriptor");
    say("seek", file.seek(SeekFrom::Start(3)));
    say("the clone's position", (&clone).stream_position());
    say("sync", file.sync_all());
    say("sync data", file.sync_data());
    let large = vec![7u8; 1 << 20];
    say("a large write", File::create("large").and_then(|mut f| f.write(&large)));
    say("comes back", fs::read("large").map(|b| b == large));
    say("it goes", fs::remove_file("large"));
}

fn lengths() {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open("len").expect("opens");
    say("write", (&file).write(b"0123456789"));
    say("cut", file.set_len(4));
    say("extend", file.set_len(8));
    say("all of it", fs::read("len"));
    say("beyond all", file.set_len(u64::MAX));
    say("what is only read", File::open("len").and_then(|f| f.set_len(1)));
    say("sparse", file.set_len(1 << 30));
    say("length", file.metadata().map(|m| (m.len(), m.blocks() < 1000)));
    say("write in the middle", file.write_at(b"middle", 1 << 29));
    let mut buffer = [1; 8];
    say("around it", file.read_exact_at(&mut buffer, (1 << 29) - 1).map(|()| buffer));
    say("its blocks", file.metadata().map(|m| m.blocks() < 1000));
    say("cut", file.set_len(0));
    let fd = file.as_raw_fd();
    // SAFETY: numbers only.
    unsafe {
        say("fallocate", by_errno(libc::fallocate(fd, 0, 0, 10_000).into()));
        say("length", file.metadata().map(|m| m.len()));
        say("keeping the length", by_errno(libc::fallocate(fd, libc::FALLOC_FL_KEEP_SIZE, 0, 20_000).into()));
        say("length", file.metadata().map(|m| (m.len(), m.blocks() >= 39)));
        say("of no length", by_errno(libc::fallocate(fd, 0, 0, 0).into()));
        say("before the start", by_errno(libc::fallocate(fd, 0, -1, 1).into()));
        println!("posix_fallocate: {}", libc::posix_fallocate(fd, 0, 30_000));
        say("length", file.metadata().map(|m| m.len()));
        say("write", file.write_all_at(&[5; 30_000], 0));
        let punch = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
        say("punch", by_errno(libc::fallocate(fd, punch, 100, 20_000).into()));
        say("sum", fs::read("len").map(|b| b.iter().map(|b| u64::from(*b)).sum::<u64>()));
        say("truncate by name", by_errno(libc::truncate(c"len".as_ptr(), 3).into()));
        say("length", file.metadata().map(|m| m.len()));
        say("truncate a directory", by_errno(libc::truncate(c".".as_ptr(), 3).into()));
        say("below nothing", by_errno(libc::ftruncate(fd, -1).into()));
        say("advise", Ok(libc::posix_fadvise(fd, 0, 0, libc::POSIX_FADV_SEQUENTIAL)));
        say("seek for data behind the end", by_errno(libc::lseek(fd, 10, libc::SEEK_DATA)));
        say("seek for a hole", by_errno(libc::lseek(fd, 1, libc::SEEK_HOLE)));
        say("seek in no way", by_errno(libc::lseek(fd, 0, 9)));
    }
}

fn attributes() {
    say("write", fs::write("attr", "12345"));
    let mode = |path: &str| fs::metadata(path).map(|m| format!("{:o}", m.permissions().mode()));
    say("chmod", fs::set_permissions("attr", fs::Permissions::from_mode(0o751)));
    say("mode", mode("attr"));
    say("read-only", fs::metadata("attr").map(|m| m.permissions().readonly()));
    say("fchmod", File::open("attr").and_then(|f| f.set_permissions(fs::Permissions::from_mode(0o4600))));
    say("mode", mode("attr"));
    let then = SystemTime::UNIX_EPOCH + Duration::new(1_234_567_890, 123_456_789);
    let times = fs::FileTimes::new().set_modified(then).set_accessed(then + Duration::from_secs(1));
    say("times", File::open("attr").and_then(|f| f.set_times(times)));
    say("modified", fs::metadata("attr").map(|m| (m.mtime(), m.mtime_nsec(), m.atime())));
    say("only one", File::open("attr").and_then(|f| f.set_modified(SystemTime::UNIX_EPOCH)));
    say("modified", fs::metadata("attr").map(|m| (m.mtime(), m.atime())));
    say("links, type, size", fs::metadata("attr").map(|m| (m.nlink(), m.is_file(), m.is_dir(), m.len(), m.blksize())));
    let before = SystemTime::now() - Duration::from_secs(1);
    say("write", fs::write("attr", "6"));
    let recent = |t: SystemTime| t >= before && t <= SystemTime::now() + Duration::from_secs(1);
    say("modified now", fs::metadata("attr").and_then(|m| m.modified()).map(recent));
    say("made now", fs::metadata("attr").and_then(|m| m.created()).map(recent));
    say("chmod what is not there", fs::set_permissions("nothing", fs::Permissions::from_mode(0o600)));
    say(
        "one file",
        Ok(fs::metadata("attr").expect("there").ino()
            == File::open("attr").expect("there").metadata().expect("open").ino()),
    );
    // SAFETY: a path and numbers.
    unsafe {
        let access = |path: &std::ffi::CStr, mode| by_errno(libc::access(path.as_ptr(), mode).into());
        say("access to read", access(c"attr", libc::R_OK));
        say("access to run", access(c"attr", libc::X_OK));
        say("access to search", access(c".", libc::X_OK | libc::W_OK));
        say("access to nothing", access(c"nothing", libc::F_OK));
        say("access in no way", access(c"attr", 64));
        let old = libc::umask(0o077);
        say("mask", Ok(format!("{old:o}")));
        say("write", fs::write("masked", ""));
        say("mode", mode("masked"));
        libc::umask(old);
    }
}

fn locks() {
    let (one, two) = (File::create("lock").expect("made"), File::open("lock").expect("there"));
    say("lock", one.lock());
    say("try by another", Ok(two.try_lock().is_err()));
    say("shared by another", Ok(two.try_lock_shared().is_err()));
    say("unlock", one.unlock());
    say("shared", one.lock_shared());
    say("shared by another", Ok(two.try_lock_shared().is_ok()));
    say("alone", Ok(one.try_lock().is_err()));
    drop(two);
    say("alone, once it is closed", Ok(one.try_lock().is_ok()));
    let waiter = std::thread::spawn(|| {
        let file = File::open("lock").expect("there");
        file.lock().map(|()| fs::read_to_string("lock").expect("there"))
    });
    std::thread::sleep(Duration::from_millis(20));
    say("write", (&one).write(b"done"));
    let clone = one.try_clone().expect("another descriptor");
    drop(one);
    std::thread::sleep(Duration::from_millis(20));
    say("still waiting, for the clone has it", Ok(!waiter.is_finished()));
    drop(clone);
    say("the waiter", waiter.join().expect("it did not panic"));
    let file = File::open("lock").expect("there");
    let mut lock: libc::flock =
        libc::flock { l_type: libc::F_WRLCK as i16, l_whence: 0, l_start: 0, l_len: 0, l_pid: 0 };
    // SAFETY: a lock structure of our own.
    unsafe {
        say("record lock of what is read", by_errno(libc::fcntl(file.as_raw_fd(), libc::F_SETLK, &lock).into()));
        lock.l_type = libc::F_RDLCK as i16;
        say("record lock", by_errno(libc::fcntl(file.as_raw_fd(), libc::F_SETLK, &lock).into()));
        lock.l_type = libc::F_WRLCK as i16;
        say("who has it", by_errno(libc::fcntl(file.as_raw_fd(), libc::F_GETLK, &mut lock).into()));
        println!("nobody: {}", lock.l_type == libc::F_UNLCK as i16);
        say("flock in no way", by_errno(libc::flock(file.as_raw_fd(), 3).into()));
    }
}

fn without_a_name() {
    let open = || OpenOptions::new().read(true).write(true).custom_flags(libc::O_TMPFILE).mode(0o600).open(".");
    let mut file = open().expect("a file without a name");
    say("write", file.write(b"nameless"));
    say("links", file.metadata().map(|m| (m.nlink(), m.len())));
    let from = format!("/proc/self/fd/{}\0", file.as_raw_fd());
    // SAFETY: two paths.
    let linked = unsafe {
        let from = from.as_ptr().cast();
        libc::linkat(libc::AT_FDCWD, from, libc::AT_FDCWD, c"named".as_ptr(), libc::AT_SYMLINK_FOLLOW)
    };
    say("it gets a name", by_errno(linked.into()));
    say("by its name", fs::read_to_string("named"));
    let read_only = OpenOptions::new().read(true).custom_flags(libc::O_TMPFILE).open(".").map(drop);
    say("only to read", read_only);
    let mut gone = File::create_new("gone").expect("made");
    say("remove it while it is open", fs::remove_file("gone"));
    say("write on", gone.write(b"still here"));
    say("links", gone.metadata().map(|m| (m.nlink(), m.len())));
    say("made again", File::create_new("gone").map(drop));
}

fn copying() {
    say("write", fs::write("from", "0123456789"));
    say("chmod", fs::set_permissions("from", fs::Permissions::from_mode(0o600)));
    say("copy", fs::copy("from", "to"));
    say("with its mode", fs::metadata("to").map(|m| format!("{:o}", m.permissions().mode())));
    say("copy nothing", fs::copy("nothing", "to"));
    say("copy a directory", fs::copy(".", "to2"));
    let copy = |from: &mut dyn Read| io::copy(from, &mut File::create("to3").expect("made"));
    say("io::copy", copy(&mut File::open("from").expect("there")));
    say("of a part", copy(&mut File::open("from").expect("there").take(3)));
    say("all of it", fs::read_to_string("to3"));
    let (mut from, mut to) = (File::open("from").expect("there"), File::create("to4").expect("made"));
    say("io::copy of files", from.seek(SeekFrom::Start(4)).and_then(|_| io::copy(&mut from, &mut to)));
    say("all of it", fs::read_to_string("to4"));
    let mut position = 2;
    // SAFETY: descriptors and a position of our own.
    unsafe {
        let (from, to) = (from.as_raw_fd(), to.as_raw_fd());
        say("sendfile", by_errno(libc::sendfile(to, from, &mut position, 3) as i64));
        println!("position {position}");
        let null = std::ptr::null_mut();
        say("copy_file_range", by_errno(libc::copy_file_range(from, &mut position, to, null, 100, 0) as i64));
        println!("position {position}");
        say("with flags", by_errno(libc::copy_file_range(from, null, to, null, 100, 1) as i64));
        say("onto itself", by_errno(libc::copy_file_range(to, &mut 0, to, &mut 2, 5, 0) as i64));
    }
    say("all of it", fs::read_to_string("to4"));
}
