//! The tree by itself: what std-fs (`tests/guests`) does not reach from without, and its bounds.

use crate::tmp::data::{Data, PIECE};
use crate::tmp::space::Space;
use crate::{Allocation, Attribute, Error, Found, Handle, Mapped, Move, Opened, Opening, Start, Volume};
use abi::files::{ENTRY, Entry, Files, HEADER, Kind};

const MAKE: Opening = Opening {
    write: true,
    create: Some(0o644),
    exclusive: false,
    truncate: false,
    directory: false,
    no_follow: false,
    nameless: false,
    only_place: false,
};

fn new() -> &'static Volume {
    Box::leak(Box::new(Volume::new(&[])))
}

fn make(volume: &'static Volume, path: &str) -> Handle {
    match volume.open(Start::Current, path.as_bytes(), MAKE) {
        Ok(Opened::File(file)) => file,
        Ok(_) => panic!("{path} is no file"),
        Err(error) => panic!("{path}: {error:?}"),
    }
}

fn used(volume: &Volume) -> (u64, u64) {
    let report = volume.lock().tmp.space.report();
    (report.nodes - report.nodes_free, volume.lock().tmp.space.used())
}

#[test]
fn everything_is_given_back() {
    let volume = new();
    let empty = used(volume);
    volume.make_directory(Start::Current, b"/tmp/d", 0o755).expect("made");
    let file = make(volume, "/tmp/d/f");
    file.write_at(&[1; 300_000], 50_000).expect("written");
    assert!(used(volume).1 >= 300_000);
    volume.link(Start::Current, Some(b"/tmp/d/f"), false, Start::Current, b"/tmp/g").expect("linked");
    volume.remove(Start::Current, b"/tmp/d/f", false).expect("removed");
    volume.remove(Start::Current, b"/tmp/g", false).expect("removed");
    assert!(used(volume).1 >= 300_000, "it is still open");
    let mut byte = [0];
    assert_eq!(file.read_at(&mut byte, 349_999), Ok(1));
    drop(file);
    volume.remove(Start::Current, b"/tmp/d", true).expect("removed");
    assert_eq!(used(volume), empty);
}

/// A table with `/tmp/p/a`, `/tmp/p/large` and `/x`, laid out by hand; `start` is its number there: 1 `tmp`, 2 `x`, 3 `p`.
fn sealed(start: u32) -> &'static [u8] {
    let large = [7; 100_000];
    let names = b"tmpxpalarge";
    let (names_at, contents) = ((HEADER + 6 * ENTRY) as u32, (HEADER + 6 * ENTRY + names.len()) as u64);
    let entry = |parent, at: u32, name_length, kind| Entry { parent, name_at: names_at + at, name_length, kind };
    let directory = |first, count| Kind::Directory { first, count };
    let file = |offset, length| Kind::File { offset: contents + offset, length };
    let entries = [
        entry(0, 0, 0, directory(1, 2)),
        entry(0, 0, 3, directory(3, 1)),
        entry(0, 3, 1, file(0, 1)),
        entry(1, 4, 1, directory(4, 2)),
        entry(3, 5, 1, file(0, 1)),
        entry(3, 6, 5, file(0, large.len() as u64)),
    ];
    let header = Files::header(6, start, 7, contents + large.len() as u64);
    let table = [&header[..], entries.map(|e| e.encode()).as_flattened(), names, &large].concat();
    assert_eq!(Files::new(&table).expect("a table").check(), Ok(()));
    table.leak()
}

#[test]
fn tmp_begins_with_what_is_sealed_there() {
    let volume: &'static Volume = Box::leak(Box::new(Volume::new(sealed(3))));
    assert_eq!(volume.absolute(Start::Current, b".").as_deref(), Ok(&b"/tmp/p"[..]));
    let Ok(Opened::File(file)) = volume.open(Start::Current, b"large", Opening { write: true, ..Opening::default() })
    else {
        panic!("no file")
    };
    let mut buffer = [0; 10];
    assert_eq!((file.read_at(&mut buffer, 99_995), buffer[4]), (Ok(5), 7));
    assert_eq!(file.write_at(b"changed", 99_998), Ok(7));
    volume.remove(Start::Current, b"/tmp/p/a", false).expect("it is like any other");
    let mut names = Vec::new();
    let Ok(Opened::Directory(root)) = volume.open(Start::Current, b"/", Opening::default()) else { panic!("no root") };
    root.list(0, None, &mut |_, _, name| {
        names.push(String::from_utf8_lossy(name).into_owned());
        true
    })
    .expect("listed");
    assert_eq!(names.iter().filter(|name| *name == "tmp").count(), 1, "{names:?}");
    // All of it can go, but the directory that is somebody's current one stays where it is.
    volume.remove(Start::Current, b"/tmp/p/large", false).expect("removed");
    volume.remove(Start::Current, b"/tmp/p", true).expect("removed");
    assert_eq!(volume.absolute(Start::Current, b"."), Err(Error::NotFound));
}

