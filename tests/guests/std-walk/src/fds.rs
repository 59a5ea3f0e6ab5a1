//! `std::os::fd`.

use crate::{Case, outcome, saw};
use std::io::{Read, Write, pipe};
use std::net::{TcpListener, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};

pub(crate) const CASES: &[Case] = &[
    ("OwnedFd and BorrowedFd", owned),
    ("descriptors are numbered from the lowest", lowest),
    ("many descriptors", many),
];

fn owned() {
    let (mut reader, writer) = pipe().unwrap();
    let fd: OwnedFd = writer.into();
    let other = fd.try_clone().unwrap();
    saw!("a clone has its own number", fd.as_raw_fd() != other.as_raw_fd());
    drop(fd);
    let mut file = std::fs::File::from(other);
    file.write_all(b"by another type").unwrap();
    drop(file);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    saw!("read", text);
    saw!("standard ones", [std::io::stdin().as_raw_fd(), std::io::stdout().as_raw_fd(), std::io::stderr().as_raw_fd()]);
    let borrowed: BorrowedFd<'_> = reader.as_fd();
    saw!("try_clone_to_owned", borrowed.try_clone_to_owned().is_ok());
    let raw = UdpSocket::bind("127.0.0.1:0").unwrap().into_raw_fd();
    // SAFETY: it was given up just now.
    let socket = unsafe { UdpSocket::from_raw_fd(raw) };
    saw!("back again", socket.local_addr().is_ok());
    let listener = TcpListener::from(OwnedFd::from(TcpListener::bind("127.0.0.1:0").unwrap()));
    saw!("through OwnedFd", listener.local_addr().is_ok());
    saw!("a socket as a pipe", outcome(std::io::PipeReader::from(OwnedFd::from(listener)).read(&mut [0])));
}

fn lowest() {
    let (a, b) = pipe().unwrap();
    let (low, next) = (a.as_raw_fd(), b.as_raw_fd());
    saw!("neighbours", next - low);
    drop(a);
    let again = UdpSocket::bind("127.0.0.1:0").unwrap();
    saw!("the lowest again", again.as_raw_fd() == low);
    let clone = again.try_clone().unwrap();
    saw!("the next after", clone.as_raw_fd() - next);
}

fn many() {
    let pipes: Vec<_> = (0..150).map(|_| pipe()).collect::<Result<_, _>>().unwrap();
    let numbers: std::collections::BTreeSet<_> =
        pipes.iter().flat_map(|(reader, writer)| [reader.as_raw_fd(), writer.as_raw_fd()]).collect();
    saw!("all different", numbers.len());
}
