//! Event counters (Linux `eventfd(2)`): a 64-bit number that writes add to and reads take.

use sync::SpinLock;

use crate::errno::{Errno, Result};
use crate::events;
use crate::file::{Description, File, NON_BLOCKING, Open, READ_WRITE};
use crate::observe::Observers;
use crate::stat::Stat;

/// `EFD_SEMAPHORE`: a read takes 1 and not everything.
pub const SEMAPHORE: u32 = 1;

struct Counter {
    value: SpinLock<u64>,
    semaphore: bool,
    observers: Observers,
}

/// A new counter. `flags` are `EFD_*` bits; others than the known ones are `EINVAL`.
pub fn eventfd(value: u32, flags: u32) -> Result<Open> {
    if flags & !(SEMAPHORE | NON_BLOCKING | crate::file::CLOSE_ON_EXEC) != 0 {
        return Err(Errno::INVAL);
    }
    let counter =
        Counter { value: SpinLock::new(value.into()), semaphore: flags & SEMAPHORE != 0, observers: Observers::new() };
    Ok(Description::open(counter, READ_WRITE | flags & NON_BLOCKING))
}

impl File for Counter {
    fn read(&self, buffer: &mut [u8]) -> Result<usize> {
        let buffer = buffer.first_chunk_mut::<8>().ok_or(Errno::INVAL)?;
        let mut value = self.value.lock();
        if *value == 0 {
            return Err(Errno::AGAIN);
        }
        let taken = if self.semaphore { 1 } else { *value };
        *value -= taken;
        let watched = self.observers.watched();
        drop(value);
        *buffer = taken.to_ne_bytes();
        if watched {
            self.observers.notify(events::WRITABLE);
        }
        Ok(8)
    }

    fn write(&self, bytes: &[u8]) -> Result<usize> {
        let added = u64::from_ne_bytes(*bytes.first_chunk().ok_or(Errno::INVAL)?);
        if added == u64::MAX {
            return Err(Errno::INVAL);
        }
        let mut value = self.value.lock();
        // The largest value is 2^64 - 2.
        *value = value.checked_add(added).filter(|sum| *sum != u64::MAX).ok_or(Errno::AGAIN)?;
        let watched = self.observers.watched();
        drop(value);
        if watched {
            self.observers.notify(events::READABLE);
        }
        Ok(8)
    }

    fn ready(&self) -> u32 {
        let value = *self.value.lock();
        let readable = if value > 0 { events::READABLE } else { 0 };
        readable | if value < u64::MAX - 1 { events::WRITABLE } else { 0 }
    }

    fn observers(&self) -> Option<&Observers> {
        Some(&self.observers)
    }

    fn stat(&self) -> Stat {
        Stat::special(0o600)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(file: &Open) -> Result<u64> {
        let mut buffer = [0; 8];
        file.file().read(&mut buffer).map(|_| u64::from_ne_bytes(buffer))
    }

    #[test]
    fn adds_up_and_is_taken_at_once() {
        let file = eventfd(3, 0).expect("flags are valid");
        assert_eq!(file.file().write(&4u64.to_ne_bytes()), Ok(8));
        assert_eq!(take(&file), Ok(7));
        assert_eq!(take(&file), Err(Errno::AGAIN));
        assert_eq!(file.file().write(&[0; 7]), Err(Errno::INVAL));
    }

    #[test]
    fn a_semaphore_gives_one_at_a_time() {
        let file = eventfd(2, SEMAPHORE).expect("flags are valid");
        assert_eq!((take(&file), take(&file), take(&file)), (Ok(1), Ok(1), Err(Errno::AGAIN)));
    }

    #[test]
    fn a_full_counter_blocks_its_writers() {
        let file = eventfd(1, 0).expect("flags are valid");
        assert_eq!(file.file().write(&(u64::MAX - 1).to_ne_bytes()), Err(Errno::AGAIN));
        assert_eq!(file.file().write(&(u64::MAX - 2).to_ne_bytes()), Ok(8));
        assert_eq!(file.file().ready(), events::READABLE);
    }
}
