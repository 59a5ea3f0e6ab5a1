//! Addresses as the seam and as the device write them.

use abi::hostnet::{Address, CLASS_GIVEN, EventHeader};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use device::Ancillary;

/// For the device.
pub(crate) fn to_device(address: SocketAddr) -> Address {
    let mut bytes = [0; 16];
    match address {
        SocketAddr::V4(v4) => {
            bytes[..4].copy_from_slice(&v4.ip().octets());
            Address { family: 4, port: v4.port(), scope: 0, bytes }
        }
        SocketAddr::V6(v6) => Address { family: 6, port: v6.port(), scope: v6.scope_id(), bytes: v6.ip().octets() },
    }
}

/// From the device; `None` for no address.
pub(crate) fn from_device(address: &Address) -> Option<SocketAddr> {
    match address.family {
        4 | 6 => {}
        _ => return None,
    }
    Some(match ip_from_device(address)? {
        IpAddr::V4(ip) => SocketAddr::new(ip.into(), address.port),
        IpAddr::V6(ip) => SocketAddrV6::new(ip, address.port, 0, address.scope).into(),
    })
}

/// What came along with a datagram.
pub(crate) fn ancillary(header: &EventHeader) -> Ancillary {
    Ancillary {
        class: (header.class & CLASS_GIVEN != 0).then_some(header.class as u8),
        local: ip_from_device(&header.local),
        segment: header.segment,
    }
}

/// The IP address alone.
pub(crate) fn ip_from_device(address: &Address) -> Option<IpAddr> {
    let b = address.bytes;
    match address.family {
        4 => Some(Ipv4Addr::new(b[0], b[1], b[2], b[3]).into()),
        6 => Some(Ipv6Addr::from(b).into()),
        _ => None,
    }
}
