//! What the manifest allows, checked before the far side is asked (which checks again).

use abi::manifest::{Connect, Host, Listen, Network, Protocol};
use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use device::Kind;
use sync::SpinLock;

/// How many resolved names are remembered, for rules that go by name.
const NAMES_MAX: usize = 256;

/// The manifest's network section, and the names that are known for addresses.
pub struct Policy {
    network: Network,
    names: SpinLock<Names>,
}

#[derive(Default)]
struct Names {
    known: Vec<(IpAddr, String)>,
    next: usize,
}

impl Policy {
    /// Of a sealed manifest. One that cannot be read, or that has no network section, allows nothing. A guest that was
    /// never sealed has no manifest at all: then everything is left to the far side.
    pub fn from_manifest(cbor: &[u8]) -> Policy {
        if cbor.is_empty() {
            return Policy::new(everything());
        }
        Policy::new(Network::of_sealed(cbor).unwrap_or_default())
    }

    /// Of a network section.
    pub fn new(network: Network) -> Policy {
        Policy { network, names: SpinLock::new(Names::default()) }
    }

    /// May a socket be bound to this port? Any port (0) also stands for a client's own.
    pub(crate) fn may_bind(&self, kind: Kind, port: u16) -> bool {
        let protocol = protocol(kind);
        self.network.may_listen(protocol, port)
            || port == 0 && self.network.connect.iter().any(|c| c.protocol == protocol)
    }

    /// May a socket bound to this port receive from strangers, and so answer anybody?
    pub(crate) fn may_listen(&self, kind: Kind, port: u16) -> bool {
        self.network.may_listen(protocol(kind), port)
    }

    /// May the program reach this peer?
    pub(crate) fn may_connect(&self, kind: Kind, peer: SocketAddr) -> bool {
        let (four, sixteen);
        let ip = peer.ip().to_canonical();
        let bytes: &[u8] = match ip {
            IpAddr::V4(ip) => {
                four = ip.octets();
                &four
            }
            IpAddr::V6(ip) => {
                sixteen = ip.octets();
                &sixteen
            }
        };
        let names = self.names.lock();
        let names: Vec<&str> = names.known.iter().filter(|n| n.0 == ip).map(|n| n.1.as_str()).collect();
        self.network.may_connect(protocol(kind), bytes, peer.port(), &names)
    }

    /// May the program ask for this name?
    pub(crate) fn may_resolve(&self, name: &str) -> bool {
        self.network.may_resolve(name)
    }

    /// Remembers what a name resolved to.
    pub(crate) fn learn(&self, name: &str, addresses: &[IpAddr]) {
        let mut names = self.names.lock();
        for ip in addresses.iter().map(IpAddr::to_canonical) {
            if names.known.iter().any(|n| n.0 == ip && n.1 == name) {
                continue;
            }
            let entry = (ip, String::from(name));
            if names.known.len() < NAMES_MAX {
                names.known.push(entry);
            } else {
                let next = names.next;
                names.known[next] = entry;
                names.next = (next + 1) % NAMES_MAX;
            }
        }
    }
}

fn everything() -> Network {
    let both = [Protocol::Tcp, Protocol::Udp];
    let listen = |protocol| Listen { protocol, first_port: 0, last_port: u16::MAX };
    let connect = |protocol| Connect { protocol, host: Host::Any, first_port: 0, last_port: u16::MAX };
    Network { listen: both.map(listen).into(), connect: both.map(connect).into() }
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

    #[test]
    fn rules_by_name_hold_for_what_the_name_resolved_to() {
        let host = Host::Name("*.example.org".into());
        let connect = vec![Connect { protocol: Protocol::Tcp, host, first_port: 443, last_port: 443 }];
        let listen = vec![Listen { protocol: Protocol::Tcp, first_port: 80, last_port: 80 }];
        let policy = Policy::new(Network { listen, connect });
        let peer: SocketAddr = "192.0.2.1:443".parse().expect("an address");
        assert!(policy.may_resolve("www.example.org"));
        assert!(!policy.may_resolve("example.com"));
        assert!(!policy.may_connect(Kind::Stream, peer));
        policy.learn("www.example.org", &[peer.ip()]);
        assert!(policy.may_connect(Kind::Stream, peer));
        assert!(!policy.may_connect(Kind::Datagram, peer));
        assert!(policy.may_bind(Kind::Stream, 80) && policy.may_bind(Kind::Stream, 0));
        assert!(!policy.may_bind(Kind::Stream, 81) && !policy.may_bind(Kind::Datagram, 0));
    }

    #[test]
    fn an_unreadable_manifest_allows_nothing() {
        assert!(!Policy::from_manifest(b"\xff\x00").may_bind(Kind::Stream, 80));
    }
}
