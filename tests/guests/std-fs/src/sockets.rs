//! Names of Unix sockets are files: made by `bind`, found by what they are, left when the socket goes (unix(7)).

use crate::{by_errno, say};
use std::ffi::CString;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::Path;
use std::{fs, thread};

pub fn run() {
    fs::create_dir("sockets").expect("a directory");
    std::env::set_current_dir("sockets").expect("it can be entered");
    shown();
    found();
    refused();
    datagrams();
    made_by_hand();
    mode();
    std::env::set_current_dir("..").expect("it can be left");
    say("nothing is left", fs::remove_dir("sockets"));
}

fn shown() {
    let listener = UnixListener::bind("shown").expect("the name is free");
    let metadata = fs::metadata("shown").expect("it is a file");
    println!("a socket's file: {} {} {}", metadata.file_type().is_socket(), metadata.len(), metadata.nlink());
    println!("its mode: {:o}", metadata.mode());
    println!("its socket is that file: {}", same_file(&listener, &metadata));
    let types: Vec<_> = fs::read_dir(".")
        .expect("it is a directory")
        .map(|entry| entry.expect("an entry"))
        .filter(|entry| entry.file_name() == "shown")
        .map(|entry| entry.file_type().expect("a type").is_socket())
        .collect();
    println!("in its directory: {types:?}");
    say("it cannot be opened", fs::File::open("shown").map(drop));
    say("nor written to", fs::write("shown", "x"));
    say("nor made", fs::File::create_new("shown").map(drop));
    say("its place can be held", fs::OpenOptions::new().read(true).custom_flags(libc::O_PATH).open("shown").map(drop));
    drop(listener);
    say("it stays", fs::metadata("shown").map(|found| found.file_type().is_socket()));
    say("and goes", fs::remove_file("shown"));
    say("for good", fs::metadata("shown").map(drop));
}

fn same_file(listener: &UnixListener, metadata: &fs::Metadata) -> bool {
    use std::os::fd::AsFd as _;
    let own = listener.as_fd().try_clone_to_owned().map(fs::File::from).and_then(|file| file.metadata());
    own.is_ok_and(|own| own.ino() == metadata.ino() && own.dev() == metadata.dev())
}

/// Sends a word to whoever listens at `path`, and gives what came to `listener`.
fn talk(listener: &UnixListener, path: &str) -> std::io::Result<String> {
    let mut stream = UnixStream::connect(path)?;
    stream.write_all(path.as_bytes())?;
    drop(stream);
    let mut said = String::new();
    listener.accept()?.0.read_to_string(&mut said)?;
    Ok(said)
}

fn found() {
    let listener = UnixListener::bind("first").expect("the name is free");
    say("by its name", talk(&listener, "first"));
    fs::rename("first", "second").expect("a new name");
    say("by a new name", talk(&listener, "second"));
    say("no more by the old one", UnixStream::connect("first").map(drop));
    fs::hard_link("second", "third").expect("a name more");
    say("by a second name", talk(&listener, "third"));
    std::os::unix::fs::symlink("third", "link").expect("a link");
    say("through a link", talk(&listener, "link"));
    fs::create_dir("below").expect("a directory");
    say("by another path", talk(&listener, "below/../second"));
    say(
        "it says the name that it was given",
        listener.local_addr().map(|own| own.as_pathname() == Some(Path::new("first"))),
    );
    fs::remove_file("second").expect("a name");
    fs::remove_file("third").expect("a name");
    say("without a name", UnixStream::connect("link").map(drop));
    let other = UnixListener::bind("first").expect("the name is free again");
    say("another has its name", talk(&other, "first"));
    fs::remove_file("first").expect("a name");
    let third = UnixListener::bind("first").expect("free though its socket is there");
    say("and a third", talk(&third, "first"));
    for name in ["first", "link"] {
        fs::remove_file(name).expect("a name");
    }
    fs::remove_dir("below").expect("it is empty");
}

