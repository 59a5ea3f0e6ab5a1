//! Crates that live on files, unmodified: tempfile, redb and memmap2 on `/tmp`. Ends with 0.

#[cfg(feature = "line")]
use ampoule as _;
use std::io::{Read, Seek, SeekFrom, Write};

use redb::{Database, ReadableTable, ReadableTableMetadata, TableDefinition};

const TABLE: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("table");

fn temporary_files() {
    let mut nameless = tempfile::tempfile().expect("a file without a name");
    nameless.write_all(b"temporary").expect("written");
    nameless.seek(SeekFrom::Start(0)).expect("a position");
    let mut text = String::new();
    nameless.read_to_string(&mut text).expect("read");
    assert_eq!(text, "temporary");

    let folder = tempfile::tempdir().expect("a directory");
    assert!(folder.path().starts_with(std::env::temp_dir()));
    let mut named = tempfile::Builder::new().prefix("a-").suffix(".txt").tempfile_in(&folder).expect("a file");
    named.write_all(b"kept").expect("written");
    assert!(named.path().exists());
    let kept = folder.path().join("kept");
    named.persist_noclobber(&kept).expect("renamed");
    assert_eq!(std::fs::read(&kept).expect("there"), b"kept");
    let second = tempfile::NamedTempFile::new_in(&folder).expect("another");
    assert!(second.persist_noclobber(&kept).is_err(), "it was replaced");
    let path = folder.path().to_owned();
    folder.close().expect("removed");
    assert!(!path.exists());

    let mut spooled = tempfile::spooled_tempfile(10);
    spooled.write_all(b"more than ten bytes").expect("written");
    assert!(spooled.is_rolled());
}

fn database() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let value = |number: u64| number.to_le_bytes().repeat(50);
    let database = Database::create(file.path()).expect("a database");
    for batch in 0..10 {
        let write = database.begin_write().expect("a transaction");
        {
            let mut table = write.open_table(TABLE).expect("a table");
            for number in batch * 200..(batch + 1) * 200 {
                table.insert(number, value(number).as_slice()).expect("inserted");
            }
        }
        write.commit().expect("committed");
    }
    let aborted = database.begin_write().expect("a transaction");
    aborted.open_table(TABLE).expect("a table").insert(9999, [].as_slice()).expect("inserted");
    aborted.abort().expect("aborted");
    assert!(Database::open(file.path()).is_err(), "it is locked");
    drop(database);
    let database = Database::open(file.path()).expect("opened again");
    let read = database.begin_read().expect("a transaction");
    let table = read.open_table(TABLE).expect("the table");
    assert_eq!(table.len().expect("a length"), 2000);
    for entry in table.iter().expect("its entries") {
        let (number, bytes) = entry.expect("an entry");
        assert_eq!(bytes.value(), value(number.value()));
    }
}

fn mapped() {
    let file = tempfile::tempfile().expect("a file");
    file.set_len(300_000).expect("set");
    // SAFETY: nobody else changes the file.
    let mut map = unsafe { memmap2::MmapMut::map_mut(&file) }.expect("a mapping");
    map[299_999] = 7;
    map.flush().expect("flushed");
    // SAFETY: as above.
    let second = unsafe { memmap2::MmapOptions::new().offset(4096).len(8192).map(&file) }.expect("another");
    map[5000] = 9;
    assert_eq!(second[5000 - 4096], 9);
    let mut byte = [0];
    std::os::unix::fs::FileExt::read_at(&file, &mut byte, 299_999).expect("read");
    assert_eq!(byte, [7]);
    // SAFETY: as above.
    let mut own = unsafe { memmap2::MmapOptions::new().map_copy(&file) }.expect("a copy");
    own[0] = 1;
    assert_eq!((own[0], map[0]), (1, 0));
}

fn main() {
    temporary_files();
    database();
    mapped();
    println!("tempfile, redb and memmap2 find /tmp as they expect it");
}
