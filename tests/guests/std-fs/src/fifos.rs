//! Pipes with names.

use crate::{by_errno, say};
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};

fn open(options: &mut OpenOptions) -> std::io::Result<File> {
    options.custom_flags(libc::O_NONBLOCK).open("fifo")
}

/// What `poll` says of it now.
fn ready(file: &File) -> i16 {
    let mut poll = libc::pollfd { fd: file.as_raw_fd(), events: libc::POLLIN | libc::POLLOUT, revents: 0 };
    // SAFETY: one structure of our own.
    unsafe { libc::poll(&mut poll, 1, 0) };
    poll.revents
}

pub(crate) fn run() {
    // SAFETY: paths.
    unsafe {
        say("mkfifo", by_errno(libc::mkfifo(c"fifo".as_ptr(), 0o644).into()));
        say("once more", by_errno(libc::mkfifo(c"fifo".as_ptr(), 0o644).into()));
        say("in nothing", by_errno(libc::mkfifo(c"nothing/fifo".as_ptr(), 0o644).into()));
    }
    say("what it is", fs::metadata("fifo").map(|m| (m.file_type().is_fifo(), m.len())));
    say("to be written, without a reader", open(OpenOptions::new().write(true)).map(drop));
    let mut reader = open(OpenOptions::new().read(true)).expect("a reader has it at once");
    say("nothing yet", reader.read(&mut [0; 4]));
    println!("ready: {}", ready(&reader));
    let mut writer = open(OpenOptions::new().write(true)).expect("with a reader");
    println!("ready: {} {}", ready(&reader), ready(&writer));
    say("nothing yet", reader.read(&mut [0; 4]));
    say("write", writer.write(b"through it"));
    println!("ready: {}", ready(&reader));
    let mut room = [0; 16];
    say("read", reader.read(&mut room).map(|n| String::from_utf8_lossy(&room[..n]).into_owned()));
    say("the file itself stays empty", fs::metadata("fifo").map(|m| m.len()));
    say("seek", std::io::Seek::seek(&mut writer, std::io::SeekFrom::Start(0)));
    say("cut", writer.set_len(0));
    drop(writer);
    println!("ready: {}", ready(&reader));
    say("the end", reader.read(&mut room));
    drop(reader);
    let mut both = open(OpenOptions::new().read(true).write(true)).expect("both ends");
    say("write", both.write(b"to ourselves"));
    say("read", both.read(&mut room));
    drop(both);
    let writing = std::thread::spawn(|| File::create("fifo").and_then(|mut f| f.write(b"after a wait")));
    say("each waits for the other", fs::read_to_string("fifo"));
    say("the writer", writing.join().expect("it did not panic"));
    let mut writer = {
        let reader = open(OpenOptions::new().read(true)).expect("a reader");
        let writer = open(OpenOptions::new().write(true)).expect("a writer");
        drop(reader);
        writer
    };
    say("without a reader any more", writer.write(b"x"));
    say("remove it", fs::remove_file("fifo"));
}
