//! May it? And where does a port of the machine appear on the host?

use super::address;
use crate::Publish;
use abi::hostnet::Address;
use abi::manifest::{self, Protocol};
use std::net::{Ipv4Addr, SocketAddr};

/// The manifest's policy and the operator's ports.
#[derive(Debug)]
pub(super) struct Policy {
    rules: manifest::Policy,
    publish: Vec<Publish>,
}

impl Policy {
    pub(super) fn new(rules: manifest::Policy, publish: Vec<Publish>) -> Self {
        Self { rules, publish }
    }

    pub(super) fn may_listen(&self, protocol: Protocol, port: u16) -> bool {
        self.rules.may_listen(protocol, port)
    }

    pub(super) fn may_connect(&self, protocol: Protocol, to: SocketAddr) -> bool {
        self.rules.may_connect(protocol, address::peer(to))
    }

    pub(super) fn may_resolve(&self, name: &str) -> bool {
        self.rules.may_resolve(name)
    }

    /// Where the machine's port appears. Port 0 is any of the host's: at the loopback if the machine may offer it, else
    /// anywhere, as a client's own end.
    pub(super) fn host_address(&self, protocol: Protocol, port: u16) -> SocketAddr {
        let published = self.publish.iter().find(|p| p.protocol == protocol && p.port == port);
        match published {
            Some(published) => published.host,
            None if port == 0 && !self.may_listen(protocol, 0) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            None => Publish::default_for(protocol, port).host,
        }
    }

    pub(super) fn learn(&mut self, name: &str, addresses: &[Address]) {
        let addresses = addresses.iter().filter_map(|address| address::from_guest(address).ok());
        let addresses: Vec<_> = addresses.map(|address| address::peer(address).ip()).collect();
        self.rules.learn(name, &addresses);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use abi::manifest::{Connect, Host, Listen, Network};

    fn policy() -> Policy {
        let tcp = |host, port| Connect { protocol: Protocol::Tcp, host, first_port: port, last_port: port };
        let network = Network {
            listen: vec![Listen { protocol: Protocol::Tcp, first_port: 80, last_port: 89 }],
            connect: vec![tcp(Host::Prefix(vec![192, 0, 2, 0], 24), 443), tcp(Host::Name("*.example.org".into()), 443)],
        };
        let host = "127.0.0.1:8080".parse().expect("an address");
        Policy::new(manifest::Policy::new(network, None), vec![Publish { protocol: Protocol::Tcp, host, port: 80 }])
    }

    fn may(policy: &Policy, to: &str) -> bool {
        policy.may_connect(Protocol::Tcp, to.parse().expect("an address"))
    }

    #[test]
    fn peers_are_known_by_prefix() {
        let policy = policy();
        assert!(may(&policy, "192.0.2.7:443"));
        assert!(may(&policy, "[::ffff:192.0.2.7]:443"));
        assert!(!may(&policy, "192.0.2.7:80"));
        assert!(!may(&policy, "192.0.3.7:443"));
        assert!(!may(&policy, "0.0.0.0:443"));
        assert!(!policy.may_connect(Protocol::Udp, "192.0.2.7:443".parse().expect("an address")));
    }

    #[test]
    fn peers_are_known_by_the_names_that_led_to_them() {
        let mut policy = policy();
        assert!(!may(&policy, "198.51.100.1:443"));
        let address = address::to_guest("198.51.100.1:0".parse().expect("an address"), false);
        policy.learn("www.example.org", &[address]);
        assert!(may(&policy, "198.51.100.1:443"));
        policy.learn("www.example.net", &[address]);
        assert!(!may(&policy, "198.51.100.2:443"));
        assert!(policy.may_resolve("a.b.example.org") && !policy.may_resolve("example.net"));
    }

    #[test]
    fn ports_appear_where_they_are_published() {
        let policy = policy();
        assert_eq!(policy.host_address(Protocol::Tcp, 80).to_string(), "127.0.0.1:8080");
        assert_eq!(policy.host_address(Protocol::Tcp, 81).to_string(), "127.0.0.1:81");
        assert_eq!(policy.host_address(Protocol::Udp, 80).to_string(), "127.0.0.1:80");
        assert_eq!(policy.host_address(Protocol::Udp, 0).to_string(), "0.0.0.0:0");
    }
}
