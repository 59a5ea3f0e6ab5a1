//! What a machine printed. Two files of at most [`FILE_MAX`] each: when `log` is full it becomes `log.1`, and the one
//! before is forgotten. So a machine that prints for ever takes 2 MiB, and what is kept is the end, which is what one
//! looks for.
//!
//! Trouble with the disk is the log's own and never the machine's: output that cannot be written is counted, and the log
//! says so when it can.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::Error;

/// Bytes of a file.
pub const FILE_MAX: u64 = 1 << 20;

/// The log of a machine that runs; written by its supervisor alone.
#[derive(Debug)]
pub(crate) struct Writer {
    folder: PathBuf,
    file: File,
    length: u64,
    /// Bytes that could not be written.
    lost: u64,
}

impl Writer {
    /// An empty log.
    pub(crate) fn create(folder: &Path) -> Result<Self, Error> {
        let file = create(folder).map_err(Error::file("make", &current(folder)))?;
        Ok(Self { folder: folder.to_owned(), file, length: 0, lost: 0 })
    }

    /// Adds to it.
    pub(crate) fn append(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let room = usize::try_from(FILE_MAX.saturating_sub(self.length)).unwrap_or(usize::MAX);
            if room == 0 {
                if self.rotate().is_err() {
                    break;
                }
                continue;
            }
            let (now, later) = rest.split_at(rest.len().min(room));
            if self.write(now).is_err() {
                break;
            }
            rest = later;
        }
        self.lost = self.lost.saturating_add(rest.len() as u64);
    }

    fn rotate(&mut self) -> io::Result<()> {
        fs::rename(current(&self.folder), before(&self.folder))?;
        self.file = create(&self.folder)?;
        self.length = 0;
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.lost != 0 {
            let note = format!("\nampoule: {} bytes of output could not be kept\n", self.lost);
            self.file.write_all(note.as_bytes())?;
            self.length = self.length.saturating_add(note.len() as u64);
            self.lost = 0;
        }
        self.file.write_all(bytes)?;
        self.length = self.length.saturating_add(bytes.len() as u64);
        Ok(())
    }
}

/// Reads a log from its beginning, and goes on as it grows.
#[derive(Debug)]
pub struct Reader {
    folder: PathBuf,
    /// What is read now, then what follows.
    file: File,
    next: Option<File>,
}

impl Reader {
    pub(crate) fn open(folder: &Path) -> Result<Self, Error> {
        let open = |path: PathBuf| match File::open(&path) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::file("read", &path)(error)),
        };
        // In this order, so that nothing is missed if the files change their names meanwhile; then both are the same.
        let newest = open(current(folder))?;
        let (file, next) = match (open(before(folder))?, newest) {
            (Some(older), Some(newest)) if !is_same(&older, &newest) => (older, Some(newest)),
            (_, Some(newest)) => (newest, None),
            (Some(older), None) => (older, None),
            (None, None) => {
                return Err(Error::file("read", &current(folder))(io::Error::from(ErrorKind::NotFound)));
            }
        };
        Ok(Self { folder: folder.to_owned(), file, next })
    }

    /// Puts the next bytes into `buffer`; 0: that is all so far.
    ///
    /// # Errors
    /// Those of reading.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.file.read(buffer) {
                Ok(0) => {}
                other => return other,
            }
            if self.next.is_none() {
                // Has another taken its place? Then it is full, but perhaps not yet read to its end.
                self.next = File::open(current(&self.folder)).ok().filter(|newest| !is_same(newest, &self.file));
                match self.next {
                    Some(_) => continue,
                    None => return Ok(0),
                }
            }
            if let Some(next) = self.next.take() {
                self.file = next;
            }
        }
    }

    /// Goes to the last `length` bytes, or to the beginning where there are not so many.
    pub(crate) fn skip_to_last(&mut self, length: u64) -> io::Result<()> {
        let newest = self.next.as_ref().map_or(Ok(0), |file| file.metadata().map(|m| m.len()))?;
        let oldest = self.file.metadata()?.len();
        let skipped = newest.saturating_add(oldest).saturating_sub(length);
        self.file.seek(SeekFrom::Start(skipped.min(oldest)))?;
        if let Some(next) = &mut self.next {
            next.seek(SeekFrom::Start(skipped.saturating_sub(oldest)))?;
        }
        Ok(())
    }
}

