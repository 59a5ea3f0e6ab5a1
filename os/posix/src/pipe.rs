//! Pipes (POSIX `pipe`), and the one-way channel that socket pairs are made of too.

use alloc::sync::Arc;
use hostnet::bytes::ByteQueue;
use sync::SpinLock;

use crate::errno::{Errno, Result};
use crate::events;
use crate::file::{Description, File, NON_BLOCKING, Open, READ_ONLY, WRITE_ONLY};
use crate::observe::Observers;
use crate::stat::{self, Stat};

/// Bytes a pipe holds, as on Linux.
pub const CAPACITY: usize = 64 << 10;
/// A write of at most this many bytes is never cut (POSIX `PIPE_BUF`).
pub const ATOMIC_MAX: usize = 4096;

/// A one-way stream of bytes between two ends.
pub(crate) struct Channel {
    state: SpinLock<State>,
    /// Who watches the reading end. Socket pairs share the list between both of a side's channels.
    pub(crate) readers: Arc<Observers>,
    /// Who watches the writing end.
    pub(crate) writers: Arc<Observers>,
}

struct State {
    bytes: ByteQueue,
    reader_open: bool,
    writer_open: bool,
}

impl Channel {
    pub(crate) fn new(readers: Arc<Observers>, writers: Arc<Observers>) -> Arc<Channel> {
        let state = State { bytes: ByteQueue::new(), reader_open: true, writer_open: true };
        Arc::new(Channel { state: SpinLock::new(state), readers, writers })
    }

    /// Reads, or with `peek` looks; 0 is the end.
    #[inline]
    pub(crate) fn read(&self, buffer: &mut [u8], peek: bool) -> Result<usize> {
        let mut state = self.state.lock();
        if state.bytes.is_empty() {
            return if state.writer_open && state.reader_open && !buffer.is_empty() {
                Err(Errno::AGAIN)
            } else {
                Ok(0)
            };
        }
        if peek {
            return Ok(state.bytes.peek(buffer));
        }
        let count = state.bytes.pop(buffer);
        let watched = self.writers.watched();
        drop(state);
        if watched {
            self.writers.notify(events::WRITABLE);
        }
        Ok(count)
    }

    /// Writes as much as there is room for, and all or nothing up to [`ATOMIC_MAX`] bytes.
    #[inline]
    pub(crate) fn write(&self, bytes: &[u8]) -> Result<usize> {
        let mut state = self.state.lock();
        if !state.reader_open || !state.writer_open {
            return Err(Errno::PIPE);
        }
        let room = CAPACITY - state.bytes.len();
        if bytes.len() > room && (room == 0 || bytes.len() <= ATOMIC_MAX) {
            return Err(Errno::AGAIN);
        }
        let count = bytes.len().min(room);
        state.bytes.push(&bytes[..count]).map_err(|_| Errno::NOMEM)?;
        let watched = self.readers.watched();
        drop(state);
        if watched {
            self.readers.notify(events::READABLE);
        }
        Ok(count)
    }

    /// No more reading: writers get `EPIPE`.
    pub(crate) fn close_reader(&self) {
        let mut state = self.state.lock();
        state.reader_open = false;
        state.bytes.clear();
        drop(state);
        self.tell_both();
    }

    /// No more writing: readers get the end once they have everything.
    pub(crate) fn close_writer(&self) {
        self.state.lock().writer_open = false;
        self.tell_both();
    }

    /// Readiness of the reading end.
    pub(crate) fn readable(&self) -> Readable {
        let state = self.state.lock();
        Readable { bytes: state.bytes.len(), ended: !state.writer_open || !state.reader_open }
    }

    /// Readiness of the writing end.
    pub(crate) fn writable(&self) -> Writable {
        let state = self.state.lock();
        let room = CAPACITY - state.bytes.len() >= ATOMIC_MAX;
        Writable { room, broken: !state.reader_open, ended: !state.writer_open }
    }

    /// Which ends there are. Without a reader, what nobody has read is gone.
    pub(crate) fn set_open(&self, reader: bool, writer: bool) {
        let mut state = self.state.lock();
        (state.reader_open, state.writer_open) = (reader, writer);
        if !reader && !writer {
            state.bytes.clear();
        }
    }

    pub(crate) fn tell_both(&self) {
        self.readers.notify(events::READABLE | events::HUP);
        self.writers.notify(events::WRITABLE | events::ERR);
    }
}

/// What [`Channel::readable`] says.
pub(crate) struct Readable {
    /// Bytes there.
    pub(crate) bytes: usize,
    /// Nothing more will come.
    pub(crate) ended: bool,
}

