//! Locks on ranges of bytes (`fcntl(2)`, "Open file description locks"), held by open files.

use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom};
use std::os::fd::AsRawFd;
use std::sync::mpsc;
use std::time::Duration;

use crate::{by_errno, say};

const READ: i32 = libc::F_RDLCK;
const WRITE: i32 = libc::F_WRLCK;
const NONE: i32 = libc::F_UNLCK;

fn asked(kind: i32, whence: i32, start: i64, length: i64) -> libc::flock {
    libc::flock { l_type: kind as i16, l_whence: whence as i16, l_start: start, l_len: length, l_pid: 0 }
}

fn call(file: &File, command: i32, lock: &mut libc::flock) -> std::io::Result<i64> {
    // SAFETY: a lock structure of our own, for a descriptor that is open.
    by_errno(unsafe { libc::fcntl(file.as_raw_fd(), command, std::ptr::from_mut(lock)) }.into())
}

/// `F_OFD_SETLK` from the file's beginning.
fn set(file: &File, kind: i32, start: i64, length: i64) -> std::io::Result<i64> {
    call(file, libc::F_OFD_SETLK, &mut asked(kind, libc::SEEK_SET, start, length))
}

/// What is in the way of an exclusive lock.
fn way(file: &File, command: i32, start: i64, length: i64) -> std::io::Result<(i16, i16, i64, i64, i32)> {
    let mut lock = asked(WRITE, libc::SEEK_SET, start, length);
    call(file, command, &mut lock)?;
    Ok((lock.l_type, lock.l_whence, lock.l_start, lock.l_len, lock.l_pid))
}

fn open() -> File {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open("records").expect("opens")
}

pub(crate) fn run() {
    let (one, two) = (open(), open());
    one.set_len(100).expect("a length");
    ranges(&one, &two);
    counted_from(&one, &two);
    refused(&one, &two);
    of_the_process(&one, &two);
    closed(one, &two);
    waiting(&two);
}

fn ranges(one: &File, two: &File) {
    say("bytes 10 to 19", set(one, WRITE, 10, 10));
    say("beside them", set(two, WRITE, 0, 10));
    say("behind them, to the end", set(two, READ, 20, 0));
    say("one of them", set(two, READ, 19, 1));
    say("far behind, together", set(one, READ, 1 << 40, 5));
    say("far behind, alone", set(one, WRITE, 1 << 40, 5));
    say("in the first one's way", way(one, libc::F_OFD_GETLK, 0, 0));
    say("further on", way(one, libc::F_OFD_GETLK, 30, 5));
    say("in the second one's way", way(two, libc::F_OFD_GETLK, 0, 0));
    say("a hole in it", set(one, NONE, 13, 4));
    say("in the hole", set(two, WRITE, 13, 4));
    say("the first part", way(two, libc::F_OFD_GETLK, 10, 9));
    say("the second part", way(two, libc::F_OFD_GETLK, 14, 50));
    say("all is given up", set(one, NONE, 0, 0));
    say("and all", set(two, NONE, 0, 0));
    say("nothing in the way", way(one, libc::F_OFD_GETLK, 3, 4));
}

fn counted_from(one: &File, two: &File) {
    (&mut &*one).seek(SeekFrom::Start(50)).expect("a position");
    say("from the offset", call(one, libc::F_OFD_SETLK, &mut asked(WRITE, libc::SEEK_CUR, -5, 10)));
    say("is", way(two, libc::F_OFD_GETLK, 0, 0));
    say("from the end", call(one, libc::F_OFD_SETLK, &mut asked(WRITE, libc::SEEK_END, -1, 0)));
    say("is", way(two, libc::F_OFD_GETLK, 60, 0));
    say("backwards", call(one, libc::F_OFD_SETLK, &mut asked(READ, libc::SEEK_SET, 20, -5)));
    say("is", way(two, libc::F_OFD_GETLK, 0, 0));
    say("given up", set(one, NONE, 0, 0));
}

fn refused(one: &File, two: &File) {
    let mut of_somebody = asked(WRITE, libc::SEEK_SET, 0, 1);
    of_somebody.l_pid = 1;
    say("with a process", call(one, libc::F_OFD_SETLK, &mut of_somebody));
    say("of no kind", set(one, 7, 0, 1));
    say("from nowhere", call(one, libc::F_OFD_SETLK, &mut asked(WRITE, 9, 0, 1)));
    say("before the beginning", set(one, WRITE, -1, 1));
    say("backwards before the beginning", set(one, WRITE, 3, -4));
    say("beyond all offsets", set(one, WRITE, i64::MAX, 2));
    say("the last byte", set(one, WRITE, i64::MAX, 1));
    say("is", way(two, libc::F_OFD_GETLK, 0, 0));
    say("given up", set(one, NONE, 0, 0));
    let reader = File::open("records").expect("opens");
    say("alone, of what is read", set(&reader, WRITE, 0, 1));
    say("asked about", way(&reader, libc::F_OFD_GETLK, 0, 1));
    let writer = OpenOptions::new().write(true).open("records").expect("opens");
    say("together, of what is written", set(&writer, READ, 0, 1));
}

/// The process's locks meet those of open files, its own ones too.
fn of_the_process(one: &File, two: &File) {
    say("an open file's", set(one, WRITE, 0, 10));
    say("the process's, by another", call(two, libc::F_SETLK, &mut asked(WRITE, 0, 5, 1)));
    say("in its way", way(two, libc::F_GETLK, 5, 1));
    say("by the same", call(one, libc::F_SETLK, &mut asked(READ, 0, 5, 1)));
    say("beside it", call(two, libc::F_SETLK, &mut asked(WRITE, 0, 10, 1)));
    say("given up", call(two, libc::F_SETLK, &mut asked(NONE, 0, 0, 0)));
    say("given up", set(one, NONE, 0, 0));
    say("the whole file's does not see them", one.try_lock().map_err(std::io::Error::from));
    say("nor they it", set(two, WRITE, 0, 0));
    say("given up", set(two, NONE, 0, 0));
    say("given up", one.unlock());
}

/// They go with the last descriptor, not with one of two.
fn closed(one: File, two: &File) {
    say("locked", set(&one, WRITE, 0, 0));
    let clone = one.try_clone().expect("another descriptor");
    drop(one);
    say("one of two is closed", set(two, WRITE, 0, 1));
    say("the other has it", set(&clone, WRITE, 4, 1));
    drop(clone);
    say("both are", set(two, WRITE, 0, 1));
    say("given up", set(two, NONE, 0, 0));
}

/// `F_OFD_SETLKW` waits for all that is in the way, and no longer.
fn waiting(two: &File) {
    say("locked", set(two, WRITE, 0, 10));
    let (told, tells) = mpsc::channel();
    let waiter = std::thread::spawn(move || {
        let file = open();
        told.send("waits").expect("somebody listens");
        let had = call(&file, libc::F_OFD_SETLKW, &mut asked(READ, libc::SEEK_SET, 5, 10));
        told.send("has it").expect("somebody listens");
        (file, had)
    });
    println!("a waiter {:?}", tells.recv());
    say("half is given up", set(two, NONE, 0, 8));
    println!("still {:?}", tells.recv_timeout(Duration::from_millis(20)));
    say("the rest is shared", set(two, READ, 8, 2));
    println!("the waiter {:?}", tells.recv());
    let (file, had) = waiter.join().expect("it did not panic");
    say("what it was told", had);
    say("together they have it", way(two, libc::F_OFD_GETLK, 0, 0));
    drop(file);
}
