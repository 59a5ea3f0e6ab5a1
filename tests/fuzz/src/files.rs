//! Tables of sealed files: what a hostile image would have the library OS read. The same functions serve it there.

use abi::files::{Files, Kind};
use image::files::list;

/// Numbers that are asked for beside the table's own.
const BEYOND: u32 = 3;
/// Entries that are looked at; a table may claim a million, all alike.
const ENTRIES: u32 = 500;

/// Bytes that may be a table. Whatever it says, nothing outside of it is given; and what [`Files::check`] lets pass is a
/// tree in which each file is found by its path.
pub fn check(data: &[u8]) {
    let Some(files) = Files::new(data) else { return };
    for number in (0..files.len().min(ENTRIES)).chain(files.len()..files.len() + BEYOND) {
        _ = files.child(number, data.get(..4).unwrap_or_default());
        let Some(entry) = files.entry(number) else { continue };
        for bytes in [files.name(&entry), files.content(&entry)].into_iter().flatten() {
            let (all, part) = (data.as_ptr_range(), bytes.as_ptr_range());
            assert!(all.start <= part.start && part.end <= all.end, "bytes from outside of the table");
        }
    }
    if files.check().is_err() {
        return;
    }
    let listed = list(&files);
    assert_eq!(listed.len() as u32, files.len() - 1, "a file is listed twice or never");
    for file in listed {
        let mut parts = file.path.split(|b| *b == b'/').skip(1);
        let found = parts.try_fold(0, |at, name| files.child(at, name)).and_then(|number| files.entry(number));
        let entry = found.expect("what is listed is found");
        assert_eq!(file.length.is_some(), matches!(entry.kind, Kind::File { .. }));
    }
}
