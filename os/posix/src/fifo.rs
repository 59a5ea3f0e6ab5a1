//! Pipes with a name (fifo(7)): a file of the tree that is a pipe while somebody has it open.

use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use fs::{Allocation, Attribute, Handle, Lock};
use sync::SpinLock;
use thread::WaitQueue;

use crate::errno::{Errno, Result};
use crate::events;
use crate::file::{ACCESS_MODE, File, Kind, NON_BLOCKING, READ_ONLY, WRITE_ONLY};
use crate::names::{Node, Record};
use crate::observe::Observers;
use crate::pipe::Channel;
use crate::stat::Stat;

/// Those that are open, by inode.
static OPEN: SpinLock<Vec<(u64, Weak<Shared>)>> = SpinLock::new(Vec::new());

/// What all who have one open share.
struct Shared {
    channel: Arc<Channel>,
    ends: SpinLock<Ends>,
    /// How often it was opened to be read, and to be written: who waits for the other end waits for a change.
    opened: [AtomicU32; 2],
    waiting: WaitQueue,
}

#[derive(Default)]
struct Ends {
    readers: u32,
    writers: u32,
}

/// One open end, or both.
pub(crate) struct Fifo {
    shared: Arc<Shared>,
    handle: Handle,
    reads: bool,
    writes: bool,
    /// How often it had been opened to be written when this end was opened, not counting those who still had it open.
    writers_before: u32,
}

impl Shared {
    fn of(inode: u64) -> Arc<Shared> {
        let mut open = OPEN.lock();
        open.retain(|(_, shared)| shared.strong_count() > 0);
        if let Some(shared) = open.iter().find(|o| o.0 == inode).and_then(|o| o.1.upgrade()) {
            return shared;
        }
        // One list for both ends: who has both open watches once.
        let observers = Arc::new(Observers::new());
        let channel = Channel::new(observers.clone(), observers);
        let (ends, opened) = (SpinLock::new(Ends::default()), [const { AtomicU32::new(0) }; 2]);
        let shared = Arc::new(Shared { channel, ends, opened, waiting: WaitQueue::new() });
        open.push((inode, Arc::downgrade(&shared)));
        shared
    }

    /// Counts an end in or out, and has the channel know which there are.
    fn change(&self, change: impl FnOnce(&mut Ends)) {
        let mut ends = self.ends.lock();
        change(&mut ends);
        self.channel.set_open(ends.readers > 0, ends.writers > 0);
        drop(ends);
        self.channel.tell_both();
        self.waiting.wake_all();
    }
}

impl Fifo {
    /// Opens it. One end alone waits for the other, unless it is not to wait: then a reader has it at once, and a writer
    /// without a reader `ENXIO`.
    pub(crate) fn open(handle: Handle, flags: u32) -> Result<Fifo> {
        let inode = match handle.attributes()? {
            fs::Found::Here(attributes) => attributes.inode,
            fs::Found::Special(_) => return Err(Errno::NXIO),
        };
        let shared = Shared::of(inode);
        let access = flags & ACCESS_MODE;
        let (reads, writes) = (access != WRITE_ONLY, access != READ_ONLY);
        let waits = flags & NON_BLOCKING == 0;
        if !reads && !waits && shared.ends.lock().readers == 0 {
            return Err(Errno::NXIO);
        }
        let before = |end: usize| shared.opened[end].load(Relaxed);
        let (readers_before, writers_before) = (before(0), before(1).wrapping_sub(shared.ends.lock().writers));
        shared.opened[0].fetch_add(reads.into(), Relaxed);
        shared.opened[1].fetch_add(writes.into(), Relaxed);
        shared.change(|ends| {
            ends.readers += u32::from(reads);
            ends.writers += u32::from(writes);
        });
        let fifo = Fifo { shared, handle, reads, writes, writers_before };
        if waits && reads != writes {
            let shared = &fifo.shared;
            let has_other = || {
                let ends = shared.ends.lock();
                // The other one may have come and gone already.
                let (there, opened) = match reads {
                    true => (ends.writers, shared.opened[1].load(Relaxed) != writers_before),
                    false => (ends.readers, shared.opened[0].load(Relaxed) != readers_before),
                };
                (there > 0 || opened).then_some(())
            };
            shared.waiting.wait_until(None, has_other);
        }
        Ok(fifo)
    }
}

impl Drop for Fifo {
    fn drop(&mut self) {
        self.shared.change(|ends| {
            ends.readers -= u32::from(self.reads);
            ends.writers -= u32::from(self.writes);
        });
    }
}

impl File for Fifo {
    fn read(&self, buffer: &mut [u8]) -> Result<usize> {
        self.shared.channel.read(buffer, false)
    }

    fn write(&self, bytes: &[u8]) -> Result<usize> {
        self.shared.channel.write(bytes)
    }

    fn ready(&self) -> u32 {
        let mut ready = 0;
        if self.reads {
            let state = self.shared.channel.readable();
            // Before the first writer there is no end yet (poll(2) of Linux; a read gives 0 all the same).
            let had_writer = self.shared.opened[1].load(Relaxed) != self.writers_before;
            ready |= if state.bytes > 0 { events::READABLE } else { 0 };
            ready |= if state.ended && had_writer { events::HUP } else { 0 };
        }
        if self.writes {
            let state = self.shared.channel.writable();
            ready |= if state.room { events::WRITABLE } else { 0 };
            ready |= if state.broken { events::ERR | events::WRITABLE } else { 0 };
        }
        ready
    }

    fn observers(&self) -> Option<&Observers> {
        Some(&self.shared.channel.readers)
    }

    fn stat(&self) -> Stat {
        Node::stat(self)
    }

    fn available(&self) -> Result<usize> {
        Ok(self.shared.channel.readable().bytes)
    }

    fn kind(&self) -> Kind<'_> {
        Kind::Node(self)
    }
}

impl Node for Fifo {
    fn handle(&self) -> &Handle {
        &self.handle
    }

    fn write_at(&self, _: &[u8], _: u64) -> Result<usize> {
        Err(Errno::SPIPE)
    }

    fn set(&self, attribute: Attribute) -> Result<()> {
        Ok(self.handle.set(attribute)?)
    }

    fn allocate(&self, _: Allocation, _: u64, _: u64) -> Result<()> {
        Err(Errno::SPIPE)
    }

    fn entries(&self, _: &mut [u8]) -> Result<usize> {
        Err(Errno::NOTDIR)
    }

    fn lock(&self, _: Lock, _: bool) -> Result<()> {
        Ok(())
    }

    fn record(&self, _: i32, _: u32, record: Record) -> Result<Record> {
        Ok(Record { kind: Record::UNLOCKED, ..record })
    }

    fn set_append(&self, _: bool) {}
}
