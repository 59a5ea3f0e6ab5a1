//! `std::os::unix`: connected pairs, identifiers; `std::process` as far as a machine has it.

use crate::{Case, outcome, saw};
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

pub(crate) const CASES: &[Case] = &[
    ("UnixStream::pair", stream),
    ("UnixStream: options and timeouts", options),
    ("UnixDatagram::pair", datagram),
    ("process identifiers", identifiers),
    ("Command", command),
];

fn stream() {
    let (mut left, mut right) = UnixStream::pair().unwrap();
    left.write_all(b"over").unwrap();
    right.write_all(b"back").unwrap();
    let mut four = [0; 4];
    right.read_exact(&mut four).unwrap();
    saw!("right", String::from_utf8_lossy(&four));
    left.read_exact(&mut four).unwrap();
    saw!("left", String::from_utf8_lossy(&four));
    saw!("addresses", (left.local_addr().unwrap().is_unnamed(), left.peer_addr().unwrap().as_pathname().is_none()));
    saw!("debug", format!("{:?}", left.local_addr().unwrap()));
    left.shutdown(Shutdown::Write).unwrap();
    saw!("end", outcome(right.read(&mut four)));
    saw!("write after shutdown", outcome(left.write(b"x")));
    right.write_all(b"half").unwrap();
    left.read_exact(&mut four).unwrap();
    saw!("the other half", String::from_utf8_lossy(&four));
    let clone = right.try_clone().unwrap();
    drop(right);
    saw!("a clone keeps it open", outcome((&clone).write(b"x")));
    drop(clone);
    saw!("read what is left", outcome(left.read(&mut four)));
    saw!("and the end", outcome(left.read(&mut four)));
    let (mut left, right) = UnixStream::pair().unwrap();
    drop(right);
    saw!("write, nobody there", outcome(left.write(b"x")));
    let (left, mut right) = UnixStream::pair().unwrap();
    let sender = thread::spawn(move || (&left).write_all(&vec![3; 500_000]).unwrap());
    let mut all = Vec::new();
    right.read_to_end(&mut all).unwrap();
    sender.join().unwrap();
    saw!("half a megabyte", all.len());
}

fn options() {
    let (mut left, mut right) = UnixStream::pair().unwrap();
    saw!("timeouts", (left.read_timeout().unwrap(), left.write_timeout().unwrap()));
    saw!("zero", outcome(left.set_read_timeout(Some(Duration::ZERO))));
    left.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    saw!("set", left.read_timeout().unwrap());
    let start = Instant::now();
    saw!("read", outcome(left.read(&mut [0])));
    saw!("waited", start.elapsed() >= Duration::from_millis(20));
    right.set_nonblocking(true).unwrap();
    saw!("non-blocking", outcome(right.read(&mut [0])));
    saw!("take_error", outcome(left.take_error()));
}

fn datagram() {
    let (left, right) = UnixDatagram::pair().unwrap();
    left.send(b"one").unwrap();
    left.send(b"").unwrap();
    left.send(b"three!").unwrap();
    let mut buffer = [0; 4];
    saw!(
        "boundaries stay",
        [right.recv(&mut buffer).unwrap(), right.recv(&mut buffer).unwrap(), right.recv(&mut buffer).unwrap()]
    );
    right.set_nonblocking(true).unwrap();
    saw!("non-blocking", outcome(right.recv(&mut buffer)));
    saw!("address", right.local_addr().unwrap().is_unnamed());
    right.set_nonblocking(false).unwrap();
    right.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
    saw!("timeout", outcome(right.recv(&mut buffer)));
    drop(left);
    saw!("send, nobody there", outcome(right.send(b"x")));
}

fn identifiers() {
    let id = std::process::id();
    saw!("the same in a thread", thread::spawn(std::process::id).join().unwrap() == id);
    assert!(!cfg!(ampoule_image) || (id == 1 && std::os::unix::process::parent_id() == 0), "the machine is process 1");
}

fn command() {
    if cfg!(ampoule_image) {
        // Nothing forks: the errno is the one that POSIX has for it.
        let error = Command::new("/bin/true").spawn().unwrap_err();
        assert_eq!(error.raw_os_error(), Some(38), "{error}");
        assert!(Command::new("/bin/true").status().is_err() && Command::new("/bin/true").output().is_err());
    }
    let command = format!("{:?}", Command::new("/bin/echo").arg("a b").env("A", "B").current_dir("/"));
    saw!("debug", command);
}
