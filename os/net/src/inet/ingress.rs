//! A frame on its way in: to the one socket that it is for, or to nobody.

use super::socket::Body;
use super::{Flow, Inet, World};
use crate::checksum;
use crate::ip::icmp;
use crate::ip::packet::{self, Content, ICMP, ICMP6, Packet, TCP, UDP, word};
use crate::tcp::segment::{ACK, Header, RST, SYN, Segment};
use crate::tcp::seq::Seq;
use crate::tcp::{Sink as _, Verdict};
use core::net::{IpAddr, SocketAddr};
use device::Kind;

impl Inet {
    /// As if this frame had arrived.
    #[cfg(feature = "testing")]
    pub(crate) fn arrived(&mut self, world: World<'_>, frame: &[u8], checked: bool) {
        self.ingress(world, frame, checked);
    }

    /// Deals with one received frame.
    pub(super) fn ingress(&mut self, world: World<'_>, frame: &[u8], checked: bool) {
        let Some((to, from)) = packet::stations(frame) else { return };
        // Ours, or a group's.
        if to != world.frames.address() && to[0] & 1 == 0 {
            return;
        }
        match packet::read(frame) {
            Some(Content::Arp(content)) => {
                self.ip.arp_arrived(world.wire(), content);
                self.neighbours_changed();
            }
            Some(Content::Ip(packet)) => match packet.fragment {
                None => self.packet(world, from, &packet, checked),
                Some(fragment) => {
                    if let Some(whole) = self.ip.assemble(world.now, &packet, fragment) {
                        let packet = Packet { fragment: None, payload: &whole, ..packet };
                        self.packet(world, from, &packet, false);
                    }
                }
            },
            None => {}
        }
    }

    fn packet(&mut self, world: World<'_>, station: [u8; 6], packet: &Packet<'_>, checked: bool) {
        match packet.protocol {
            TCP => self.segment(world, station, packet, checked),
            UDP => self.datagram(world, packet, checked),
            ICMP | ICMP6 if packet.destination.is_ipv4() == (packet.protocol == ICMP) && icmp::is_right(packet) => {
                if self.ip.discovery_arrived(world.wire(), packet) {
                    self.neighbours_changed();
                } else if let Some(report) = self.ip.icmp_arrived(world.wire(), packet) {
                    self.reported(world, report);
                }
            }
            _ => {}
        }
    }

    fn segment(&mut self, world: World<'_>, station: [u8; 6], packet: &Packet<'_>, checked: bool) {
        let Some(segment) = Segment::parse(packet.payload) else { return };
        if !checked && !is_right(packet) || !self.ip.has(packet.destination) || packet.source.is_multicast() {
            return;
        }
        let flow = ends(packet);
        let hash = self.flow_hash(flow);
        if let Some(number) = self.flow(hash, flow) {
            if self.deliver(world, number, &segment) == Verdict::Refuse {
                self.refuse(world, station, flow, &segment);
            }
            return;
        }
        if let Some(answer) = self.waits.answer(world.now, hash, flow, &segment) {
            if let Some(header) = answer {
                self.reply(world, station, flow, &header);
            }
            return;
        }
        match segment.flags & (SYN | ACK | RST) {
            SYN => {
                if let Some(listener) = self.listener(flow.0) {
                    return self.open(world, station, listener, (hash, flow), &segment);
                }
            }
            ACK if self.cookie_arrived(world, (hash, flow), &segment) => return,
            _ => {}
        }
        self.refuse(world, station, flow, &segment);
    }

    /// Gives a segment to a connection.
    pub(super) fn deliver(&mut self, world: World<'_>, number: u32, segment: &Segment<'_>) -> Verdict {
        let rooms = self.rooms;
        let Some(socket) = self.sockets.get_mut(number) else { return Verdict::Refuse };
        let (receive, send) = rooms.with(&socket.options);
        let Some(connection) = socket.connection() else { return Verdict::Refuse };
        let before = connection.snapshot();
        connection.tcb.set_rooms(receive, send, rooms.scarce);
        let verdict = connection.tcb.input(world.now, segment);
        self.settle(world, number, before);
        self.touch(number);
        verdict
    }

    /// A segment that belongs to no connection (RFC 9293 §3.10.7.1).
    fn refuse(&mut self, world: World<'_>, station: [u8; 6], flow: Flow, segment: &Segment<'_>) {
        if segment.has(RST) {
            return;
        }
        let header = match segment.has(ACK) {
            true => Header { seq: segment.ack, flags: RST, ..Header::default() },
            false => Header { ack: segment.seq + segment.length(), flags: RST | ACK, ..Header::default() },
        };
        self.reply(world, station, flow, &header);
    }

    /// Answers a segment without having a connection, to the station that it came from.
    pub(super) fn reply(&mut self, world: World<'_>, station: [u8; 6], (local, remote): Flow, header: &Header) {
        self.ip.link(world.frames, station, local, remote, (64, 0)).send(header, [&[]; 2], 0);
    }

    fn datagram(&mut self, world: World<'_>, packet: &Packet<'_>, checked: bool) {
        if packet.payload.len() < 8 {
            return;
        }
        let length = usize::from(word(packet.payload, 4));
        // RFC 768: the sender may have made no checksum; RFC 8200 §8.1 forbids that over IPv6.
        let unsummed = packet.destination.is_ipv4() && word(packet.payload, 6) == 0;
        let Some(datagram) = packet.payload.get(8..length) else { return };
        if !checked && !unsummed && !is_right(&Packet { payload: &packet.payload[..length], ..*packet }) {
            return;
        }
        let (local, remote) = ends(packet);
        if !self.datagram_arrived(world, (local, remote), packet.class, datagram)
            && !self.configured_by(world, local, remote, datagram)
        {
            self.ip.refuse_datagram(world.wire(), packet);
        }
    }

    /// Whose datagram is it? The most particular wins: connected, then bound to this address, then bound to any.
    pub(super) fn datagram_socket(&self, local: SocketAddr, remote: SocketAddr) -> Option<u32> {
        let everybody = match local.ip() {
            IpAddr::V4(v4) => self.ip.is_broadcast(v4),
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

/// Our end, the other end.
fn ends(packet: &Packet<'_>) -> Flow {
    let port = |at: usize| word(packet.payload, at);
    (SocketAddr::new(packet.destination, port(2)), SocketAddr::new(packet.source, port(0)))
}

fn is_right(packet: &Packet<'_>) -> bool {
    let pseudo = checksum::pseudo(packet.source, packet.destination, packet.protocol, packet.payload.len());
    checksum::is_right(pseudo, packet.payload)
}

/// The sequence number of a connection's first byte: time, and what strangers cannot know (RFC 6528).
impl Inet {
    pub(super) fn first_sequence(&self, world: World<'_>, (local, remote): Flow) -> Seq {
        Seq(self.secret.flow(local, remote).wrapping_add((world.now.micros() / 4) as u32))
    }
}
