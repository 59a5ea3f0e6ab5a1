//! The manifest as it is sealed into the image: what the machine is given, and what it may do.
//!
//! The builder makes it from `[package.metadata.ampoule]` and checks every key; here it is CBOR (RFC 8949), the same
//! bytes for the same manifest. The library OS enforces it in the guest, and whoever is below the gate does so again.

mod policy;
mod sealed;

use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;
use minicbor::{CborLen, Decode, Encode};
pub use policy::Policy;

/// The whole manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, CborLen)]
pub struct Manifest {
    /// The program's package name.
    #[n(0)]
    pub name: String,
    /// The program's package version.
    #[n(1)]
    pub version: String,
    /// RAM, in bytes.
    #[n(2)]
    pub memory: u64,
    /// The first thread's stack, in bytes; 0 leaves it to the far side.
    #[n(3)]
    pub stack: u64,
    /// Arguments after the program's name.
    #[n(4)]
    pub arguments: Vec<String>,
    /// Environment entries, `NAME=value`.
    #[n(5)]
    pub environment: Vec<String>,
    /// The network, or `None`: this machine has none.
    #[n(6)]
    pub network: Option<Network>,
    /// Names that are known without asking, or `None`: there are none.
    #[n(7)]
    pub names: Option<Names>,
    /// Whether its calls of the library OS can be told of ([`crate::trace`]); `None` says no in no bytes at all.
    #[n(8)]
    pub traced: Option<bool>,
}

impl Manifest {
    /// Was the image built so that its calls of the library OS can be told of?
    pub fn is_traced(&self) -> bool {
        self.traced == Some(true)
    }
}

/// What `hosts(5)` and `resolv.conf(5)` say on other systems.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, CborLen)]
pub struct Names {
    /// Names and their addresses.
    #[n(0)]
    pub hosts: Vec<Known>,
    /// Domains in which a name without a dot is looked for, one after the other, lower case.
    #[n(1)]
    pub search: Vec<String>,
}

/// A name that is known.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, CborLen)]
pub struct Known {
    /// The name, lower case, without the final dot.
    #[n(0)]
    pub name: String,
    /// Its addresses: 4 or 16 bytes each.
    #[n(1)]
    pub addresses: Vec<Vec<u8>>,
}

impl Known {
    /// Its addresses; bytes that are none are left out.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.addresses.iter().filter_map(|bytes| match bytes.len() {
            4 => <[u8; 4]>::try_from(&bytes[..]).ok().map(IpAddr::from),
            _ => <[u8; 16]>::try_from(&bytes[..]).ok().map(IpAddr::from),
        })
    }
}

/// Who may connect where.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, CborLen)]
pub struct Network {
    /// Ports that the program may listen on (TCP) or receive on (UDP).
    #[n(0)]
    pub listen: Vec<Listen>,
    /// Peers that the program may connect or send to.
    #[n(1)]
    pub connect: Vec<Connect>,
}

/// A transport protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, CborLen)]
#[cbor(index_only)]
pub enum Protocol {
    /// RFC 9293.
    #[n(0)]
    Tcp,
    /// RFC 768.
    #[n(1)]
    Udp,
}

/// A port range that may be bound.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, CborLen)]
pub struct Listen {
    /// The protocol.
    #[n(0)]
    pub protocol: Protocol,
    /// First port; 0 stands for any port the far side picks.
    #[n(1)]
    pub first_port: u16,
    /// Last port, inclusive.
    #[n(2)]
    pub last_port: u16,
}

/// A set of peers.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, CborLen)]
pub struct Connect {
    /// The protocol.
    #[n(0)]
    pub protocol: Protocol,
    /// Who.
    #[n(1)]
    pub host: Host,
    /// First port.
    #[n(2)]
    pub first_port: u16,
    /// Last port, inclusive.
    #[n(3)]
    pub last_port: u16,
}

/// Peers by name or address.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, CborLen)]
pub enum Host {
    /// Any.
    #[n(0)]
    Any,
    /// A DNS name; `*.example.org` matches every name below it.
    #[n(1)]
    Name(#[n(0)] String),
    /// An IPv4 or IPv6 prefix: 4 or 16 bytes, and the prefix length in bits.
    #[n(2)]
    Prefix(#[n(0)] Vec<u8>, #[n(1)] u8),
}

impl Network {
    /// May the program bind this port?
    pub fn may_listen(&self, protocol: Protocol, port: u16) -> bool {
        self.listen.iter().any(|l| l.protocol == protocol && (l.first_port..=l.last_port).contains(&port))
    }

    /// May the program reach this peer? `names` are the DNS names that are known to resolve to the address (the 4 or 16
    /// bytes of `address`), lower case, without the final dot.
    pub fn may_connect(&self, protocol: Protocol, address: &[u8], port: u16, names: &[&str]) -> bool {
        self.connect.iter().any(|c| {
            c.protocol == protocol && (c.first_port..=c.last_port).contains(&port) && c.host.matches(address, names)
        })
    }

    /// May the program ask for this DNS name at all?
    pub fn may_resolve(&self, name: &str) -> bool {
        self.connect.iter().any(|c| match &c.host {
            Host::Any => true,
            Host::Name(pattern) => name_matches(pattern, name),
            Host::Prefix(..) => false,
        })
    }
}

impl Host {
    /// Is the peer one of these?
    pub fn matches(&self, address: &[u8], names: &[&str]) -> bool {
        match self {
            Host::Any => true,
            Host::Name(pattern) => names.iter().any(|n| name_matches(pattern, n)),
            Host::Prefix(prefix, bits) => prefix_matches(prefix, *bits, address),
        }
    }
}

/// DNS names compare without case (RFC 4343); a leading `*.` stands for one label or more.
fn name_matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_prefix('*') {
        Some(suffix) => {
            name.len() > suffix.len()
                && name.is_char_boundary(name.len() - suffix.len())
                && name[name.len() - suffix.len()..].eq_ignore_ascii_case(suffix)
        }
        None => pattern.eq_ignore_ascii_case(name),
    }
}

fn prefix_matches(prefix: &[u8], bits: u8, address: &[u8]) -> bool {
    if prefix.len() != address.len() || usize::from(bits) > prefix.len() * 8 {
        return false;
    }
    let whole = usize::from(bits / 8);
    let rest = bits % 8;
    prefix[..whole] == address[..whole] && (rest == 0 || (prefix[whole] ^ address[whole]) >> (8 - rest) == 0)
}