#[test]
fn a_program_starts_where_the_sealed_files_say() {
    for (start, wanted) in [(0, "/"), (1, "/tmp"), (3, "/tmp/p")] {
        let volume = Volume::new(sealed(start));
        assert_eq!(volume.absolute(Start::Current, b".").as_deref(), Ok(wanted.as_bytes()));
    }
}

#[test]
fn the_bound_is_no_space_and_no_more() {
    let volume = new();
    let empty = used(volume);
    let file = make(volume, "/tmp/large");
    let total = volume.space(Start::Current, Some(b"/tmp")).expect("there").expect("in memory").total;
    assert_eq!(file.allocate(Allocation::Extend, 0, total + PIECE), Err(Error::NoSpace));
    file.set(Attribute::Length(total * 4)).expect("a hole takes nothing");
    volume.remove(Start::Current, b"/tmp/large", false).expect("removed");
    drop(file);
    // What could not be had is not kept either.
    assert_eq!(used(volume), empty);
    make(volume, "/tmp/small").write_at(b"x", 0).expect("there is space again");
}

#[test]
fn a_hole_reads_as_zeros_and_is_found() {
    let (mut data, mut space) = (Data::default(), Space::new());
    data.write(10 * PIECE + 5, b"end", &mut space).expect("written");
    assert_eq!(data.length(), 10 * PIECE + 8);
    let mut buffer = [9; 16];
    assert_eq!(data.read(3 * PIECE, &mut buffer), 16);
    assert_eq!(buffer, [0; 16]);
    assert_eq!(data.seek(0, true), Some(10 * PIECE));
    assert_eq!(data.seek(0, false), Some(0));
    assert_eq!(data.seek(10 * PIECE + 1, false), Some(10 * PIECE + 8));
    assert_eq!(data.seek(10 * PIECE + 8, true), None);
    // Cut and extended, nothing of what was there comes back.
    data.set_length(10 * PIECE + 6, &mut space).expect("cut");
    data.set_length(10 * PIECE + 8, &mut space).expect("extended");
    assert_eq!(data.read(10 * PIECE + 5, &mut buffer), 3);
    assert_eq!(&buffer[..3], b"e\0\0");
    data.punch(0, u64::MAX, &mut space);
    assert_eq!((data.allocated(), space.used()), (0, 0));
}

#[test]
fn what_is_mapped_stays_where_it_is() {
    let volume = new();
    let file = make(volume, "/tmp/map");
    file.write_at(b"begin", 0).expect("written");
    let map = |offset, length| match file.map(offset, length) {
        Ok(Mapped::File(mapping)) => Ok(mapping),
        Ok(Mapped::Sealed(_)) => panic!("it is not sealed"),
        Err(error) => Err(error),
    };
    let first = map(0, 100).expect("a mapping");
    let read = |address: usize| {
        let mut byte = [0];
        file.read_at(&mut byte, (address - first.address()) as u64).expect("read");
        byte[0]
    };
    assert_eq!(read(first.address() + 1), b'e');
    // The file grows, is cut and grows again under the mapping.
    file.write_at(&[7; 100], PIECE).expect("written");
    file.set(Attribute::Length(2)).expect("cut");
    file.set(Attribute::Length(PIECE)).expect("extended");
    assert_eq!(map(0, 10).expect("another").address(), first.address());
    // A range that begins in what is mapped and goes beyond it would have to be moved.
    assert_eq!(map(0, 3 * PIECE).err(), Some(Error::NoDevice));
    assert!(map(2 * PIECE, PIECE).is_ok(), "one beside it can be had");
    drop(first);
    assert!(map(0, 3 * PIECE).is_err() || used(volume).1 >= 3 * PIECE);
}

