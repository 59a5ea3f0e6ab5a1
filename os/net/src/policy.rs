//! What the manifest allows. Where nobody below the gate knows of sockets (another hypervisor's Ethernet device), this is
//! the only place that holds a program to its manifest.

use abi::manifest::{Network, Protocol};
use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use device::Kind;

/// How many resolved names are remembered, for rules that go by name.
const NAMES: usize = 256;

/// The manifest's network section, and the names that are known for addresses.
pub(crate) struct Policy {
    network: Network,
    names: Vec<(IpAddr, String)>,
}

impl Policy {
    /// Of a sealed manifest. One that cannot be read, or that has no network section, allows nothing.
    pub(crate) fn from_manifest(cbor: &[u8]) -> Self {
        Self { network: Network::of_sealed(cbor).unwrap_or_default(), names: Vec::new() }
    }

    /// May a socket be bound to this port? Any port (0) also stands for a client's own.
    pub(crate) fn may_bind(&self, kind: Kind, port: u16) -> bool {
        let own = protocol(kind);
        self.network.may_listen(own, port) || port == 0 && self.network.connect.iter().any(|c| c.protocol == own)
    }

    /// May this port be listened on, and strangers be answered from it?
    pub(crate) fn may_listen(&self, kind: Kind, port: u16) -> bool {
        self.network.may_listen(protocol(kind), port)
    }

    /// May the program reach this peer?
    pub(crate) fn may_connect(&self, kind: Kind, peer: SocketAddr) -> bool {
        let ip = peer.ip().to_canonical();
        let names: Vec<&str> = self.names.iter().filter(|n| n.0 == ip).map(|n| n.1.as_str()).collect();
        match ip {
            IpAddr::V4(v4) => self.network.may_connect(protocol(kind), &v4.octets(), peer.port(), &names),
            IpAddr::V6(v6) => self.network.may_connect(protocol(kind), &v6.octets(), peer.port(), &names),
        }
    }

    /// May the program ask for this name?
    pub(crate) fn may_resolve(&self, name: &str) -> bool {
        self.network.may_resolve(name)
    }

    /// Remembers what a name resolved to; the oldest is forgotten for it.
    pub(crate) fn learn(&mut self, name: &str, addresses: &[IpAddr]) {
        for ip in addresses {
            if self.names.iter().any(|n| n.0 == *ip && n.1 == name) {
                continue;
            }
            if self.names.len() == NAMES {
                self.names.remove(0);
            }
            self.names.push((*ip, String::from(name)));
        }
    }
}

fn protocol(kind: Kind) -> Protocol {
    match kind {
        Kind::Stream => Protocol::Tcp,
        Kind::Datagram => Protocol::Udp,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use abi::manifest::{Connect, Host, Listen};

    #[test]
    fn rules_by_name_hold_for_what_the_name_resolved_to() {
        let host = Host::Name("*.example.org".into());
        let connect = vec![Connect { protocol: Protocol::Tcp, host, first_port: 443, last_port: 443 }];
        let listen = vec![Listen { protocol: Protocol::Tcp, first_port: 80, last_port: 80 }];
        let mut policy = Policy { network: Network { listen, connect }, names: Vec::new() };
        let peer = SocketAddr::from(([192, 0, 2, 1], 443));
        assert!(policy.may_resolve("www.example.org") && !policy.may_resolve("example.com"));
        assert!(!policy.may_connect(Kind::Stream, peer));
        policy.learn("www.example.org", &[peer.ip()]);
        assert!(policy.may_connect(Kind::Stream, peer) && !policy.may_connect(Kind::Datagram, peer));
        assert!(policy.may_bind(Kind::Stream, 80) && policy.may_bind(Kind::Stream, 0));
        assert!(!policy.may_bind(Kind::Stream, 81) && !policy.may_bind(Kind::Datagram, 0));
        assert!(policy.may_listen(Kind::Stream, 80) && !policy.may_listen(Kind::Stream, 0));
    }

    #[test]
    fn an_unreadable_manifest_allows_nothing() {
        assert!(!Policy::from_manifest(b"\xff\x00").may_bind(Kind::Stream, 80));
    }
}