/// The file that is written to.
pub(crate) fn current(folder: &Path) -> PathBuf {
    folder.join("log")
}

fn before(folder: &Path) -> PathBuf {
    folder.join("log.1")
}

fn create(folder: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(crate::FILE_MODE).open(current(folder))
}

fn is_same(a: &File, b: &File) -> bool {
    matches!((a.metadata(), b.metadata()), (Ok(a), Ok(b)) if a.ino() == b.ino() && a.dev() == b.dev())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::folder::tests::Temporary;

    fn all(reader: &mut Reader) -> Vec<u8> {
        let (mut all, mut piece) = (Vec::new(), [0; 1000]);
        while let length @ 1.. = reader.read(&mut piece).expect("reads") {
            all.extend_from_slice(&piece[..length]);
        }
        all
    }

    /// Numbered lines from `first` on, some MiB of them.
    fn lines(numbers: std::ops::Range<u32>) -> Vec<u8> {
        numbers.flat_map(|n| format!("line {n:07}\n").into_bytes()).collect()
    }

    #[test]
    fn the_end_is_kept_within_bounds() {
        let folder = Temporary::new();
        let mut writer = Writer::create(&folder.path).expect("a log");
        let printed = lines(0..400_000);
        printed.chunks(65_536).for_each(|chunk| writer.append(chunk));
        let size = |path: PathBuf| fs::metadata(path).expect("there").len();
        assert!(size(current(&folder.path)) <= FILE_MAX && size(before(&folder.path)) == FILE_MAX);
        assert_eq!(fs::read_dir(&folder.path).expect("there").count(), 2);
        let kept = all(&mut Reader::open(&folder.path).expect("opens"));
        assert!(kept.len() as u64 > FILE_MAX && printed.ends_with(&kept), "{} bytes", kept.len());
    }

    #[test]
    fn a_reader_follows_through_a_change_of_files() {
        let folder = Temporary::new();
        let mut writer = Writer::create(&folder.path).expect("a log");
        let mut reader = Reader::open(&folder.path).expect("opens");
        assert_eq!(all(&mut reader), b"");
        let mut expected = Vec::new();
        for round in 0..30 {
            let piece = lines(round * 10_000..(round + 1) * 10_000);
            writer.append(&piece);
            expected.extend_from_slice(&piece);
            assert_eq!(all(&mut reader), piece, "round {round}");
        }
        assert!(expected.len() as u64 > 3 * FILE_MAX);
    }

    #[test]
    fn the_last_bytes_are_found() {
        let folder = Temporary::new();
        let mut writer = Writer::create(&folder.path).expect("a log");
        writer.append(b"hello");
        let last = |length| {
            let mut reader = Reader::open(&folder.path).expect("opens");
            reader.skip_to_last(length).expect("seeks");
            all(&mut reader)
        };
        assert_eq!((last(100), last(2)), (b"hello".to_vec(), b"lo".to_vec()));
        let printed = lines(0..100_000);
        writer.append(&printed);
        assert_eq!(last(14), printed[printed.len() - 14..]);
        assert_eq!(last(FILE_MAX), printed[printed.len() - FILE_MAX as usize..]);
    }

    #[test]
    fn what_cannot_be_kept_is_counted() {
        let folder = Temporary::new();
        let mut writer = Writer::create(&folder.path).expect("a log");
        writer.append(b"one\n");
        writer.file = File::open(current(&folder.path)).expect("a file that cannot be written to");
        writer.append(b"two\n");
        writer.file = OpenOptions::new().append(true).open(current(&folder.path)).expect("as before");
        writer.append(b"three\n");
        let kept = all(&mut Reader::open(&folder.path).expect("opens"));
        assert_eq!(kept, b"one\n\nampoule: 4 bytes of output could not be kept\nthree\n");
    }
}