#[test]
fn no_tree_is_too_deep() {
    let volume = new();
    for _ in 0..20_000 {
        volume.make_directory(Start::Current, b"x", 0o755).unwrap_or_else(|_| {
            volume.enter(Start::Current, Some(b"/tmp")).expect("entered");
            volume.make_directory(Start::Current, b"x", 0o755).expect("made");
        });
        volume.enter(Start::Current, Some(b"x")).expect("entered");
    }
    assert_eq!(volume.absolute(Start::Current, b".").expect("a path").len(), 4 + 2 * 20_000);
    for _ in 0..20_000 {
        volume.enter(Start::Current, Some(b"..")).expect("entered");
        volume.remove(Start::Current, b"x", true).expect("removed");
    }
    assert_eq!(volume.absolute(Start::Current, b".").expect("a path"), b"/tmp");
}

#[test]
fn a_circle_cannot_be_made() {
    let volume = new();
    for path in ["/tmp/a", "/tmp/a/b", "/tmp/a/b/c"] {
        volume.make_directory(Start::Current, path.as_bytes(), 0o755).expect("made");
    }
    let rename =
        |old: &str, new: &str, how| volume.rename(Start::Current, old.as_bytes(), Start::Current, new.as_bytes(), how);
    assert_eq!(rename("/tmp/a", "/tmp/a/b/c/d", Move::Replace), Err(Error::Invalid));
    assert_eq!(rename("/tmp/a", "/tmp/a/b/c", Move::Exchange), Err(Error::Invalid));
    assert_eq!(rename("/tmp/a/b/c", "/tmp/a", Move::Exchange), Err(Error::Invalid));
    assert_eq!(rename("/tmp", "/tmp/x", Move::Replace), Err(Error::OtherDevice));
    assert_eq!(rename("/tmp/a", "/new", Move::Replace), Err(Error::OtherDevice));
}

/// Removes all that is in a directory. Moved about, it is deeper than it was made, but not very.
fn clear(volume: &'static Volume, path: &[u8]) {
    let Ok(Opened::Directory(directory)) = volume.open(Start::Current, path, Opening::default()) else {
        panic!("there")
    };
    let mut names = Vec::new();
    let mut push = |_, kind, name: &[u8]| {
        names.push((kind, name.to_vec()));
        true
    };
    directory.list(0, None, &mut push).expect("listed");
    for (kind, name) in names.into_iter().skip(2) {
        let below = [path, b"/", &name].concat();
        let is_directory = kind == crate::attributes::DIRECTORY;
        if is_directory {
            clear(volume, &below);
        }
        volume.remove(Start::Current, &below, is_directory).expect("removed");
    }
}

/// Whatever is asked for in whatever order, the books are right: links, nodes and memory all come back to nothing.
#[test]
fn random_calls_leave_the_books_in_order() {
    let volume = new();
    let empty = used(volume);
    let mut state = 0x1234_5678_9abc_def1u64;
    let mut random = |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    let path = |number: u64| {
        let names = ["a", "b", "c"];
        let depth = 1 + number % 3;
        (0..depth).fold("/tmp".to_owned(), |path, level| {
            format!("{path}/{}", names[(number / 3u64.pow(level as u32 + 1) % 3) as usize])
        })
    };
    let mut open = Vec::new();
    for _ in 0..30_000 {
        let (one, other) = (path(random(81)), path(random(81)));
        let (one, other, here) = (one.as_bytes(), other.as_bytes(), Start::Current);
        match random(10) {
            0 => _ = volume.make_directory(here, one, 0o755),
            1 => {
                if let Ok(Opened::File(file)) = volume.open(here, one, MAKE) {
                    open.push(file);
                }
            }
            2 => _ = volume.remove(here, one, false),
            3 => _ = volume.remove(here, one, true),
            4 => _ = volume.rename(here, one, here, other, Move::Replace),
            5 => _ = volume.rename(here, one, here, other, Move::Exchange),
            6 => _ = volume.link(here, Some(one), false, here, other),
            7 => _ = volume.make_link(here, one, other),
            8 if !open.is_empty() => drop(open.swap_remove(random(open.len() as u64) as usize)),
            _ => {
                if let Some(file) = open.last() {
                    _ = file.write_at(&[1; 100], random(3 * PIECE));
                }
            }
        }
        if open.len() > 20 {
            open.clear();
        }
    }
    open.clear();
    clear(volume, b"/tmp");
    assert_eq!(used(volume), empty);
    match volume.attributes(Start::Current, b"/tmp", true) {
        Ok(Found::Here(top)) => assert_eq!(top.links, 2),
        other => panic!("{other:?}"),
    }
}