/// What [`Channel::writable`] says.
pub(crate) struct Writable {
    /// There is room for an atomic write.
    pub(crate) room: bool,
    /// Nobody will read.
    pub(crate) broken: bool,
    /// The writing side itself was shut.
    pub(crate) ended: bool,
}

/// The reading end of a pipe.
struct Reader(Arc<Channel>);

/// The writing end.
struct Writer(Arc<Channel>);

/// A new pipe: reading end, writing end. `flags` may hold `O_NONBLOCK`.
pub fn pipe(flags: u32) -> (Open, Open) {
    let channel = Channel::new(Arc::new(Observers::new()), Arc::new(Observers::new()));
    let flags = flags & NON_BLOCKING;
    let reader = Description::open(Reader(channel.clone()), READ_ONLY | flags);
    (reader, Description::open(Writer(channel), WRITE_ONLY | flags))
}

impl File for Reader {
    #[inline]
    fn read(&self, buffer: &mut [u8]) -> Result<usize> {
        self.0.read(buffer, false)
    }

    fn ready(&self) -> u32 {
        let state = self.0.readable();
        let data = if state.bytes > 0 { events::READABLE } else { 0 };
        data | if state.ended { events::HUP } else { 0 }
    }

    fn observers(&self) -> Option<&Observers> {
        Some(&self.0.readers)
    }

    fn stat(&self) -> Stat {
        Stat::special(stat::FIFO | 0o600)
    }

    fn available(&self) -> Result<usize> {
        Ok(self.0.readable().bytes)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.0.close_reader();
    }
}

impl File for Writer {
    #[inline]
    fn write(&self, bytes: &[u8]) -> Result<usize> {
        // Linux: nothing can always be written, even where nobody reads.
        if bytes.is_empty() { Ok(0) } else { self.0.write(bytes) }
    }

    fn ready(&self) -> u32 {
        let state = self.0.writable();
        let room = if state.room { events::WRITABLE } else { 0 };
        room | if state.broken { events::ERR | events::WRITABLE } else { 0 }
    }

    fn observers(&self) -> Option<&Observers> {
        Some(&self.0.writers)
    }

    fn stat(&self) -> Stat {
        Stat::special(stat::FIFO | 0o600)
    }

    fn available(&self) -> Result<usize> {
        Ok(self.0.readable().bytes)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.0.close_writer();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn carries_bytes_and_ends() {
        let (reader, writer) = pipe(NON_BLOCKING);
        let mut buffer = [0; 8];
        assert_eq!(reader.file().read(&mut buffer), Err(Errno::AGAIN));
        assert_eq!(reader.file().ready(), 0);
        assert_eq!(writer.file().write(b"hello"), Ok(5));
        assert_eq!(reader.file().ready(), events::READABLE);
        assert_eq!(reader.file().available(), Ok(5));
        assert_eq!(reader.file().read(&mut buffer), Ok(5));
        assert_eq!(&buffer[..5], b"hello");
        drop(writer);
        assert_eq!(reader.file().ready(), events::HUP);
        assert_eq!(reader.file().read(&mut buffer), Ok(0));
    }

    #[test]
    fn small_writes_are_whole_and_large_ones_are_cut() {
        let (reader, writer) = pipe(NON_BLOCKING);
        assert_eq!(writer.file().write(&[1; CAPACITY - 100]), Ok(CAPACITY - 100));
        assert_eq!(writer.file().write(&[2; 101]), Err(Errno::AGAIN));
        assert_eq!(writer.file().write(&[2; 5000]), Ok(100));
        assert_eq!(writer.file().ready(), 0);
        assert_eq!(reader.file().read(&mut [0; 8192]), Ok(8192));
        assert_eq!(writer.file().ready(), events::WRITABLE);
    }

    #[test]
    fn writing_to_nobody_is_a_broken_pipe() {
        let (reader, writer) = pipe(0);
        drop(reader);
        assert_eq!(writer.file().write(b"x"), Err(Errno::PIPE));
        assert_eq!(writer.file().write(b""), Ok(0));
        assert_ne!(writer.file().ready() & events::ERR, 0);
    }

    #[test]
    fn the_wrong_end_is_a_bad_descriptor() {
        let (reader, writer) = pipe(0);
        assert_eq!(reader.file().write(b"x"), Err(Errno::BADF));
        assert_eq!(writer.file().read(&mut [0]), Err(Errno::BADF));
    }
}
