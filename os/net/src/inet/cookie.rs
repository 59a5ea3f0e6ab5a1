//! Cookies: connection requests answered without keeping anything of them (RFC 4987 §3.6), where a listener's queue is
//! full of requests that nobody follows up.
//!
//! The cookie is our first sequence number: the minute, the segment size that the peer named, and a hash of both with
//! the connection's ends and the peer's own number. Who acknowledges it has seen our answer. What else the peer offered
//! (window scale, timestamps, selective acknowledgements) is lost, so cookies are not used without need.

use super::{Flow, Inet, World};
use crate::tcp::segment::{ACK, Header, Options, SYN, Segment};
use crate::tcp::seq::Seq;
use crate::tcp::{Tcb, Verdict};

/// Segment sizes that a cookie can tell of.
const SIZES: [u16; 4] = [536, 1220, 1380, 1460];
/// µs of a cookie's minute, a binary one.
const MINUTE: u64 = 1 << 26;
/// Bits of the minute and of the size; the rest is the hash's.
const MINUTE_BITS: u32 = 4;
const SIZE_BITS: u32 = 2;

impl Inet {
    fn cookie(&self, (local, remote): Flow, theirs: Seq, minute: u64, size: usize) -> Seq {
        let what = u64::from(theirs.0) << 32 | minute << 8 | size as u64;
        let hash = self.secret.hash([u64::from(self.secret.flow(local, remote)), what]);
        let low = (minute as u32 & ((1 << MINUTE_BITS) - 1)) << SIZE_BITS | size as u32;
        Seq(hash << (MINUTE_BITS + SIZE_BITS) | low)
    }

    /// Answers a request.
    pub(super) fn send_cookie(&mut self, world: World<'_>, station: [u8; 6], flow: Flow, request: &Segment<'_>) {
        let theirs = request.options.mss.unwrap_or(SIZES[0]);
        let size = SIZES.iter().rposition(|size| *size <= theirs).unwrap_or(0);
        let seq = self.cookie(flow, request.seq, world.now.micros() / MINUTE, size);
        let mss = self.ip.mtu(world.now, flow.1.ip()) - if flow.1.is_ipv4() { 40 } else { 60 };
        let options = Options { mss: Some(mss as u16), ..Options::default() };
        let header = Header { seq, ack: request.seq + 1, flags: SYN | ACK, window: u16::MAX, options };
        self.reply(world, station, flow, &header);
    }

    /// An acknowledgement that is of no connection: true if it is of a cookie, and then it makes one.
    pub(super) fn cookie_arrived(
        &mut self,
        world: World<'_>,
        (hash, flow): (u32, Flow),
        segment: &Segment<'_>,
    ) -> bool {
        let Some(listener) = self.listener(flow.0) else { return false };
        let (ours, theirs) = (segment.ack - 1, segment.seq - 1);
        let size = (ours.0 & ((1 << SIZE_BITS) - 1)) as usize;
        let minute = world.now.micros() / MINUTE;
        let is_cookie = |minute: u64| self.cookie(flow, theirs, minute, size) == ours;
        if !(is_cookie(minute) || minute > 0 && is_cookie(minute - 1)) {
            return false;
        }
        if self.queue_is_full(listener) {
            return true;
        }
        let (Some(terms), Some(promise)) = (self.terms(world, flow.1.ip(), listener), self.admit(world)) else {
            return true;
        };
        // As if the request had been kept.
        let options = Options { mss: Some(SIZES[size]), ..Options::default() };
        let request = Segment { seq: theirs, ack: ours, flags: SYN, window: segment.window, options, payload: &[] };
        let tcb = Tcb::answered(world.now, ours, terms, &request);
        let Some(child) = self.add_child(listener, (hash, flow), tcb, promise) else { return true };
        let verdict = self.deliver(world, child, segment);
        debug_assert_eq!(verdict, Verdict::Taken, "it was acknowledged");
        true
    }
}
