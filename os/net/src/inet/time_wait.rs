//! TIME-WAIT (RFC 9293 §3.6.1) after a socket is gone: a few words a connection instead of its buffers.
//!
//! What is left to do for such a connection is to answer a peer that did not hear our last acknowledgement, and to tell an
//! old duplicate of a request from one for a new connection.

use super::Flow;
use crate::index::Index;
use crate::tcp::segment::{ACK, FIN, Header, RST, SYN, Segment};
use crate::tcp::seq::Seq;
use crate::time::{Duration, Instant};
use alloc::collections::VecDeque;

/// How long (Linux's TCP_TIMEWAIT_LEN).
const LENGTH: Duration = Duration::from_secs(60);
/// How many at most; then the oldest goes early.
const MOST: u32 = 4096;

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
    /// The next byte from the peer, and of ours.
    ends: (Seq, Seq),
    live: bool,
}

impl TimeWait {
    pub(super) fn insert(&mut self, now: Instant, hash: u32, flow: Flow, ends: (Seq, Seq)) {
        self.expire(now);
        if self.entries.len() == MOST as usize {
            self.drop_first();
        }
        let number = self.first.wrapping_add(self.entries.len() as u32) % MOST;
        self.entries.push_back(Entry { end: now + LENGTH, flow, hash, ends, live: true });
        self.index.insert(hash, number);
    }

    /// Is this connection in TIME-WAIT?
    pub(super) fn contains(&mut self, now: Instant, hash: u32, flow: Flow) -> bool {
        self.expire(now);
        self.position(hash, flow).is_some()
    }

    /// What is answered to a segment of a connection in TIME-WAIT, if anything is; `None` if the segment is for others: it
    /// is of no such connection, or opens it anew.
    pub(super) fn answer(
        &mut self,
        now: Instant,
        hash: u32,
        flow: Flow,
        segment: &Segment<'_>,
    ) -> Option<Option<Header>> {
        self.expire(now);
        let (position, number) = self.position(hash, flow)?;
        let (theirs, ours) = self.entries[position].ends;
        if segment.flags & (SYN | ACK | RST) == SYN && segment.seq - theirs > 0 {
            // RFC 9293 §3.6.1, RFC 6191: a request that is newer than all that was.
            self.entries[position].live = false;
            self.index.remove(hash, number);
            return None;
        }
        // RFC 1337: a reset does not end it. An acknowledgement asks for nothing.
        let asks = segment.length() > 0 || segment.has(SYN | FIN) || segment.seq - theirs != 0;
        let header = Header { seq: ours, ack: theirs, flags: ACK, ..Header::default() };
        Some((!segment.has(RST) && asks).then_some(header))
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
