//! ARP (RFC 826), with the announcements of RFC 5227.

use super::packet::ETHERNET;
use super::{Ip, Wire};
use core::net::Ipv4Addr;

/// Ethernet and IPv4, with their sizes of address.
const HEAD: [u8; 6] = [0, 1, 8, 0, 6, 4];
const LENGTH: usize = 28;
const REQUEST: u8 = 1;
const REPLY: u8 = 2;

impl Ip {
    /// Asks who has an address: everybody, or the station that had it (RFC 1122 §2.3.2.1).
    pub(super) fn ask_arp(&mut self, wire: Wire<'_>, address: Ipv4Addr, station: Option<[u8; 6]>) {
        let own = self.v4.map_or(Ipv4Addr::UNSPECIFIED, |v4| v4.address);
        self.send_arp(wire, REQUEST, own, station.unwrap_or([0xff; 6]), [0; 6], address);
    }

    /// Tells everybody that an address is ours.
    pub(super) fn announce(&mut self, wire: Wire<'_>, address: Ipv4Addr) {
        self.send_arp(wire, REQUEST, address, [0xff; 6], [0; 6], address);
    }

    fn send_arp(&self, wire: Wire<'_>, kind: u8, own: Ipv4Addr, to: [u8; 6], target: [u8; 6], address: Ipv4Addr) {
        wire.frames.transmit(ETHERNET + LENGTH, &mut |frame| {
            frame[..6].copy_from_slice(&to);
            frame[6..12].copy_from_slice(&self.station);
            frame[12..14].copy_from_slice(&[8, 6]);
            frame[14..20].copy_from_slice(&HEAD);
            frame[20..22].copy_from_slice(&[0, kind]);
            frame[22..28].copy_from_slice(&self.station);
            frame[28..32].copy_from_slice(&own.octets());
            frame[32..38].copy_from_slice(&target);
            frame[38..42].copy_from_slice(&address.octets());
            None
        });
    }

    /// Takes an ARP packet.
    pub(crate) fn arp_arrived(&mut self, wire: Wire<'_>, packet: &[u8]) {
        let (Some(fixed), Some(own)) = (packet.first_chunk::<LENGTH>(), self.v4) else { return };
        let [kind_high, kind] = [fixed[6], fixed[7]];
        let mut station = [0; 6];
        station.copy_from_slice(&fixed[8..14]);
        let sender = Ipv4Addr::new(fixed[14], fixed[15], fixed[16], fixed[17]);
        let target = Ipv4Addr::new(fixed[24], fixed[25], fixed[26], fixed[27]);
        if fixed[..6] != HEAD || kind_high != 0 || sender == own.address || !own.contains(sender) {
            return;
        }
        // RFC 826: what is known is renewed by everybody's word, an entry is made only for who wants something of us.
        self.heard(wire, sender.into(), station, target == own.address && kind == REQUEST);
        if kind == REQUEST && target == own.address {
            self.send_arp(wire, REPLY, own.address, station, station, sender);
        }
    }
}
