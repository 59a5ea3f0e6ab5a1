//! Packets on their way out: to a station if it is known, in pieces if they are too large, and held for a neighbour that is
//! being asked for.

use super::packet::{DF, ETHERNET, Outgoing, UDP, set_header_checksum};
use super::{Ip, Way, Wire};
use crate::checksum;
use crate::tcp::Sink;
use crate::tcp::segment::Header;
use alloc::boxed::Box;
use core::net::{IpAddr, SocketAddr};
use device::{Frames, Offload};

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// It left, or waits for its neighbour.
    Done,
    /// The link has no room.
    Full,
    /// There is no way.
    Unreachable,
}

impl Ip {
    /// Sends a packet with this payload, whose checksum is made. `socket` is told if it turns out not to get there.
    pub(crate) fn send(&mut self, wire: Wire<'_>, socket: u32, outgoing: &Outgoing, payload: &[u8]) -> Sent {
        let way = self.way(wire, outgoing.destination);
        let (station, hop) = match way {
            Way::Station(station) => (station, None),
            Way::Asking(hop) => ([0; 6], Some(hop)),
            Way::None => return Sent::Unreachable,
        };
        let header = outgoing.header() - ETHERNET;
        let mtu = match outgoing.is_probe {
            true => self.link_mtu(outgoing.destination),
            false => self.mtu(wire.now, outgoing.destination),
        };
        if header + payload.len() <= mtu {
            return self.send_frame(wire, socket, hop, header + payload.len(), &mut |frame, own| {
                outgoing.write(frame, station, own).copy_from_slice(payload);
            });
        }
        self.send_pieces(wire, socket, (station, hop), outgoing, payload)
    }

    /// RFC 791 §3.2, RFC 8200 §4.5.
    fn send_pieces(
        &mut self,
        wire: Wire<'_>,
        socket: u32,
        (station, hop): ([u8; 6], Option<IpAddr>),
        outgoing: &Outgoing,
        payload: &[u8],
    ) -> Sent {
        self.id = self.id.wrapping_add(1);
        let (id, v6) = (self.id, outgoing.destination.is_ipv6());
        let header = outgoing.header() - ETHERNET + if v6 { 8 } else { 0 };
        let room = (self.mtu(wire.now, outgoing.destination) - header) & !7;
        for (number, piece) in payload.chunks(room).enumerate() {
            let offset = number * room;
            let more = offset + piece.len() < payload.len();
            let sent = self.send_frame(wire, socket, hop, header + piece.len(), &mut |frame, own| {
                if v6 {
                    let whole = Outgoing { protocol: 44, ..*outgoing };
                    let rest = whole.write(frame, station, own);
                    rest[..2].copy_from_slice(&[outgoing.protocol, 0]);
                    rest[2..4].copy_from_slice(&(offset as u16 | u16::from(more)).to_be_bytes());
                    rest[4..8].copy_from_slice(&id.to_be_bytes());
                    rest[8..].copy_from_slice(piece);
                } else {
                    outgoing.write(frame, station, own).copy_from_slice(piece);
                    let place = (offset / 8) as u16 | if more { 0x2000 } else { 0 };
                    frame[18..20].copy_from_slice(&(id as u16).to_be_bytes());
                    frame[20..22].copy_from_slice(&(place & !DF).to_be_bytes());
                    set_header_checksum(&mut frame[ETHERNET..ETHERNET + 20]);
                }
            });
            if sent != Sent::Done {
                return sent;
            }
        }
        Sent::Done
    }

    /// A frame with a packet of `length` bytes, into the link or to wait for `hop`.
    fn send_frame(
        &mut self,
        wire: Wire<'_>,
        socket: u32,
        hop: Option<IpAddr>,
        length: usize,
        fill: &mut dyn FnMut(&mut [u8], [u8; 6]),
    ) -> Sent {
        let own = self.station;
        match hop {
            Some(hop) => {
                let mut frame: Box<[u8]> = alloc::vec![0; ETHERNET + length].into();
                fill(&mut frame, own);
                self.neighbours.hold(self.key, hop, socket, frame);
                Sent::Done
            }
            None => {
                let fits = wire.frames.transmit(ETHERNET + length, &mut |frame| {
                    fill(frame, own);
                    None
                });
                if fits { Sent::Done } else { Sent::Full }
            }
        }
    }

    /// Completes a datagram's header (RFC 768) in front of its payload, which is there already.
    pub(crate) fn finish_datagram(outgoing: &Outgoing, datagram: &mut [u8], from: u16, to: u16) {
        debug_assert_eq!(outgoing.protocol, UDP);
        let length = datagram.len();
        datagram[..2].copy_from_slice(&from.to_be_bytes());
        datagram[2..4].copy_from_slice(&to.to_be_bytes());
        datagram[4..6].copy_from_slice(&(length as u16).to_be_bytes());
        checksum::complete(outgoing.pseudo(length), datagram, 6, None);
    }

    /// Where the segments of a connection go.
    pub(crate) fn link<'a>(
        &self,
        frames: &'a dyn Frames,
        station: [u8; 6],
        local: SocketAddr,
        remote: SocketAddr,
        (hop_limit, class): (u8, u8),
    ) -> Link<'a> {
        let stations = (station, self.station);
        Link { frames, capabilities: self.capabilities, stations, local, remote, hop_limit, class }
    }
}

/// A connection's way to the wire.
pub(crate) struct Link<'a> {
    frames: &'a dyn Frames,
    capabilities: device::Capabilities,
    /// To, from.
    stations: ([u8; 6], [u8; 6]),
    local: SocketAddr,
    remote: SocketAddr,
    hop_limit: u8,
    class: u8,
}

impl Sink for Link<'_> {
    fn most(&self) -> usize {
        let headers = ETHERNET + 40 + crate::tcp::segment::HEADER_MAX;
        self.capabilities.cut_max.saturating_sub(headers).max(1)
    }

    fn send(&mut self, header: &Header, payload: [&[u8]; 2], cut: usize) -> bool {
        let (source, destination) = (self.local.ip(), self.remote.ip());
        let outgoing =
            Outgoing { class: self.class, ..Outgoing::new(source, destination, super::packet::TCP, self.hop_limit) };
        let (start, head) = (outgoing.header(), header.length());
        let bytes = payload[0].len() + payload[1].len();
        let offloads = self.capabilities.transmit_checksums;
        self.frames.transmit(start + head + bytes, &mut |frame| {
            let segment = outgoing.write(frame, self.stations.0, self.stations.1);
            let length = segment.len();
            segment[..2].copy_from_slice(&self.local.port().to_be_bytes());
            segment[2..4].copy_from_slice(&self.remote.port().to_be_bytes());
            header.write(segment);
            let (first, second) = segment[head..].split_at_mut(payload[0].len());
            first.copy_from_slice(payload[0]);
            second.copy_from_slice(payload[1]);
            let offload = checksum::complete(outgoing.pseudo(length), segment, 16, offloads.then_some(start));
            let cut = if bytes > cut { cut as u16 } else { 0 };
            offload.map(|offload| Offload { cut, ..offload })
        })
    }
}
