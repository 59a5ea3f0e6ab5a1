//! Pipes and socket pairs carry bytes between threads, end when the other side goes, and say so without a signal.
//! Ends with 0.

#[cfg(feature = "line")]
use ampoule as _;
use std::io::{ErrorKind, Read, Write, pipe};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::time::Duration;

fn main() {
    carries_and_ends();
    fills_up_and_drains();
    nobody_reads();
    pairs();
    println!("pipes and pairs carry, end and break as they should");
}

fn carries_and_ends() {
    let (mut reader, mut writer) = pipe().expect("a pipe");
    let thread = std::thread::spawn(move || {
        let mut all = String::new();
        reader.read_to_string(&mut all).map(|_| all)
    });
    writer.write_all(b"one ").expect("a reader");
    std::thread::yield_now();
    writer.write_all(b"two").expect("a reader");
    drop(writer);
    assert_eq!(thread.join().expect("no panic").expect("bytes"), "one two");
}

fn fills_up_and_drains() {
    const LENGTH: usize = 1 << 20;
    let (mut reader, mut writer) = pipe().expect("a pipe");
    let thread = std::thread::spawn(move || {
        let bytes: Vec<u8> = (0..LENGTH).map(|i| (i * 31) as u8).collect();
        writer.write_all(&bytes).expect("a reader");
    });
    let mut all = Vec::new();
    assert_eq!(reader.read_to_end(&mut all).expect("bytes"), LENGTH);
    assert!(all.iter().enumerate().all(|(i, b)| *b == (i * 31) as u8));
    thread.join().expect("no panic");
}

fn nobody_reads() {
    let (reader, mut writer) = pipe().expect("a pipe");
    drop(reader);
    assert_eq!(writer.write(b"x").expect_err("nobody reads").kind(), ErrorKind::BrokenPipe);
}

fn pairs() {
    let (mut left, mut right) = UnixStream::pair().expect("a pair");
    left.write_all(b"ping").expect("open");
    let mut buffer = [0; 4];
    right.read_exact(&mut buffer).expect("bytes");
    assert_eq!(&buffer, b"ping");
    right.set_read_timeout(Some(Duration::from_millis(5))).expect("an option");
    assert_eq!(right.read(&mut buffer).expect_err("nothing there").kind(), ErrorKind::WouldBlock);
    right.set_nonblocking(true).expect("an option");
    assert_eq!(right.read(&mut buffer).expect_err("nothing there").kind(), ErrorKind::WouldBlock);
    drop(left);
    assert_eq!(right.read(&mut buffer).expect("the end"), 0);

    let (left, right) = UnixDatagram::pair().expect("a pair");
    left.send(b"a").expect("open");
    left.send(b"bcd").expect("open");
    assert_eq!(right.recv(&mut buffer).expect("a datagram"), 1);
    assert_eq!(right.recv(&mut buffer).expect("a datagram"), 3);
}