fn refused() {
    let taken = UnixListener::bind("taken").expect("the name is free");
    say("a name that a socket has", UnixListener::bind("taken").map(drop));
    drop(taken);
    say("one that a socket had", UnixListener::bind("taken").map(drop));
    say("nobody listens there", UnixStream::connect("taken").map(drop));
    fs::write("file", "text").expect("a file");
    say("a file's", UnixListener::bind("file").map(drop));
    say("connected to", UnixStream::connect("file").map(drop));
    say("a directory's", UnixListener::bind(".").map(drop));
    say("connected to", UnixStream::connect(".").map(drop));
    say("one below a file", UnixListener::bind("file/x").map(drop));
    say("in no directory", UnixListener::bind("nowhere/x").map(drop));
    say("connected to", UnixStream::connect("nowhere/x").map(drop));
    say("with a slash behind", UnixListener::bind("slash/").map(drop));
    std::os::unix::fs::symlink("nowhere", "dangling").expect("a link");
    say("a link's that leads nowhere", UnixListener::bind("dangling").map(drop));
    say("connected to", UnixStream::connect("dangling").map(drop));
    say("a device", UnixStream::connect("/dev/null").map(drop));
    let two = UnixDatagram::unbound().expect("a socket");
    println!("two names: {:?} {:?}", bind(&two, "one"), bind(&two, "two"));
    say("the second was not made", fs::metadata("two").map(drop));
    for name in ["taken", "file", "dangling", "one"] {
        fs::remove_file(name).expect("a name");
    }
}

/// `bind`; the error's number.
fn bind(socket: &UnixDatagram, path: &str) -> Option<i32> {
    use std::os::fd::AsRawFd as _;
    // SAFETY: a sockaddr_un may be all zeros.
    let mut address: libc::sockaddr_un = unsafe { std::mem::zeroed() };
    address.sun_family = libc::AF_UNIX as libc::sa_family_t;
    for (to, from) in address.sun_path.iter_mut().zip(path.bytes()) {
        *to = from as libc::c_char;
    }
    let length = size_of::<libc::sockaddr_un>() as libc::socklen_t;
    // SAFETY: an address of that length.
    let result = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) };
    by_errno(result.into()).err().and_then(|error| error.raw_os_error())
}

fn datagrams() {
    let receiver = UnixDatagram::bind("receiver").expect("the name is free");
    fs::rename("receiver", "receiver-moved").expect("a new name");
    let sender = UnixDatagram::unbound().expect("a socket");
    say("to its new name", sender.send_to(b"word", "receiver-moved"));
    say("to its old one", sender.send_to(b"word", "receiver"));
    say("a stream", UnixStream::connect("receiver-moved").map(drop));
    say("connected", sender.connect("receiver-moved"));
    fs::remove_file("receiver-moved").expect("a name");
    say("it needs no name now", sender.send(b"more"));
    let mut room = [0; 8];
    let both = [receiver.recv(&mut room).expect("it came"), receiver.recv(&mut room).expect("it came")];
    println!("both came: {both:?} {:?}", &room[..4]);
    drop(receiver);
    say("nobody is there", sender.send(b"word"));
}

fn made_by_hand() {
    let name = CString::new("by-hand").expect("no NUL");
    // SAFETY: a C string.
    say("mknod", by_errno(unsafe { libc::mknod(name.as_ptr(), libc::S_IFSOCK | 0o640, 0) }.into()));
    say("what it made", fs::metadata("by-hand").map(|found| format!("{:o}", found.mode())));
    say("nobody is there", UnixStream::connect("by-hand").map(drop));
    say("bound to", UnixListener::bind("by-hand").map(drop));
    say("its mode is set", fs::set_permissions("by-hand", fs::Permissions::from_mode(0o600)));
    say("to what was wished", fs::metadata("by-hand").map(|found| format!("{:o}", found.mode())));
    say("it goes", fs::remove_file("by-hand"));
}

fn mode() {
    // SAFETY: no pointers. No other thread makes files.
    let before = unsafe { libc::umask(0o027) };
    let listener = UnixListener::bind("masked").expect("the name is free");
    // SAFETY: as above.
    unsafe { libc::umask(before) };
    say("its mode follows the mask", fs::metadata("masked").map(|found| format!("{:o}", found.mode())));
    let server = thread::spawn(move || listener.accept().map(drop));
    say("a thread awaits somebody", UnixStream::connect("masked").map(drop));
    say("who comes", server.join().expect("it does not panic"));
    fs::remove_file("masked").expect("a name");
}
