//! TIME-WAIT (RFC 9293 §3.6.1) after a socket is gone: a few words a connection instead of its buffers.
//!
//! What is left to do for such a connection is to answer a peer that did not hear our last acknowledgement, and that
//! answer can be made from the peer's own segment alone.

use super::Flow;
use super::index::Index;
use crate::checksum::{self, ETHERNET};
use alloc::collections::VecDeque;
use device::Frames;
use smoltcp::time::{Duration, Instant};

/// How long (Linux's TCP_TIMEWAIT_LEN).
const LENGTH: Duration = Duration::from_secs(60);
/// How many at most; then the oldest goes early.
const MOST: u32 = 4096;

const FIN: u8 = 1;
const ACK: u8 = 16;

#[derive(Default)]
pub(super) struct TimeWait {
    /// In the order of their ends.
    entries: VecDeque<Entry>,
    /// The running number of the first entry; running numbers modulo [`MOST`] stand in the index.
    first: u32,
    index: Index,
}

struct Entry {
    end: Instant,
    flow: Flow,
    hash: u32,
    live: bool,
}

impl TimeWait {
    pub(super) fn insert(&mut self, now: Instant, hash: u32, flow: Flow) {
        self.expire(now);
        if self.entries.len() == MOST as usize {
            self.drop_first();
        }
        let number = self.first.wrapping_add(self.entries.len() as u32) % MOST;
        self.entries.push_back(Entry { end: now + LENGTH, flow, hash, live: true });
        self.index.insert(hash, number);
    }

    /// Is this connection in TIME-WAIT?
    pub(super) fn contains(&mut self, now: Instant, hash: u32, flow: Flow) -> bool {
        self.expire(now);
        self.position(hash, flow).is_some()
    }

    /// The peer opens the connection anew (RFC 9293 §3.6.1 allows it).
    pub(super) fn remove(&mut self, hash: u32, flow: Flow) {
        if let Some((position, number)) = self.position(hash, flow) {
            self.entries[position].live = false;
            self.index.remove(hash, number);
        }
    }

    fn position(&self, hash: u32, flow: Flow) -> Option<(usize, u32)> {
        self.index.find(hash).find_map(|number| {
            let position = (number.wrapping_sub(self.first) % MOST) as usize;
            self.entries.get(position).is_some_and(|entry| entry.flow == flow).then_some((position, number))
        })
    }

    fn expire(&mut self, now: Instant) {
        while self.entries.front().is_some_and(|entry| entry.end <= now) {
            self.drop_first();
        }
    }

    fn drop_first(&mut self) {
        if let Some(entry) = self.entries.pop_front() {
            if entry.live {
                self.index.remove(entry.hash, self.first % MOST);
            }
            self.first = self.first.wrapping_add(1);
        }
    }
}

/// Acknowledges a segment that came again: its own numbers the other way round. `frame` is an IPv4 or IPv6 TCP frame.
pub(super) fn acknowledge(frames: &dyn Frames, offload: bool, frame: &[u8]) {
    let Some((ip, tcp, end)) = parts(frame) else { return };
    let segment = &frame[tcp..end];
    let header = usize::from(segment[12] >> 4) * 4;
    let flags = segment[13];
    let Some(payload) = segment.len().checked_sub(header) else { return };
    if flags & ACK == 0 || (payload == 0 && flags & FIN == 0) {
        return;
    }
    let sequence = u32::from_be_bytes([segment[4], segment[5], segment[6], segment[7]]);
    let next = sequence.wrapping_add(payload as u32).wrapping_add(u32::from(flags & FIN));
    frames.transmit(tcp + 20, &mut |out| {
        out.copy_from_slice(&frame[..tcp + 20]);
        out[..6].copy_from_slice(&frame[6..12]);
        out[6..12].copy_from_slice(&frame[..6]);
        let length = 20u16;
        if ip == 4 {
            out[26..30].copy_from_slice(&frame[30..34]);
            out[30..34].copy_from_slice(&frame[26..30]);
            out[16..18].copy_from_slice(&((tcp - ETHERNET) as u16 + length).to_be_bytes());
            out[24..26].fill(0);
            let sum = checksum::header(&out[ETHERNET..tcp]);
            out[24..26].copy_from_slice(&sum.to_be_bytes());
        } else {
            out[22..38].copy_from_slice(&frame[38..54]);
            out[38..54].copy_from_slice(&frame[22..38]);
            out[18..20].copy_from_slice(&length.to_be_bytes());
        }
        out[tcp..tcp + 2].copy_from_slice(&segment[2..4]);
        out[tcp + 2..tcp + 4].copy_from_slice(&segment[..2]);
        out[tcp + 4..tcp + 8].copy_from_slice(&segment[8..12]);
        out[tcp + 8..tcp + 12].copy_from_slice(&next.to_be_bytes());
        out[tcp + 12] = 5 << 4;
        out[tcp + 13] = ACK;
        out[tcp + 14..tcp + 20].fill(0);
        checksum::complete(out, offload)
    });
}

/// IP version, where the TCP header starts, and where the segment ends.
pub(super) fn parts(frame: &[u8]) -> Option<(u8, usize, usize)> {
    let packet = frame.get(ETHERNET..)?;
    let (version, header, length) = match frame.get(12..14)? {
        [0x08, 0x00] if packet.len() >= 20 => {
            (4, usize::from(packet[0] & 15) * 4, usize::from(u16::from_be_bytes([packet[2], packet[3]])))
        }
        [0x86, 0xdd] if packet.len() >= 40 => (6, 40, 40 + usize::from(u16::from_be_bytes([packet[4], packet[5]]))),
        _ => return None,
    };
    let (tcp, end) = (ETHERNET + header, ETHERNET + length);
    (header >= 20 && end <= frame.len() && end >= tcp + 20).then_some((version, tcp, end))
}
