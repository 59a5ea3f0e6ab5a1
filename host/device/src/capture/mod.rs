//! What goes over the network, written down as packets for other people's tools to read (`run --pcap`).
//!
//! | file | what it does |
//! |---|---|
//! | `mod` | records in a file (draft-ietf-opsawg-pcap, with nanoseconds) |
//! | [`flows`] | the host's sockets: what packets would have carried their bytes |
//! | `packet` | IP, TCP and UDP headers |
//!
//! A frame is written as it passes. The host's sockets have no frames: their packets are made up from what was sent and
//! received. A record is one `write`, so nothing is kept back; if it fails the capture ends, with a word, and the machine
//! goes on.

pub mod flows;
mod packet;

use crate::system;
use core::fmt::Write as _;

/// Bytes of a record's header.
const RECORD: usize = 16;
/// Bytes of the longest packet.
const PACKET: usize = 66 << 10;
/// Bytes of memory that a [`Capture`] takes.
pub const ROOM: usize = RECORD + PACKET;

/// What the packets begin with (www.tcpdump.org/linktypes.html).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum LinkType {
    /// An Ethernet header.
    Ethernet = 1,
    /// An IPv4 or IPv6 header.
    Raw = 101,
}

/// The file's header, which stands before the first record.
pub fn file_header(link: LinkType) -> [u8; 24] {
    const MAGIC_NANOSECONDS: u32 = 0xa1b2_3c4d;
    const VERSION: u32 = 4 << 16 | 2;
    const LENGTH_MAX: u32 = 262_144;
    let words = [MAGIC_NANOSECONDS, VERSION, 0, 0, LENGTH_MAX, link as u32];
    let mut out = [0; 24];
    out.as_chunks_mut::<4>().0.iter_mut().zip(words).for_each(|(to, word)| *to = word.to_le_bytes());
    out
}

/// A capture that is being written.
#[derive(Debug)]
pub struct Capture {
    descriptor: i32,
    now_ns: fn() -> u64,
    room: &'static mut [u8],
    has_failed: bool,
}

impl Capture {
    /// Into the file behind `descriptor`, whose header is there already; `now_ns` is the time of day, in nanoseconds since
    /// 1970, and `room` has [`ROOM`] bytes.
    pub fn new(descriptor: i32, now_ns: fn() -> u64, room: &'static mut [u8]) -> Self {
        Self { descriptor, now_ns, room, has_failed: false }
    }

    /// A packet whose `length` bytes are at `from`: guest memory, bounded by the caller.
    pub(crate) fn frame(&mut self, from: *const u8, length: u32) {
        let length = (length as usize).min(PACKET);
        self.put(0, from, length);
        self.write(length);
    }

    /// Copies guest memory into the packet, `at` bytes from its beginning; gives how much there was room for.
    fn put(&mut self, at: usize, from: *const u8, length: usize) -> usize {
        let room = self.room.get_mut(RECORD + at..).unwrap_or_default();
        let length = length.min(room.len());
        // SAFETY: the callers bound the bytes to the machine's memory, which this buffer is not part of. Where the guest
        // has made it inaccessible, the fault handler ends the machine.
        unsafe { core::ptr::copy_nonoverlapping(from, room.as_mut_ptr(), length) };
        length
    }

    fn packet(&mut self) -> &mut [u8] {
        &mut self.room[RECORD..]
    }

    /// Writes the packet's first `length` bytes.
    fn write(&mut self, length: usize) {
        if self.has_failed {
            return;
        }
        let now = (self.now_ns)();
        let words = [(now / 1_000_000_000) as u32, (now % 1_000_000_000) as u32, length as u32, length as u32];
        self.room.as_chunks_mut::<4>().0.iter_mut().zip(words).for_each(|(to, word)| *to = word.to_le_bytes());
        let whole = RECORD + length;
        let put = loop {
            let put = system::write(self.descriptor, self.room.as_ptr(), whole);
            if put != -(system::errno::EINTR as isize) {
                break put;
            }
        };
        if put != whole as isize {
            self.has_failed = true;
            complain(put);
        }
    }
}

/// Says on standard error that nothing more is written.
fn complain(put: isize) {
    let mut line = Line { bytes: [0; 128], length: 0 };
    let _ = match put {
        ..0 => writeln!(line, "ampoule: the capture ends here: it cannot be written any more (error {})", -put),
        _ => writeln!(line, "ampoule: the capture ends here, in the middle of a packet: there is no more room for it"),
    };
    system::write(2, line.bytes.as_ptr(), line.length);
}

struct Line {
    bytes: [u8; 128],
    length: usize,
}

impl core::fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        let room = &mut self.bytes[self.length..];
        let take = text.len().min(room.len());
        room[..take].copy_from_slice(&text.as_bytes()[..take]);
        self.length += take;
        Ok(())
    }
}
