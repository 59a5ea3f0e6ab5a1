//! Frame seams: a wire between two stations, with faults if wanted, and a tracer.

use super::{Faults, Link, lock};
use crate::{Capabilities, Frames, Offload};
use std::sync::{Arc, Mutex};
use std::vec::Vec;

/// The longest segment that a wire with offload cuts.
const CUT_MAX: usize = 65_535;

/// A wire.
#[derive(Debug)]
pub struct Wire {
    state: Mutex<State>,
    capacity: usize,
    frame_max: usize,
    offload: bool,
}

#[derive(Debug)]
struct State {
    now_us: u64,
    link: Link,
    /// Stations that flushed since this was last asked.
    flushes: [u64; 2],
}

impl Wire {
    /// A wire and its two ends. `capacity` frames fit on the way to each; with `offload` the ends complete transmit
    /// checksums, cut long segments, and say of every frame that it needs no look, as a device between machines of one host
    /// would.
    pub fn pair(seed: u64, faults: Faults, capacity: usize, offload: bool) -> (WireEnd, WireEnd) {
        let state = State { now_us: 0, link: Link::new(seed, faults), flushes: [0; 2] };
        let wire = Arc::new(Wire { state: Mutex::new(state), capacity, frame_max: 1514, offload });
        (WireEnd { wire: wire.clone(), side: 0 }, WireEnd { wire, side: 1 })
    }
}

/// A station's end of a [`Wire`].
#[derive(Clone, Debug)]
pub struct WireEnd {
    wire: Arc<Wire>,
    side: usize,
}

impl WireEnd {
    /// Sets the time for both ends.
    pub fn set_now_us(&self, now_us: u64) {
        lock(&self.wire.state).now_us = now_us;
    }

    /// When the next frame arrives at either end.
    pub fn next_us(&self) -> Option<u64> {
        lock(&self.wire.state).link.next_us()
    }

    /// Changes what goes wrong from now on.
    pub fn set_faults(&self, faults: Faults) {
        lock(&self.wire.state).link.set_faults(faults);
    }

    /// How many frames have passed, both ways, those that came twice twice and the lost ones not.
    pub fn passed(&self) -> u64 {
        lock(&self.wire.state).link.passed()
    }

    /// How often this station flushed.
    pub fn flushes(&self) -> u64 {
        lock(&self.wire.state).flushes[self.side]
    }

    /// Puts a frame on the wire as it is, towards the other end.
    pub fn inject(&self, frame: Vec<u8>) {
        lock(&self.wire.state).send(1 - self.side, frame);
    }
}

impl State {
    fn send(&mut self, to: usize, frame: Vec<u8>) {
        self.link.send(self.now_us, to, frame);
    }
}

impl Frames for WireEnd {
    fn address(&self) -> [u8; 6] {
        [2, 0, 0, 0, 0, self.side as u8 + 1]
    }

    fn capabilities(&self) -> Capabilities {
        let cut_max = if self.wire.offload { CUT_MAX } else { 0 };
        Capabilities { frame_max: self.wire.frame_max, transmit_checksums: self.wire.offload, cut_max }
    }

    fn receive(&self, take: &mut dyn FnMut(&mut [u8], bool)) -> bool {
        let mut state = lock(&self.wire.state);
        let now = state.now_us;
        let Some(mut frame) = state.link.take(now, self.side) else { return false };
        // Not held while the frame is looked at: the station may answer it.
        drop(state);
        take(&mut frame, self.wire.offload);
        true
    }

    fn room(&self) -> bool {
        lock(&self.wire.state).link.waiting(1 - self.side) < self.wire.capacity
    }

    fn transmit(&self, length: usize, fill: &mut dyn FnMut(&mut [u8]) -> Option<Offload>) -> bool {
        if length > self.wire.frame_max.max(self.capabilities().cut_max) || !self.room() {
            return false;
        }
        // What the frame's memory held before is anybody's guess.
        let mut frame = std::vec![0xa5; length];
        let frames = match fill(&mut frame) {
            Some(offload) => cut(frame, offload),
            None => std::vec![frame],
        };
        for frame in frames {
            assert!(frame.len() <= self.wire.frame_max, "a frame of {} bytes that nobody cuts", frame.len());
            lock(&self.wire.state).send(1 - self.side, frame);
        }
        true
    }

    fn flush(&self) {
        lock(&self.wire.state).flushes[self.side] += 1;
    }

    fn arm(&self, room: bool) -> bool {
        let state = lock(&self.wire.state);
        let arrived = state.link.next_us_to(self.side).is_some_and(|at| at <= state.now_us);
        arrived || room && state.link.waiting(1 - self.side) < self.wire.capacity
    }
}

