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
use crate::text::Text;
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
    let mut line = Text::<128>::NEW;
    let _ = match put {
        ..0 => writeln!(line, "ampoule: the capture ends here: it cannot be written any more (error {})", -put),
        _ => writeln!(line, "ampoule: the capture ends here, in the middle of a packet: there is no more room for it"),
    };
    system::write(2, line.bytes.as_ptr(), line.length);
}

#[cfg(test)]
mod tests {
    use super::flows::{Datagram, Flows, Side, memory_for};
    use super::*;
    use abi::hostnet::Address;
    use std::fs::File;
    use std::os::fd::AsRawFd as _;
    use std::vec::Vec;

    const NOW: u64 = 1_500_000_007;

    fn capture(file: &File) -> Capture {
        Capture::new(file.as_raw_fd(), || NOW, vec![0; ROOM].leak())
    }

    #[test]
    fn a_full_disk_ends_the_capture_alone() {
        let full = File::options().write(true).open("/dev/full").expect("Linux has one");
        let mut capture = capture(&full);
        for _ in 0..3 {
            capture.frame([7u8; 60].as_ptr(), 60);
        }
        assert!(capture.has_failed);
    }

    /// Records of what `act` does with four sockets, without their headers.
    fn records(name: &str, act: impl FnOnce(&mut Flows)) -> Vec<Vec<u8>> {
        let path = std::env::temp_dir().join(std::format!("ampoule-capture-{}-{name}", std::process::id()));
        let file = File::create(&path).expect("a file");
        let memory = vec![0u64; memory_for(4).div_ceil(8)].leak();
        // SAFETY: leaked, zeroed and long enough for four.
        act(&mut unsafe { Flows::in_zeroed(capture(&file), memory.as_mut_ptr().cast(), 4) });
        let bytes = std::fs::read(&path).expect("written");
        std::fs::remove_file(&path).expect("ours");
        let (mut rest, mut records) = (&bytes[..], Vec::new());
        while let Some((head, after)) = rest.split_first_chunk::<RECORD>() {
            let word = |i: usize| u32::from_le_bytes(head.as_chunks::<4>().0[i]);
            assert_eq!((word(0), word(1), word(2)), (1, 500_000_007, word(3)));
            records.push(after[..word(2) as usize].to_vec());
            rest = &after[word(2) as usize..];
        }
        records
    }

    fn v6(last: u8, port: u16) -> Address {
        let mut bytes = [0; 16];
        (bytes[0], bytes[15]) = (0xfe, last);
        Address { family: 6, port, bytes, ..Address::default() }
    }

    /// The one's complement sum of a packet with a right checksum is all ones (RFC 1071 §1).
    fn sums(parts: &[&[u8]]) -> u16 {
        parts.iter().flat_map(|part| part.chunks(2)).fold(0u16, |sum, pair| {
            let word = u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]);
            let (sum, carry) = sum.overflowing_add(word);
            sum + u16::from(carry)
        })
    }

    #[test]
    fn joined_datagrams_come_apart_over_ipv6() {
        let records = records("datagrams", |flows| {
            flows.opened(5, false);
            flows.bound(5, v6(1, 53));
            let none = Address::default();
            let datagram = Datagram { side: Side::Local, peer: v6(2, 9), local: none, segment: 3 };
            flows.datagram(5, &datagram, b"abcdefg".as_ptr(), 7);
        });
        let payloads: Vec<&[u8]> = records.iter().map(|packet| &packet[48..]).collect();
        assert_eq!(payloads, [&b"abc"[..], b"def", b"g"]);
        for packet in &records {
            assert_eq!((packet[0], packet[6]), (0x60, 17));
            assert_eq!((&packet[40..44], packet[8], packet[39]), (&[0, 53, 0, 9][..], 0xfe, 2));
            let length = (packet.len() - 40) as u8;
            assert_eq!(sums(&[&packet[8..40], &[0, 17, 0, length], &packet[40..]]), 0xffff);
        }
    }

    #[test]
    fn an_attempt_that_fails_is_reset() {
        let mapped = |last: u8, port| {
            let bytes = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, last];
            Address { family: 6, port, bytes, ..Address::default() }
        };
        let records = records("reset", |flows| {
            flows.opened(1, true);
            flows.connects(1, mapped(1, 4000), mapped(2, 80));
            flows.failed(1);
            flows.closed(1);
            flows.bytes(1, Side::Local, b"late".as_ptr(), 4);
        });
        let flags: Vec<(u8, &[u8])> = records.iter().map(|packet| (packet[33], &packet[12..20])).collect();
        let (here, there): (&[u8], &[u8]) = (&[10, 0, 0, 1, 10, 0, 0, 2], &[10, 0, 0, 2, 10, 0, 0, 1]);
        assert_eq!(flags, [(2, here), (0x14, there)]);
        assert_eq!(sums(&[&records[0][..20]]), 0xffff);
    }
}
