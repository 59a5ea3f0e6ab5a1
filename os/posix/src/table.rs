//! The descriptor table: small numbers to open files, the lowest free number first (POSIX `open`, "file descriptor
//! allocation").

use alloc::vec::Vec;
use sync::{Once, SpinLock};

use crate::console;
use crate::errno::{Errno, Result};
use crate::file::Open;

/// Descriptors a machine can have at once (`RLIMIT_NOFILE`).
pub const DESCRIPTORS_MAX: usize = 65_536;

/// A table of descriptors.
pub struct Table {
    slots: SpinLock<Slots>,
}

struct Slots {
    entries: Vec<Option<Entry>>,
    /// No number below this one is free.
    lowest: usize,
}

struct Entry {
    file: Open,
    close_on_exec: bool,
}

/// The machine's table, with the console at 0, 1 and 2.
pub fn table() -> &'static Table {
    static TABLE: Once<Table> = Once::new();
    TABLE.get_or_init(|| {
        let table = Table::new();
        for file in console::standard_files() {
            // Three entries of an empty table: there is room.
            let _ = table.insert(file, false);
        }
        table
    })
}

impl Table {
    /// An empty table.
    pub const fn new() -> Self {
        Table { slots: SpinLock::new(Slots { entries: Vec::new(), lowest: 0 }) }
    }

    /// The open file at `fd`.
    #[inline]
    pub fn get(&self, fd: i32) -> Result<Open> {
        let slots = self.slots.lock();
        match slots.entries.get(fd as usize) {
            Some(Some(entry)) => Ok(entry.file.clone()),
            _ => Err(Errno::BADF),
        }
    }

    /// What `act` makes of the open file at `fd`. The table is locked meanwhile, which is cheaper than to count a
    /// reference up and down; so `act` is short, never parks, and opens and closes nothing.
    #[inline]
    pub fn with<R>(&self, fd: i32, act: impl FnOnce(&Open) -> Result<R>) -> Result<R> {
        let slots = self.slots.lock();
        match slots.entries.get(fd as usize) {
            Some(Some(entry)) => act(&entry.file),
            _ => Err(Errno::BADF),
        }
    }

    /// Puts `file` at the lowest free number.
    pub fn insert(&self, file: Open, close_on_exec: bool) -> Result<i32> {
        self.insert_from(0, file, close_on_exec)
    }

    /// Puts `file` at the lowest free number that is not below `minimum` (`F_DUPFD`).
    pub fn insert_from(&self, minimum: usize, file: Open, close_on_exec: bool) -> Result<i32> {
        let mut slots = self.slots.lock();
        let start = minimum.max(slots.lowest);
        let free = slots.entries.iter().skip(start).position(Option::is_none).map(|i| start + i);
        let fd = free.unwrap_or(slots.entries.len().max(start));
        slots.reach(fd)?;
        slots.entries[fd] = Some(Entry { file, close_on_exec });
        if minimum <= slots.lowest {
            slots.lowest = fd + 1;
        }
        Ok(fd as i32)
    }

    /// Puts `file` at `fd`, and gives back what was there (`dup2`).
    pub fn replace(&self, fd: i32, file: Open, close_on_exec: bool) -> Result<Option<Open>> {
        let fd = usize::try_from(fd).map_err(|_| Errno::BADF)?;
        let mut slots = self.slots.lock();
        slots.reach(fd).map_err(|_| Errno::BADF)?;
        Ok(slots.entries[fd].replace(Entry { file, close_on_exec }).map(|old| old.file))
    }

    /// Takes the file at `fd` out. The caller drops it, with no lock held.
    pub fn remove(&self, fd: i32) -> Result<Open> {
        let index = fd as usize;
        let mut slots = self.slots.lock();
        let entry = slots.entries.get_mut(index).and_then(Option::take).ok_or(Errno::BADF)?;
        slots.lowest = slots.lowest.min(index);
        Ok(entry.file)
    }

    /// The descriptor's own flag (`FD_CLOEXEC`).
    pub fn close_on_exec(&self, fd: i32) -> Result<bool> {
        let slots = self.slots.lock();
        slots.entries.get(fd as usize).and_then(Option::as_ref).map(|e| e.close_on_exec).ok_or(Errno::BADF)
    }

    /// Sets the descriptor's own flag.
    pub fn set_close_on_exec(&self, fd: i32, value: bool) -> Result<()> {
        let mut slots = self.slots.lock();
        let entry = slots.entries.get_mut(fd as usize).and_then(Option::as_mut).ok_or(Errno::BADF)?;
        entry.close_on_exec = value;
        Ok(())
    }

    /// The lowest open descriptor that is not below `minimum`.
    pub fn next_open(&self, minimum: i32) -> Option<i32> {
        let slots = self.slots.lock();
        let start = usize::try_from(minimum).ok()?;
        slots.entries.iter().skip(start).position(Option::is_some).map(|i| (start + i) as i32)
    }
}

/// Is there memory for another file and what goes with it? To be asked first by every call that opens something: what is
/// opened is made piece by piece, and a piece for which there is no room would end the machine.
pub fn spare() -> Result<()> {
    memory::has_spare().then_some(()).ok_or(Errno::NOMEM)
}

impl Default for Table {
    fn default() -> Self {
        Self::new()
    }
}

impl Slots {
    /// Makes `fd` a valid index.
    fn reach(&mut self, fd: usize) -> Result<()> {
        if fd >= DESCRIPTORS_MAX {
            return Err(Errno::MFILE);
        }
        if let Some(missing) = (fd + 1).checked_sub(self.entries.len()) {
            self.entries.try_reserve(missing).map_err(|_| Errno::NOMEM)?;
            self.entries.resize_with(fd + 1, || None);
        }
        Ok(())
    }
}
