//! A frame on its way in: to the one socket that it is for, or to nobody.

use super::classify::{Class, classify};
use super::egress::Cause;
use super::phy::Phy;
use super::socket::Body;
use super::time_wait::{acknowledge, parts};
use super::{Flow, Inet, World};
use crate::checksum;
use alloc::vec::Vec;
use core::net::IpAddr;
use device::Kind;
use smoltcp::socket::tcp::State;

impl Inet {
    /// Deals with one received frame.
    pub(super) fn ingress(&mut self, world: World<'_>, frame: &[u8], checked: bool) {
        if !checked && !checksum::verify(frame) {
            return;
        }
        match classify(frame) {
            Class::Tcp { local, remote, opens, resets } => {
                self.segment(world, frame, (local, remote), opens, resets);
            }
            Class::Udp { local, remote, start, end } => {
                if !self.datagram_arrived(world, local, remote, &frame[start..end]) {
                    self.answer_for_nobody(world, frame);
                }
            }
            Class::Dhcp => self.configured_by(world, frame),
            Class::Neighbour => {
                self.answer_for_nobody(world, frame);
                if world.now < self.asking_until {
                    self.touch_all();
                }
            }
            Class::Refused { local, remote } => self.refused(local, remote),
            Class::Other => self.answer_for_nobody(world, frame),
        }
    }

    fn segment(&mut self, world: World<'_>, frame: &[u8], flow: Flow, opens: bool, resets: bool) {
        let hash = self.flow_hash(flow);
        if let Some(number) = self.flow(hash, flow) {
            return self.deliver(world, number, frame);
        }
        if opens {
            self.waits.remove(hash, flow);
            if self.has_address(flow.0.ip())
                && let Some(listener) = self.listener(flow.0)
            {
                return self.open(world, listener, hash, flow, frame);
            }
        } else if self.waits.contains(world.now, hash, flow) {
            if !resets {
                acknowledge(world.frames, self.capabilities.transmit_checksums, frame);
            }
            return;
        }
        self.answer_for_nobody(world, frame);
    }

    /// Gives a frame to a connection.
    pub(super) fn deliver(&mut self, world: World<'_>, number: u32, frame: &[u8]) {
        let Some(connection) = self.sockets.get_mut(number).and_then(|s| s.connection()) else { return };
        let before = connection.snapshot();
        if connection.peer_done()
            && let Some(acknowledgement) = without_end(frame)
        {
            let mut phy = Phy::new(world.frames, self.capabilities, Some(&acknowledgement));
            self.interface.poll_ingress_single(world.now, &mut phy, &mut connection.set);
        }
        if connection.tcp().state() != State::Closed {
            let mut phy = Phy::new(world.frames, self.capabilities, Some(frame));
            self.interface.poll_ingress_single(world.now, &mut phy, &mut connection.set);
        }
        self.settle(number, before, Cause::Segment);
        self.touch(number);
    }

    /// What smoltcp answers by itself: ARP, neighbour discovery, echo, resets, unreachable ports.
    fn answer_for_nobody(&mut self, world: World<'_>, frame: &[u8]) {
        let mut phy = Phy::new(world.frames, self.capabilities, Some(frame));
        self.interface.poll_ingress_single(world.now, &mut phy, &mut self.nobody);
    }

    /// Whose datagram is it? The most particular wins: connected, then bound to this address, then bound to any.
    pub(super) fn datagram_socket(&self, local: core::net::SocketAddr, remote: core::net::SocketAddr) -> Option<u32> {
        let everybody = match local.ip() {
            IpAddr::V4(v4) => self.addressing.is_broadcast(v4),
            IpAddr::V6(_) => false,
        };
        if !everybody && !self.has_address(local.ip()) {
            return None;
        }
        let mut best = None;
        for number in self.bound(Kind::Datagram, local.port()) {
            let Some(socket) = self.sockets.get(number) else { continue };
            let Body::Datagram(datagram) = &socket.body else { continue };
            let fits = socket.takes(local.ip()) || everybody && socket.takes(IpAddr::V4(0.into()));
            if !fits || datagram.peer.is_some_and(|peer| peer != remote) {
                continue;
            }
            let particular = socket.local.is_some_and(|l| !l.ip().is_unspecified());
            let rank = u8::from(datagram.peer.is_some()) * 2 + u8::from(particular);
            if best.is_none_or(|(other, _)| rank > other) {
                best = Some((rank, number));
            }
        }
        best.map(|(_, number)| number)
    }
}

/// A repeated end (FIN), which lies just before the window, as the plain acknowledgement that it carries too. The letter of
/// RFC 9293 §3.10.7.4 drops it whole; but two ends that cross would then stay open until one of them is sent again,
/// which is why Linux takes it as well (`tcp_sequence`).
fn without_end(frame: &[u8]) -> Option<Vec<u8>> {
    const FIN: u8 = 1;
    const RST: u8 = 4;
    let (_, tcp, end) = parts(frame)?;
    let header = usize::from(frame[tcp + 12] >> 4) * 4;
    if frame[tcp + 13] & (FIN | RST) != FIN || tcp + header != end {
        return None;
    }
    let mut frame = frame.to_vec();
    let number: [u8; 4] = frame.get(tcp + 4..tcp + 8)?.try_into().ok()?;
    frame[tcp + 4..tcp + 8].copy_from_slice(&u32::from_be_bytes(number).wrapping_add(1).to_be_bytes());
    frame[tcp + 13] &= !FIN;
    Some(frame)
}
