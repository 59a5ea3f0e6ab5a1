//! What a machine has done so far, for whoever watches it: a page of numbers in a file that the machine's own process maps
//! and others read. The machine pays some stores a gate call for it, and makes no system call.
//!
//! The numbers are the machine's own word. As a process its program shares an address space with them, so they are nothing to
//! decide by.

use crate::Error;
use host_device::Traffic;
use std::fs::{File, OpenOptions};
use std::io::Read as _;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// What the page begins with; another layout has another.
const MAGIC: u64 = u64::from_le_bytes(*b"ampcnt01");
/// Bytes of the file.
const LENGTH: usize = abi::PAGE_SIZE as usize;
/// Numbers after [`MAGIC`].
const NUMBERS: usize = 7;

/// The page. Each number has one writer, the machine's process.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Page {
    magic: AtomicU64,
    numbers: [AtomicU64; NUMBERS],
}

/// What a machine has done since it was started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Gate calls.
    pub calls: u64,
    /// Times it had nothing to do and waited, or looked whether there is something.
    pub waits: u64,
    /// Times its virtual CPU came out to the monitor; 0 as a process.
    pub exits: u64,
    /// What went through its network device.
    pub traffic: Traffic,
}

impl Counters {
    /// What the file at `path` says now; `None` where there is none, or none of this layout.
    pub fn read(path: &Path) -> Option<Self> {
        let mut bytes = [0; (NUMBERS + 1) * 8];
        File::open(path).ok()?.read_exact(&mut bytes).ok()?;
        let mut numbers = bytes.as_chunks::<8>().0.iter().map(|bytes| u64::from_le_bytes(*bytes));
        if numbers.next()? != MAGIC {
            return None;
        }
        let mut next = || numbers.next().unwrap_or_default();
        Some(Self {
            calls: next(),
            waits: next(),
            exits: next(),
            traffic: Traffic { received: next(), received_bytes: next(), sent: next(), sent_bytes: next() },
        })
    }

    pub(crate) fn store(&self, page: &Page) {
        let Traffic { received, received_bytes, sent, sent_bytes } = self.traffic;
        let numbers = [self.calls, self.waits, self.exits, received, received_bytes, sent, sent_bytes];
        for (place, number) in page.numbers.iter().zip(numbers) {
            place.store(number, Ordering::Relaxed);
        }
    }
}

impl Page {
    /// Makes the file and maps it, for good.
    pub(crate) fn create(path: &Path) -> Result<&'static Self, Error> {
        let failed = |cause| Error::System { what: "make the file of the machine's counters", cause };
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(true).mode(0o600).open(path).map_err(failed)?;
        file.set_len(LENGTH as u64).map_err(failed)?;
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a fresh mapping.
        let at = unsafe { libc::mmap(std::ptr::null_mut(), LENGTH, access, libc::MAP_SHARED, file.as_raw_fd(), 0) };
        if at == libc::MAP_FAILED {
            return Err(Error::last("map the machine's counters"));
        }
        // SAFETY: page-aligned, as long as the page and zeroed; it stays mapped for this process's life, and all access is
        // atomic.
        let page = unsafe { &*at.cast::<Self>() };
        page.magic.store(MAGIC, Ordering::Relaxed);
        Ok(page)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_is_read() {
        let path = std::env::temp_dir().join(format!("ampoule-counters-{}", std::process::id()));
        assert_eq!(Counters::read(&path), None);
        let page = Page::create(&path).expect("a page");
        assert_eq!(Counters::read(&path), Some(Counters::default()));
        let traffic = Traffic { received: 4, received_bytes: 5, sent: 6, sent_bytes: u64::MAX };
        let counters = Counters { calls: 1, waits: 2, exits: 3, traffic };
        counters.store(page);
        assert_eq!(Counters::read(&path), Some(counters));
        page.magic.store(0, Ordering::Relaxed);
        assert_eq!(Counters::read(&path), None, "another layout");
        std::fs::remove_file(&path).expect("ours");
    }
}
