//! Addresses: what the guest says, what is checked, and what the kernel wants.

use abi::hostnet::Address;
use rustix::io::Errno;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

/// The address that the guest names, as it is. An IPv4 address inside an IPv6 one stays inside.
pub(super) fn from_guest(address: &Address) -> Result<SocketAddr, Errno> {
    match address.family {
        4 => {
            let [a, b, c, d, ..] = address.bytes;
            Ok(SocketAddr::new(Ipv4Addr::new(a, b, c, d).into(), address.port))
        }
        6 => {
            let ip = Ipv6Addr::from(address.bytes);
            Ok(SocketAddr::V6(SocketAddrV6::new(ip, address.port, 0, address.scope)))
        }
        _ => Err(Errno::AFNOSUPPORT),
    }
}

/// The peer that a name for an address really reaches: an IPv4 address inside an IPv6 one is IPv4 (RFC 4291 §2.5.5), and
/// the unspecified address is the loopback (`connect(2)` on Linux).
pub(super) fn peer(address: SocketAddr) -> SocketAddr {
    let mut peer = address;
    let ip = address.ip().to_canonical();
    let ip = match ip {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    if ip != address.ip() {
        peer.set_ip(ip);
    }
    peer
}

/// An address as a guest's socket shows it; with `v6` an IPv4 address comes inside an IPv6 one.
pub(super) fn to_guest(address: SocketAddr, v6: bool) -> Address {
    let scope = match address {
        SocketAddr::V6(a) => a.scope_id(),
        SocketAddr::V4(_) => 0,
    };
    let ip = match address.ip() {
        IpAddr::V4(ip) if v6 => {
            if ip.is_unspecified() {
                Ipv6Addr::UNSPECIFIED.into()
            } else {
                ip.to_ipv6_mapped().into()
            }
        }
        ip => ip,
    };
    let mut out = Address { port: address.port(), scope, ..Address::default() };
    match ip {
        IpAddr::V4(ip) => {
            out.family = 4;
            out.bytes[..4].copy_from_slice(&ip.octets());
        }
        IpAddr::V6(ip) => {
            out.family = 6;
            out.bytes = ip.octets();
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_addresses_come_to_light() {
        let reached = |text: &str| peer(text.parse().expect("an address")).to_string();
        assert_eq!(reached("[::ffff:169.254.169.254]:80"), "169.254.169.254:80");
        assert_eq!(reached("0.0.0.0:80"), "127.0.0.1:80");
        assert_eq!(reached("[::]:80"), "[::1]:80");
        assert_eq!(reached("[::ffff:0.0.0.0]:80"), "127.0.0.1:80");
        assert_eq!(reached("[2001:db8::1]:80"), "[2001:db8::1]:80");
    }

    #[test]
    fn addresses_survive_the_guest() {
        for text in ["192.0.2.1:80", "[2001:db8::1]:443"] {
            let address: SocketAddr = text.parse().expect("an address");
            assert_eq!(from_guest(&to_guest(address, false)).expect("an address"), address);
        }
        let mapped = to_guest("192.0.2.1:80".parse().expect("an address"), true);
        assert_eq!((mapped.family, mapped.bytes[10], mapped.bytes[12]), (6, 0xff, 192));
        assert!(from_guest(&Address::default()).is_err());
    }
}
