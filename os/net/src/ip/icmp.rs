//! ICMP (RFC 792) and ICMPv6 (RFC 4443): echo is answered, errors are told to whom they concern, and sent for datagrams
//! that nobody wants.

use super::packet::{ICMP, ICMP6, Outgoing, Packet, TCP, UDP, word};
use super::{Ip, Wire, packet};
use crate::checksum;
use crate::time::{Duration, Instant};
use core::net::{IpAddr, SocketAddr};

const HOPS: u8 = 64;
/// The rest of an error's packet, as much as the least MTU takes (RFC 4443 §2.4; RFC 1812 §4.3.2.3).
const QUOTE_V4: usize = 548;
const QUOTE_V6: usize = 1232;

/// What an error says of a packet of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Nobody has this port, or this protocol.
    Port,
    /// The host cannot be reached.
    Host,
    /// The network cannot be reached.
    Network,
    /// It may not be reached.
    Forbidden,
    /// The packet is larger than this path takes.
    TooBig(usize),
}

/// An error, and the packet that it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) trouble: Trouble,
    /// TCP or UDP.
    pub(crate) protocol: u8,
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
    /// The segment's sequence number.
    pub(crate) sequence: u32,
}

/// So many errors are sent, and no more (RFC 4443 §2.4 (f)).
#[derive(Default)]
pub(super) struct Limit {
    sent: u32,
    since: Instant,
}

impl Limit {
    const MOST: u32 = 50;
    const SPAN: Duration = Duration::from_millis(500);

    fn allows(&mut self, now: Instant) -> bool {
        if now.since(self.since) >= Self::SPAN {
            (self.sent, self.since) = (0, now);
        }
        self.sent += 1;
        self.sent <= Self::MOST
    }
}

impl Ip {
    /// Takes a message that has passed its checksum. An error is returned.
    pub(crate) fn icmp_arrived(&mut self, wire: Wire<'_>, packet: &Packet<'_>) -> Option<Report> {
        let message = packet.payload;
        let [kind, code, ..] = *message.first_chunk::<8>()?;
        match (packet.protocol, kind) {
            (ICMP, 8) | (ICMP6, 128) => {
                self.echo(wire, packet);
                None
            }
            (ICMP, 3) => {
                let trouble = match code {
                    0 | 5 => Trouble::Network,
                    2 | 3 => Trouble::Port,
                    // RFC 1191 §4; a router that does not say how much it takes is not worth guessing.
                    4 => Trouble::TooBig(word(message, 6).into()),
                    9 | 10 | 13 => Trouble::Forbidden,
                    _ => Trouble::Host,
                };
                report(trouble, &message[8..], false)
            }
            (ICMP6, 1) => {
                let trouble = match code {
                    0 => Trouble::Network,
                    1 => Trouble::Forbidden,
                    4 => Trouble::Port,
                    _ => Trouble::Host,
                };
                report(trouble, &message[8..], true)
            }
            (ICMP6, 2) => {
                let mtu = usize::from(word(message, 4)) << 16 | usize::from(word(message, 6));
                report(Trouble::TooBig(mtu), &message[8..], true)
            }
            _ => None,
        }
    }

    /// Answers an echo (RFC 1122 §3.2.2.6), unless it was sent to many (RFC 4443 §4.2 would allow that).
    fn echo(&mut self, wire: Wire<'_>, packet: &Packet<'_>) {
        if !self.has(packet.destination) || packet.source.is_multicast() {
            return;
        }
        let mut body = packet.payload.to_vec();
        body[0] = if packet.protocol == ICMP { 0 } else { 129 };
        let outgoing = Outgoing::new(packet.destination, packet.source, packet.protocol, HOPS);
        finish(&outgoing, &mut body);
        self.send(wire, u32::MAX, &outgoing, &body);
    }

    /// Tells the sender of a datagram that nobody wants it (RFC 1122 §3.2.2.1, RFC 4443 §3.1).
    pub(crate) fn refuse_datagram(&mut self, wire: Wire<'_>, packet: &Packet<'_>) {
        let senseless = packet.source.is_unspecified() || packet.source.is_multicast();
        if !self.has(packet.destination) || senseless || !self.errors.allows(wire.now) {
            return;
        }
        let (protocol, head, most) = match packet.destination {
            IpAddr::V4(_) => (ICMP, [3, 3, 0, 0, 0, 0, 0, 0], QUOTE_V4),
            IpAddr::V6(_) => (ICMP6, [1, 4, 0, 0, 0, 0, 0, 0], QUOTE_V6),
        };
        let quote = &packet.whole[..packet.whole.len().min(most)];
        let mut body = [&head, quote].concat();
        let outgoing = Outgoing::new(packet.destination, packet.source, protocol, HOPS);
        finish(&outgoing, &mut body);
        self.send(wire, u32::MAX, &outgoing, &body);
    }

    /// Sends a message to a station, whose checksum is not there yet.
    pub(super) fn send_icmp(
        &self,
        wire: Wire<'_>,
        to: [u8; 6],
        source: IpAddr,
        destination: IpAddr,
        hop_limit: u8,
        body: &mut [u8],
    ) {
        let outgoing = Outgoing::new(source, destination, ICMP6, hop_limit);
        finish(&outgoing, body);
        wire.frames.transmit(outgoing.header() + body.len(), &mut |frame| {
            outgoing.write(frame, to, self.station).copy_from_slice(body);
            None
        });
    }
}

/// Is the message's checksum right?
pub(crate) fn is_right(packet: &Packet<'_>) -> bool {
    let pseudo = match packet.protocol {
        ICMP => 0,
        _ => checksum::pseudo(packet.source, packet.destination, ICMP6, packet.payload.len()),
    };
    checksum::is_right(pseudo, packet.payload)
}

fn finish(outgoing: &Outgoing, body: &mut [u8]) {
    let pseudo = if outgoing.protocol == ICMP { 0 } else { outgoing.pseudo(body.len()) };
    checksum::complete(pseudo, body, 2, None);
}

/// What an error quotes: the start of a packet that we sent.
fn report(trouble: Trouble, quote: &[u8], v6: bool) -> Option<Report> {
    let (protocol, source, destination, rest) = if v6 {
        let fixed = quote.first_chunk::<40>()?;
        (fixed[6], packet::v6_at(fixed, 8).into(), packet::v6_at(fixed, 24).into(), &quote[40..])
    } else {
        let fixed = quote.first_chunk::<20>()?;
        let address = |at: usize| IpAddr::from([fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]]);
        (fixed[9], address(12), address(16), quote.get(usize::from(fixed[0] & 15) * 4..)?)
    };
    let ports = rest.first_chunk::<8>()?;
    let report = Report {
        trouble,
        protocol,
        local: SocketAddr::new(source, word(ports, 0)),
        remote: SocketAddr::new(destination, word(ports, 2)),
        sequence: u32::from(word(ports, 4)) << 16 | u32::from(word(ports, 6)),
    };
    (protocol == TCP || protocol == UDP).then_some(report)
}
