//! The host's sockets as packets: what a link would have carried, had there been one.
//!
//! Known are the bytes, their order, the addresses, and when connections begin and end. So each connection has its
//! handshake, its bytes under sequence numbers that count them from 1, an acknowledgement of all that came before in every
//! segment, and its end. Not known, and not invented: retransmissions, windows, acknowledgements on their own, options, and the real
//! sequence numbers. What is read or written in one piece is one segment, as with segmentation by a network device.

use super::Capture;
use super::packet::{ACK, FIN, Header, PSH, RST, SYN, Way};
use abi::hostnet::Address;

/// The most bytes in a segment.
const SEGMENT: usize = 32 << 10;

/// One socket. All zero is none.
#[derive(Clone, Copy, Debug, Default)]
struct Flow {
    number: u32,
    local: Address,
    peer: Address,
    /// The next sequence number each way.
    sent: u32,
    received: u32,
    is_stream: bool,
    /// The handshake is over.
    is_open: bool,
    /// That side has said that it will send no more.
    has_ended: bool,
    peer_has_ended: bool,
}

/// The sockets whose bytes are written down.
#[derive(Debug)]
pub struct Flows {
    capture: Capture,
    flows: &'static mut [Flow],
}

/// Bytes of memory for `sockets` sockets.
pub const fn memory_for(sockets: usize) -> usize {
    sockets * size_of::<Flow>()
}

/// From whom a packet comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// The machine.
    Local,
    /// The other end.
    Peer,
}

/// A datagram: what it says of itself, and where its bytes are in guest memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Datagram {
    /// Who sends it.
    pub(crate) side: Side,
    /// The other end, or family 0: the one that the socket is connected to.
    pub(crate) peer: Address,
    /// This end, or family 0: what the socket is bound to.
    pub(crate) local: Address,
    /// Not 0: several datagrams, each of so many bytes.
    pub(crate) segment: u16,
}

impl Flows {
    /// Written into `capture`.
    ///
    /// # Safety
    /// `memory` leads to [`memory_for`] `sockets` bytes, zeroed, aligned to 8, mapped for ever and used for nothing else;
    /// `sockets` is a power of two.
    pub unsafe fn in_zeroed(capture: Capture, memory: *mut u8, sockets: usize) -> Self {
        // SAFETY: this function's contract; all zero is a valid flow.
        let flows = unsafe { core::slice::from_raw_parts_mut(memory.cast::<Flow>(), sockets) };
        Self { capture, flows }
    }

    fn get(&mut self, number: u32) -> Option<&mut Flow> {
        let slot = number as usize & (self.flows.len() - 1);
        self.flows.get_mut(slot).filter(|flow| flow.number == number && number != 0)
    }

    fn set(&mut self, flow: Flow) {
        let slot = flow.number as usize & (self.flows.len() - 1);
        if let Some(to) = self.flows.get_mut(slot) {
            *to = flow;
        }
    }

    /// A socket was made.
    pub(crate) fn opened(&mut self, number: u32, is_stream: bool) {
        self.set(Flow { number, is_stream, ..Flow::default() });
    }

    /// A socket has come to have a local address.
    pub(crate) fn bound(&mut self, number: u32, local: Address) {
        if let Some(flow) = self.get(number) {
            flow.local = local;
        }
    }

    /// A socket connects: a stream asks for it now, a datagram socket has its peer.
    pub(crate) fn connects(&mut self, number: u32, local: Address, peer: Address) {
        let Some(flow) = self.get(number) else { return };
        (flow.local, flow.peer) = (local, peer);
        if flow.is_stream {
            (flow.sent, flow.received) = (0, 0);
            self.segment(number, Side::Local, SYN, core::ptr::null(), 0);
        }
    }

    /// The other end has agreed.
    pub(crate) fn connected(&mut self, number: u32) {
        let Some(flow) = self.get(number).filter(|flow| flow.is_stream && !flow.is_open) else { return };
        flow.is_open = true;
        self.segment(number, Side::Peer, SYN | ACK, core::ptr::null(), 0);
        self.segment(number, Side::Local, ACK, core::ptr::null(), 0);
    }

