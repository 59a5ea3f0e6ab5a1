//! `/tmp` until it is full, in a machine of 8 MiB: with one file, with many small ones, with names, with holes. Each time
//! the answer is `ENOSPC`, the machine goes on, and what is removed is there again. Ends with 0.

#[cfg(feature = "line")]
use ampoule as _;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};

/// Half of the machine is the bound; what the image and the program need goes off it.
const AT_LEAST: usize = 1 << 20;
const AT_MOST: usize = 4 << 20;

fn one_file() -> usize {
    let mut file = File::create("/tmp/large").expect("made");
    let mut written = 0;
    let error = loop {
        match file.write(&[7; 10_000]) {
            Ok(count) => written += count,
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::StorageFull);
    assert_eq!(fs::metadata("/tmp/large").expect("there").len(), written as u64);
    // There is still memory for the program itself, if not in one piece.
    let own: Vec<Vec<u8>> = (0..16).map(|number| vec![number; 16 << 10]).collect();
    assert!(own.iter().enumerate().all(|(number, piece)| piece.iter().all(|b| *b == number as u8)));
    assert!(file.write_all(&[0; 100_000]).is_err());
    fs::remove_file("/tmp/large").expect("removed");
    written
}

fn many_files() -> usize {
    fs::create_dir("/tmp/many").expect("made");
    let made = (0..).take_while(|number| fs::write(format!("/tmp/many/{number}"), "x").is_ok()).count();
    // A file without contents takes less.
    let error = (0..).find_map(|number| File::create(format!("/tmp/many/empty {number}")).err()).expect("an end");
    assert_eq!(error.kind(), ErrorKind::StorageFull);
    assert!(fs::read_dir("/tmp/many").expect("there").count() >= made);
    fs::remove_dir_all("/tmp/many").expect("removed");
    made
}

fn many_names() {
    File::create("/tmp/one").expect("made");
    fs::create_dir("/tmp/names").expect("made");
    let name = |number: usize| format!("/tmp/names/{number:0>200}");
    let error = (0..).find_map(|number| fs::hard_link("/tmp/one", name(number)).err()).expect("an end");
    assert!(matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::TooManyLinks), "{error}");
    fs::remove_dir_all("/tmp/names").expect("removed");
    fs::remove_file("/tmp/one").expect("removed");
}

fn holes() {
    let file = OpenOptions::new().write(true).create(true).truncate(true).open("/tmp/sparse").expect("made");
    file.set_len(100 << 20).expect("a hole takes nothing");
    assert_eq!(fs::metadata("/tmp/sparse").expect("there").len(), 100 << 20);
    fs::remove_file("/tmp/sparse").expect("removed");
}

fn main() {
    let first = one_file();
    assert!((AT_LEAST..=AT_MOST).contains(&first), "{first} bytes");
    for _ in 0..3 {
        let again = one_file();
        assert!(again + (256 << 10) > first, "{again} bytes after {first}: some are lost");
        assert!(many_files() > 20);
        many_names();
        holes();
    }
    assert_eq!(fs::read_dir("/tmp").expect("there").count(), 0);
    println!("full is an answer, and not an end");
}