/// Cuts a TCP segment into parts of [`Offload::cut`] bytes, and completes their checksums, as a device does (VIRTIO 1.2
/// §5.1.6.2, `VIRTIO_NET_HDR_GSO_TCPV4` and its like).
fn cut(mut frame: Vec<u8>, offload: Offload) -> Vec<Vec<u8>> {
    let start = usize::from(offload.start);
    let head = start + usize::from(frame[start + 12] >> 4) * 4;
    if offload.cut == 0 || frame.len() <= head + usize::from(offload.cut) {
        complete(&mut frame, offload);
        return std::vec![frame];
    }
    let v4 = frame[14] >> 4 == 4;
    let length = frame.len() - start;
    let parts: Vec<&[u8]> = frame[head..].chunks(usize::from(offload.cut)).collect();
    let mut cut = Vec::new();
    for (number, part) in parts.iter().enumerate() {
        let mut piece = [&frame[..head], part].concat();
        let at = if v4 { 16 } else { 18 };
        let total = (piece.len() - if v4 { 14 } else { 54 }) as u16;
        piece[at..at + 2].copy_from_slice(&total.to_be_bytes());
        if v4 {
            piece[24..26].fill(0);
            complete_over(&mut piece, 14..start, 24);
        }
        let sequence = u32::from_be_bytes([frame[start + 4], frame[start + 5], frame[start + 6], frame[start + 7]]);
        let sequence = sequence.wrapping_add((number * usize::from(offload.cut)) as u32);
        piece[start + 4..start + 8].copy_from_slice(&sequence.to_be_bytes());
        if number + 1 < parts.len() {
            // FIN and PSH are the last one's.
            piece[start + 13] &= !9;
        }
        // The pseudo-header's sum is that of the whole: its length is the part's.
        let field = start + usize::from(offload.offset);
        let pseudo = u32::from(u16::from_be_bytes([piece[field], piece[field + 1]]));
        let less = (length - (piece.len() - start)) as u32;
        let pseudo = (pseudo + 0xffff - less % 0xffff) % 0xffff;
        piece[field..field + 2].copy_from_slice(&(pseudo as u16).to_be_bytes());
        complete(&mut piece, offload);
        cut.push(piece);
    }
    cut
}

/// Completes a checksum as a device does (VIRTIO 1.2 §5.1.6.2).
fn complete(frame: &mut [u8], Offload { start, offset, .. }: Offload) {
    let (start, end) = (usize::from(start), frame.len());
    complete_over(frame, start..end, start + usize::from(offset));
}

fn complete_over(frame: &mut [u8], range: core::ops::Range<usize>, field: usize) {
    let mut sum = 0u32;
    for pair in frame[range].chunks(2) {
        sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    frame[field..field + 2].copy_from_slice(&(!(sum as u16)).to_be_bytes());
}

/// Keeps a copy of every frame that passes.
#[derive(Debug)]
pub struct TracedFrames<F> {
    inner: F,
    /// Sent by the station, and the frame.
    seen: Mutex<Vec<(bool, Vec<u8>)>>,
}

impl<F: Frames> TracedFrames<F> {
    /// In front of another device.
    pub fn new(inner: F) -> Self {
        Self { inner, seen: Mutex::default() }
    }

    /// The device behind.
    pub fn inner(&self) -> &F {
        &self.inner
    }

    /// The frames so far (true: sent), which are then forgotten.
    pub fn take(&self) -> Vec<(bool, Vec<u8>)> {
        core::mem::take(&mut lock(&self.seen))
    }
}

impl<F: Frames> Frames for TracedFrames<F> {
    fn address(&self) -> [u8; 6] {
        self.inner.address()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn receive(&self, take: &mut dyn FnMut(&mut [u8], bool)) -> bool {
        self.inner.receive(&mut |frame, checked| {
            lock(&self.seen).push((false, frame.to_vec()));
            take(frame, checked);
        })
    }

    fn room(&self) -> bool {
        self.inner.room()
    }

    fn transmit(&self, length: usize, fill: &mut dyn FnMut(&mut [u8]) -> Option<Offload>) -> bool {
        self.inner.transmit(length, &mut |frame| {
            let checksum = fill(frame);
            lock(&self.seen).push((true, frame.to_vec()));
            checksum
        })
    }

    fn flush(&self) {
        self.inner.flush();
    }

    fn arm(&self, room: bool) -> bool {
        self.inner.arm(room)
    }
}
