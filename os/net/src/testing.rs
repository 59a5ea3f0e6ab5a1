//! The stack under frames that lie, for fuzzing: a listener, a connection, a datagram socket, and a script of what the
//! network and the program do.

use crate::checksum;
use crate::inet::{Inet, Network, World};
use crate::ip::packet::{ICMP, ICMP6, Outgoing, TCP, UDP};
use crate::time::Instant;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use device::{Capabilities, Family, Frames, How, Kind, Offload, SocketId};
use sync::SpinLock;

const STATION: [u8; 6] = [2, 0, 0, 0, 0, 1];
const OTHER: [u8; 6] = [2, 0, 0, 0, 0, 2];
const MEMORY: usize = 8 << 20;
/// Sockets that a script may have.
const SOCKETS: usize = 64;

/// A link whose frames come from the script, and go nowhere.
struct Script {
    /// The last frame that was sent: what answers it may quote.
    last: SpinLock<Vec<u8>>,
}

impl Frames for Script {
    fn address(&self) -> [u8; 6] {
        STATION
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { frame_max: 1514, transmit_checksums: false, cut_max: 0 }
    }

    fn receive(&self, _take: &mut dyn FnMut(&mut [u8], bool)) -> bool {
        false
    }

    fn room(&self) -> bool {
        true
    }

    fn transmit(&self, length: usize, fill: &mut dyn FnMut(&mut [u8]) -> Option<Offload>) -> bool {
        assert!(length <= 1514, "a frame of {length} bytes that nobody cuts");
        let mut frame = alloc::vec![0xa5; length];
        fill(&mut frame);
        *self.last.lock() = frame;
        true
    }

    fn flush(&self) {}

    fn arm(&self, _room: bool) -> bool {
        false
    }
}

/// The bytes of a script.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *first
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        let count = usize::from(self.byte()).min(most).min(self.0.len());
        let (bytes, rest) = self.0.split_at(count);
        self.0 = rest;
        bytes.to_vec()
    }
}

/// Runs a script. Nothing in it may make the stack panic, hang, or keep more than it should.
pub fn check(data: &[u8]) {
    let mut input = Input(data);
    let script = Script { last: SpinLock::new(Vec::new()) };
    let mut now_us = 10_000_000;
    let memory = || MEMORY;
    let world = |now_us| World { frames: &script, now: Instant::from_micros(now_us), memory: &memory };
    let given = Network { address: Some(([10, 0, 0, 1], 24)), gateway: Some([10, 0, 0, 2]), name_server: None };
    let network = if input.byte() & 1 == 0 { given } else { Network::default() };
    let mut inet = Inet::new(world(now_us), network, [7; 32]);
    let mut sockets = Vec::new();
    for kind in [Kind::Stream, Kind::Datagram] {
        let Ok(socket) = inet.open_socket(Family::V6, kind) else { return };
        let _ = inet.bind(socket, SocketAddr::from(([0u16; 8], 80)));
        let _ = inet.listen(socket, 4);
        sockets.push(socket);
    }
    while !input.0.is_empty() {
        let step = input.byte();
        match step & 7 {
            0..=2 => {
                let frame = frame(&mut input, &script);
                inet.arrived(world(now_us), &frame, step & 8 != 0);
            }
            3 => {
                let bytes = input.bytes(255);
                inet.arrived(world(now_us), &bytes, step & 8 != 0);
            }
            4 | 5 => now_us += 1 << (step >> 3).min(34),
            _ => act(&mut inet, world(now_us), &mut sockets, step >> 3, &mut input),
        }
        inet.poll(world(now_us));
        if let Some(due) = inet.deadline() {
            assert!(due.micros() > now_us.saturating_sub(1_000_000), "what was due is still due");
        }
    }
}

/// A frame that is well-formed up to what it carries.
fn frame(input: &mut Input<'_>, script: &Script) -> Vec<u8> {
    let shape = input.byte();
    let v6 = shape & 1 != 0;
    let (own, other) = match v6 {
        false => (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2])),
        true => {
            (IpAddr::from([0xfe80, 0, 0, 0, 0, 0xff, 0xfe00, 1]), IpAddr::from([0xfe80, 0, 0, 0, 0, 0xff, 0xfe00, 2]))
        }
    };
    let protocol = match shape >> 1 & 3 {
        0 | 1 => TCP,
        2 => UDP,
        _ if v6 => ICMP6,
        _ => ICMP,
    };
    let outgoing = Outgoing::new(other, own, protocol, 255);
    let mut payload = input.bytes(250);
    let last = script.last.lock().clone();
    if protocol == TCP {
        payload.resize(payload.len().max(20), 0);
        // Ports that somebody has, and numbers near those that the stack sent last.
        payload[..4].copy_from_slice(&[16, shape >> 3, 0, 80]);
        payload[12] = 0x50 | payload[12] & 0xf0;
        if let (Some(sequence), true) = (last.get(38..46), shape & 64 != 0) {
            let near = |at: usize, by: u8| {
                let number = u32::from_be_bytes([sequence[at], sequence[at + 1], sequence[at + 2], sequence[at + 3]]);
                number.wrapping_add(by.into()).to_be_bytes()
            };
            let (seq, ack) = (near(4, payload[7]), near(0, payload[11]));
            payload[4..8].copy_from_slice(&seq);
            payload[8..12].copy_from_slice(&ack);
        }
        checksum::complete(outgoing.pseudo(payload.len()), &mut payload, 16, None);
    } else if protocol == UDP {
        payload.resize(payload.len().max(8), 0);
        payload[2..4].copy_from_slice(&[0, if shape & 64 != 0 { 80 } else { 68 }]);
        let length = (payload.len() as u16).to_be_bytes();
        payload[4..6].copy_from_slice(&length);
    } else {
        if shape & 64 != 0 {
            payload.extend(last.get(14..).unwrap_or(&[]));
        }
        payload.resize(payload.len().max(8), 0);
        let pseudo = if v6 { outgoing.pseudo(payload.len()) } else { 0 };
        checksum::complete(pseudo, &mut payload, 2, None);
    }
    let mut frame = alloc::vec![0; outgoing.header() + payload.len()];
    outgoing.write(&mut frame, STATION, OTHER).copy_from_slice(&payload);
    frame
}

/// Something that a program does.
fn act(inet: &mut Inet, world: World<'_>, sockets: &mut Vec<SocketId>, what: u8, input: &mut Input<'_>) {
    let Some(socket) = sockets.get(usize::from(input.byte()) % sockets.len().max(1)).copied() else { return };
    let mut buffer = [0; 700];
    let peer = SocketAddr::from(([10, 0, 0, 2], 4096 + u16::from(what)));
    match what & 7 {
        0 => {
            if let (Ok((new, _)), true) = (inet.accept(socket), sockets.len() < SOCKETS) {
                sockets.push(new);
            }
        }
        1 => drop(inet.receive(socket, &mut buffer, what & 8 != 0)),
        2 => drop(inet.send(world, socket, &buffer[..usize::from(input.byte())], None)),
        3 => drop(inet.send(world, socket, &[1; 4000], Some(peer))),
        4 => drop(inet.shutdown(world, socket, How::Send)),
        5 => {
            inet.close(world, socket);
            sockets.retain(|other| *other != socket);
        }
        6 => {
            if let (Ok(new), true) = (inet.open_socket(Family::V4, Kind::Stream), sockets.len() < SOCKETS) {
                let _ = inet.connect(world, new, peer);
                sockets.push(new);
            }
        }
        _ => drop(inet.ready(socket)),
    }
}
