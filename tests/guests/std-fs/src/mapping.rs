//! Files as memory.

use crate::say;
use std::fs::{self, File, OpenOptions};
use std::io::{Error, Result, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

const BOTH: i32 = libc::PROT_READ | libc::PROT_WRITE;

fn map(file: &File, length: usize, protection: i32, flags: i32, offset: i64) -> Result<&'static mut [u8]> {
    // SAFETY: a new mapping of whole pages.
    unsafe {
        let address = libc::mmap(std::ptr::null_mut(), length, protection, flags, file.as_raw_fd(), offset);
        if address == libc::MAP_FAILED {
            return Err(Error::last_os_error());
        }
        Ok(std::slice::from_raw_parts_mut(address.cast(), length))
    }
}

fn unmap(mapping: &mut [u8]) -> i32 {
    // SAFETY: a mapping that is not used any more.
    unsafe { libc::munmap(mapping.as_mut_ptr().cast(), mapping.len()) }
}

pub(crate) fn run() {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open("map").expect("made");
    file.write_all_at(&[b'a'; 200_000], 0).expect("written");
    let shared = map(&file, 200_000, BOTH, libc::MAP_SHARED, 0).expect("a mapping");
    say("what is in it", Ok(shared.iter().all(|b| *b == b'a')));
    shared[100_000] = b'B';
    let mut one = [0];
    say("the file sees it", file.read_at(&mut one, 100_000).map(|_| one));
    file.write_all_at(b"C", 150_000).expect("written");
    say("it sees the file", Ok(shared[150_000]));
    let second = map(&file, 4096, BOTH, libc::MAP_SHARED, 131_072).expect("another");
    second[0] = b'D';
    say("both see each other", Ok(shared[131_072]));
    let private = map(&file, 4096, BOTH, libc::MAP_PRIVATE, 0).expect("a mapping");
    private[0] = b'X';
    say("the private one alone", file.read_at(&mut one, 0).map(|_| (private[0], one[0], shared[0])));
    // SAFETY: a range of the mapping, which stays as it is.
    let advised = unsafe { libc::madvise(shared.as_mut_ptr().cast(), 4096, libc::MADV_DONTNEED) };
    say("not needed for now", Ok((advised, shared[0])));
    // SAFETY: as above.
    say("msync", Ok(unsafe { libc::msync(shared.as_mut_ptr().cast(), 4096, libc::MS_SYNC) }));
    say("unmap", Ok([unmap(second), unmap(private), unmap(&mut shared[4096..8192])]));
    say("what is left of it", Ok((shared[0], shared[150_000])));
    say("remove the file", fs::remove_file("map"));
    drop(file);
    shared[0] = b'E';
    say("it lives on", Ok(shared[0]));
    say("unmap", Ok([unmap(&mut shared[..4096]), unmap(&mut shared[8192..])]));

    let mut small = File::create("small").expect("made");
    small.write_all(b"small").expect("written");
    say("write-only", map(&small, 5, libc::PROT_READ, libc::MAP_SHARED, 0).map(drop));
    let small = File::open("small").expect("there");
    say("to be written, of what is read", map(&small, 5, BOTH, libc::MAP_SHARED, 0).map(drop));
    say("private, to be written", map(&small, 5, BOTH, libc::MAP_PRIVATE, 0).map(|m| m.to_vec()));
    say("shared, to be read", map(&small, 5, libc::PROT_READ, libc::MAP_SHARED, 0).map(|m| m.to_vec()));
    say("an odd offset", map(&small, 5, libc::PROT_READ, libc::MAP_SHARED, 5).map(drop));
    say("nothing", map(&small, 0, libc::PROT_READ, libc::MAP_SHARED, 0).map(drop));
    say("a directory", map(&File::open(".").expect("there"), 5, libc::PROT_READ, libc::MAP_SHARED, 0).map(drop));
    let grown = OpenOptions::new().read(true).write(true).create(true).truncate(true).open("grown").expect("made");
    grown.set_len(1 << 20).expect("set");
    let all = map(&grown, 1 << 20, BOTH, libc::MAP_SHARED, 0).expect("a mapping");
    all[(1 << 20) - 1] = 9;
    say("a sparse one", fs::read("grown").map(|b| (b.len(), b[(1 << 20) - 1])));
    say("unmap", Ok(unmap(all)));
}