    /// A connection was accepted.
    pub(crate) fn accepted(&mut self, number: u32, local: Address, peer: Address) {
        self.set(Flow { number, local, peer, is_stream: true, is_open: true, ..Flow::default() });
        self.segment(number, Side::Peer, SYN, core::ptr::null(), 0);
        self.segment(number, Side::Local, SYN | ACK, core::ptr::null(), 0);
        self.segment(number, Side::Peer, ACK, core::ptr::null(), 0);
    }

    /// Bytes of a stream: `length` of them, at `from` in guest memory, bounded by the caller.
    pub(crate) fn bytes(&mut self, number: u32, side: Side, from: *const u8, length: u32) {
        self.connected(number);
        let mut done = 0;
        while done < length as usize {
            let piece = (length as usize - done).min(SEGMENT);
            self.segment(number, side, PSH | ACK, from.wrapping_add(done), piece);
            done += piece;
        }
    }

    /// One side sends no more.
    pub(crate) fn ended(&mut self, number: u32, side: Side) {
        let Some(flow) = self.get(number).filter(|flow| flow.is_stream && flow.is_open) else { return };
        let has_ended = if side == Side::Local { &mut flow.has_ended } else { &mut flow.peer_has_ended };
        if !core::mem::replace(has_ended, true) {
            self.segment(number, side, FIN | ACK, core::ptr::null(), 0);
        }
    }

    /// A connection failed, or the attempt at one.
    pub(crate) fn failed(&mut self, number: u32) {
        let Some(flow) = self.get(number).filter(|flow| flow.is_stream && flow.peer.family != 0) else { return };
        (flow.has_ended, flow.peer_has_ended) = (true, true);
        self.segment(number, Side::Peer, RST | ACK, core::ptr::null(), 0);
    }

    /// A socket was closed.
    pub(crate) fn closed(&mut self, number: u32) {
        self.ended(number, Side::Local);
        if let Some(flow) = self.get(number) {
            *flow = Flow::default();
        }
    }

    /// A datagram whose `length` bytes are at `from` in guest memory, bounded by the caller.
    pub(crate) fn datagram(&mut self, number: u32, datagram: &Datagram, from: *const u8, length: u32) {
        let Some(flow) = self.get(number) else { return };
        let of = |given: &Address, known: &Address| if given.family == 0 { *known } else { *given };
        // What is told of a destination is an address alone.
        let local = Address { port: flow.local.port, ..of(&datagram.local, &flow.local) };
        let peer = of(&datagram.peer, &flow.peer);
        let way = if datagram.side == Side::Local { Way::new(&local, &peer) } else { Way::new(&peer, &local) };
        let each = if datagram.segment == 0 { length.max(1) } else { u32::from(datagram.segment) };
        let mut done = 0;
        loop {
            let piece = (length - done).min(each);
            self.write(&way, &Header::Udp, from.wrapping_add(done as usize), piece as usize);
            done += piece;
            if done >= length {
                break;
            }
        }
    }

    fn segment(&mut self, number: u32, side: Side, flags: u8, from: *const u8, length: usize) {
        let Some(flow) = self.get(number) else { return };
        let (local, peer) = (flow.local, flow.peer);
        let (way, next, other) = match side {
            Side::Local => (Way::new(&local, &peer), &mut flow.sent, flow.received),
            Side::Peer => (Way::new(&peer, &local), &mut flow.received, flow.sent),
        };
        let acknowledged = if flags & ACK != 0 { other } else { 0 };
        let header = Header::Tcp { sequence: *next, acknowledged, flags };
        // The ends of a connection count as a byte each (RFC 9293 §3.4).
        *next = next.wrapping_add(length as u32 + u32::from(flags & (SYN | FIN) != 0));
        self.write(&way, &header, from, length);
    }

    fn write(&mut self, way: &Way, header: &Header, from: *const u8, length: usize) {
        let length = match length {
            0 => 0,
            _ => self.capture.put(way.length(header), from, length),
        };
        let whole = way.write(self.capture.packet(), header, length);
        self.capture.write(whole);
    }
}
