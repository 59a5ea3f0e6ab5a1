//! What the manifest allows, with what is known of names: every side that holds a program to its manifest asks this.

use super::{Names, Network, Protocol};
use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

/// How many names that were looked up are remembered, over all, for rules that go by name.
const LEARNT_MAX: usize = 1024;

/// The manifest's network section, and the names that are known for addresses.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    network: Network,
    known: Vec<(IpAddr, String)>,
    /// How many of these the manifest gives; they are never forgotten.
    given: usize,
    /// Which of the others is forgotten next.
    next: usize,
}

impl Policy {
    /// Of a network section and the manifest's names.
    pub fn new(network: Network, names: Option<&Names>) -> Self {
        let hosts = names.into_iter().flat_map(|names| &names.hosts);
        let known: Vec<_> =
            hosts.flat_map(|host| host.addresses().map(|ip| (ip.to_canonical(), host.name.clone()))).collect();
        Self { network, given: known.len(), known, next: 0 }
    }

    /// Of a sealed manifest. One that cannot be read, or that has no network section, allows nothing.
    pub fn of_sealed(manifest: &[u8]) -> Self {
        Self::new(Network::of_sealed(manifest).unwrap_or_default(), Names::of_sealed(manifest).as_ref())
    }

    /// May a socket be bound to this port? Any port (0) also stands for a client's own.
    pub fn may_bind(&self, protocol: Protocol, port: u16) -> bool {
        self.may_listen(protocol, port) || port == 0 && self.network.connect.iter().any(|c| c.protocol == protocol)
    }

    /// May this port be listened on, and strangers be answered from it?
    pub fn may_listen(&self, protocol: Protocol, port: u16) -> bool {
        self.network.may_listen(protocol, port)
    }

    /// May the program reach this peer? An IPv4 address inside an IPv6 one is the IPv4 address.
    pub fn may_connect(&self, protocol: Protocol, peer: SocketAddr) -> bool {
        let ip = peer.ip().to_canonical();
        let names: Vec<&str> = self.known.iter().filter(|known| known.0 == ip).map(|known| known.1.as_str()).collect();
        let (four, sixteen);
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
        self.network.may_connect(protocol, bytes, peer.port(), &names)
    }

    /// May the program ask for this name?
    pub fn may_resolve(&self, name: &str) -> bool {
        self.network.may_resolve(name)
    }

    /// Remembers what a name resolved to. Of too many the oldest is forgotten.
    pub fn learn(&mut self, name: &str, addresses: &[IpAddr]) {
        for ip in addresses.iter().map(IpAddr::to_canonical) {
            if self.known.iter().any(|known| known.0 == ip && known.1 == name) {
                continue;
            }
            let entry = (ip, String::from(name));
            if self.known.len() < self.given + LEARNT_MAX {
                self.known.push(entry);
            } else {
                self.known[self.given + self.next] = entry;
                self.next = (self.next + 1) % LEARNT_MAX;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{Connect, Host, Known, Listen};
    use alloc::vec;

    fn policy() -> Policy {
        let host = Host::Name("*.example.org".into());
        let connect = vec![Connect { protocol: Protocol::Tcp, host, first_port: 443, last_port: 443 }];
        let listen = vec![Listen { protocol: Protocol::Tcp, first_port: 80, last_port: 80 }];
        let hosts = vec![Known { name: "db.example.org".into(), addresses: vec![vec![10, 0, 0, 5], vec![1, 2]] }];
        Policy::new(Network { listen, connect }, Some(&Names { hosts, search: vec![] }))
    }

    #[test]
    fn rules_by_name_hold_for_what_the_name_resolved_to() {
        let mut policy = policy();
        let peer = SocketAddr::from(([192, 0, 2, 1], 443));
        assert!(policy.may_resolve("www.example.org") && !policy.may_resolve("example.com"));
        assert!(!policy.may_connect(Protocol::Tcp, peer));
        policy.learn("www.example.org", &[peer.ip()]);
        assert!(policy.may_connect(Protocol::Tcp, peer) && !policy.may_connect(Protocol::Udp, peer));
        assert!(policy.may_bind(Protocol::Tcp, 80) && policy.may_bind(Protocol::Tcp, 0));
        assert!(!policy.may_bind(Protocol::Tcp, 81) && !policy.may_bind(Protocol::Udp, 0));
        assert!(policy.may_listen(Protocol::Tcp, 80) && !policy.may_listen(Protocol::Tcp, 0));
    }

    #[test]
    fn names_of_the_manifest_are_known_for_ever() {
        let mut policy = policy();
        for number in 0..3 * LEARNT_MAX as u32 {
            policy.learn("www.example.org", &[IpAddr::from(number.to_be_bytes())]);
        }
        assert_eq!(policy.known.len(), 1 + LEARNT_MAX);
        assert!(policy.may_connect(Protocol::Tcp, ([10, 0, 0, 5], 443).into()));
        assert!(!policy.may_connect(Protocol::Tcp, ([0, 0, 0, 5], 443).into()));
    }

    #[test]
    fn an_unreadable_manifest_allows_nothing() {
        assert!(!Policy::of_sealed(b"\xff\x00").may_bind(Protocol::Tcp, 80));
    }
}
