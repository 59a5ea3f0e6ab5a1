//! Threads that use files at once: no line of a log is lost or torn, every name is had by one, locks exclude, and readers
//! see a file whole that is replaced by renaming. Ends with 0.

#[cfg(feature = "line")]
use ampoule as _;
use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::thread;

const THREADS: u32 = 8;
const ROUNDS: u32 = 300;

fn each(act: impl Fn(u32) + Sync) {
    thread::scope(|scope| {
        for number in 0..THREADS {
            let act = &act;
            scope.spawn(move || act(number));
        }
    });
}

/// All append to one file, each by a descriptor of its own.
fn log() {
    each(|number| {
        let mut file = OpenOptions::new().create(true).append(true).open("/tmp/log").expect("opens");
        for round in 0..ROUNDS {
            file.write_all(format!("{number:04} {round:06}\n").as_bytes()).expect("written");
            thread::yield_now();
        }
    });
    let text = fs::read_to_string("/tmp/log").expect("there");
    let lines: BTreeSet<&str> = text.lines().collect();
    assert!(lines.iter().all(|line| line.len() == 11), "a torn line");
    assert_eq!((lines.len(), text.len()), ((THREADS * ROUNDS) as usize, (THREADS * ROUNDS * 12) as usize));
}

/// All want the same names, and each is had once.
fn names() {
    let had = AtomicU32::new(0);
    each(|_| {
        for round in 0..ROUNDS {
            match File::create_new(format!("/tmp/name {round}")) {
                Ok(_) => _ = had.fetch_add(1, SeqCst),
                Err(error) => assert_eq!(error.kind(), ErrorKind::AlreadyExists),
            }
        }
    });
    assert_eq!(had.load(SeqCst), ROUNDS);
    let gone = AtomicU32::new(0);
    each(|_| {
        for round in 0..ROUNDS {
            match fs::remove_file(format!("/tmp/name {round}")) {
                Ok(()) => _ = gone.fetch_add(1, SeqCst),
                Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound),
            }
        }
    });
    assert_eq!(gone.load(SeqCst), ROUNDS);
}

/// A counter in a file, read and written under an exclusive lock.
fn locks() {
    fs::write("/tmp/counter", "0").expect("made");
    each(|_| {
        for _ in 0..ROUNDS / 4 {
            let mut file = OpenOptions::new().read(true).write(true).open("/tmp/counter").expect("opens");
            file.lock().expect("locked");
            let mut text = String::new();
            file.read_to_string(&mut text).expect("read");
            thread::yield_now();
            let next = text.parse::<u32>().expect("a number") + 1;
            file.seek(SeekFrom::Start(0)).expect("a position");
            file.write_all(next.to_string().as_bytes()).expect("written");
            // The lock goes with the descriptor.
        }
    });
    assert_eq!(fs::read_to_string("/tmp/counter").expect("there"), (THREADS * (ROUNDS / 4)).to_string());
}

/// One replaces a file, the others read it.
fn replacing() {
    let content = |round: u32| vec![b'a' + (round % 26) as u8; 10_000];
    fs::write("/tmp/whole", content(0)).expect("made");
    let done = AtomicBool::new(false);
    each(|number| {
        if number == 0 {
            for round in 0..ROUNDS {
                fs::write("/tmp/next", content(round)).expect("written");
                fs::rename("/tmp/next", "/tmp/whole").expect("renamed");
            }
            done.store(true, SeqCst);
            return;
        }
        while !done.load(SeqCst) {
            let seen = fs::read("/tmp/whole").expect("always there");
            assert!(
                seen.len() == 10_000 && seen.iter().all(|byte| *byte == seen[0]),
                "a part of one, a part of another"
            );
            thread::yield_now();
        }
    });
}

fn main() {
    for _ in 0..5 {
        log();
        names();
        locks();
        replacing();
        for entry in fs::read_dir("/tmp").expect("there") {
            fs::remove_file(entry.expect("an entry").path()).expect("removed");
        }
    }
    println!("no line is torn, no name had twice, no count lost");
}
