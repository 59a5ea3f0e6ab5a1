//! What a test may take for granted on Linux.
#![forbid(unsafe_code)]

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

#[test]
fn cargo_s_variables_are_there() {
    assert_eq!(std::env::var("CARGO_PKG_NAME").as_deref(), Ok("project"));
    assert_eq!(std::env::var("CARGO_PKG_VERSION").as_deref(), Ok(env!("CARGO_PKG_VERSION")));
    assert_eq!(std::env::var("CARGO_MANIFEST_DIR").as_deref(), Ok(env!("CARGO_MANIFEST_DIR")));
    assert_eq!(std::env::var("OF_THE_CALLER").as_deref(), Ok("a = b, c"));
}

#[test]
fn the_package_s_files_are_where_they_are() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    assert_eq!(std::env::current_dir().unwrap(), folder);
    let text = fs::read_to_string("tests/integration.rs").unwrap();
    assert!(text.contains("this very line"));
    assert_eq!(fs::read_to_string(folder.join("tests/integration.rs")).unwrap(), text);
    assert_eq!(fs::canonicalize("words/../Cargo.toml").unwrap(), folder.join("Cargo.toml"));
    let mut names: Vec<_> = fs::read_dir("tests").unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["aborts.rs", "exits.rs", "integration.rs", "names.rs", "own.rs"]);
    std::env::set_current_dir("words/src").unwrap();
    assert!(Path::new("lib.rs").is_file());
    std::env::set_current_dir(folder).unwrap();
}

#[test]
fn the_program_s_name_is_its_path() {
    let name = std::env::args().next().unwrap();
    assert!(name.contains("/deps/integration-"), "{name}");
}

#[test]
fn connections_go_through() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let client = thread::spawn(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(b"question").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    });
    let (mut stream, _) = listener.accept().unwrap();
    let mut question = [0; 8];
    stream.read_exact(&mut question).unwrap();
    stream.write_all(b"answer").unwrap();
    drop(stream);
    assert_eq!((&question, client.join().unwrap().as_str()), (b"question", "answer"));
}

#[test]
fn datagrams_go_through() {
    let (one, other) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
    one.send_to(b"datagram", other.local_addr().unwrap()).unwrap();
    let mut bytes = [0; 16];
    let (length, from) = other.recv_from(&mut bytes).unwrap();
    assert_eq!((&bytes[..length], from), (&b"datagram"[..], one.local_addr().unwrap()));
}

#[test]
fn threads_and_time_go_on() {
    let (sender, receiver) = mpsc::channel();
    let start = Instant::now();
    for number in 0..50 {
        let sender = sender.clone();
        thread::spawn(move || {
            thread::sleep(Duration::from_millis(20));
            sender.send(number).unwrap();
        });
    }
    drop(sender);
    assert_eq!(receiver.iter().sum::<u32>(), 1225);
    assert!(start.elapsed() >= Duration::from_millis(20));
}

#[test]
fn much_memory_is_there() {
    let mut all = vec![1u8; 200 << 20];
    all.iter_mut().step_by(4096).for_each(|byte| *byte += 1);
    assert_eq!(all.iter().step_by(4096).map(|&byte| u64::from(byte)).sum::<u64>(), 2 * (200 << 20) / 4096);
}

#[test]
fn input_is_read_to_its_end() {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).unwrap();
    println!("read: {text}");
    assert_eq!(text, "typed\n");
}
